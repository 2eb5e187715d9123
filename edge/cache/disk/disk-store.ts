/**
 * The disk tier: objects in a log of slabs (slab-log.ts says how it survives a crash), an index of them in memory.
 *
 *   usable ── a write fails ──► off, for 30 s ── a write succeeds ──► usable
 *
 * While it is off it writes nothing and still reads. What it promises:
 * - It never gives a byte that was not put under the key: key, metadata and each block are verified when they are read.
 * - After kill -9 or a power loss it is what it was at some moment at or after the last flush (each second, each
 *   16 MiB, and at closing), less what is damaged. It never goes back further than that.
 * - It takes no more than `maxBytes` of the disk, at any moment.
 * - A put that is refused or fails removes what was there under the key: an old answer must not outlive a newer one.
 * A folder belongs to one store at a time.
 */
import type { Log } from "../../../lib/log/log.ts";
import { Appender, type NewRecord, recordBytesOf } from "./append.ts";
import { BlockBuffers, type DiskObject, DiskReadError, openRecord } from "./disk-object.ts";
import type { FileLayer } from "./files.ts";
import { ENTRY_KINDS } from "./journal.ts";
import { type HashOf, halfSipHash, type KeyHash } from "./key-hash.ts";
import { ObjectIndex, type Place } from "./object-index.ts";
import { readmit } from "./readmit.ts";
import { BodyParts, KEY_BYTES_MAX, META_BYTES_MAX } from "./record.ts";
import { recover } from "./recovery.ts";
import { SlabLog, slabBytesFor } from "./slab-log.ts";
import { type Write, WriteQueue } from "./write-queue.ts";

const MiB = 1024 * 1024;
const OBJECTS_MAX = 4_000_000; // × 37 bytes of index = 150 MB
const QUEUE_BYTES_MAX = 64 * MiB; // half a second of a disk that writes 128 MB/s
const FLUSH_BYTES = 16 * MiB;
const FLUSH_ENTRIES = 4_096; // × 24 bytes: a batch of 96 KiB
const FLUSH_MS = 1_000;
const OFF_MS = 30_000;
const CLOSE_MS = 10_000;

export interface DiskStoreOptions {
  /** The store's own; made when it is not there. What in it is not the store's is left alone. */
  readonly folder: string;
  /** All that it may take of the disk. */
  readonly maxBytes: number;
  /** Longer bodies are refused; so are those longer than a slab, a 36th of `maxBytes`. */
  readonly objectBytesMax: number;
  readonly files: FileLayer;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
  /** More objects push out the oldest slab. 4 million unless told; each costs 37 bytes of memory. */
  readonly objectsMax?: number;
  /** Bodies that may wait to be written; beyond it they are refused. 64 MiB unless told. */
  readonly queueBytesMax?: number;
  /** At most so long after a change a crash would still undo it. A second unless told. */
  readonly flushMs?: number;
  /** The hash of keys; a keyed one, the folder's own, unless told. */
  readonly hashOf?: HashOf;
}

interface StoreParts {
  readonly options: DiskStoreOptions;
  readonly index: ObjectIndex;
  readonly slabs: SlabLog;
  readonly appender: Appender;
  readonly buffers: BlockBuffers;
  readonly hashOf: HashOf;
}

export class DiskStore {
  readonly #options: DiskStoreOptions;
  readonly #index: ObjectIndex;
  readonly #slabs: SlabLog;
  readonly #appender: Appender;
  readonly #buffers: BlockBuffers;
  readonly #hashOf: HashOf;
  readonly #queue: WriteQueue;
  #offUntilMs = Number.NEGATIVE_INFINITY;
  #isOff = false;
  #isClosed = false;
  #damageSaidAtMs = Number.NEGATIVE_INFINITY;
  #flushTimer: NodeJS.Timeout | undefined;

  private constructor({ options, index, slabs, appender, buffers, hashOf }: StoreParts) {
    this.#options = options;
    this.#index = index;
    this.#slabs = slabs;
    this.#appender = appender;
    this.#buffers = buffers;
    this.#hashOf = hashOf;
    this.#queue = new WriteQueue(options.queueBytesMax ?? QUEUE_BYTES_MAX);
  }

  /** Opens a folder. Rejects with the system's error when it can't be made, listed, or cleared of what is damaged. */
  static async open(options: DiskStoreOptions): Promise<DiskStore> {
    const { folder, files, maxBytes, objectsMax = OBJECTS_MAX } = options;
    if (slabBytesFor(maxBytes) < 64 * 1024) throw new RangeError("the disk tier needs at least 2304 KiB");
    const index = new ObjectIndex(objectsMax);
    const recovered = await recover(files, folder, index);
    const buffers = new BlockBuffers();
    const beforeDrop = (slabId: number) => readmit(slabId, { index, slabs, appender, buffers });
    const slabs: SlabLog = new SlabLog({ folder, files, maxBytes, index, recovered, beforeDrop });
    const appender = new Appender(slabs);
    await slabs.fitLimit();
    const hashOf = options.hashOf ?? halfSipHash(recovered.seed);
    return new DiskStore({ options, index, slabs, appender, buffers, hashOf });
  }

  /** Bytes on the disk. */
  get sizeBytes(): number {
    return this.#slabs.sizeBytes;
  }
  get objectCount(): number {
    return this.#index.count;
  }
  /** Whether it takes objects: it does not for a while after a write failed, nor when closed. */
  get isUsable(): boolean {
    return !this.#isClosed && this.#options.nowMs() >= this.#offUntilMs;
  }

  /** Whether an object is there, by the index alone: `open` may still find that it is damaged. */
  has(key: string): boolean {
    return this.#index.find(this.#hashOf(key)) !== 0;
  }

  /** A hit object is copied ahead, within a bound, when its slab is dropped. */
  noteHit(key: string): void {
    this.#index.noteHit(this.#hashOf(key));
  }

  /** Opens an object; undefined when it is not there, or no more. Never rejects. */
  async open(key: string): Promise<DiskObject | undefined> {
    const hash = this.#hashOf(key);
    const entry = this.#index.find(hash);
    if (entry === 0) return undefined;
    const place = this.#index.placeOf(entry);
    try {
      const record = await openRecord(this.#slabs, place, this.#buffers);
      if (record?.key !== key) {
        record?.close(); // another key with the same hash: that one's object stays
        return undefined;
      }
      const read = (offset: number, target: Uint8Array): Promise<void> =>
        record.read(offset, target).catch((error: unknown) => {
          this.#forget(hash, place, error);
          throw error;
        });
      return { meta: record.meta, sizeBytes: record.sizeBytes, read, close: () => record.close() };
    } catch (error) {
      this.#forget(hash, place, error);
      return undefined;
    }
  }

  /**
   * Writes an object; true once it can be opened. The parts must not change until then. False, and nothing is there
   * under the key, when it is too large, when too much waits to be written already, or when the disk failed.
   */
  put(key: string, meta: Buffer, body: readonly Uint8Array[]): Promise<boolean> {
    const bodyBytes = body.reduce((sum, part) => sum + part.length, 0);
    const parts = new BodyParts(body);
    const record = { key: Buffer.from(key), meta, bodyBytes, take: (target: Uint8Array) => parts.take(target) };
    return new Promise((resolve) => {
      const write: Write = {
        key,
        sizeBytes: recordBytesOf(record),
        isCalledOff: false,
        run: async () => resolve(await this.#put(write, record)),
      };
      if (this.isUsable && this.#takes(record) && this.#queue.add(write)) return;
      this.remove(key);
      resolve(false);
    });
  }

  /** Replaces an object's metadata, the body stays. Does nothing when there is none, or no room; never rejects. */
  updateMeta(key: string, meta: Buffer): Promise<void> {
    const record = { key: Buffer.from(key), meta, bodyBytes: 0, take: () => {} };
    return new Promise((resolve) => {
      const write: Write = {
        key,
        sizeBytes: recordBytesOf(record),
        isCalledOff: false,
        run: () => this.#updateMeta(write, record).then(resolve),
      };
      if (!this.isUsable || !this.#takes(record) || !this.#queue.add(write)) resolve();
    });
  }

  /** Forgets an object, and calls off what is still to be written under its key. */
  remove(key: string): void {
    this.#queue.callOff(key);
    this.#removeHash(this.#hashOf(key));
  }

  /** Makes all that is done so far outlast a power loss; whether it did. */
  flush(): Promise<boolean> {
    return new Promise((resolve) => {
      const run = async () => resolve(await this.#attempt(() => this.#slabs.flush()));
      this.#queue.add({ key: undefined, sizeBytes: 0, isCalledOff: false, run });
    });
  }

  /** Writes what waits, flushes and closes the files; after 10 s it leaves that to the system. Open objects stay so. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#flushTimer);
    let deadline: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      deadline = setTimeout(resolve, CLOSE_MS, false);
    });
    const isFlushed = await Promise.race([this.flush(), late]);
    clearTimeout(deadline);
    if (isFlushed) await this.#slabs.close().catch((error: unknown) => this.#fail(error));
    else this.#options.log.warn({ folder: this.#options.folder }, "disk tier: closed without its last changes");
  }

  #takes(record: Omit<NewRecord, "take">): boolean {
    const { key, meta, bodyBytes } = record;
    const isShort = key.length <= KEY_BYTES_MAX && meta.length <= META_BYTES_MAX;
    return isShort && bodyBytes <= this.#options.objectBytesMax && recordBytesOf(record) <= this.#slabs.recordBytesMax;
  }

  async #put(write: Write, record: NewRecord): Promise<boolean> {
    const hash = this.#hashOf(write.key ?? "");
    const isWritten = await this.#attempt(async () => {
      if (write.isCalledOff) return;
      if (this.#index.find(hash) === 0) await this.#slabs.makeEntryRoom();
      const place = await this.#appender.append(record);
      if (write.isCalledOff) return;
      this.#index.set(hash, place);
      this.#slabs.note(ENTRY_KINDS.put, hash, place);
      await this.#flushIfDue();
    });
    if (!isWritten) this.#removeHash(hash);
    return isWritten && !write.isCalledOff;
  }

  async #updateMeta(write: Write, record: NewRecord): Promise<void> {
    const key = write.key ?? "";
    const hash = this.#hashOf(key);
    await this.#attempt(async () => {
      const entry = this.#index.find(hash);
      if (write.isCalledOff || entry === 0) return;
      const before = this.#index.placeOf(entry);
      const old = await openRecord(this.#slabs, before, this.#buffers).catch((error: unknown) => {
        this.#forget(hash, before, error);
        return undefined;
      });
      old?.close();
      if (old?.key !== key) return;
      // Room first: to make it the oldest slab may go, and the body with it.
      const place = await this.#appender.append({ ...record, bodyPlace: old.bodyPlace });
      if (!this.#index.isAt(hash, before)) return;
      this.#index.set(hash, { ...place, bodySlabId: before.bodySlabId });
      this.#slabs.note(ENTRY_KINDS.metadata, hash, place);
      await this.#flushIfDue();
    });
  }

  async #flushIfDue(): Promise<void> {
    const { unsyncedBytes, pendingCount } = this.#slabs;
    if (unsyncedBytes >= FLUSH_BYTES || pendingCount >= FLUSH_ENTRIES) await this.#slabs.flush();
    else this.#flushSoon();
  }

  #flushSoon(): void {
    if (this.#isClosed || this.#flushTimer) return;
    this.#flushTimer = setTimeout(() => {
      this.#flushTimer = undefined;
      if (this.isUsable) void this.flush();
      else this.#flushSoon();
    }, this.#options.flushMs ?? FLUSH_MS).unref();
  }

  #removeHash(hash: KeyHash): void {
    if (!this.#index.remove(hash)) return;
    this.#slabs.note(ENTRY_KINDS.remove, hash);
    this.#flushSoon();
  }

  /** After a read that failed: the object goes, unless it is another one by now. */
  #forget(hash: KeyHash, place: Place, error: unknown): void {
    if (!(error instanceof DiskReadError)) throw error;
    if (error.reason === "gone" || !this.#index.isAt(hash, place)) return;
    this.#removeHash(hash);
    const nowMs = this.#options.nowMs();
    if (nowMs < this.#damageSaidAtMs + OFF_MS) return;
    this.#damageSaidAtMs = nowMs;
    this.#options.log.warn(
      { err: error, folder: this.#options.folder },
      "disk tier: dropped an object that is damaged",
    );
  }

  /** Runs a step of the writer; whether it succeeded. A failure turns the tier off for a while. */
  async #attempt(step: () => Promise<void>): Promise<boolean> {
    if (!this.#isClosed && !this.isUsable) return false;
    try {
      await step();
    } catch (error) {
      this.#fail(error);
      return false;
    }
    if (this.#isOff) this.#options.log.info({ folder: this.#options.folder }, "disk tier: takes objects again");
    this.#isOff = false;
    return true;
  }

  #fail(error: unknown): void {
    this.#offUntilMs = this.#options.nowMs() + OFF_MS;
    if (this.#isOff) return;
    this.#isOff = true;
    this.#options.log.warn({ err: error, folder: this.#options.folder }, "disk tier: off, a write failed");
  }
}
