/** Where sites' objects are: memory over disk, what they vary by, what must not be kept, what was purged. */
import { LRUCache } from "lru-cache";
import type { Purges } from "../cache/purges/purges.ts";
import type { Cache, Stored } from "../cache/stored.ts";
import type { DiskTier } from "./disk-tier.ts";
import { entryOf } from "./entry.ts";
import type { FillTask, Kept, SiteStore } from "./fills.ts";

/** How long it is remembered that answers to an address are for one request alone ("hit for miss"). */
const UNCACHEABLE_MS = 120_000;
/** So long where one was too large: its readers were cut off when that was seen. */
const TOO_LARGE_MS = 3_600_000;
const UNCACHEABLE_MAX = 100_000;
/** Addresses whose answers depend on the request, and how many answers each may have. */
const VARYING_MAX = 50_000;
const VARIANTS_MAX = 16;

interface Varying {
  readonly names: readonly string[];
  /** Keys of its variants, the oldest first. */
  readonly keys: Set<string>;
}

interface Uncacheable {
  readonly untilMs: number;
  readonly isTooLarge: boolean;
}

export interface SiteObjectsDeps {
  readonly cache: Cache;
  /** Undefined: memory is all there is. */
  readonly disk: DiskTier | undefined;
  /** Undefined: nothing can be purged but by its address. */
  readonly purges: Purges | undefined;
  /** Monotonic. */
  readonly nowMs: () => number;
}

export class SiteObjects implements SiteStore {
  readonly #cache: Cache;
  readonly #nowMs: () => number;
  readonly #disk: DiskTier | undefined;
  readonly #purges: Purges | undefined;
  readonly #uncacheable = new LRUCache<string, Uncacheable>({ max: UNCACHEABLE_MAX });
  readonly #varying = new LRUCache<string, Varying>({ max: VARYING_MAX });

  /** Whether an address is being asked for. */
  isFilling: (key: string) => boolean = () => false;

  constructor({ cache, nowMs, disk, purges }: SiteObjectsDeps) {
    this.#purges = purges;
    this.#cache = cache;
    this.#nowMs = nowMs;
    this.#disk = disk;
  }

  get seq(): number {
    return this.#purges?.seq ?? 0;
  }

  get(key: string): Stored | undefined {
    const stored = this.#cache.get(key);
    return stored && this.#unpurged(stored);
  }

  /** Whether it is there, in memory or on disk; that is no use of it. */
  has(key: string): boolean {
    return this.#cache.has(key) || (this.#disk?.has(key) ?? false);
  }

  /** Held against the purges: undefined when it is gone; one that counts as stale is made so. */
  #unpurged(stored: Stored): Stored | undefined {
    const verdict = stored.purgeable && this.#purges ? this.#purges.verdict(stored.purgeable) : "valid";
    if (verdict === "valid") return stored;
    if (verdict === "gone") {
      this.#forget(stored.key);
      return undefined;
    }
    stored.freshUntilMs = 0;
    stored.revalidateUntilMs = 0;
    return stored;
  }

  /** What the disk has of it, now in memory too. */
  async fromDisk(key: string): Promise<Stored | undefined> {
    if (!this.#disk?.has(key)) return undefined;
    const stored = await this.#disk.read(key);
    if (stored && "varies" in stored) {
      // Its variants have keys of their own: whoever asks can tell them now.
      if (!this.#varying.has(key)) this.#varying.set(key, { names: stored.varies, keys: new Set() });
      return undefined;
    }
    // Somebody may have been faster: what is in memory is at least as new.
    const known = this.#cache.get(key);
    if (known || !stored) return known;
    const restored = this.#unpurged(stored);
    if (restored) this.#cache.put(key, restored, { kind: "stored" }, this.#nowMs());
    return restored;
  }

  /** Lower-case names of the request's fields that choose an answer of this address. */
  varyNames(primaryKey: string): readonly string[] | undefined {
    return this.#varying.size === 0 ? undefined : this.#varying.get(primaryKey)?.names;
  }

  isUncacheable(key: string): boolean {
    const known = this.#uncacheable.get(key);
    return known !== undefined && this.#nowMs() < known.untilMs;
  }

  keep(task: FillTask, kept: Kept): void {
    const { vary } = kept;
    const key = vary ? this.#variant(task.primaryKey, vary.names, vary.key) : task.primaryKey;
    if (!vary) this.#varying.delete(task.primaryKey);
    this.#uncacheable.delete(key);
    const { tags, seq } = kept;
    const { primaryKey, target, runtime } = task;
    const mark = target.indexOf("?");
    const path = mark === -1 ? target : target.slice(0, mark);
    const purgeable = { site: runtime.site.id, path, key: primaryKey, tags, seq, checkedEpoch: 0 };
    const nowMs = this.#nowMs();
    const stored = entryOf({ ...kept, key, purgeable }, nowMs);
    this.#cache.put(key, stored, { kind: task.kind === "prefetched" ? "prefetched" : "stored" }, nowMs);
    this.#disk?.keep(stored);
  }

  renewed(_task: FillTask, stored: Stored): void {
    this.#disk?.renewed(stored);
  }

  uncacheable(task: FillTask, { isTooLarge }: { readonly isTooLarge: boolean }): void {
    const untilMs = this.#nowMs() + (isTooLarge ? TOO_LARGE_MS : UNCACHEABLE_MS);
    this.#uncacheable.set(task.key, { untilMs, isTooLarge });
  }

  /** An answer's head would let it be kept: that says nothing of its size. */
  cacheable(key: string): void {
    if (!this.#uncacheable.get(key)?.isTooLarge) this.#uncacheable.delete(key);
  }

  /**
   * Forgets an address with all that it varies by. What is on its way, or on disk in variants that were not asked for
   * since the start, goes with it: as by a purge.
   */
  invalidate(primaryKey: string): void {
    const isKnown = this.has(primaryKey) || this.#varying.has(primaryKey) || this.isFilling(primaryKey);
    if (!isKnown) return; // purges are few: requests that change what nobody keeps must not use them up
    this.#forgetAll(primaryKey);
    const site = primaryKey.slice(0, primaryKey.indexOf(" "));
    const purge = { site, target: { kind: "key", key: primaryKey }, mode: "hard" } as const;
    this.#purges?.purge(purge).catch(() => {}); // it counts until this process ends all the same
  }

  #forgetAll(primaryKey: string): void {
    for (const key of this.#varying.get(primaryKey)?.keys ?? []) this.#forget(key);
    this.#varying.delete(primaryKey);
    this.#forget(primaryKey);
  }

  #forget(key: string): void {
    this.#cache.delete(key);
    this.#disk?.remove(key);
  }

  #variant(primaryKey: string, names: readonly string[], variant: string): string {
    const key = `${primaryKey}\n${variant}`;
    let varying = this.#varying.get(primaryKey);
    if (varying?.names.join() !== names.join()) {
      this.#forgetAll(primaryKey);
      varying = { names, keys: new Set() };
      this.#varying.set(primaryKey, varying);
      this.#disk?.keepVarying(primaryKey, names);
    }
    varying.keys.delete(key);
    varying.keys.add(key);
    const [oldest] = varying.keys;
    if (varying.keys.size > VARIANTS_MAX && oldest !== undefined) {
      varying.keys.delete(oldest);
      this.#forget(oldest);
    }
    return key;
  }
}
