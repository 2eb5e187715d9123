/** Reading a record: nothing is handed out that its checksum does not vouch for. */
import { BLOCK_BYTES, blockSum } from "./block-sum.ts";
import type { Place } from "./object-index.ts";
import { type Head, headLengthOf, readHead } from "./record.ts";
import type { Slab } from "./slab.ts";
import type { SlabLog } from "./slab-log.ts";

/** Why bytes of an object can't be had: damaged on the disk, dropped while it was read, or the disk failed. */
export type DiskReadReason = "corrupt" | "gone" | "failed";

export class DiskReadError extends Error {
  readonly reason: DiskReadReason;
  constructor(reason: DiskReadReason, cause?: unknown) {
    super(`an object on the disk can't be read: ${reason}`, { cause });
    this.reason = reason;
  }
}

/** An object that is read. Close it when done: until then it may keep a dropped slab's bytes on the disk. */
export interface DiskObject {
  readonly meta: Buffer;
  readonly sizeBytes: number;
  /**
   * Fills the whole target with the body's bytes from `offset`. Rejects with a DiskReadError, and then the target's
   * content means nothing. Takes as long as the disk: who stops waiting must not use the target for anything else.
   * Cheapest from a multiple of 256 KiB, 1 MiB or more at once: other pieces of a block are read and verified whole.
   */
  read(offset: number, target: Uint8Array): Promise<void>;
  close(): void;
}

/** Records up to this size are read by one call, head and body. */
const SMALL_BYTES = 64 * 1024;
const HEAD_GUESS_BYTES = 4 * 1024;
const READ_BYTES_MAX = 4 * BLOCK_BYTES;
/** 8 MiB: what reads that want parts of blocks may take, however many there are. */
const BLOCK_BUFFERS_MAX = 32;

/** Buffers of one block for reads that want a part of one; who finds none waits for its turn. */
export class BlockBuffers {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  #made = 0;

  async use<Result>(work: (buffer: Buffer) => Promise<Result>): Promise<Result> {
    const buffer = this.#free.pop() ?? (await this.#next());
    try {
      return await work(buffer);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(buffer);
      else this.#free.push(buffer);
    }
  }
  #next(): Buffer | Promise<Buffer> {
    if (this.#made === BLOCK_BUFFERS_MAX) return new Promise((resolve) => this.#waiting.push(resolve));
    this.#made += 1;
    return Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }
}

/** Reads from a slab; a short read is damage, or the end of a slab that was cut. */
const readFrom = async (slab: Slab, target: Uint8Array, position: number): Promise<void> => {
  let gotBytes = 0;
  slab.retain(); // a descriptor that is closed under a read may by then be another file's
  try {
    gotBytes = await slab.data.read(target, position);
  } catch (error) {
    throw new DiskReadError("failed", error);
  } finally {
    slab.release();
  }
  if (gotBytes < target.length) throw new DiskReadError(slab.isLive ? "corrupt" : "gone");
};

interface FoundHead {
  readonly head: Head;
  /** As much of the record as was read. */
  readonly start: Buffer;
}

const readHeadAt = async (slab: Slab, place: Omit<Place, "bodySlabId">): Promise<FoundHead> => {
  const { offset, sizeBytes } = place;
  const guessBytes = sizeBytes <= SMALL_BYTES ? sizeBytes : HEAD_GUESS_BYTES;
  let start = Buffer.allocUnsafe(guessBytes);
  await readFrom(slab, start, offset);
  const headBytes = headLengthOf(start);
  if (headBytes > guessBytes && headBytes <= sizeBytes) {
    start = Buffer.allocUnsafe(headBytes);
    await readFrom(slab, start, offset);
  }
  const head = readHead(start, place);
  if (!head) throw new DiskReadError("corrupt");
  return { head, start };
};

/** The record with the body, and the newest metadata: of two records when there are two. */
interface FoundRecord extends FoundHead {
  readonly meta: Buffer;
  /** Where the record with the body lies. */
  readonly bodyPlace: Omit<Place, "bodySlabId">;
}

const findRecord = async (place: Place, newest: Slab, withBody: Slab): Promise<FoundRecord> => {
  const found = await readHeadAt(newest, place);
  const { key, meta, bodyPlace } = found.head;
  if (!bodyPlace) return { ...found, meta, bodyPlace: place };
  const body = await readHeadAt(withBody, bodyPlace);
  if (bodyPlace.slabId !== withBody.id || body.head.key !== key) throw new DiskReadError("corrupt");
  return { ...body, meta, bodyPlace };
};

/** An open record, for the store itself. */
export interface OpenRecord extends DiskObject {
  readonly key: string;
  readonly bodyPlace: Omit<Place, "bodySlabId">;
}

/** Opens what the index points to; undefined when its slab is gone. Rejects with a DiskReadError. */
export const openRecord = async (
  log: SlabLog,
  place: Place,
  buffers: BlockBuffers,
): Promise<OpenRecord | undefined> => {
  const newest = log.retain(place.slabId);
  const withBody = log.retain(place.bodySlabId);
  try {
    if (!newest || !withBody) return undefined;
    const record = new StoredRecord(withBody, await findRecord(place, newest, withBody), buffers);
    withBody.retain();
    return record;
  } finally {
    newest?.release();
    withBody?.release();
  }
};

class StoredRecord implements OpenRecord {
  readonly key: string;
  readonly meta: Buffer;
  readonly sizeBytes: number;
  readonly bodyPlace: Omit<Place, "bodySlabId">;
  readonly #slab: Slab;
  readonly #bodyAt: number;
  readonly #sums: Uint32Array;
  readonly #buffers: BlockBuffers;
  /** A small record's body, which came with the head; one block at most. */
  readonly #small: Buffer | undefined;
  #isOpen = true;

  constructor(slab: Slab, { head, start, meta, bodyPlace }: FoundRecord, buffers: BlockBuffers) {
    this.key = head.key;
    this.meta = meta;
    this.sizeBytes = head.bodyBytes;
    this.bodyPlace = bodyPlace;
    this.#slab = slab;
    this.#bodyAt = bodyPlace.offset + head.headBytes;
    this.#sums = head.sums;
    this.#buffers = buffers;
    if (start.length === bodyPlace.sizeBytes) this.#small = start.subarray(head.headBytes);
  }

  async read(offset: number, target: Uint8Array): Promise<void> {
    if (!this.#isOpen) throw new Error("bug: an object is read after it was closed");
    const end = offset + target.length;
    if (offset < 0 || end > this.sizeBytes) throw new RangeError("bug: a read beyond the object's end");
    for (let at = offset; at < end; ) {
      const rest = target.subarray(at - offset);
      at += (await this.#readBlocks(at, rest)) || (await this.#readPart(at, rest));
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#slab.release();
  }

  /** Reads whole blocks straight into the target, as many as it covers: how many bytes that were. */
  async #readBlocks(at: number, target: Uint8Array): Promise<number> {
    if (at % BLOCK_BYTES !== 0 || this.#small) return 0;
    const isToTheEnd = at + target.length === this.sizeBytes;
    const wholeBytes = isToTheEnd ? target.length : target.length - (target.length % BLOCK_BYTES);
    const piece = target.subarray(0, Math.min(wholeBytes, READ_BYTES_MAX));
    if (piece.length > 0) await this.#readVerified(piece, at);
    return piece.length;
  }

  /** Reads a part of one block, by way of the whole one. */
  async #readPart(at: number, target: Uint8Array): Promise<number> {
    const blockAt = at - (at % BLOCK_BYTES);
    const blockBytes = Math.min(BLOCK_BYTES, this.sizeBytes - blockAt);
    const partBytes = Math.min(target.length, blockAt + blockBytes - at);
    const copy = (block: Buffer): void => target.set(block.subarray(at - blockAt, at - blockAt + partBytes));
    if (this.#small) {
      this.#verify(this.#small, 0);
      copy(this.#small);
      return partBytes;
    }
    await this.#buffers.use(async (buffer) => {
      const block = buffer.subarray(0, blockBytes);
      await this.#readVerified(block, blockAt);
      copy(block);
    });
    return partBytes;
  }

  async #readVerified(piece: Uint8Array, at: number): Promise<void> {
    await readFrom(this.#slab, piece, this.#bodyAt + at);
    this.#verify(piece, at / BLOCK_BYTES);
  }

  #verify(piece: Uint8Array, firstBlock: number): void {
    for (let at = 0, block = firstBlock; at < piece.length; at += BLOCK_BYTES, block += 1) {
      if (blockSum(piece.subarray(at, at + BLOCK_BYTES)) === this.#sums[block]) continue;
      throw new DiskReadError(this.#slab.isLive ? "corrupt" : "gone");
    }
  }
}
