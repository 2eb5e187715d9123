/**
 * The edge's signed URLs: what a token says, as text. No clock and no key here.
 *
 *   token     = key "." expires "." from "." address "." prefix "." signature
 *   key       = 1–32 of A–Z a–z 0–9 _ -        id of the key; the key decides the algorithm, never the token
 *   expires   = seconds since 1970             the token is valid before it
 *   from      = seconds since 1970             valid from then on; 0: at once
 *   address   = "-"                            any viewer
 *             | 8 lower-case hex digits        this IPv4 address
 *             | 16 lower-case hex digits       this /64 of IPv6
 *   prefix    = base64url, unpadded            the path that it opens, with all that is below it: `/`, `/vod/film-7/`
 *   signature = base64url, unpadded            HS256: HMAC-SHA256, 32 bytes; EdDSA: Ed25519 (RFC 8032), 64 bytes
 *
 * Signed are the UTF-8 bytes of three lines, joined by LF: `castellan-url-1`, the hostname of the URL (lower-case, no
 * port), and the token up to its last dot (without it).
 *
 * The second form is that of the platform's own playback sessions. It has no prefix: a token opens one content,
 * whatever way it is packaged, with its keys and its pictures (`/api/media/~{token}/hls/{content}/…`,
 * `/api/media/~{token}/dash/{content}/…`).
 *
 *   token     = key "." expires "." from "." address "." tenant "." content "." session "." signature
 *   tenant, content, session = the 16 bytes of a UUID, base64url: 22 characters
 *   from      = when the session began, so that all sessions that began before an instant can be refused together
 *   signature = Ed25519, as above
 *
 * It holds on any host: signed are `castellan-url-2`, `*` and the token up to its last dot, joined by LF.
 */

import { isSessionTokenShaped } from "./session-token.ts";

/** What a token says. Times are seconds since 1970. */
export interface TokenClaims {
  readonly keyId: string;
  readonly expiresSeconds: number;
  /** 0: valid at once. */
  readonly fromSeconds: number;
  /** As `addressTag` gives it; null: any viewer. */
  readonly address: string | null;
  /** In normal form. */
  readonly prefix: string;
}

export interface ParsedToken extends TokenClaims {
  /** The part of the token that the signature is over. */
  readonly body: string;
  /** base64url of 32 or 64 bytes. */
  readonly signature: string;
}

export const KEY_ID = /^[A-Za-z0-9_-]{1,32}$/;
/** Longest path that a token opens; an address of 8 KiB has room for the token and its path. */
export const PREFIX_CHARS_MAX = 1_024;
export const TOKEN_CHARS_MAX = 1_600; // 32 + 2 × 11 + 16 + 4/3 × 1,024 + 86 and five dots
const CONTEXT = "castellan-url-1";

// The last letter of a signature has bits to spare: only with zeros there is it the one text of its bytes.
const SIGNATURE = "[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]|[A-Za-z0-9_-]{85}[AQgw]";
const TIMES = String.raw`([1-9]\d{0,10})\.(0|[1-9]\d{0,10})`;
const ADDRESS = "-|[0-9a-f]{8}|[0-9a-f]{16}";
const SHAPE = new RegExp(String.raw`^([\w-]{1,32})\.${TIMES}\.(${ADDRESS})\.([\w-]{2,1366})\.(${SIGNATURE})$`);

/** Whether a text looks like a token of either form; it may still be a wrong one. */
export const isTokenShaped = (text: string): boolean =>
  text.length <= TOKEN_CHARS_MAX && (SHAPE.test(text) || isSessionTokenShaped(text));

const UNRESERVED = /[A-Za-z0-9._~-]/;
const PLAIN_PATH = /^\/[!-$&-.0-;=?-[\]-~/]*$/;
const DOT_SEGMENT = /\/\.\.?(?:\/|$)/;
const ESCAPE_OR_BYTE = /%(?:[0-9A-Fa-f]{2})?|[^!-~]/g;
const percent = (code: number): string => `%${code.toString(16).toUpperCase().padStart(2, "0")}`;

/**
 * A path as sent, in the one form that is compared and passed on (RFC 3986 §6.2.2): unreserved characters decoded, the
 * other escapes in upper case, bytes above ASCII escaped. Null where two readers could take it differently: an encoded
 * slash or backslash, control characters, dot segments, a broken escape.
 */
export const normalPath = (path: string): string | null => {
  if (path.charCodeAt(0) !== 0x2f) return null;
  let normal = path;
  if (!PLAIN_PATH.test(path)) {
    let isRefused = path.includes("\\");
    normal = path.replace(ESCAPE_OR_BYTE, (part) => {
      const code = part.length === 3 ? Number.parseInt(part.slice(1), 16) : part.charCodeAt(0);
      const isEscape = part.charCodeAt(0) === 0x25;
      if (isEscape && part.length !== 3) isRefused = true;
      if (code < 0x20 || code === 0x7f || code === 0x2f || code === 0x5c || code > 0xff) isRefused = true;
      const letter = String.fromCharCode(code);
      return isEscape && UNRESERVED.test(letter) ? letter : percent(code);
    });
    if (isRefused) return null;
  }
  return normal.includes("/.") && DOT_SEGMENT.test(normal) ? null : normal;
};

/** A prefix as people write it, in normal form; letters above ASCII become escapes of their UTF-8. Null: none. */
export const normalPrefix = (text: string): string | null => {
  const escaped = text.replace(/[^\0-\x7f]+/g, (letters) => encodeURIComponent(letters.toWellFormed()));
  const prefix = escaped.length > PREFIX_CHARS_MAX ? null : normalPath(escaped);
  return prefix === null || /[?#]/.test(prefix) ? null : prefix;
};

/** Whether a prefix opens a path, at the border of a segment: `/a` opens `/a` and `/a/b`, not `/ab`; `/a/` not `/a`. */
export const isUnder = (path: string, prefix: string): boolean =>
  path.startsWith(prefix) &&
  (prefix.endsWith("/") || path.length === prefix.length || path.charCodeAt(prefix.length) === 0x2f);

/** The token of a text; null where it is none. */
export const parseToken = (text: string): ParsedToken | null => {
  const found = text.length <= TOKEN_CHARS_MAX ? SHAPE.exec(text) : null;
  if (!found) return null;
  const [, keyId = "", expires = "", from = "", address = "", prefixText = "", signature = ""] = found;
  const written = Buffer.from(prefixText, "base64url").toString();
  const prefix = normalPrefix(written);
  if (prefix === null) return null;
  return {
    keyId,
    expiresSeconds: Number(expires),
    fromSeconds: Number(from),
    address: address === "-" ? null : address,
    prefix,
    body: text.slice(0, text.length - signature.length - 1),
    signature,
  };
};

/** The part of a token that is signed. */
export const tokenBody = ({ keyId, expiresSeconds, fromSeconds, address, prefix }: TokenClaims): string =>
  `${keyId}.${expiresSeconds}.${fromSeconds}.${address ?? "-"}.${Buffer.from(prefix).toString("base64url")}`;

/** What a signature is over. */
export const signedText = (hostname: string, body: string): string => `${CONTEXT}\n${hostname}\n${body}`;
