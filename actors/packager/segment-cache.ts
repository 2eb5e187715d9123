/**
 * The segment cache: made segments on the disk, for slow sources; making one is cheaper than reading one where the file
 * lies on this machine. It never makes a request wait for a write, and never fails one: what can't be kept is not kept.
 *
 * A file carries its checksum. What this process wrote is what it reads; what an earlier life left is checked first.
 */
import { open } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { writeAll } from "../../lib/source/copy.ts";
import { type CacheEntry, chargeOf, type Removed } from "./cache-entry.ts";
import { type CacheHead, cacheNameOf, checksumOf, readFully, readTail, tailOf } from "./cache-file.ts";
import type { CacheIndex } from "./cache-index.store.ts";
import { cacheHits, cacheMisses } from "./cache-metrics.ts";
import { CacheStore } from "./cache-store.ts";

const PUTS_MAX = 4; // segments of 4 MB that wait for the disk at a time
const COMPLAINT_MS = 60_000;

/** What a made segment is of. Whatever changes its bytes is in one of these. */
export interface CachedSegment {
  /** Of the source. */
  readonly path: string;
  /** Of the file and of the settings that segments depend on. */
  readonly version: string;
  /** Name of the segment with its format: `segment1_0_av.ts`. */
  readonly leaf: string;
}

export interface SegmentCacheOptions {
  readonly index: CacheIndex;
  /** Only the cache's own files are touched in it. */
  readonly dir: string;
  readonly maxBytes: number;
  readonly limitPercent: number;
  readonly ageMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

const headOf = ({ path, version, leaf }: CachedSegment, sizeBytes: number): CacheHead => ({
  kind: "segment",
  path,
  version,
  detail: leaf,
  sizeBytes,
  modifiedMs: null,
  etag: null,
});

export class SegmentCache {
  readonly store: CacheStore;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #putting = new Map<string, Promise<boolean>>();
  #purgeCount = 0;
  #complainedMs = Number.NEGATIVE_INFINITY;

  constructor({ clock, log }: SegmentCacheOptions, store: CacheStore) {
    this.store = store;
    this.#clock = clock;
    this.#log = log;
  }

  /** The whole segment, or null. */
  async get(segment: CachedSegment): Promise<Buffer | null> {
    const entry = this.store.get(cacheNameOf({ ...segment, detail: segment.leaf }));
    const bytes = entry ? await this.#read(entry) : null;
    (bytes ? cacheHits : cacheMisses).inc({ cache: "segment" });
    return bytes;
  }

  /** Copies the bytes at once and writes them by and by: true when they are kept. Never rejects. */
  put(segment: CachedSegment, bytes: Uint8Array): Promise<boolean> {
    const name = cacheNameOf({ ...segment, detail: segment.leaf });
    const isRoom = this.#putting.size < PUTS_MAX && bytes.length > 0;
    if (!isRoom || this.#putting.has(name) || this.store.get(name)) return Promise.resolve(false);
    const putting = this.#write(headOf(segment, bytes.length), Buffer.from(bytes))
      .catch((error: unknown) => this.#complain(error))
      .finally(() => this.#putting.delete(name));
    this.#putting.set(name, putting);
    return putting;
  }

  /** Lets go of segments of these files, also of those that are being written. */
  purge(isMeant: (head: CacheHead) => boolean): Removed {
    this.#purgeCount += 1;
    return this.store.purge(isMeant);
  }

  /** Resolves when all that was put is on the disk, or given up. */
  async settled(): Promise<void> {
    await Promise.all(this.#putting.values());
  }

  async close(): Promise<void> {
    await this.settled();
    await this.store.close();
  }

  async #read(entry: CacheEntry): Promise<Buffer | null> {
    const { store } = this;
    store.hold(entry);
    try {
      const handle = await store.handleOf(entry);
      const bytes = Buffer.allocUnsafeSlow(entry.head.sizeBytes);
      const isWhole = await readFully(handle, bytes, 0);
      if (!isWhole || !(entry.isTrusted || (await readTail(handle))?.contentCrc === checksumOf(bytes))) {
        store.drop(entry, "damaged");
        return null;
      }
      entry.isTrusted = true;
      store.touch(entry);
      return bytes;
    } catch (error) {
      this.#complain(error);
      return null;
    } finally {
      store.letGo(entry);
    }
  }

  async #write(head: CacheHead, bytes: Buffer): Promise<boolean> {
    const { store } = this;
    const purgeCount = this.#purgeCount;
    const tail = tailOf({ head, contentBytes: bytes.length, contentCrc: checksumOf(bytes), blockCount: 0 });
    const chargedBytes = chargeOf(bytes.length + tail.length);
    if (!(await store.reserve(chargedBytes))) return false;
    const temporary = store.temporary();
    try {
      const handle = await open(temporary, "wx");
      try {
        await writeAll(handle, bytes, 0);
        await writeAll(handle, tail, bytes.length);
      } finally {
        await handle.close();
      }
      if (purgeCount === this.#purgeCount) {
        store.publish(temporary, head, chargedBytes);
        return true;
      }
      await store.discard(temporary, chargedBytes); // it may be of what was purged
      return false;
    } catch (error) {
      await store.discard(temporary, chargedBytes);
      throw error;
    }
  }

  #complain(error: unknown): false {
    const nowMs = this.#clock.nowMs();
    const isLost = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (!isLost && nowMs - this.#complainedMs >= COMPLAINT_MS) {
      this.#complainedMs = nowMs;
      this.#log.error({ err: error, dir: this.store.options.dir }, "segment cache not used: its disk fails or is full");
    }
    return false;
  }
}

/** The cache over its folder, ready: what an earlier life left there is taken over. */
export const openSegmentCache = async (options: SegmentCacheOptions): Promise<SegmentCache> => {
  const { index, dir, maxBytes, limitPercent, ageMs, clock, log } = options;
  const table = index.segments;
  const store = await CacheStore.open({ name: "segment", dir, table, maxBytes, limitPercent, ageMs, clock, log });
  return new SegmentCache(options, store);
};
