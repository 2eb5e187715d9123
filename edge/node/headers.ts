/** Headers of the edge's answers. */
import type { Head } from "../cache/stored.ts";

export type Headers = Record<string, string | number>;

/** The name under which Cache-Status reports (RFC 9211). */
const CACHE_NAME = "castellan-edge";

const EXPOSED = "Accept-Ranges, Age, Cache-Status, Content-Length, Content-Range, Date, ETag, Last-Modified";
/** On every answer: players live on other hosts, and measure what they load. */
export const OPEN_TO_ALL: Readonly<Headers> = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": EXPOSED,
  "cross-origin-resource-policy": "cross-origin",
  "timing-allow-origin": "*",
  "x-content-type-options": "nosniff",
};
export const ALLOWED_METHODS = "GET, HEAD, OPTIONS";
export const PREFLIGHT: Readonly<Headers> = {
  ...OPEN_TO_ALL,
  "access-control-allow-methods": ALLOWED_METHODS,
  "access-control-allow-headers": "Range, If-Range, If-None-Match, If-Modified-Since, Cache-Control, Authorization",
  "access-control-max-age": 86_400,
};

/** RFC 9211 §2: what the cache did for this answer. */
export interface CacheStatus {
  readonly hit?: boolean;
  readonly fwd?: "uri-miss" | "stale";
  readonly collapsed?: boolean;
  readonly ttlMs?: number;
  readonly detail?: string;
}
export const cacheStatusOf = ({ hit, fwd, collapsed, ttlMs, detail }: CacheStatus): string => {
  let text = CACHE_NAME;
  if (hit) text += "; hit";
  if (fwd) text += `; fwd=${fwd}`;
  if (collapsed) text += "; collapsed";
  if (ttlMs !== undefined) text += `; ttl=${Math.floor(ttlMs / 1_000)}`;
  if (detail) text += `; detail=${detail}`;
  return text;
};

/** What is told about a body beside its size. */
export interface Description {
  readonly head: Head;
  readonly ageMs: number;
  readonly status: CacheStatus;
  readonly via: string;
}
/** Headers that a 200, a 206 and a 304 share (RFC 9110 §15.4.5). */
export const headersOf = ({ head, ageMs, status, via }: Description): Headers => {
  const headers: Headers = { ...OPEN_TO_ALL };
  if (head.etag !== undefined) headers.etag = head.etag;
  if (head.lastModified !== undefined) headers["last-modified"] = head.lastModified;
  if (head.cacheControl !== undefined) headers["cache-control"] = head.cacheControl;
  headers.age = Math.max(0, Math.floor(ageMs / 1_000));
  headers["cache-status"] = cacheStatusOf(status);
  headers.via = via;
  return headers;
};
/** Headers that describe the body itself. */
export const addBodyHeaders = (headers: Headers, head: Head): Headers => {
  if (head.contentType !== undefined) headers["content-type"] = head.contentType;
  if (head.contentEncoding !== undefined) headers["content-encoding"] = head.contentEncoding;
  if (head.contentLanguage !== undefined) headers["content-language"] = head.contentLanguage;
  headers["accept-ranges"] = "bytes";
  return headers;
};

/** True when the request has been through this very edge: its origins lead back to it. */
export const hasLooped = (via: string | undefined, own: string): boolean =>
  via?.split(",").some((hop) => hop.trim().split(/\s+/)[1] === own) ?? false;
