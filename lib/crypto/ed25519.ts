/** Signatures of texts by Ed25519 (RFC 8032). Public keys and signatures are base64url without padding. */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, sign, verify } from "node:crypto";

const KEY_TEXT = /^[A-Za-z0-9_-]{43}$/;
const SIGNATURE_TEXT = /^[A-Za-z0-9_-]{86}$/;

export interface SigningPair {
  /** PKCS 8, PEM. */
  readonly privateKey: string;
  /** 32 bytes. */
  readonly publicKey: string;
}

const rawOf = (key: KeyObject): string => key.export({ format: "jwk" }).x ?? "";

export const newSigningPair = (): SigningPair => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  return { privateKey: privateKey.export({ format: "pem", type: "pkcs8" }).toString(), publicKey: rawOf(publicKey) };
};

/** The signature of a text's UTF-8 bytes. */
export const signText = (privateKey: string, text: string): string =>
  sign(null, Buffer.from(text), createPrivateKey(privateKey)).toString("base64url");

/** False for whatever is no signature of this text by this key, malformed ones too. */
export const isSignedBy = (publicKey: string, text: string, signature: string): boolean => {
  if (!KEY_TEXT.test(publicKey) || !SIGNATURE_TEXT.test(signature)) return false;
  try {
    const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: publicKey }, format: "jwk" });
    return verify(null, Buffer.from(text), key, Buffer.from(signature, "base64url"));
  } catch {
    return false; // 32 bytes that are no point of the curve
  }
};
