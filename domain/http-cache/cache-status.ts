/** Why a request went to the origin (RFC 9211 §2.2). */
export type Forwarded = "bypass" | "method" | "uri-miss" | "vary-miss" | "miss" | "request" | "stale" | "partial";

/** What a cache did for one answer. `hit` and `fwd` exclude each other (RFC 9211 §2.2): `fwd` wins. */
export interface CacheStatusParts {
  /** Name of this cache; `castellan-edge` when absent. */
  readonly cache?: string;
  /** The field as it came from the next cache towards the origin: it stays in front (RFC 9211 §2). */
  readonly previous?: string | undefined;
  readonly hit?: boolean | undefined;
  readonly fwd?: Forwarded | undefined;
  /** Status of the answer that came back, where it is not the one that is sent. */
  readonly fwdStatus?: number | undefined;
  /** Of the freshness that is left when it is sent; negative when it is stale. */
  readonly ttlMs?: number | undefined;
  readonly stored?: boolean | undefined;
  readonly collapsed?: boolean | undefined;
  readonly key?: string | undefined;
  readonly detail?: string | undefined;
}

/** The name under which Cache-Status reports. */
export const CACHE_NAME = "castellan-edge";

const TOKEN = /^[A-Za-z*][\w!#$%&'*+\-.^`|~:/]*$/;
const KEY_LENGTH_MAX = 1_024;

/** A string of Structured Fields (RFC 8941 §3.3.3); characters that it can't hold are percent-encoded. */
const quoted = (text: string): string => {
  const ascii = text
    .slice(0, KEY_LENGTH_MAX)
    .replaceAll(/[^\x20-\x7e]+/gu, (odd) => encodeURIComponent(odd.toWellFormed()));
  return `"${ascii.replaceAll(/["\\]/g, "\\$&")}"`;
};
const tokenOrString = (text: string): string => (TOKEN.test(text) ? text : quoted(text));

/** The field text of RFC 9211. */
export const cacheStatus = (parts: CacheStatusParts): string => {
  const { cache = CACHE_NAME, collapsed, detail, fwd, fwdStatus, hit, key, previous, stored, ttlMs } = parts;
  let text = previous ? `${previous}, ${tokenOrString(cache)}` : tokenOrString(cache);
  if (fwd !== undefined) text += `; fwd=${fwd}`;
  else if (hit) text += "; hit";
  if (fwd !== undefined && fwdStatus !== undefined) text += `; fwd-status=${fwdStatus}`;
  if (ttlMs !== undefined) text += `; ttl=${Math.floor(ttlMs / 1_000)}`;
  if (fwd !== undefined && stored) text += "; stored";
  if (fwd !== undefined && collapsed) text += "; collapsed";
  if (key !== undefined) text += `; key=${quoted(key)}`;
  if (detail !== undefined && detail !== "") text += `; detail=${tokenOrString(detail)}`;
  return text;
};
