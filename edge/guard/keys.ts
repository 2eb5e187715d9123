/** Keys that open signed URLs, as configuration gives them, and made ready once. */
import { createPublicKey, createSecretKey, type KeyObject } from "node:crypto";
import { KEY_ID } from "../../domain/signed-url/token.ts";

/** `HS256`: HMAC-SHA256 with a secret that signer and edge share. `EdDSA`: Ed25519, the edge has the public half. */
export type SigningKey =
  | { readonly id: string; readonly algorithm: "HS256"; readonly secret: string }
  | { readonly id: string; readonly algorithm: "EdDSA"; readonly publicKey: string };

export interface ReadyKey {
  readonly algorithm: SigningKey["algorithm"];
  readonly key: KeyObject;
  readonly signatureChars: number;
}

const SECRET_BYTES_MIN = 32; // RFC 7518 §3.2: not shorter than the hash
const SECRET_BYTES_MAX = 1_024;
const PUBLIC_BYTES = 32;
const KEYS_MAX = 16;
const SIGNATURE_CHARS = { HS256: 43, EdDSA: 86 } as const; // base64url of 32 and 64 bytes

const bytesOf = (text: string): Buffer | undefined => {
  const bytes = Buffer.from(text, "base64url");
  return bytes.toString("base64url") === text.replace(/=+$/, "") ? bytes : undefined;
};

/** Of an HS256 secret in base64url. Throws an Error that says what is wrong with it. */
export const secretKey = (id: string, secret: string): KeyObject => {
  const bytes = bytesOf(secret);
  if (!bytes || bytes.length < SECRET_BYTES_MIN || bytes.length > SECRET_BYTES_MAX) {
    throw new Error(`key ${id}: an HS256 secret is base64url of ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX} bytes`);
  }
  return createSecretKey(bytes);
};

const publicKey = (id: string, x: string): KeyObject => {
  if (bytesOf(x)?.length !== PUBLIC_BYTES) {
    throw new Error(`key ${id}: an EdDSA public key is base64url of ${PUBLIC_BYTES} bytes`);
  }
  return createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: x.replace(/=+$/, "") }, format: "jwk" });
};

/** By id. Throws an Error that names the key: bad ids, ids given twice, too many keys, keys of a wrong length. */
export const readyKeys = (keys: readonly SigningKey[]): ReadonlyMap<string, ReadyKey> => {
  if (keys.length === 0 || keys.length > KEYS_MAX) throw new Error(`signing takes 1 to ${KEYS_MAX} keys`);
  const ready = new Map<string, ReadyKey>();
  for (const one of keys) {
    const { id, algorithm } = one;
    if (!KEY_ID.test(id)) throw new Error(`key ${id}: an id is 1 to 32 letters, digits, "_" or "-"`);
    if (ready.has(id)) throw new Error(`key ${id} is given twice`);
    const key = one.algorithm === "HS256" ? secretKey(id, one.secret) : publicKey(id, one.publicKey);
    ready.set(id, { algorithm, key, signatureChars: SIGNATURE_CHARS[algorithm] });
  }
  return ready;
};
