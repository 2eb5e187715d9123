/** Who calls: bearer keys, asked of the tenant actor and remembered for a few seconds. */
import { createHash } from "node:crypto";
import { LRUCache } from "lru-cache";
import { fail } from "../contracts/errors.ts";
import type { Scope } from "../contracts/kit.ts";
import type { Clock } from "../lib/clock.ts";
import type { Principal } from "./exchange.ts";

const KNOWN_MS = 5_000; // a revoked key works for no longer than this
const UNKNOWN_MS = 1_000; // guesses reach the database once a second each
const REMEMBERED_MAX = 10_000; // about 500 B each: 5 MB
const BEARER = /^Bearer +([\x21-\x7e]{1,500})$/i;

/** The key in an Authorization header; undefined for none and for anything that is not a bearer key. */
export const bearerOf = (header: string | undefined): string | undefined => BEARER.exec(header?.trim() ?? "")?.[1];

interface Remembered {
  readonly principal: Promise<Principal | null>;
  untilMs: number;
}

export interface KeyringDeps {
  readonly clock: Clock;
  /** Asks the tenant actor. */
  readonly authenticate: (bearer: string, requestId: string) => Promise<Principal | null>;
}

/** Looks keys up; requests with one key that come together wait for one answer. A failed ask is not remembered. */
export class Keyring {
  readonly #deps: KeyringDeps;
  readonly #remembered = new LRUCache<string, Remembered>({ max: REMEMBERED_MAX });

  constructor(deps: KeyringDeps) {
    this.#deps = deps;
  }

  /** Fails with UNAUTHENTICATED, or with what kept the tenant actor from answering. */
  async principalOf(bearer: string | undefined, requestId: string): Promise<Principal> {
    if (bearer === undefined) return fail("UNAUTHENTICATED");
    // Not the key itself: a heap dump must not give keys away.
    const name = createHash("sha256").update(bearer).digest("base64");
    const now = this.#deps.clock.nowMs();
    const known = this.#remembered.get(name);
    if (known && known.untilMs > now) return (await known.principal) ?? fail("UNAUTHENTICATED");
    const asked: Remembered = { principal: this.#deps.authenticate(bearer, requestId), untilMs: now + KNOWN_MS };
    this.#remembered.set(name, asked);
    const principal = await asked.principal.catch((error: unknown) => {
      if (this.#remembered.peek(name) === asked) this.#remembered.delete(name);
      throw error;
    });
    if (principal) return principal;
    asked.untilMs = now + UNKNOWN_MS;
    return fail("UNAUTHENTICATED");
  }
}

/** Fails with SCOPE_MISSING. No scope contains another. */
export const checkScope = (principal: Principal, scope: Scope): void => {
  if (!principal.scopes.includes(scope)) fail("SCOPE_MISSING", { scope });
};
