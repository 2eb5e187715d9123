/** What the cache holds, and the cache: bounded in bytes. */
import { LRUCache } from "lru-cache";
import { CachePolicy } from "../../domain/cache-policy/cache-policy.ts";
import type { HeaderLines, PreparedAnswer } from "../../lib/http/exchange.ts";
import type { SiteFacts } from "../site/entry.ts";
import type { Lifetime } from "./freshness.ts";
import type { Purgeable } from "./purges/purge-table.ts";

/** What is told of a representation with every answer. */
export interface Described {
  readonly status: number;
  /** Fields of the origin and ours, but for Age, Cache-Status, Date and what frames the body. */
  readonly lines: HeaderLines;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** What caches towards the origin said of themselves (RFC 9211 §2): it stays before what we say. */
  readonly cacheStatus?: string | undefined;
}

/** A whole object. Instants are monotonic ms. */
export interface Stored {
  /** Under which the cache has it. */
  readonly key: string;
  described: Described;
  readonly body: Buffer;
  /** Of a live object, the stream's folder on the origin that it came from: its ETag means something there only. */
  readonly base: string;
  /** When it was last known to be what the origin has; Age counts from here. */
  bornAtMs: number;
  freshUntilMs: number;
  /** After `freshUntilMs`: until then it is shown while somebody asks for a newer one (stale-while-revalidate). */
  revalidateUntilMs: number;
  /** Until then it stands in for an answer that no origin gives (stale-if-error). */
  staleUntilMs: number;
  /** While no origin gives anything newer: until then nobody is asked again. */
  askAgainAtMs: number;
  /** Of an object of a site; undefined for live media. */
  facts: SiteFacts | undefined;
  /** By what it may be purged; undefined for live media, whose names change with what they stand for. */
  purgeable: Purgeable | undefined;
  /** The answer to a plain GET, made anew when its Age has changed. */
  ready: { readonly answer: PreparedAnswer; readonly second: number } | undefined;
}

/** `ageMs`: what the answer's Age header said. */
export const storedOf = (
  parts: Pick<Stored, "key" | "described" | "body" | "base">,
  { lifetime, ageMs, nowMs }: { lifetime: Lifetime; ageMs: number; nowMs: number },
): Stored => ({
  ...parts,
  bornAtMs: nowMs - ageMs,
  freshUntilMs: nowMs + lifetime.freshMs,
  revalidateUntilMs: 0,
  staleUntilMs: nowMs + lifetime.freshMs + lifetime.staleMs,
  askAgainAtMs: 0,
  facts: undefined,
  purgeable: undefined,
  ready: undefined,
});

/** The entry itself, its key and its head: measured at about 700 bytes. */
const ENTRY_BYTES = 1_024;
/** 404s live in a cache of their own, so that asking for names that don't exist pushes nothing out. */
const MISSING_MAX = 10_000;

/** How often live objects whose window is over are looked for. */
const EXPIRE_MS = 1_000;

/** Which class of the policy an object is of; a live one leaves with its window. */
export type Admission =
  | { readonly kind: "stored" | "prefetched" }
  | { readonly kind: "live"; readonly expiresAtMs: number };

export class Cache {
  readonly policy: CachePolicy;
  readonly #objects = new Map<string, Stored>();
  readonly #missingUntilMs = new LRUCache<string, number>({ max: MISSING_MAX });
  #expiredAtMs = 0;
  /** Told of each object that is in the cache no more. */
  onGone: (key: string) => void = () => {};

  constructor(capacityBytes: number, { seed = 0 }: { readonly seed?: number } = {}) {
    this.policy = new CachePolicy({ capacityBytes, seed });
  }

  get sizeBytes(): number {
    return this.policy.sizeBytes;
  }
  get objectCount(): number {
    return this.#objects.size;
  }

  /** It is asked for: that counts. */
  get(key: string): Stored | undefined {
    const stored = this.#objects.get(key);
    if (stored) this.policy.touch(key);
    return stored;
  }
  has(key: string): boolean {
    return this.#objects.has(key);
  }

  /** It is kept if it is worth more than what would have to go. */
  put(key: string, stored: Stored, admission: Admission, nowMs: number): void {
    this.#missingUntilMs.delete(key);
    this.delete(key);
    this.#objects.set(key, stored);
    const sizeBytes = stored.body.length + ENTRY_BYTES;
    const opts = admission.kind === "live" ? { expiresAtMs: admission.expiresAtMs } : {};
    this.#drop(this.policy.add(key, sizeBytes, admission.kind, opts));
    if (nowMs - this.#expiredAtMs < EXPIRE_MS) return;
    this.#expiredAtMs = nowMs;
    this.#drop(this.policy.expire(nowMs));
  }

  delete(key: string): void {
    if (!this.#objects.delete(key)) return;
    this.policy.remove(key);
    this.onGone(key);
  }

  #drop(keys: readonly string[]): void {
    for (const key of keys) {
      this.#objects.delete(key);
      this.onGone(key);
    }
  }

  isMissing(key: string, nowMs: number): boolean {
    const untilMs = this.#missingUntilMs.get(key);
    return untilMs !== undefined && nowMs < untilMs;
  }
  putMissing(key: string, untilMs: number): void {
    this.#missingUntilMs.set(key, untilMs);
  }
}
