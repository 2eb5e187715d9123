/**
 * The input cache: a source in front of a source, which keeps what it reads on the disk of this node.
 *
 * Entries are of one version of a file. Which version is the present one is asked of the source, at most once in
 * `freshMs`; while it does not answer, the version that was used last is served as far as it is kept.
 */
import { LRUCache } from "lru-cache";
import { codeOf, type ErrorCode, fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import type {
  ContentSource,
  ReadOptions,
  SourceCapabilities,
  SourceEntry,
  SourceObject,
  SourceStat,
} from "../../lib/source/port.ts";
import { checkRange } from "../../lib/source/versions.ts";
import type { CacheEntry } from "./cache-entry.ts";
import type { CacheIndex } from "./cache-index.store.ts";
import { CacheStore } from "./cache-store.ts";
import { type Keeper, statOfEntry, type Wanted, waitFor } from "./input-keeper.ts";
import { RangeFiles } from "./input-ranges.ts";
import { WholeFiles } from "./input-whole.ts";

const DEFAULT_FRESH_MS = 1000;
const DEFAULT_WAIT_MS = 5000; // a player waits for a playlist for about ten seconds
const DEFAULT_STALL_MS = 30_000;
const DEFAULT_WHOLE_FETCHES = 2; // each writes as fast as the disk takes it
const DEFAULT_RANGE_FETCHES = 8; // 4 MiB of memory each
const STATS_MAX = 1000;

/** What a source that is away, slow or archived says; one that knows better is believed. */
const AWAY: readonly (ErrorCode | undefined)[] = ["SOURCE_FAILED", "SOURCE_TIMEOUT", "SOURCE_ARCHIVED"];

export interface InputCacheOptions {
  readonly source: ContentSource;
  readonly index: CacheIndex;
  /** Only the cache's own files are touched in it. */
  readonly dir: string;
  readonly maxBytes: number;
  readonly limitPercent: number;
  readonly ageMs: number;
  /** `ranges` needs a source that can do those; others are kept whole. */
  readonly mode: "whole" | "ranges";
  readonly clock: Clock;
  readonly log: Log;
  readonly waitMs?: number;
  readonly stallMs?: number;
  readonly fetchesMax?: number;
  readonly freshMs?: number;
}

interface Asked {
  readonly stat: Promise<SourceStat>;
  /** When it was answered; null: not yet. */
  atMs: number | null;
}

export class InputCache implements ContentSource {
  readonly kind: string;
  readonly capabilities: SourceCapabilities;
  readonly store: CacheStore;
  readonly #source: ContentSource;
  readonly #keeper: Keeper;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #freshMs: number;
  readonly #stallMs: number;
  readonly #asked = new LRUCache<string, Asked>({ max: STATS_MAX });

  constructor(options: InputCacheOptions, store: CacheStore) {
    const { source, clock, log, waitMs = DEFAULT_WAIT_MS, stallMs = DEFAULT_STALL_MS } = options;
    const inRanges = options.mode === "ranges" && source.capabilities.ranges;
    const fetchesMax = options.fetchesMax ?? (inRanges ? DEFAULT_RANGE_FETCHES : DEFAULT_WHOLE_FETCHES);
    const keeping = { source, store, clock, log, waitMs, stallMs, fetchesMax };
    this.kind = source.kind;
    this.capabilities = { ...source.capabilities, ranges: true };
    this.store = store;
    this.#source = source;
    this.#keeper = inRanges ? new RangeFiles(keeping) : new WholeFiles(keeping);
    this.#clock = clock;
    this.#log = log;
    this.#freshMs = options.freshMs ?? DEFAULT_FRESH_MS;
    this.#stallMs = stallMs;
  }

  /** The present version; of a source that is away, the one that was used last. */
  async stat(path: string, options: ReadOptions = {}): Promise<SourceStat> {
    try {
      return await this.#presentStat(path, options);
    } catch (error) {
      const kept = AWAY.includes(codeOf(error)) ? this.#lastUsed(path) : undefined;
      if (!kept) throw error;
      this.#log.warn({ path, code: codeOf(error) }, "source away: served from the input cache");
      return statOfEntry(kept);
    }
  }

  async open(path: string, options: ReadOptions = {}): Promise<SourceObject> {
    const stat = await this.stat(path, options);
    const entry = await this.#keeper.acquire({ path, stat }, options).catch((error: unknown) => {
      this.failed(path, error);
      throw error;
    });
    if (!entry) return this.#source.open(path, options);
    try {
      this.store.touch(entry);
      return new KeptObject({ path, stat: statOfEntry(entry) }, { cache: this, keeper: this.#keeper, entry });
    } finally {
      this.store.letGo(entry);
    }
  }

  /** Straight from the source: the version that is there now has to be the one that was opened. */
  async openThrough({ path, stat }: Wanted, options: ReadOptions): Promise<SourceObject> {
    const object = await this.#source.open(path, options);
    if (object.stat.version === stat.version) return object;
    await object.close().catch(() => {});
    return fail("SOURCE_CHANGED", { path });
  }

  /** Of a file that was replaced the present version is asked for at once. */
  failed(path: string, error: unknown): void {
    if (codeOf(error) === "SOURCE_CHANGED") this.#asked.delete(path);
  }

  list(path: string, options?: ReadOptions): AsyncIterable<SourceEntry> {
    return this.#source.list(path, options);
  }

  fetchTo(path: string, file: string, options?: ReadOptions): Promise<SourceStat> {
    return this.#source.fetchTo(path, file, options);
  }

  /** What is known of these files is asked for again, and fetches of them that are under way are given up. */
  forget(isMeant: (path: string) => boolean): void {
    for (const path of [...this.#asked.keys()]) if (isMeant(path)) this.#asked.delete(path);
    this.#keeper.forget(isMeant);
  }

  /** Ends what is under way and keeps what is there. The source is closed with it. */
  async close(): Promise<void> {
    await this.#keeper.stop();
    await this.store.close();
    await this.#source.close();
  }

  /** Many who ask at once ask once; who leaves does not stop it for the others. */
  #presentStat(path: string, { signal }: ReadOptions): Promise<SourceStat> {
    const known = this.#asked.get(path);
    const isFresh = known && (known.atMs === null || this.#clock.nowMs() - known.atMs < this.#freshMs);
    const asked = isFresh ? known : this.#ask(path);
    const late = (): never => fail("SOURCE_TIMEOUT", { path });
    return waitFor(asked.stat, { waitMs: this.#stallMs, late, ...(signal ? { signal } : {}) });
  }

  #ask(path: string): Asked {
    const asked: Asked = { stat: this.#source.stat(path), atMs: null };
    this.#asked.set(path, asked);
    asked.stat.then(
      () => {
        asked.atMs = this.#clock.nowMs();
      },
      () => {
        if (this.#asked.peek(path) === asked) this.#asked.delete(path);
      },
    );
    return asked;
  }

  #lastUsed(path: string): CacheEntry | undefined {
    let last: CacheEntry | undefined;
    for (const entry of this.store.entries()) {
      if (entry.head.path === path && (!last || entry.usedMs >= last.usedMs)) last = entry;
    }
    return last;
  }
}

/** One version of a file. Its entry may leave the cache between two reads, and is then fetched again. */
class KeptObject implements SourceObject {
  readonly stat: SourceStat;
  readonly #wanted: Wanted;
  readonly #cache: InputCache;
  readonly #keeper: Keeper;
  #entry: CacheEntry;
  #through: Promise<SourceObject> | null = null;
  #isClosed = false;

  constructor(
    wanted: Wanted,
    { cache, keeper, entry }: { readonly cache: InputCache; readonly keeper: Keeper; readonly entry: CacheEntry },
  ) {
    this.stat = wanted.stat;
    this.#wanted = wanted;
    this.#cache = cache;
    this.#keeper = keeper;
    this.#entry = entry;
    entry.opens += 1;
  }

  async readRange(offset: number, target: Uint8Array, options: ReadOptions = {}): Promise<void> {
    if (this.#isClosed) throw new Error(`bug: ${this.#wanted.path} is read after it was closed`);
    options.signal?.throwIfAborted();
    checkRange(this.#wanted.path, this.stat, offset, target.length);
    try {
      await this.#read(offset, target, options);
    } catch (error) {
      this.#cache.failed(this.#wanted.path, error);
      // Another program has removed the file that we were about to open: fetched again, once.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
      await this.#read(offset, target, options);
    }
  }

  async #read(offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const entry = await this.#held(options);
    if (!entry) {
      this.#through ??= this.#cache.openThrough(this.#wanted, {});
      const object = await this.#through.catch((error: unknown) => {
        this.#through = null;
        throw error;
      });
      return object.readRange(offset, target, options);
    }
    try {
      await this.#keeper.read(entry, { offset, target }, options);
      this.#cache.store.touch(entry);
    } finally {
      this.#cache.store.letGo(entry);
    }
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#letGo(this.#entry);
    const object = await this.#through?.catch(() => null);
    await object?.close();
  }

  async #held(options: ReadOptions): Promise<CacheEntry | null> {
    const { store } = this.#cache;
    const { path } = this.#wanted;
    if (!this.#entry.isGone) {
      store.hold(this.#entry);
      return this.#entry;
    }
    const { version } = await this.#cache.stat(path, options);
    if (version !== this.stat.version) return fail("SOURCE_CHANGED", { path });
    const entry = await this.#keeper.acquire(this.#wanted, options);
    if (!entry) return null;
    if (entry.head.version !== version) {
      store.letGo(entry);
      return fail("SOURCE_CHANGED", { path });
    }
    if (!this.#isClosed && entry !== this.#entry) {
      entry.opens += 1;
      this.#letGo(this.#entry);
      this.#entry = entry;
    }
    return entry;
  }

  #letGo(entry: CacheEntry): void {
    entry.opens -= 1;
    if (entry.opens === 0) this.#keeper.closed(entry);
  }
}

/** The cache over its folder, ready: what an earlier life left there is taken over. */
export const openInputCache = async (options: InputCacheOptions): Promise<InputCache> => {
  const { dir, maxBytes, limitPercent, ageMs, clock, log, index } = options;
  const table = index.inputs;
  const store = await CacheStore.open({ name: "input", dir, table, maxBytes, limitPercent, ageMs, clock, log });
  return new InputCache(options, store);
};
