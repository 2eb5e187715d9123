/**
 * Phase "guard" of a request: signed URLs, checked locally. The format is that of `domain/signed-url/token.ts`.
 *
 * Expiry is looked at with every request: a token has to live as long as the session that it opens. A viewer goes on
 * with a new token by asking for the playlist under it; objects are named without tokens, so nothing is fetched again.
 */
import { createHmac, timingSafeEqual, verify } from "node:crypto";
import { isProtected, takeToken } from "../../domain/signed-url/place.ts";
import { faultOf, type TokenFault } from "../../domain/signed-url/policy.ts";
import { normalPath, normalPrefix, type ParsedToken, parseToken, signedText } from "../../domain/signed-url/token.ts";
import type { Refusal } from "../../lib/http/problem.ts";
import { type ReadyKey, readyKeys, type SigningKey } from "./keys.ts";
import { Remembered } from "./remembered.ts";

export interface GuardOptions {
  /** Paths that begin so need a token; by default all of the site. */
  readonly prefix?: string;
  /** What the clocks of signer and edge may differ by. */
  readonly toleranceMs?: number;
  /** Tokens that are remembered once their signature was right, in each of two generations. */
  readonly rememberedMax?: number;
}

export interface GuardedRequest {
  /** As sent, without the query. */
  readonly path: string;
  /** As sent, without the question mark; empty when there is none. */
  readonly query: string;
  /** The authority that was asked for; its port does not count. */
  readonly host: string;
  /** Of the viewer. */
  readonly address: string;
  /** Wall clock: since 1970. */
  readonly nowMs: number;
}

/** `path` (in normal form) and `query` are without the token: what the cache and the origins see. */
export type GuardVerdict =
  | { readonly ok: true; readonly path: string; readonly query: string }
  | { readonly ok: false; readonly reason: TokenFault };

const TOLERANCE_MS = 30_000;
const REMEMBERED_MAX = 50_000; // × 2 × about 600 bytes: 60 MB when all sessions have a token of their own
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+)$/;

const no = (reason: TokenFault): GuardVerdict => ({ ok: false, reason });

/** The hostname that tokens are signed for: lower-case, without port and final dot. Empty: none. */
export const signedHostname = (host: string): string => {
  const bare = host.toLowerCase().replace(/:\d*$/, "").replace(/\.$/, "");
  return HOST.test(bare) ? bare : "";
};

const REASONS: Readonly<Record<Exclude<TokenFault, "missing">, string>> = {
  malformed: "it is malformed",
  "unknown-key": "its key is not known",
  expired: "it has expired",
  "not-yet": "it is not valid yet",
  "wrong-path": "it does not cover this address",
  "wrong-address": "it was given to another viewer",
  "bad-signature": "its signature is wrong",
};

/** How a refused request is answered: 401 without a token, 403 with one. */
export const guardRefusal = (reason: TokenFault): Refusal =>
  reason === "missing" ? { code: "TOKEN_MISSING" } : { code: "TOKEN_REFUSED", data: { reason: REASONS[reason] } };

export class Guard {
  readonly #keys: ReadonlyMap<string, ReadyKey>;
  readonly #prefix: string;
  readonly #toleranceMs: number;
  readonly #remembered: Remembered;
  readonly #isNeeded = (path: string): boolean => isProtected(path, this.#prefix);
  /** Hosts come again and again: the last one's form is kept. */
  #host = "";
  #hostname = "";

  /** Old and new keys are valid together. Throws an Error that says what is wrong with the keys or the prefix. */
  constructor(keys: readonly SigningKey[], options: GuardOptions = {}) {
    const prefix = normalPrefix(options.prefix ?? "/");
    if (prefix === null) throw new Error(`signing takes no prefix like ${options.prefix}`);
    this.#keys = readyKeys(keys);
    this.#prefix = prefix;
    this.#toleranceMs = options.toleranceMs ?? TOLERANCE_MS;
    this.#remembered = new Remembered(options.rememberedMax ?? REMEMBERED_MAX);
  }

  /** Whether a request may go on, and as what. */
  check({ path, query, host, address, nowMs }: GuardedRequest): GuardVerdict {
    const normal = normalPath(path);
    if (normal === null) return no("malformed");
    const placed = takeToken(normal, query, this.#isNeeded);
    if (placed === "malformed") return no("malformed");
    if (!this.#isNeeded(placed.path)) return { ok: true, path: placed.path, query: placed.query };
    if (placed.token === null) return no("missing");
    const asked = { path: placed.path, address, nowMs, toleranceMs: this.#toleranceMs };
    const fault = this.#tokenFault(placed.token, this.#hostnameOf(host), asked);
    return fault === undefined ? { ok: true, path: placed.path, query: placed.query } : no(fault);
  }

  #hostnameOf(host: string): string {
    if (host !== this.#host) {
      this.#hostname = signedHostname(host);
      this.#host = host;
    }
    return this.#hostname;
  }

  #tokenFault(text: string, hostname: string, asked: Parameters<typeof faultOf>[1]): TokenFault | undefined {
    const name = `${hostname}/${text}`; // neither has a slash
    const known = this.#remembered.get(name);
    if (known) return faultOf(known, asked);
    const token = parseToken(text);
    if (!token) return "malformed";
    const ready = this.#keys.get(token.keyId);
    if (!ready) return "unknown-key";
    // What costs nothing comes before the signature; none of it is a secret.
    const fault = faultOf(token, asked);
    if (fault !== undefined) return fault;
    if (hostname === "" || !this.#isSigned(ready, token, hostname)) return "bad-signature";
    this.#remembered.set(name, token); // 2 µs then, after 6 with HS256 and 100 with Ed25519
    return undefined;
  }

  #isSigned({ algorithm, key, signatureChars }: ReadyKey, token: ParsedToken, hostname: string): boolean {
    if (token.signature.length !== signatureChars) return false;
    const given = Buffer.from(token.signature, "base64url");
    const text = signedText(hostname, token.body);
    if (algorithm === "EdDSA") return verify(null, Buffer.from(text), key, given);
    return timingSafeEqual(createHmac("sha256", key).update(text).digest(), given);
  }
}
