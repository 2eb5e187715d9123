/**
 * Seals an answer that is kept for a repeat of its request (it may hold a secret that is shown once). The key comes
 * from the caller's own API key, which is stored nowhere: what lies in the database opens for nobody but the caller.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from "node:crypto";

const ALGORITHM = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export interface SealedFor {
  /** The caller's API key. */
  readonly bearer: string;
  readonly idempotencyKey: string;
}

const keyFor = ({ bearer, idempotencyKey }: SealedFor): Buffer =>
  Buffer.from(hkdfSync("sha256", bearer, idempotencyKey, "castellan kept answer", 32));

export const seal = (text: string, to: SealedFor): string => {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(ALGORITHM, keyFor(to), nonce);
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString("base64");
};

/** Undefined when it was sealed for somebody else or is damaged. */
export const unseal = (sealed: string, to: SealedFor): string | undefined => {
  const bytes = Buffer.from(sealed, "base64");
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
  try {
    const decipher = createDecipheriv(ALGORITHM, keyFor(to), bytes.subarray(0, NONCE_BYTES));
    decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES));
    return decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  } catch {
    return undefined;
  }
};
