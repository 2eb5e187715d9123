/**
 * Input files kept whole: for sources that give nothing less, and for slow ones. A file is fetched once however many
 * want it, under a temporary name, written through to the disk, and renamed when all of it is there. Who wants it waits
 * a while and is then told to come again (SOURCE_FETCHING); the fetch goes on, whoever leaves.
 */
import { open, stat as statOf } from "node:fs/promises";
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import type { ReadOptions, SourceStat } from "../../lib/source/port.ts";
import { type CacheEntry, chargeOf } from "./cache-entry.ts";
import { type CacheHead, cacheNameOf, readFully, tailBytesOf, writeTail } from "./cache-file.ts";
import { cacheHits, cacheMisses } from "./cache-metrics.ts";
import {
  DiskSpace,
  FETCHES_WAITING_MAX,
  headOf,
  type Keeper,
  type KeeperOptions,
  type Patience,
  type Range,
  type Wanted,
  waitFor,
} from "./input-keeper.ts";
import { Turns } from "./turns.ts";

const WATCH_MS = 1000;
const RETRY_SECONDS = 2;
const MB = 1_000_000;

interface Fetch {
  readonly work: Promise<CacheEntry | null>;
  readonly stop: AbortController;
  /** Given up for a purge: whoever waits for it has the file fetched anew. */
  isPurged: boolean;
}

const chargeFor = (head: CacheHead): number => chargeOf(head.sizeBytes + tailBytesOf(head, 0));

export class WholeFiles implements Keeper {
  readonly #options: KeeperOptions;
  readonly #turns: Turns;
  readonly #disk: DiskSpace;
  readonly #fetches = new Map<string, Fetch>();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#turns = new Turns(options.fetchesMax, FETCHES_WAITING_MAX);
    this.#disk = new DiskSpace(options);
  }

  async acquire(wanted: Wanted, { signal }: ReadOptions): Promise<CacheEntry | null> {
    const { store, waitMs } = this.#options;
    const { path, stat } = wanted;
    const head = headOf(wanted, "whole", "whole");
    if (chargeFor(head) > store.limitBytes) return this.#unkept(wanted, "it is larger than the input cache");
    const late = (): never => fail("SOURCE_FETCHING", { path, retryAfterSeconds: RETRY_SECONDS });
    const end = performance.now() + waitMs;
    for (;;) {
      const known = store.get(cacheNameOf(head));
      // A fetch that had begun before the file was replaced brings its older version: not the one that is wanted.
      const joined = this.#fetches.get(path);
      const patience = { waitMs: end - performance.now(), late, ...(signal ? { signal } : {}) };
      const entry = known ?? (await this.#fetched(joined ?? this.#start(wanted), patience));
      if (entry === "purged") continue;
      if (joined && entry && entry !== known && entry.head.version !== stat.version) continue;
      if (entry) store.hold(entry);
      return entry;
    }
  }

  async #fetched(fetch: Fetch, patience: Patience): Promise<CacheEntry | null | "purged"> {
    try {
      return await waitFor(fetch.work, patience);
    } catch (error) {
      if (!fetch.isPurged) throw error;
      return "purged";
    }
  }

  async read(entry: CacheEntry, { offset, target }: Range): Promise<void> {
    cacheHits.inc({ cache: "input" });
    const handle = await this.#options.store.handleOf(entry);
    if (!(await readFully(handle, target, offset))) fail("SOURCE_TRUNCATED", { path: entry.head.path });
  }

  closed(): void {}

  forget(isMeant: (path: string) => boolean): void {
    for (const [path, fetch] of this.#fetches) {
      if (!isMeant(path)) continue;
      fetch.isPurged = true;
      fetch.stop.abort(new Fault("SOURCE_CHANGED", { path }));
    }
  }

  async stop(): Promise<void> {
    for (const { stop } of this.#fetches.values()) stop.abort(new Fault("SHUTTING_DOWN"));
    await Promise.allSettled([...this.#fetches.values()].map(({ work }) => work));
  }

  /** What can't be kept is read from the source where that gives ranges. */
  #unkept({ path }: Wanted, reason: string): null {
    const { source, store } = this.#options;
    if (source.capabilities.ranges) return null;
    const sizeMb = Math.floor(store.limitBytes / MB);
    return fail("MEDIA_UNSUPPORTED", {
      path,
      reason: `${reason} (${sizeMb} MB), and ${source.kind} gives files whole only`,
    });
  }

  #start(wanted: Wanted): Fetch {
    const stop = new AbortController();
    const work = this.#turns.take(() => this.#fetch(wanted, stop)).finally(() => this.#fetches.delete(wanted.path));
    work.catch(() => {}); // all who wait may have left
    const fetch = { work, stop, isPurged: false };
    this.#fetches.set(wanted.path, fetch);
    return fetch;
  }

  async #fetch(wanted: Wanted, stop: AbortController): Promise<CacheEntry | null> {
    const { store, log } = this.#options;
    stop.signal.throwIfAborted();
    cacheMisses.inc({ cache: "input" });
    const expected = headOf(wanted, "whole", "whole");
    let chargedBytes = chargeFor(expected);
    if (!(await this.#disk.has(chargedBytes)) || !(await store.reserve(chargedBytes))) return this.#noRoom();
    const temporary = store.temporary();
    const startedMs = performance.now();
    try {
      const stat = await this.#copied(wanted, temporary, stop);
      const head = headOf({ path: wanted.path, stat }, "whole", "whole");
      const more = chargeFor(head) - chargedBytes;
      if (more > 0 && !(await store.reserve(more))) fail("SOURCE_CHANGED", { path: wanted.path });
      if (more < 0) store.release(-more);
      chargedBytes += more;
      await sealed(temporary, head);
      stop.signal.throwIfAborted();
      const entry = store.publish(temporary, head, chargedBytes);
      store.dropOthers(entry);
      store.holdForNow(entry);
      const ms = Math.round(performance.now() - startedMs);
      log.info({ path: wanted.path, bytes: stat.sizeBytes, ms }, "fetched into the input cache");
      return entry;
    } catch (error) {
      await store.discard(temporary, chargedBytes);
      if (this.#disk.isFault(error) || (codeOf(error) === "SOURCE_FAILED" && !(await this.#disk.has(1))))
        return this.#noRoom();
      throw error;
    }
  }

  /** Copies the file, and gives up when nothing comes, or more than was to come. */
  async #copied({ path, stat }: Wanted, file: string, stop: AbortController): Promise<SourceStat> {
    const { source, stallMs } = this.#options;
    stop.signal.throwIfAborted();
    let size = -1;
    let grewMs = performance.now();
    const watch = setInterval(
      async () => {
        const now = (await statOf(file).catch(() => ({ size: 0 }))).size;
        if (now !== size) grewMs = performance.now();
        size = now;
        if (now > stat.sizeBytes) stop.abort(new Fault("SOURCE_CHANGED", { path }));
        else if (performance.now() - grewMs > stallMs) stop.abort(new Fault("SOURCE_TIMEOUT", { path }));
      },
      Math.min(WATCH_MS, stallMs),
    );
    try {
      const stopped = new Promise<never>((_, reject) => {
        stop.signal.addEventListener("abort", () => reject(stop.signal.reason), { once: true });
      });
      return await Promise.race([source.fetchTo(path, file, { signal: stop.signal }), stopped]);
    } finally {
      clearInterval(watch);
    }
  }

  #noRoom(): null {
    return this.#options.source.capabilities.ranges ? null : fail("PACKAGER_BUSY");
  }
}

/** All bytes are there and on the disk, and behind them stands what they are. */
const sealed = async (file: string, head: CacheHead): Promise<void> => {
  const handle = await open(file, "r+");
  try {
    if ((await handle.stat()).size !== head.sizeBytes) fail("SOURCE_TRUNCATED", { path: head.path });
    await writeTail(handle, { head, contentBytes: head.sizeBytes, contentCrc: 0, blockCount: 0 });
    await handle.sync();
  } finally {
    await handle.close();
  }
};
