/** A TLS server's certificate and its private key, looked at before anything is served with them. */
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";

/** PEM as `tls.createSecureContext` takes it. */
export interface ServerCertificate {
  /** The chain, the server's own first. */
  readonly cert: string;
  readonly key: string;
  /** Unix ms at which the first of the chain runs out. */
  readonly expiresAtMs: number;
}

const BLOCK = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

const tried = <T>(make: () => T): T | undefined => {
  try {
    return make();
  } catch {
    return undefined; // OpenSSL's reason could quote a key
  }
};

/** The pair, or a sentence that says what is wrong with it: unreadable, encrypted, or not made for each other. */
export const serverCertificate = (cert: string, key: string): ServerCertificate | string => {
  const chain = (cert.match(BLOCK) ?? []).map((block) => tried(() => new X509Certificate(block)));
  const [own] = chain;
  if (!own || chain.includes(undefined)) return "the certificate can't be read";
  const privateKey: KeyObject | undefined = tried(() => createPrivateKey(key));
  if (!privateKey) return "the private key can't be read, or needs a passphrase";
  if (!own.checkPrivateKey(privateKey)) return "the certificate and the private key do not belong together";
  const expiresAtMs = Math.min(...chain.flatMap((one) => (one ? [Date.parse(one.validTo)] : [])));
  return { cert, key, expiresAtMs };
};
