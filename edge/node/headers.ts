/** Header lines of the edge's answers. */
import type { HeaderLines } from "../../lib/http/exchange.ts";

/** The name under which Cache-Status reports (RFC 9211). */
const CACHE_NAME = "castellan-edge";

const EXPOSED = "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, Date, ETag, Last-Modified";
/** On every answer of the platform's own media: players live on other hosts, and measure what they load. */
export const OPEN_TO_ALL: HeaderLines = [
  "Access-Control-Allow-Origin: *",
  `Access-Control-Expose-Headers: ${EXPOSED}`,
  "Cross-Origin-Resource-Policy: cross-origin",
  "Timing-Allow-Origin: *",
  "X-Content-Type-Options: nosniff",
  "",
].join("\r\n");
export const ALLOWED_METHODS = "GET, HEAD, OPTIONS";
export const PREFLIGHT: HeaderLines = [
  `${OPEN_TO_ALL}Access-Control-Allow-Methods: ${ALLOWED_METHODS}`,
  "Access-Control-Allow-Headers: Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Authorization",
  "Access-Control-Max-Age: 86400",
  "",
].join("\r\n");

/** RFC 9211 §2: what the cache did for this answer. */
export interface CacheStatus {
  readonly hit?: boolean;
  readonly fwd?: "uri-miss" | "vary-miss" | "miss" | "stale" | "request" | "bypass" | "method" | "partial";
  readonly fwdStatus?: number;
  readonly stored?: boolean;
  readonly collapsed?: boolean;
  readonly ttlMs?: number;
  readonly detail?: string;
}
export const cacheStatusOf = (status: CacheStatus): string => {
  const { hit, fwd, fwdStatus, stored, collapsed, ttlMs, detail } = status;
  let text = CACHE_NAME;
  if (hit) text += "; hit";
  if (fwd) text += `; fwd=${fwd}`;
  if (fwdStatus !== undefined) text += `; fwd-status=${fwdStatus}`;
  if (stored) text += "; stored";
  if (collapsed) text += "; collapsed";
  if (ttlMs !== undefined) text += `; ttl=${Math.floor(ttlMs / 1_000)}`;
  if (detail) text += `; detail=${detail}`;
  return text;
};

/** The lines that each answer from the cache or through it has of its own. */
export const ownLines = (ageMs: number, status: CacheStatus): HeaderLines =>
  `Age: ${Math.max(0, Math.floor(ageMs / 1_000))}\r\nCache-Status: ${cacheStatusOf(status)}\r\n`;

/** True when the request has been through this very edge: its origins lead back to it. */
export const hasLooped = (via: string | undefined, own: string): boolean =>
  via?.split(",").some((hop) => hop.trim().split(/\s+/)[1] === own) ?? false;
