/**
 * Input files kept in blocks, as they are read: a sparse file per version, a checksum behind it for each block that is
 * there. After a kill a block counts when its bytes fit its checksum, which is looked at before its first use. A viewer
 * who leaves stops nothing: others may want the same block. Nor does one who was told that it takes too long: who comes
 * later finds what has arrived by then.
 */
import { open } from "node:fs/promises";
import { fail } from "../../contracts/errors.ts";
import type { ReadOptions } from "../../lib/source/port.ts";
import { type CacheEntry, chargeOf } from "./cache-entry.ts";
import { cacheNameOf, checksumOf, readFully, readTail, tailBytesOf, writeTail } from "./cache-file.ts";
import { cacheHits, cacheMisses } from "./cache-metrics.ts";
import { BLOCK, BLOCK_BYTES, BlockFetcher, Blocks, type Run } from "./input-blocks.ts";
import {
  DiskSpace,
  headOf,
  type Keeper,
  type KeeperOptions,
  type Range,
  type Wanted,
  waitFor,
} from "./input-keeper.ts";
import { Turns } from "./turns.ts";

const DETAIL = `ranges ${BLOCK_BYTES}`;
const CHECKS_MAX = 4; // 1 MiB each

/** A read that spans several blocks. */
interface Span extends Range {
  readonly first: number;
  readonly last: number;
}

export class RangeFiles implements Keeper {
  readonly #options: KeeperOptions;
  readonly #disk: DiskSpace;
  readonly #fetcher: BlockFetcher;
  readonly #checkTurns = new Turns(CHECKS_MAX, Number.POSITIVE_INFINITY);
  readonly #blocks = new Map<CacheEntry, Promise<Blocks>>();
  readonly #making = new Map<string, Promise<CacheEntry | null>>();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#disk = new DiskSpace(options);
    this.#fetcher = new BlockFetcher(options, this.#disk);
  }

  async acquire(wanted: Wanted): Promise<CacheEntry | null> {
    const { store } = this.#options;
    const name = cacheNameOf(headOf(wanted, "ranges", DETAIL));
    const entry = store.get(name) ?? (await this.#made(name, wanted));
    if (entry) store.hold(entry);
    return entry;
  }

  async read(entry: CacheEntry, range: Range, options: ReadOptions): Promise<void> {
    const { offset, target } = range;
    if (target.length === 0) return;
    const first = Math.floor(offset / BLOCK_BYTES);
    const last = Math.floor((offset + target.length - 1) / BLOCK_BYTES);
    const blocks = await this.#blocksOf(entry);
    if (blocks.areThere(first, last)) {
      cacheHits.inc({ cache: "input" });
      return this.#readThere(entry, range);
    }
    await this.#checked(blocks, first, last);
    cacheMisses.inc({ cache: "input" });
    return this.#readPieces(blocks, { offset, target, first, last }, options);
  }

  closed(entry: CacheEntry): void {
    this.#blocks.get(entry)?.then(
      (blocks) => blocks.closeInner(),
      () => {},
    );
  }

  forget(): void {}

  async stop(): Promise<void> {
    await this.#fetcher.stop();
    for (const loading of this.#blocks.values()) (await loading.catch(() => null))?.closeInner();
  }

  /** An entry without any block, made once. */
  #made(name: string, wanted: Wanted): Promise<CacheEntry | null> {
    const running = this.#making.get(name);
    if (running) return running;
    const making = this.#make(wanted).finally(() => this.#making.delete(name));
    this.#making.set(name, making);
    return making;
  }

  async #make(wanted: Wanted): Promise<CacheEntry | null> {
    const { store } = this.#options;
    const head = headOf(wanted, "ranges", DETAIL);
    const blockCount = Math.ceil(head.sizeBytes / BLOCK_BYTES);
    const chargedBytes = chargeOf(tailBytesOf(head, blockCount)) + chargeOf(0); // it begins anywhere in a disk's block
    if (chargeOf(head.sizeBytes) + chargedBytes > store.limitBytes) return null;
    if (!(await this.#disk.has(chargedBytes)) || !(await store.reserve(chargedBytes))) return null;
    const temporary = store.temporary();
    try {
      const handle = await open(temporary, "wx");
      try {
        await writeTail(handle, { head, contentBytes: head.sizeBytes, contentCrc: 0, blockCount });
      } finally {
        await handle.close();
      }
      const entry = store.publish(temporary, head, chargedBytes);
      store.dropOthers(entry);
      store.holdForNow(entry);
      return entry;
    } catch (error) {
      await store.discard(temporary, chargedBytes);
      if (this.#disk.isFault(error)) return null;
      throw error;
    }
  }

  #blocksOf(entry: CacheEntry): Promise<Blocks> {
    const known = this.#blocks.get(entry);
    if (known) return known;
    const loading = this.#load(entry);
    this.#blocks.set(entry, loading);
    loading.catch(() => this.#blocks.delete(entry));
    return loading;
  }

  async #load(entry: CacheEntry): Promise<Blocks> {
    const { store } = this.#options;
    const handle = await store.handleOf(entry);
    const tail = await readTail(handle);
    const bytes = Buffer.alloc((tail?.blockCount ?? 0) * 4);
    if (!tail || !(await readFully(handle, bytes, tail.blocksAt))) {
      store.drop(entry, "damaged");
      return fail("SOURCE_CHANGED", { path: entry.head.path });
    }
    const checksums = Uint32Array.from({ length: tail.blockCount }, (_, block) => bytes.readUInt32LE(block * 4));
    const blocks = new Blocks(entry, checksums, tail.blocksAt);
    const forget = (): void => {
      this.#blocks.delete(entry);
      blocks.closeInner();
    };
    if (entry.isGone) queueMicrotask(forget);
    else entry.onGone = forget;
    return blocks;
  }

  /** Looks at blocks of an earlier life. */
  async #checked(blocks: Blocks, first: number, last: number): Promise<void> {
    for (let block = first; block <= last; block += 1) {
      if (blocks.states[block] !== BLOCK.unchecked) continue;
      let check = blocks.checks.get(block);
      if (!check) {
        check = this.#checkTurns.take(() => this.#check(blocks, block)).finally(() => blocks.checks.delete(block));
        blocks.checks.set(block, check);
      }
      await check;
    }
  }

  async #check(blocks: Blocks, block: number): Promise<void> {
    const handle = await this.#options.store.handleOf(blocks.entry);
    const bytes = Buffer.allocUnsafe(blocks.lengthOf(block, 1));
    const isWhole = await readFully(handle, bytes, block * BLOCK_BYTES);
    blocks.states[block] = isWhole && checksumOf(bytes) === blocks.checksums[block] ? BLOCK.there : BLOCK.damaged;
  }

  /** Reads what is there and waits for what is not. When it ends, also by failing, nothing writes to `target`. */
  async #readPieces(blocks: Blocks, { offset, target, first, last }: Span, options: ReadOptions): Promise<void> {
    const pieces: Promise<void>[] = [];
    const part = (from: number, to: number): Range => {
      const start = Math.max(offset, from * BLOCK_BYTES);
      const end = Math.min(offset + target.length, to * BLOCK_BYTES);
      return { offset: start, target: target.subarray(start - offset, end - offset) };
    };
    for (let block = first; block <= last; ) {
      const from = block;
      if (blocks.states[block] === BLOCK.there) {
        while (block <= last && blocks.states[block] === BLOCK.there) block += 1;
        pieces.push(this.#readThere(blocks.entry, part(from, block)));
      } else {
        const run = blocks.runs.get(block) ?? this.#fetcher.start(blocks, block, last);
        block = Math.min(last + 1, run.first + run.count);
        pieces.push(this.#readRun(run, blocks.entry.head.path, { ...part(from, block), ...options }));
      }
    }
    for (const piece of await Promise.allSettled(pieces)) if (piece.status === "rejected") throw piece.reason;
  }

  async #readThere(entry: CacheEntry, { offset, target }: Range): Promise<void> {
    const handle = await this.#options.store.handleOf(entry);
    if (!(await readFully(handle, target, offset))) fail("SOURCE_TRUNCATED", { path: entry.head.path });
  }

  async #readRun(run: Run, path: string, { offset, target, signal }: Range & ReadOptions): Promise<void> {
    run.users += 1;
    try {
      const late = (): never => fail("SOURCE_TIMEOUT", { path });
      const bytes = await waitFor(run.arrived, { waitMs: this.#options.stallMs, late, ...(signal ? { signal } : {}) });
      const from = offset - run.first * BLOCK_BYTES;
      target.set(bytes.subarray(from, from + target.length));
    } finally {
      this.#fetcher.leave(run);
    }
  }
}
