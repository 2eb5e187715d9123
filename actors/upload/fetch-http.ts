/**
 * Fetches a file from a URL that a tenant named. Where a connection may go is looked at as it is made, at every
 * redirect again (lib/http/outgoing-agents.ts): a name that is another address by then changes nothing.
 */
import http, { type IncomingMessage } from "node:http";
import https from "node:https";
import { Fault, fail } from "../../contracts/errors.ts";
import { ADDRESS_REFUSED, type OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { PRIVATE_ADDRESS } from "../../lib/source-guard.ts";
import type { Origin } from "./upload.store.ts";

const REDIRECTS_MAX = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);
const IDLE_MS = 30_000;
const HEAD_BYTES_MAX = 16 * 1024;
const AGAIN = new Set([408, 425, 429]);

/** Without user, password and query: those may be secrets. */
export const shownUrl = (text: string): string => {
  const url = URL.parse(text);
  return url ? `${url.origin}${url.pathname}` : "that";
};

const refuse = (url: string, reason: string): never => fail("SOURCE_URL_REFUSED", { url: shownUrl(url), reason });

/** A percent sign that begins nothing stands for itself (URL standard, "percent-decode"). */
const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

interface Ask {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly agents: OutgoingAgents;
  readonly trusted: boolean;
  readonly signal: AbortSignal;
}

const send = ({ url, headers, agents, trusted, signal }: Ask): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const { request } = url.protocol === "https:" ? https : http;
    const auth = url.username === "" ? {} : { auth: `${decoded(url.username)}:${decoded(url.password)}` };
    const asked = request(
      {
        protocol: url.protocol,
        hostname: url.hostname.replace(/^\[(.*)\]$/, "$1"),
        port: url.port,
        ...auth,
        path: `${url.pathname}${url.search}`,
        headers,
        agent: agents.for(url, { trusted }),
        signal,
        maxHeaderSize: HEAD_BYTES_MAX,
      },
      resolve,
    );
    asked.setTimeout(IDLE_MS, () => asked.destroy(new Error("the server is silent")));
    asked.on("error", reject);
    asked.end();
  });

const unreachable = (url: URL, error: unknown): never => {
  if ((error as { code?: string }).code === ADDRESS_REFUSED) refuse(url.href, PRIVATE_ADDRESS);
  const fault = new Fault("SOURCE_FAILED", { path: shownUrl(url.href) });
  throw Object.assign(fault, { cause: error });
};

export interface Fetching extends Omit<Ask, "url" | "headers"> {
  readonly origin: Origin;
  readonly offset: number;
}

export interface Fetched {
  readonly body: IncomingMessage;
  /** Of the body's first byte: where it was asked for, or 0 where the server has another version, or no ranges. */
  readonly offset: number;
  readonly sizeBytes: number | null;
  readonly etag: string | null;
  readonly lastModified: string | null;
}

/** A weak one proves nothing about bytes (RFC 9110 §13.1.5). */
const validatorOf = ({ etag, lastModified }: Origin): string | null =>
  etag && !etag.startsWith("W/") ? etag : (lastModified ?? null);

const numberIn = (text: string | undefined): number | null =>
  text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : null;

const answered = (body: IncomingMessage, { origin, offset }: Fetching, url: URL): Fetched => {
  const status = body.statusCode ?? 0;
  const { etag = null, "last-modified": lastModified = null } = body.headers;
  const told = { body, etag, lastModified };
  if (status === 200) return { ...told, offset: 0, sizeBytes: numberIn(body.headers["content-length"]) };
  if (status === 206) {
    const [, first, , size] =
      /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(body.headers["content-range"] ?? "") ?? [];
    const isAsked = Number(first) === offset && (origin.etag == null || etag === null || etag === origin.etag);
    if (size !== undefined && isAsked) return { ...told, offset, sizeBytes: Number(size) };
  }
  body.destroy();
  const path = shownUrl(url.href);
  if (status >= 500 || AGAIN.has(status) || status === 206) return fail("SOURCE_FAILED", { path });
  if (status === 404 || status === 410) return fail("SOURCE_NOT_FOUND", { path });
  if (status === 401 || status === 403) return fail("SOURCE_DENIED", { path });
  return refuse(url.href, `its server answers with ${status}`);
};

/** Fails with SOURCE_URL_REFUSED, SOURCE_NOT_FOUND, SOURCE_DENIED or (what may be tried again) SOURCE_FAILED. */
export const fetchFrom = async (fetching: Fetching): Promise<Fetched> => {
  const { origin, offset, agents, trusted, signal } = fetching;
  const validator = validatorOf(origin);
  const isResumed = offset > 0 && validator !== null;
  const headers: Record<string, string> = {
    accept: "*/*",
    "accept-encoding": "identity",
    "user-agent": "castellan",
    ...(isResumed ? { range: `bytes=${offset}-`, "if-range": validator } : {}),
  };
  let url = URL.parse(origin.url ?? "");
  for (let hop = 0; hop <= REDIRECTS_MAX; hop += 1) {
    if (url === null || !/^https?:$/.test(url.protocol))
      return refuse(origin.url ?? "", "only http and https are fetched");
    const from: URL = url;
    const response = await send({ url, headers, agents, trusted, signal }).catch((error) => unreachable(from, error));
    const { location } = response.headers;
    if (!REDIRECTS.has(response.statusCode ?? 0) || location === undefined) {
      return answered(response, isResumed ? fetching : { ...fetching, offset: 0 }, url);
    }
    response.destroy();
    url = URL.parse(location, url.href);
  }
  return refuse(origin.url ?? "", `it redirects more than ${REDIRECTS_MAX} times`);
};
