/**
 * Akamai's Auth Token 2.0 as text: `ip=…~st=…~exp=…~acl=…~id=…~data=…~hmac=…`. The HMAC is over all that stands before
 * it, and over `url=…` and `salt=…` where those are used: both are signed without being sent. No clock and no key here.
 */

/** Longer texts are no tokens; an address of 8 KiB has room for one and its path. */
export const TOKEN_CHARS_MAX = 4096;
export const ACL_PATTERNS_MAX = 64;
/** Akamai: printable ASCII, at most 64 bytes. */
export const TOKEN_ID_CHARS_MAX = 64;
const DATA_CHARS_MAX = 512;
const IP_CHARS_MAX = 45;
const FIELDS_MAX = 16;

/** What a token says. Times are seconds since 1970. */
export interface TokenFields {
  readonly ip: string | null;
  readonly startSeconds: number | null;
  readonly endSeconds: number;
  /** Paths with `*` and `?`; empty: the token is for one address that is signed and not sent. */
  readonly acl: readonly string[];
  readonly id: string | null;
  readonly data: string | null;
}

export interface ParsedToken extends TokenFields {
  /** What the HMAC is over, without a leading or trailing `~`. */
  readonly signed: string;
  /** 64 lower-case hexadecimal digits. */
  readonly hmac: string;
}

const HMAC = /^[0-9a-fA-F]{64}$/;
const SECONDS = /^\d{1,12}$/;
const PRINTABLE = /^[\x20-\x7e]*$/;

/** Percent-decoded once; the text itself where that can't be done. */
export const decodedOnce = (text: string): string => {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
};

/** As Akamai's generators escape a field before it is signed: everything but unreserved characters, in lower case. */
export const escapedEarly = (text: string): string =>
  encodeURIComponent(text)
    .replace(/[~'*]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
    .replace(/%../g, (code) => code.toLowerCase());

/** `*` stands for any characters, slashes too, `?` for one. Time is at most the product of both lengths. */
export const globMatches = (pattern: string, text: string): boolean => {
  let at = 0;
  let read = 0;
  let star = -1;
  let starRead = 0;
  while (read < text.length) {
    const char = pattern[at];
    if (char === "*") {
      star = at++;
      starRead = read;
    } else if (char !== undefined && (char === "?" || char === text[read])) {
      at += 1;
      read += 1;
    } else if (star >= 0) {
      at = star + 1;
      read = ++starRead;
    } else return false;
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
};

/** Whether one of the patterns fits a path; both decoded. */
export const aclAllows = (acl: readonly string[], path: string): boolean =>
  acl.some((pattern) => globMatches(pattern, path));

const fieldsOf = (signed: string): ReadonlyMap<string, string> | null => {
  const parts = signed.split("~");
  if (parts.length > FIELDS_MAX) return null;
  const fields = new Map<string, string>();
  for (const part of parts) {
    const equals = part.indexOf("=");
    if (equals < 1) return null;
    const name = part.slice(0, equals);
    if (fields.has(name)) return null;
    fields.set(name, part.slice(equals + 1));
  }
  return fields;
};

const bounded = (text: string | undefined, charsMax: number): string | null | undefined => {
  if (text === undefined) return null;
  const decoded = decodedOnce(text);
  return decoded.length > 0 && decoded.length <= charsMax && PRINTABLE.test(decoded) ? decoded : undefined;
};

/** Patterns are split before they are decoded, so that an escaped `!` is one of a path. */
const aclOf = (fields: ReadonlyMap<string, string>): readonly string[] => {
  const acl = fields.get("acl")?.split("!").map(decodedOnce) ?? [];
  const url = fields.get("url");
  return url === undefined ? acl : [...acl, decodedOnce(url).replace(/\?.*$/, "")];
};

/** What a token says, unverified; null when it is none. Fields that nobody here knows are signed like all others. */
export const parseToken = (text: string): ParsedToken | null => {
  const end = text.lastIndexOf("~hmac=");
  if (text.length > TOKEN_CHARS_MAX || end < 0) return null;
  const hmac = text.slice(end + "~hmac=".length);
  const signed = text.slice(0, end);
  const fields = fieldsOf(signed);
  if (!fields || !HMAC.test(hmac) || fields.has("hmac")) return null;
  const start = fields.get("st");
  const expiry = fields.get("exp");
  const acl = aclOf(fields);
  const ip = bounded(fields.get("ip"), IP_CHARS_MAX);
  const id = bounded(fields.get("id"), TOKEN_ID_CHARS_MAX);
  const data = bounded(fields.get("data"), DATA_CHARS_MAX);
  if (ip === undefined || id === undefined || data === undefined) return null;
  if (expiry === undefined || !SECONDS.test(expiry) || (start !== undefined && !SECONDS.test(start))) return null;
  if (acl.length > ACL_PATTERNS_MAX || acl.some((pattern) => pattern === "")) return null;
  const startSeconds = start === undefined ? null : Number(start);
  return { ip, startSeconds, endSeconds: Number(expiry), acl, id, data, signed, hmac: hmac.toLowerCase() };
};

/** Without the separators, and without what means something in an address, an attribute or a DASH template. */
const aclEscaped = (pattern: string): string =>
  encodeURI(pattern)
    .replace(/[!~'#&+$]/g, (char) => `%${char.charCodeAt(0).toString(16)}`)
    .replace(/%../g, (code) => code.toLowerCase());

/** The part of a token that is signed, in the order of Akamai's generators. It is safe in a query and in XML. */
export const tokenBody = ({ ip, startSeconds, endSeconds, acl, id, data }: TokenFields): string =>
  [
    ip === null ? [] : `ip=${escapedEarly(ip)}`,
    startSeconds === null ? [] : `st=${startSeconds}`,
    `exp=${endSeconds}`,
    acl.length === 0 ? [] : `acl=${acl.map(aclEscaped).join("!")}`,
    id === null ? [] : `id=${escapedEarly(id)}`,
    data === null ? [] : `data=${escapedEarly(data)}`,
  ]
    .flat()
    .join("~");
