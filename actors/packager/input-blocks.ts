/**
 * Blocks of input files on their way: neighbours are fetched together, once however many want them; they are given out
 * as soon as they are in memory, then written, then their checksums.
 */
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import { writeAll } from "../../lib/source/copy.ts";
import type { SourceObject } from "../../lib/source/port.ts";
import type { CacheEntry } from "./cache-entry.ts";
import { checksumOf } from "./cache-file.ts";
import { type DiskSpace, FETCHES_WAITING_MAX, type KeeperOptions, type Range, waitFor } from "./input-keeper.ts";
import { Turns } from "./turns.ts";

export const BLOCK_BYTES = 1024 * 1024;
const RUN_BLOCKS = 4; // fetched at once: a segment is about so long
const SPARE_BUFFERS_MAX = 4; // 16 MiB
const FIRST_PIECE_BYTES = 128 * 1024; // comes in time at 13 kB/s: sources give slow answers 10 s and more
const PIECE_SECONDS = 10;
const INNER_IDLE_MS = 30_000; // servers count their sessions
const DISK_BLOCK_BYTES = 4096;
const CHECKSUM_BYTES = 4;

/** What is known of a block. Of a damaged one the place on the disk is taken. */
export const BLOCK = { missing: 0, unchecked: 1, there: 2, damaged: 3 } as const;

/** Neighbouring blocks on their way. */
export interface Run {
  readonly first: number;
  readonly count: number;
  /** Those who read it, and the writer: the buffer is another run's when all are done. */
  users: number;
  buffer: Uint8Array | null;
  readonly arrived: Promise<Uint8Array>;
}

/** The blocks of one entry, and its file at the source while it is being read. */
export class Blocks {
  readonly entry: CacheEntry;
  readonly states: Uint8Array;
  readonly checksums: Uint32Array;
  readonly blocksAt: number;
  readonly runs = new Map<number, Run>();
  readonly checks = new Map<number, Promise<void>>();
  inner: Promise<SourceObject> | null = null;
  innerUses = 0;
  idle: NodeJS.Timeout | undefined;

  constructor(entry: CacheEntry, checksums: Uint32Array, blocksAt: number) {
    this.entry = entry;
    this.checksums = checksums;
    this.blocksAt = blocksAt;
    this.states = Uint8Array.from(checksums, (checksum) => (checksum === 0 ? BLOCK.missing : BLOCK.unchecked));
  }

  areThere(first: number, last: number): boolean {
    for (let block = first; block <= last; block += 1) if (this.states[block] !== BLOCK.there) return false;
    return true;
  }

  lengthOf(first: number, count: number): number {
    return Math.min(count * BLOCK_BYTES, this.entry.head.sizeBytes - first * BLOCK_BYTES);
  }

  /** Lets the source go, now or when what is under way is done. */
  closeInner(): void {
    clearTimeout(this.idle);
    if (this.innerUses > 0) return;
    this.inner?.then((object) => object.close()).catch(() => {});
    this.inner = null;
  }
}

export class BlockFetcher {
  readonly #options: KeeperOptions;
  readonly #turns: Turns;
  readonly #disk: DiskSpace;
  readonly #runs = new Set<Promise<void>>();
  readonly #fetching = new Set<AbortController>();
  readonly #spare: Uint8Array[] = [];
  /** As the source was lately; null: not known. */
  #bytesPerSecond: number | null = null;

  constructor(options: KeeperOptions, disk: DiskSpace) {
    this.#options = options;
    this.#disk = disk;
    this.#turns = new Turns(options.fetchesMax, FETCHES_WAITING_MAX);
  }

  /** Fetches missing blocks from `first` on, as far as `last` and as one run may go. */
  start(blocks: Blocks, first: number, last: number): Run {
    const { store } = this.#options;
    const isWanted = (block: number): boolean => {
      const state = blocks.states[block];
      return block <= last && (state === BLOCK.missing || state === BLOCK.damaged) && !blocks.runs.has(block);
    };
    const most = this.#bytesPerSecond === null ? RUN_BLOCKS : this.#pieceBytes() / BLOCK_BYTES;
    let count = 1;
    while (count < Math.min(RUN_BLOCKS, most) && isWanted(first + count)) count += 1;
    const arrival = Promise.withResolvers<Uint8Array>();
    arrival.promise.catch(() => {}); // all who read it may have left
    const run: Run = { first, count, users: 1, buffer: null, arrived: arrival.promise };
    for (let block = first; block < first + count; block += 1) blocks.runs.set(block, run);
    store.hold(blocks.entry);
    const going = this.#turns
      .take(async () => {
        arrival.resolve(await this.#fetch(blocks, run));
        await this.#keep(blocks, run);
      })
      .catch((error: unknown) => arrival.reject(error))
      .finally(() => {
        for (let block = first; block < first + count; block += 1) blocks.runs.delete(block);
        this.leave(run);
        store.letGo(blocks.entry);
        this.#runs.delete(going);
      });
    this.#runs.add(going);
    return run;
  }

  /** One user less. */
  leave(run: Run): void {
    run.users -= 1;
    if (run.users > 0 || !run.buffer) return;
    if (this.#spare.length < SPARE_BUFFERS_MAX) this.#spare.push(run.buffer);
    run.buffer = null;
  }

  async stop(): Promise<void> {
    for (const one of this.#fetching) one.abort(new Fault("SHUTTING_DOWN"));
    await Promise.all(this.#runs);
  }

  async #fetch(blocks: Blocks, run: Run): Promise<Uint8Array> {
    const buffer = this.#spare.pop() ?? Buffer.allocUnsafeSlow(RUN_BLOCKS * BLOCK_BYTES);
    const bytes = buffer.subarray(0, blocks.lengthOf(run.first, run.count));
    const stop = new AbortController();
    this.#fetching.add(stop);
    try {
      for (let done = 0; done < bytes.length; ) {
        const piece = bytes.subarray(done, done + this.#pieceBytes());
        await this.#readPiece(blocks, { offset: run.first * BLOCK_BYTES + done, target: piece }, stop.signal);
        done += piece.length;
      }
    } catch (error) {
      // The buffer is not used again: the source may still write to it.
      stop.abort(error);
      if (codeOf(error) === "SOURCE_CHANGED") this.#options.store.drop(blocks.entry, "replaced");
      throw error;
    } finally {
      this.#fetching.delete(stop);
    }
    run.buffer = buffer;
    return bytes;
  }

  /** A fast source gives a run at once; of a slow one each piece comes before it is given up. */
  #pieceBytes(): number {
    return Math.max(FIRST_PIECE_BYTES, Math.floor((this.#bytesPerSecond ?? 0) * PIECE_SECONDS));
  }

  async #readPiece(blocks: Blocks, { offset, target }: Range, signal: AbortSignal): Promise<void> {
    const { path } = blocks.entry.head;
    const late = (): never => fail("SOURCE_TIMEOUT", { path });
    const startedMs = performance.now();
    const reading = this.#withInner(blocks, (inner) => inner.readRange(offset, target, { signal }));
    try {
      await waitFor(reading, { waitMs: this.#options.stallMs, late, signal });
    } catch (error) {
      if (codeOf(error) === "SOURCE_TIMEOUT") this.#bytesPerSecond = null;
      throw error;
    }
    // What is shorter tells how far the source is, not how fast.
    if (target.length < FIRST_PIECE_BYTES) return;
    this.#bytesPerSecond = (target.length * 1000) / Math.max(1, performance.now() - startedMs);
  }

  async #withInner<T>(blocks: Blocks, act: (inner: SourceObject) => Promise<T>): Promise<T> {
    clearTimeout(blocks.idle);
    blocks.innerUses += 1;
    try {
      blocks.inner ??= this.#openInner(blocks.entry);
      return await act(await blocks.inner);
    } catch (error) {
      // The next one begins anew, with whatever has recovered.
      const broken = blocks.inner;
      blocks.inner = null;
      broken?.then((object) => object.close()).catch(() => {});
      throw error;
    } finally {
      blocks.innerUses -= 1;
      if (blocks.entry.isGone || blocks.entry.opens === 0) blocks.closeInner();
      else if (blocks.innerUses === 0) {
        clearTimeout(blocks.idle);
        blocks.idle = setTimeout(() => blocks.closeInner(), INNER_IDLE_MS).unref();
      }
    }
  }

  async #openInner({ head }: CacheEntry): Promise<SourceObject> {
    const inner = await this.#options.source.open(head.path);
    if (inner.stat.version === head.version) return inner;
    await inner.close().catch(() => {});
    return fail("SOURCE_CHANGED", { path: head.path });
  }

  /** Bytes first, then their checksums: a kill between them leaves a block that doesn't count. */
  async #keep(blocks: Blocks, run: Run): Promise<void> {
    const { store, log } = this.#options;
    const { entry } = blocks;
    if (entry.isGone || !run.buffer) return;
    const all = Array.from({ length: run.count }, (_, index) => run.first + index);
    const missing = all.filter((block) => blocks.states[block] === BLOCK.missing);
    const needed = missing.reduce((sum, block) => sum + diskBytes(blocks.lengthOf(block, 1)), 0);
    if (!(await store.reserve(needed))) return;
    entry.chargedBytes += needed;
    for (const block of missing) blocks.states[block] = BLOCK.damaged; // its place counts as taken from now on
    const bytes = run.buffer.subarray(0, blocks.lengthOf(run.first, run.count));
    const checksums = Buffer.alloc(run.count * CHECKSUM_BYTES);
    for (const [index, block] of all.entries()) {
      const start = index * BLOCK_BYTES;
      const checksum = checksumOf(bytes.subarray(start, start + blocks.lengthOf(block, 1)));
      checksums.writeUInt32LE(checksum, index * CHECKSUM_BYTES);
    }
    try {
      const handle = await store.handleOf(entry);
      await writeAll(handle, bytes, run.first * BLOCK_BYTES);
      await writeAll(handle, checksums, blocks.blocksAt + run.first * CHECKSUM_BYTES);
      for (const block of all) blocks.states[block] = BLOCK.there;
    } catch (error) {
      if (!this.#disk.isFault(error)) log.warn({ err: error, path: entry.head.path }, "blocks not kept");
    }
  }
}

const diskBytes = (bytes: number): number => Math.ceil(bytes / DISK_BLOCK_BYTES) * DISK_BLOCK_BYTES;
