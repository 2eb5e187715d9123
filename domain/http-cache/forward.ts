/** Which fields pass: from an origin into the cache, and from a client to an origin (RFC 9110 §7.6, RFC 9111 §3.1). */
import { controlOf } from "./control.ts";
import { eachField, type FieldList, fieldValue, fieldValues, listMembers } from "./fields.ts";
import { connectionOptions, isHopByHop } from "./hop-by-hop.ts";
import { imfDate } from "./http-date.ts";
import { acceptedCodings } from "./vary.ts";

export interface StoringOptions {
  readonly stripSetCookie: boolean;
  /** Members of Cache-Status under this name are dropped: this cache tells anew what it does for each request. */
  readonly cacheName?: string;
  /** Given: an answer without Date gets this time (RFC 9110 §6.6.1); ms since 1970. */
  readonly nowWallMs?: number;
}

const COOKIES: ReadonlySet<string> = new Set(["set-cookie", "set-cookie2"]);

const nameOfMember = (member: string): string => (/^"?([^";\s]*)/.exec(member)?.[1] ?? "").toLowerCase();
const othersStatus = (value: string, cacheName: string): string =>
  listMembers(value)
    .filter((member) => nameOfMember(member) !== cacheName.toLowerCase())
    .join(", ");

/**
 * The end-to-end fields to keep with an answer (RFC 9111 §3.1), in their order and case. Left out: those of the
 * connection and those that Connection names, Age (it is reckoned anew), fields that `private` or `no-cache` name
 * (§5.2.2.4, §5.2.2.7), cookies when they are to be stripped. Content-Length and Date stay.
 */
export const storedFields = (responseFields: FieldList, options: StoringOptions): string[] => {
  const { cacheName, nowWallMs, stripSetCookie } = options;
  const { directives } = controlOf(responseFields);
  const unwanted = new Set([
    ...connectionOptions(responseFields),
    ...directives.names("no-cache"),
    ...directives.names("private"),
    "age",
    ...(stripSetCookie ? COOKIES : []),
  ]);
  const kept: string[] = [];
  eachField(responseFields, (name, lower, value) => {
    if (isHopByHop(lower) || unwanted.has(lower)) return;
    const text = lower === "cache-status" && cacheName !== undefined ? othersStatus(value, cacheName) : value;
    if (text !== "" || value === "") kept.push(name, text);
  });
  if (nowWallMs !== undefined && fieldValue(kept, "date") === undefined) kept.push("Date", imfDate(nowWallMs));
  return kept;
};

/**
 * The fields of an origin's answer for the one who asked, when it is passed on and not stored: all but those of the
 * connection (RFC 9110 §7.6.1). Age stays, and so does what `private` keeps from everybody else.
 */
export const passedFields = (responseFields: FieldList): string[] => {
  const named = connectionOptions(responseFields);
  const kept: string[] = [];
  eachField(responseFields, (name, lower, value) => {
    if (!isHopByHop(lower) && !named.has(lower)) kept.push(name, value);
  });
  return kept;
};

/** Fields that select a part or ask "unless you know": a fill wants the whole. */
const CONDITIONS: ReadonlySet<string> = new Set([
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "range",
]);
/** Made anew by whoever sends the request. */
const MADE_ANEW: ReadonlySet<string> = new Set([
  "accept-encoding",
  "cdn-loop",
  "content-length",
  "expect",
  "host",
  "via",
]);
/**
 * Fields by which some origins choose another answer than the address says, and that are no part of the cache key: what
 * one client sends in them must not become what all get.
 */
const UNKEYED: ReadonlySet<string> = new Set([
  ...["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-prefix"],
  ...["x-forwarded-proto", "x-forwarded-scheme", "x-forwarded-server", "x-host", "x-http-host-override"],
  ...["x-http-method", "x-http-method-override", "x-method-override", "x-original-host", "x-original-url"],
  ...["x-real-ip", "x-rewrite-url"],
]);
/** Of a request whose method has no content here. */
const CONTENT: ReadonlySet<string> = new Set(["content-encoding", "content-type"]);

export interface ForwardOptions {
  /** This edge's pseudonym in Via and CDN-Loop. */
  readonly via: string;
  /** Version of the protocol that the request came by; `1.1` when absent. */
  readonly receivedVersion?: string;
  /** A request that is passed through rather than filled keeps its conditions, Range, and its content's fields. */
  readonly passThrough?: boolean;
}

/**
 * The fields for the request to an origin, without Host and Content-Length, which its sender adds. The client's fields
 * of this hop are removed before ours are added, so that `Connection: Via` removes nothing of ours. Accept-Encoding is
 * brought to what `varyKey` tells apart.
 */
export const requestFieldsToForward = (fields: FieldList, options: ForwardOptions): string[] => {
  const { passThrough = false, receivedVersion = "1.1", via } = options;
  const named = connectionOptions(fields);
  const kept: string[] = [];
  eachField(fields, (name, lower, value) => {
    if (isHopByHop(lower) || named.has(lower) || MADE_ANEW.has(lower)) return;
    if (!passThrough && (CONDITIONS.has(lower) || CONTENT.has(lower) || UNKEYED.has(lower))) return;
    kept.push(name, value);
  });
  const codings = acceptedCodings(fieldValue(fields, "accept-encoding"));
  if (codings !== undefined) kept.push("Accept-Encoding", codings);
  kept.push("Via", [...fieldValues(fields, "via"), `${receivedVersion} ${via}`].join(", "));
  kept.push("CDN-Loop", [...fieldValues(fields, "cdn-loop"), via].join(", "));
  return kept;
};

/**
 * True when a request has been through the edge of this pseudonym: its origins lead back to it (RFC 9110 §7.6.3, RFC
 * 8586). Both fields are read, since a hop may drop either.
 */
export const isLoop = (fields: FieldList, via: string): boolean => {
  const own = via.toLowerCase();
  const hops = fieldValues(fields, "via").flatMap(listMembers);
  if (hops.some((hop) => hop.split(/\s+/)[1]?.toLowerCase() === own)) return true;
  const loops = fieldValues(fields, "cdn-loop").flatMap(listMembers);
  return loops.some((member) => member.split(";")[0]?.trim().toLowerCase() === own);
};
