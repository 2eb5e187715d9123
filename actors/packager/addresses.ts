/** What absolute addresses in playlists begin with (C-12). */
import { isAllowedAddress } from "../../domain/ip-address.ts";
import type { RawRequest } from "../../lib/http/exchange.ts";

export interface AddressOptions {
  /** Null: addresses are relative, unless a trusted proxy tells a host. */
  readonly serverName: string | null;
  readonly useHttps: boolean;
  /** Networks whose X-Forwarded-Proto and X-Forwarded-Host are believed. */
  readonly trustedProxies: readonly string[];
  /** Begins and ends with a slash. */
  readonly urlPrefix: string;
}

/** As in a Host header field (RFC 9110 §7.2): what else a proxy passes on must not get into playlists. */
const HOST = /^(?:[A-Za-z0-9._-]{1,255}|\[[0-9a-fA-F:.]{2,45}\])(?::\d{1,5})?$/;

/** Of several proxies, the first one is what the viewer talked to. */
const firstOf = (value: string | undefined): string => (value ?? "").split(",", 1)[0]?.trim() ?? "";

/** The URL of the prefix as a viewer has to name it, `https://host/i/`; empty: relative addresses lead there. */
export const baseOf = (request: RawRequest, options: AddressOptions): string => {
  const { serverName, useHttps, trustedProxies, urlPrefix } = options;
  const scheme = useHttps ? "https" : "http";
  if (serverName !== null) return `${scheme}://${serverName}${urlPrefix}`;
  if (trustedProxies.length === 0 || !isAllowedAddress(request.remoteAddress, trustedProxies)) return "";
  const host = firstOf(request.header("x-forwarded-host"));
  if (!HOST.test(host)) return "";
  const told = firstOf(request.header("x-forwarded-proto")).toLowerCase();
  return `${told === "https" || told === "http" ? told : scheme}://${host}${urlPrefix}`;
};

/**
 * The same with the request's own host where none is configured, for addresses that players do not resolve themselves.
 */
export const hostedBaseOf = (request: RawRequest, options: AddressOptions): string => {
  const base = baseOf(request, options);
  const host = request.header("host") ?? "";
  if (base !== "" || !HOST.test(host)) return base;
  return `${options.useHttps ? "https" : "http"}://${host}${options.urlPrefix}`;
};
