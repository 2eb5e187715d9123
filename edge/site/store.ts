/** Where sites' objects are: memory over disk, what they vary by, what must not be kept, what was purged. */
import { LRUCache } from "lru-cache";
import type { Cache, Stored } from "../cache/stored.ts";
import { entryOf } from "./entry.ts";
import type { FillTask, Kept, SiteStore } from "./fills.ts";
import type { Plan } from "./verdict.ts";

/** How long it is remembered that answers to an address are for one request alone ("hit for miss"). */
const UNCACHEABLE_MS = 120_000;
const UNCACHEABLE_MAX = 100_000;
/** Addresses whose answers depend on the request, and how many answers each may have. */
const VARYING_MAX = 50_000;
const VARIANTS_MAX = 16;

interface Varying {
  readonly names: readonly string[];
  /** Keys of its variants, the oldest first. */
  readonly keys: Set<string>;
}

export class SiteObjects implements SiteStore {
  readonly #cache: Cache;
  readonly #nowMs: () => number;
  readonly #uncacheableUntilMs = new LRUCache<string, number>({ max: UNCACHEABLE_MAX });
  readonly #varying = new LRUCache<string, Varying>({ max: VARYING_MAX });

  constructor({ cache, nowMs }: { cache: Cache; nowMs: () => number }) {
    this.#cache = cache;
    this.#nowMs = nowMs;
  }

  get(key: string, _plan: Plan): Stored | undefined {
    return this.#cache.get(key);
  }

  /** What the disk has of it, now in memory too. */
  async fromDisk(_key: string, _plan: Plan): Promise<Stored | undefined> {
    return undefined;
  }

  /** Lower-case names of the request's fields that choose an answer of this address. */
  varyNames(primaryKey: string): readonly string[] | undefined {
    return this.#varying.size === 0 ? undefined : this.#varying.get(primaryKey)?.names;
  }

  isUncacheable(key: string): boolean {
    const untilMs = this.#uncacheableUntilMs.get(key);
    return untilMs !== undefined && this.#nowMs() < untilMs;
  }

  keep(task: FillTask, kept: Kept): void {
    const { vary } = kept;
    const key = vary ? this.#variant(task.primaryKey, vary.names, vary.key) : task.primaryKey;
    if (!vary) this.#varying.delete(task.primaryKey);
    this.#uncacheableUntilMs.delete(key);
    this.#cache.put(key, entryOf({ ...kept, key }, { nowMs: this.#nowMs(), seq: 0 }));
  }

  renewed(_task: FillTask, _stored: Stored): void {}

  uncacheable(task: FillTask): void {
    this.#uncacheableUntilMs.set(task.key, this.#nowMs() + UNCACHEABLE_MS);
  }

  /** Forgets an address with all that it varies by. */
  invalidate(primaryKey: string): void {
    for (const key of this.#varying.get(primaryKey)?.keys ?? []) this.#cache.delete(key);
    this.#varying.delete(primaryKey);
    this.#cache.delete(primaryKey);
  }

  #variant(primaryKey: string, names: readonly string[], variant: string): string {
    const key = `${primaryKey}\n${variant}`;
    let varying = this.#varying.get(primaryKey);
    if (varying?.names.join() !== names.join()) {
      this.invalidate(primaryKey);
      varying = { names, keys: new Set() };
      this.#varying.set(primaryKey, varying);
    }
    varying.keys.delete(key);
    varying.keys.add(key);
    const [oldest] = varying.keys;
    if (varying.keys.size > VARIANTS_MAX && oldest !== undefined) {
      varying.keys.delete(oldest);
      this.#cache.delete(oldest);
    }
    return key;
  }
}
