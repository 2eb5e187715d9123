/** Makes signed URLs: for the command, for tests, and for whoever sells what the edge serves. */
import { createHmac, createPrivateKey, type KeyObject, sign } from "node:crypto";
import { addressTag } from "../../domain/signed-url/policy.ts";
import { KEY_ID, normalPrefix, signedText, tokenBody } from "../../domain/signed-url/token.ts";
import { signedHostname } from "./guard.ts";
import { secretKey } from "./keys.ts";

/** `key`: a secret of HS256, or an Ed25519 private key. */
export interface Signer {
  readonly keyId: string;
  readonly key: KeyObject;
}

/** What a token is to say. */
export interface TokenWish {
  /** Host of the URLs that it is for; a port does not count. */
  readonly host: string;
  /** The path that it opens, with all that is below it. */
  readonly prefix: string;
  /** Since 1970; it is valid before it. */
  readonly expiresSeconds: number;
  readonly fromSeconds?: number;
  /** An IPv4 address, or an IPv6 address of the viewer's /64. */
  readonly address?: string;
}

/** Of an HS256 secret (base64url) or an Ed25519 private key (PEM, PKCS #8). Throws an Error that says what is wrong. */
export const signerOf = (keyId: string, text: string): Signer => {
  if (!KEY_ID.test(keyId)) throw new Error(`key ${keyId}: an id is 1 to 32 letters, digits, "_" or "-"`);
  if (!text.includes("-----BEGIN")) return { keyId, key: secretKey(keyId, text.trim()) };
  const key = createPrivateKey(text);
  if (key.asymmetricKeyType !== "ed25519") throw new Error(`key ${keyId} is no Ed25519 key`);
  return { keyId, key };
};

const wholeSeconds = (value: number, least: number): boolean =>
  Number.isSafeInteger(value) && value >= least && value < 1e11;

/** A token. Throws an Error where a wish can't be said in one. */
export const signToken = ({ keyId, key }: Signer, wish: TokenWish): string => {
  const { expiresSeconds, fromSeconds = 0 } = wish;
  const hostname = signedHostname(wish.host);
  const prefix = normalPrefix(wish.prefix);
  const address = wish.address === undefined ? null : addressTag(wish.address);
  if (hostname === "") throw new Error(`${wish.host} is no host`);
  if (prefix === null) throw new Error(`${wish.prefix} is no path that a token can open`);
  if (wish.address !== undefined && address === null) throw new Error(`${wish.address} is no address`);
  if (!wholeSeconds(expiresSeconds, 1) || !wholeSeconds(fromSeconds, 0)) {
    throw new Error("times are whole seconds since 1970");
  }
  const body = tokenBody({ keyId, expiresSeconds, fromSeconds, address, prefix });
  const text = signedText(hostname, body);
  const signature =
    key.type === "secret" ? createHmac("sha256", key).update(text).digest() : sign(null, Buffer.from(text), key);
  return `${body}.${signature.toString("base64url")}`;
};

const MEDIA = /^\/(?:api\/media\/)?/;

/** The URL with a token: in its path, so that what playlists name is opened too, or in its query. */
export const signedUrl = (url: URL, token: string, place: "path" | "query" = "path"): URL => {
  const signed = new URL(url);
  if (place === "path") signed.pathname = url.pathname.replace(MEDIA, (root) => `${root}~${token}/`);
  else signed.search = url.search === "" ? `?token=${token}` : `${url.search}&token=${token}`;
  return signed;
};
