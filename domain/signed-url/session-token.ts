/** Tokens of playback sessions, the second form of `token.ts`: what one says, as text. No clock and no key here. */

/** What a session's token says. Times are seconds since 1970, ids are UUIDs. */
export interface SessionClaims {
  readonly keyId: string;
  readonly expiresSeconds: number;
  /** When the session began. */
  readonly fromSeconds: number;
  /** As `addressTag` gives it; null: any viewer. */
  readonly address: string | null;
  readonly tenantId: string;
  readonly contentId: string;
  readonly sessionId: string;
  /** Lines of the picture that it may have; null: no limit. */
  readonly maxHeight: number | null;
}

export interface ParsedSessionToken extends SessionClaims {
  /** The part of the token that the signature is over. */
  readonly body: string;
  /** base64url of 64 bytes. */
  readonly signature: string;
}

const CONTEXT = "castellan-url-2";
/** Platform tokens hold on any host. */
const ANY_HOST = "*";

const TIMES = String.raw`([1-9]\d{0,10})\.(0|[1-9]\d{0,10})`;
const ADDRESS = "-|[0-9a-f]{8}|[0-9a-f]{16}";
// The last letter of an id and of a signature has bits to spare: with zeros there it is the one text of its bytes.
const ID = "([A-Za-z0-9_-]{21}[AQgw])";
const SHAPE = new RegExp(
  String.raw`^([\w-]{1,32})\.${TIMES}\.(${ADDRESS})\.${ID}\.${ID}\.${ID}(?:\.h([1-9]\d{1,4}))?\.([A-Za-z0-9_-]{85}[AQgw])$`,
);

/** Whether a text looks like a session's token; it may still be a wrong one. */
export const isSessionTokenShaped = (text: string): boolean => SHAPE.test(text);

/** The 22 characters that stand for a UUID in tokens, and in lists of sessions. */
export const uuidCode = (uuid: string): string => Buffer.from(uuid.replaceAll("-", ""), "hex").toString("base64url");

/** Of 22 characters that `uuidCode` gave. */
export const uuidOf = (code: string): string => {
  const hex = Buffer.from(code, "base64url").toString("hex");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
};

/** What a token says; null for what is none. Its signature has not been looked at. */
export const parseSessionToken = (text: string): ParsedSessionToken | null => {
  const match = SHAPE.exec(text);
  if (!match) return null;
  // All groups of a match are there, but that of the height.
  const [, keyId = "", expires, from, address = "-", tenant = "", content = "", session = "", height, signature = ""] =
    match;
  return {
    keyId,
    expiresSeconds: Number(expires),
    fromSeconds: Number(from),
    address: address === "-" ? null : address,
    tenantId: uuidOf(tenant),
    contentId: uuidOf(content),
    sessionId: uuidOf(session),
    maxHeight: height === undefined ? null : Number(height),
    body: text.slice(0, text.length - signature.length - 1),
    signature,
  };
};

/** The part of a token that is signed. */
export const sessionTokenBody = (claims: SessionClaims): string => {
  const { keyId, expiresSeconds, fromSeconds, address, tenantId, contentId, sessionId, maxHeight } = claims;
  const ids = [tenantId, contentId, sessionId].map(uuidCode).join(".");
  const bound = maxHeight === null ? "" : `.h${maxHeight}`;
  return `${keyId}.${expiresSeconds}.${fromSeconds}.${address ?? "-"}.${ids}${bound}`;
};

/** What a signature is over. */
export const sessionSignedText = (body: string): string => `${CONTEXT}\n${ANY_HOST}\n${body}`;
