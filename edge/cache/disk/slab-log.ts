/**
 * The slabs of a folder as one log: records are appended to the newest, the oldest is dropped as a whole.
 *
 * How it survives a crash. A change of the index counts once its journal batch is synced, and `#commit` writes a batch
 * only after the data that it names was synced, and the folder with the files' names. The next slab is begun only after
 * the last one's journal was sealed and synced, and one slab's removal is synced before the next one's begins. So what
 * a start finds is the log up to some moment at or after the last flush, and of the oldest slabs all or none: a record
 * is never there without those that supersede it (recovery.ts drops what is not so). Should a medium lie nevertheless,
 * the CRC of the head, which the index holds too, and the sums of the blocks decide when an object is read.
 *
 * How it keeps its limit, with S = bytes of a slab: sealed slabs ≤ max − 3 S, one more for the moment in which the
 * oldest is copied from, the newest ≤ S, dropped ones that readers hold ≤ S (then they are cut).
 */
import type { FileLayer, OpenFile } from "./files.ts";
import { batchOf, ENTRY_KINDS, type EntryKind, headerOf, type JournalEntry, LINE_BYTES } from "./journal.ts";
import type { KeyHash } from "./key-hash.ts";
import type { ObjectIndex, Place } from "./object-index.ts";
import type { Recovered } from "./recovery.ts";
import { Slab, slabPaths, wholePages } from "./slab.ts";

const MiB = 1024 * 1024;
const SLABS_MIN = 36; // three of them are the log's own, see above
const SLABS_MAX = 1_024; // each one has a descriptor open
const SLAB_BYTES_MAX = 256 * MiB;
/** Offsets are words of 32 bits. */
const OFFSET_MAX = 2 ** 32 - MiB;
const PAGES_SLACK_BYTES = 2 * 4096; // both files end somewhere in a page

/** How long slabs are for a capacity: short enough that one is a small part of it, long enough to be few. */
export const slabBytesFor = (maxBytes: number): number =>
  Math.min(OFFSET_MAX, Math.floor(Math.max(Math.min(maxBytes / SLABS_MIN, SLAB_BYTES_MAX), maxBytes / SLABS_MAX)));

interface SlabLogOptions {
  readonly folder: string;
  readonly files: FileLayer;
  readonly maxBytes: number;
  readonly index: ObjectIndex;
  readonly recovered: Recovered;
  /** Saves what is worth it from the slab that goes next, by appending. */
  readonly beforeDrop: (slabId: number) => Promise<void>;
}

/** Appending, flushing and closing must not overlap: one writer at a time. The rest may be called whenever. */
export class SlabLog {
  readonly slabBytes: number;
  readonly #options: SlabLogOptions;
  /** Oldest first; the newest is `#active` unless that one could not be made. */
  readonly #slabs = new Map<number, Slab>();
  readonly #held = new Set<Slab>();
  #active: Slab | undefined;
  #journal: OpenFile | undefined;
  #lastId: number;
  #isFolderSynced = true;
  #pending: JournalEntry[] = [];
  #unsyncedBytes = 0;
  /** From when a slab was sealed until the oldest was dropped for it, which may have failed. */
  #isOverLimit = false;
  #isDropping = false;

  constructor(options: SlabLogOptions) {
    const { recovered, maxBytes } = options;
    this.#options = options;
    this.slabBytes = slabBytesFor(maxBytes);
    for (const slab of recovered.slabs) this.#slabs.set(slab.id, slab);
    this.#lastId = recovered.slabs.at(-1)?.id ?? 0;
    if (recovered.journal) {
      this.#journal = recovered.journal;
      this.#active = recovered.slabs.at(-1);
    }
  }

  /** Bytes on the disk, those of dropped slabs that are still read from included. */
  get sizeBytes(): number {
    let sizeBytes = 0;
    for (const slab of this.#slabs.values()) sizeBytes += slab.sizeBytes;
    return sizeBytes + this.#heldBytes();
  }
  /** Changes that a crash would undo. */
  get pendingCount(): number {
    return this.#pending.length;
  }
  get unsyncedBytes(): number {
    return this.#unsyncedBytes;
  }

  /** A slab that stays readable until it is released; undefined when it is gone. */
  retain(slabId: number): Slab | undefined {
    const slab = this.#slabs.get(slabId);
    slab?.retain();
    return slab;
  }

  /** Space for a record at the end of the newest slab, which may have to be a new one: the slab and the offset. */
  async roomFor(recordBytes: number): Promise<{ slab: Slab; offset: number }> {
    await this.#catchUp();
    if (this.#active && !this.#fits(this.#active, recordBytes)) await this.#rotate();
    const slab = this.#active ?? (await this.#begin());
    return { slab, offset: slab.dataBytes };
  }

  /** The record that was written where `roomFor` said is whole. */
  took(slab: Slab, recordBytes: number): void {
    slab.dataBytes += recordBytes;
    this.#unsyncedBytes += recordBytes;
  }

  /** Notes a change of the index, to be made durable by the next flush. */
  note(kind: EntryKind, hash: KeyHash, place?: Place): void {
    const { slabId = this.#lastId, offset = 0, sizeBytes = 0, headCrc = 0 } = place ?? {};
    this.#pending.push({ hash, kind, slabId, offset, sizeBytes, headCrc });
  }

  /** Makes all that was noted durable. */
  async flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const slab = this.#active ?? (await this.#begin());
      // Removals are noted without asking for room: what does not fit goes into the next slab.
      if (this.#entriesThatFit(slab) < this.#pending.length) await this.#rotate();
      else await this.#commit(this.#pending.length, { isSealed: false });
    }
  }

  /** Drops the oldest slabs until the index has room for an object. */
  async makeEntryRoom(): Promise<void> {
    while (this.#options.index.isFull) {
      if (this.#slabs.size < 2) await this.#rotate();
      await this.#dropOldest();
    }
  }

  /** Whether a record fits into the newest slab as it is: for those who must not make `roomFor` begin another. */
  hasRoomFor(recordBytes: number): boolean {
    return this.#active !== undefined && this.#fits(this.#active, recordBytes);
  }
  /** The longest record that a slab of its own takes. */
  get recordBytesMax(): number {
    return this.slabBytes - PAGES_SLACK_BYTES - wholePages(1) - 8 * LINE_BYTES;
  }

  /** Drops the oldest slabs until the rest fits into the limit, which may have been another one before a restart. */
  async fitLimit(): Promise<void> {
    if (this.#active && this.#tooLarge(this.#active)) await this.#rotate();
    await this.#keepLimit();
  }

  /** Drops what could not be dropped when it was due. */
  async #catchUp(): Promise<void> {
    // What is copied ahead of a slab that is being dropped asks for room too.
    if (this.#isOverLimit && !this.#isDropping) await this.#keepLimit();
  }

  async #keepLimit(): Promise<void> {
    while (this.#slabs.size > 1 && this.#sealedBytes() > this.#options.maxBytes - 3 * this.slabBytes) {
      await this.#dropOldest();
    }
    this.#isOverLimit = false;
  }

  /** Closes the files; slabs that are still read from stay open until their last reader leaves. */
  async close(): Promise<void> {
    await this.#journal?.close();
    for (const slab of this.#slabs.values()) slab.drop();
    this.#slabs.clear();
    this.#active = undefined;
  }

  #sealedBytes(): number {
    let sizeBytes = 0;
    for (const slab of this.#slabs.values()) if (slab !== this.#active) sizeBytes += slab.sizeBytes;
    return sizeBytes;
  }
  #heldBytes(): number {
    let sizeBytes = 0;
    for (const slab of this.#held) {
      if (slab.isHeld) sizeBytes += slab.sizeBytes;
      else this.#held.delete(slab);
    }
    return sizeBytes;
  }

  /** How many entries its journal takes in one batch when it has so much data, and a line that seals it. */
  #entriesThatFit(slab: Slab, dataBytes = slab.dataBytes): number {
    const left = this.slabBytes - PAGES_SLACK_BYTES - wholePages(dataBytes) - slab.journalBytes;
    return Math.max(0, Math.floor(left / LINE_BYTES) - 2);
  }
  #fits(slab: Slab, recordBytes: number): boolean {
    return this.#entriesThatFit(slab, slab.dataBytes + recordBytes) > this.#pending.length;
  }
  #tooLarge(slab: Slab): boolean {
    return slab.sizeBytes > this.slabBytes;
  }

  async #begin(): Promise<Slab> {
    const { folder, files, recovered } = this.#options;
    const id = this.#lastId + 1;
    const paths = slabPaths(folder, id);
    const header = headerOf(id, recovered.seed);
    const made: OpenFile[] = [];
    try {
      for (const name of [paths.data, paths.index]) made.push(await files.create(name));
      const [data, journal] = made;
      if (!data || !journal) throw new Error("bug: a slab has two files");
      await journal.write(header, 0);
      this.#journal = journal;
      this.#active = new Slab({ id, data, dataBytes: 0, journalBytes: header.length, batchCount: 0 });
    } catch (error) {
      // Without its header's batch it counts for nothing, should removing fail too; its number is used again.
      for (const file of made) await file.close().catch(() => {});
      for (const name of [paths.data, paths.index]) await files.unlink(name).catch(() => {});
      throw error;
    }
    this.#lastId = id;
    this.#slabs.set(id, this.#active);
    this.#isFolderSynced = false;
    return this.#active;
  }

  /** Seals the newest slab, begins the next one and makes room for it. */
  async #rotate(): Promise<void> {
    await this.#catchUp();
    if (this.#active) {
      await this.#commit(Math.min(this.#pending.length, this.#entriesThatFit(this.#active)), { isSealed: true });
      this.#active = undefined;
      this.#isOverLimit = true;
      await this.#journal?.close();
      this.#journal = undefined;
    }
    await this.#begin();
    await this.#keepLimit();
  }

  async #commit(count: number, { isSealed }: { isSealed: boolean }): Promise<void> {
    const { folder, files } = this.#options;
    const [slab, journal] = [this.#active, this.#journal];
    if (!slab || !journal) throw new Error("bug: a commit without a slab");
    await slab.data.sync().catch((error: unknown) => {
      this.#disown(slab);
      throw error;
    });
    this.#unsyncedBytes = 0;
    if (!this.#isFolderSynced) await files.syncFolder(folder);
    this.#isFolderSynced = true;
    const head = { slabId: slab.id, number: slab.batchCount, isSealed, dataBytes: slab.dataBytes };
    const batch = batchOf(head, this.#pending.slice(0, count));
    await journal.write(batch, slab.journalBytes);
    // Until it is synced nothing is taken from `#pending`: a batch that failed is written again in the same place.
    await journal.sync();
    slab.journalBytes += batch.length;
    slab.batchCount += 1;
    this.#pending.splice(0, count);
  }

  /** After a sync that failed nobody knows which pages were kept (the kernel may call them clean): none count. */
  #disown(slab: Slab): void {
    const { index } = this.#options;
    this.#unsyncedBytes = 0;
    this.#pending = this.#pending.map((entry) => {
      const { hash, kind, slabId } = entry;
      if (kind === ENTRY_KINDS.remove || slabId !== slab.id) return entry;
      if (index.isAt(hash, entry)) index.remove(hash);
      return { ...entry, kind: ENTRY_KINDS.remove };
    });
  }

  async #dropOldest(): Promise<void> {
    const { folder, files, index, beforeDrop } = this.#options;
    const [oldest] = this.#slabs.values();
    if (!oldest || oldest === this.#active) throw new Error("bug: the newest slab is dropped");
    this.#isDropping = true;
    await beforeDrop(oldest.id).finally(() => {
      this.#isDropping = false;
    });
    // Until its names are gone for good it counts: a folder that refuses this once is asked again.
    const paths = slabPaths(folder, oldest.id);
    for (const name of [paths.data, paths.index]) {
      await files.unlink(name).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
    }
    await files.syncFolder(folder);
    for (const entry of index.inSlab(oldest.id, { hitOnly: false })) index.remove(index.hashOf(entry));
    this.#slabs.delete(oldest.id);
    oldest.drop();
    this.#held.add(oldest);
    for (const slab of this.#held) if (this.#heldBytes() > this.slabBytes && slab.isHeld) await slab.cut();
  }
}
