/**
 * The certificates of a listener: which one a client sees is chosen by the name that it asks for (SNI, RFC 6066 §3).
 * All of them are replaced at once while connections go on; the next handshake uses the new ones.
 */
import { createHash, createPrivateKey, constants as cryptoConstants, randomBytes, X509Certificate } from "node:crypto";
import { Socket } from "node:net";
import {
  createSecureContext,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TlsOptions,
} from "node:tls";
import { ConfigError } from "../config/config.ts";
import { dnsNamesOf, namesToTry } from "./tls-names.ts";

/** One certificate and the names that it is for. */
export interface CertificateEntry {
  /** PEM: the certificate, and those between it and its root. */
  readonly cert: string;
  /** PEM, without a passphrase. */
  readonly key: string;
  /** Lower-case, `*.` for one label, `*` for every other name. Absent: the DNS names of the certificate itself. */
  readonly hostnames?: readonly string[];
  /** For clients that ask for no name or an unknown one; the same as the host name `*`. */
  readonly isDefault?: boolean;
}

/** Of session ticket keys: a name of 16 bytes and two keys of 16 (RFC 5077 §4, as node:tls has them). */
export const TICKET_KEYS_BYTES = 48;
const SESSION_TIMEOUT_SECONDS = 3_600;
/** The same in each process and thread, or their tickets are not each other's. */
const SESSION_ID_CONTEXT = "castellan";
/** TLS 1.3 and, of 1.2, what RFC 9113 §9.2.2 leaves: forward secrecy and authenticated encryption. */
const CIPHERS = [
  ["TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"],
  ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
  ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"],
  ["ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"],
]
  .flat()
  .join(":");
const OPTIONS =
  cryptoConstants.SSL_OP_CIPHER_SERVER_PREFERENCE |
  cryptoConstants.SSL_OP_PRIORITIZE_CHACHA | // for those who put it first: telephones without AES in hardware
  cryptoConstants.SSL_OP_NO_RENEGOTIATION;

const SHARED: SecureContextOptions = {
  minVersion: "TLSv1.2",
  ciphers: CIPHERS,
  honorCipherOrder: true,
  secureOptions: OPTIONS,
  sessionIdContext: SESSION_ID_CONTEXT,
  sessionTimeout: SESSION_TIMEOUT_SECONDS,
};

interface Loaded {
  readonly entry: CertificateEntry;
  readonly context: SecureContext;
  readonly names: readonly string[];
  readonly expiresMs: number;
}

/** All that belongs together, replaced as one. */
interface Snapshot {
  readonly byName: ReadonlyMap<string, SecureContext>;
  readonly byDigest: ReadonlyMap<string, Loaded>;
  readonly fallback: CertificateEntry | undefined;
}

const NOTHING: Snapshot = { byName: new Map(), byDigest: new Map(), fallback: undefined };

const digestOf = ({ cert, key }: CertificateEntry): string =>
  createHash("sha256").update(cert).update("\0").update(key).digest("base64");

const load = (entry: CertificateEntry): Loaded => {
  const { cert, key } = entry;
  const shown = entry.hostnames?.join(", ") ?? "a certificate";
  try {
    const x509 = new X509Certificate(cert);
    if (!x509.checkPrivateKey(createPrivateKey(key))) throw new Error("the key is another certificate's");
    const context = createSecureContext({ ...SHARED, cert, key });
    return { entry, context, names: dnsNamesOf(x509.subjectAltName), expiresMs: x509.validToDate.getTime() };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError("certificate", `${shown} can't be used: ${reason}.`);
  }
};

/** A name that the configuration gives goes over one of a certificate; then the one that is valid longer counts. */
const rankOf = ({ entry, expiresMs }: Loaded): readonly [number, number] => [entry.hostnames ? 1 : 0, expiresMs];
const isBetter = (one: Loaded, other: Loaded): boolean => {
  const [given, expiresMs] = rankOf(one);
  const [otherGiven, otherExpiresMs] = rankOf(other);
  return given === otherGiven ? expiresMs > otherExpiresMs : given > otherGiven;
};

export class Certificates {
  #snapshot = NOTHING;
  #ticketKeys: Buffer;
  readonly #servers = new Set<Server>();

  /** `ticketKeys`: TICKET_KEYS_BYTES that all threads and edges share who are to take each other's tickets. */
  constructor({ ticketKeys = randomBytes(TICKET_KEYS_BYTES) }: { readonly ticketKeys?: Buffer } = {}) {
    this.#ticketKeys = checkedKeys(ticketKeys);
  }

  /** Takes these in place of those that were there. Throws a ConfigError, and changes nothing, when one is no good. */
  setAll(list: readonly CertificateEntry[]): void {
    const byDigest = new Map<string, Loaded>();
    const best = new Map<string, Loaded>();
    for (const entry of list) {
      const digest = digestOf(entry);
      const known = byDigest.get(digest) ?? this.#snapshot.byDigest.get(digest);
      const loaded = known ? { ...known, entry } : load(entry);
      byDigest.set(digest, loaded);
      const names = [...(entry.hostnames ?? loaded.names), ...(entry.isDefault ? ["*"] : [])];
      if (names.length === 0) throw new ConfigError("certificate", "a certificate has no DNS name and is given none.");
      for (const name of names) {
        const there = best.get(name);
        if (!there || isBetter(loaded, there)) best.set(name, loaded);
      }
    }
    const fallback = best.get("*")?.entry;
    best.delete("*");
    const byName = new Map([...best].map(([name, { context }]) => [name, context]));
    this.#snapshot = { byName, byDigest, fallback };
    for (const server of this.#servers) server.setSecureContext(this.#contextOptions());
  }

  /** New tickets are made with these; older ones cost their owners a full handshake. */
  setTicketKeys(ticketKeys: Buffer): void {
    this.#ticketKeys = checkedKeys(ticketKeys);
    for (const server of this.#servers) server.setTicketKeys(this.#ticketKeys);
  }

  /** What a TLS server with them is made with. `protocols`: those of ALPN, the best first. */
  serverOptions(protocols: readonly string[]): TlsOptions {
    return {
      ...this.#contextOptions(),
      ALPNProtocols: [...protocols],
      SNICallback: this.#sniCallback(),
    };
  }

  /** Has the server follow what is set, until it is closed. */
  follow(server: Server): void {
    this.#servers.add(server);
    server.once("close", () => this.#servers.delete(server));
  }

  #contextOptions(): SecureContextOptions & { readonly ticketKeys: Buffer } {
    const { fallback } = this.#snapshot;
    const own = fallback ? { cert: fallback.cert, key: fallback.key } : {};
    return { ...SHARED, ...own, ticketKeys: this.#ticketKeys };
  }

  #sniCallback(): NonNullable<TlsOptions["SNICallback"]> {
    const contextOf = (name: string): SecureContext | undefined => {
      const { byName } = this.#snapshot;
      const known = namesToTry(name).find((tried) => byName.has(tried));
      return known === undefined ? undefined : byName.get(known);
    };
    const refuses = (): boolean => this.#snapshot.fallback === undefined;
    // node:tls calls it on the TLSSocket.
    return function choose(this: unknown, name, done) {
      const context = contextOf(name);
      const refuse = (): void => done(new Error(`no certificate for ${name}`));
      if (context || !refuses() || !sayUnknown(this, refuse)) {
        done(null, context); // without one the server's own is taken: the default's, or one that can't shake hands
      }
    };
  }
}

/** A fatal unrecognized_name (RFC 6066 §3, RFC 8446 §6) as it goes out before anything is encrypted. */
const UNRECOGNIZED_NAME = Buffer.from([0x15, 3, 3, 0, 2, 2, 112]);

/**
 * OpenSSL says handshake_failure where it has no certificate, and node:tls has no way to say more: the alert is written
 * beside it. False: this Node does not show the connection below.
 */
const sayUnknown = (socket: unknown, said: () => void): boolean => {
  const below = (socket as { readonly _parent?: unknown } | undefined)?._parent;
  if (!(below instanceof Socket)) return false;
  below.write(UNRECOGNIZED_NAME, said);
  return true;
};

const checkedKeys = (ticketKeys: Buffer): Buffer => {
  if (ticketKeys.length === TICKET_KEYS_BYTES) return ticketKeys;
  throw new ConfigError("ticketKeys", `${TICKET_KEYS_BYTES} bytes are needed, not ${ticketKeys.length}.`);
};
