/**
 * A record: what the data file of a slab holds, one after the other. All numbers are little-endian words of 32 bits.
 *
 *   magic · CRC of the rest of the head · key bytes and kind · metadata bytes · body bytes
 *   · (kind "metadata":) slab, offset, bytes and head CRC of the record with the body
 *   · a sum per block of 256 KiB of the body · key (UTF-8) · metadata         that was the head; then the body
 */
import { crc32 } from "node:zlib";
import { BLOCK_BYTES, blockCountOf, blockSum } from "./block-sum.ts";
import type { Place } from "./object-index.ts";

const MAGIC = 0x31534443; // "CDS1"
const FIXED_BYTES = 9 * 4;
const CRC_FROM = 8;
const METADATA_ONLY = 0x1_0000;

export const KEY_BYTES_MAX = 0xffff;
export const META_BYTES_MAX = 64 * 1024;

/** Where the body's record lies, of a record that has only metadata. */
export type BodyPlace = Omit<Place, "bodySlabId">;

/** What a record's head says. */
export interface Head {
  readonly key: string;
  readonly meta: Buffer;
  /** The head's own length: where the body begins in the record. */
  readonly headBytes: number;
  readonly bodyBytes: number;
  readonly sums: Uint32Array;
  readonly headCrc: number;
  readonly bodyPlace: BodyPlace | undefined;
}

/** The length of the head of a record with this key (UTF-8), metadata and body. */
export const headBytesOf = (parts: { keyBytes: number; metaBytes: number; bodyBytes: number }): number =>
  FIXED_BYTES + blockCountOf(parts.bodyBytes) * 4 + parts.keyBytes + parts.metaBytes;

/** Writes a head into `target`, which is as long as `headBytesOf` says; its CRC. */
export const writeHead = (
  target: Buffer,
  parts: { key: Buffer; meta: Buffer; bodyBytes: number; sums: Uint32Array; bodyPlace?: BodyPlace },
): number => {
  const { key, meta, bodyBytes, sums, bodyPlace } = parts;
  target.writeUInt32LE(MAGIC, 0);
  target.writeUInt32LE((bodyPlace ? METADATA_ONLY : 0) | key.length, 8);
  target.writeUInt32LE(meta.length, 12);
  target.writeUInt32LE(bodyBytes, 16);
  target.writeUInt32LE(bodyPlace?.slabId ?? 0, 20);
  target.writeUInt32LE(bodyPlace?.offset ?? 0, 24);
  target.writeUInt32LE(bodyPlace?.sizeBytes ?? 0, 28);
  target.writeUInt32LE(bodyPlace?.headCrc ?? 0, 32);
  let at = FIXED_BYTES;
  for (const sum of sums) at = target.writeUInt32LE(sum, at);
  key.copy(target, at);
  meta.copy(target, at + key.length);
  const crc = crc32(target.subarray(CRC_FROM, at + key.length + meta.length));
  target.writeUInt32LE(crc, 4);
  return crc;
};

/** How long the head is that begins here, as far as one may believe a head that is not verified yet; 0: it is none. */
export const headLengthOf = (start: Buffer): number => {
  if (start.length < FIXED_BYTES || start.readUInt32LE(0) !== MAGIC) return 0;
  const metaBytes = start.readUInt32LE(12);
  if (metaBytes > META_BYTES_MAX) return 0;
  return headBytesOf({ keyBytes: start.readUInt32LE(8) & 0xffff, metaBytes, bodyBytes: start.readUInt32LE(16) });
};

/** A head that is whole and the one that the index means; undefined when it is not. */
export const readHead = (record: Buffer, { headCrc, sizeBytes }: Pick<Place, "headCrc" | "sizeBytes">) => {
  const headBytes = headLengthOf(record);
  if (headBytes === 0 || headBytes > record.length) return undefined;
  const crc = record.readUInt32LE(4);
  if (crc !== headCrc || crc32(record.subarray(CRC_FROM, headBytes)) !== crc) return undefined;
  const kind = record.readUInt32LE(8);
  const keyBytes = kind & 0xffff;
  const bodyBytes = record.readUInt32LE(16);
  if (headBytes + bodyBytes !== sizeBytes) return undefined;
  const sums = Uint32Array.from({ length: blockCountOf(bodyBytes) }, (_, block) =>
    record.readUInt32LE(FIXED_BYTES + block * 4),
  );
  const keyAt = FIXED_BYTES + sums.length * 4;
  const head: Head = {
    key: record.toString("utf8", keyAt, keyAt + keyBytes),
    meta: Buffer.from(record.subarray(keyAt + keyBytes, headBytes)),
    headBytes,
    bodyBytes,
    sums,
    headCrc: crc,
    bodyPlace: kind & METADATA_ONLY ? bodyPlaceIn(record) : undefined,
  };
  return head;
};

const bodyPlaceIn = (record: Buffer): BodyPlace => ({
  slabId: record.readUInt32LE(20),
  offset: record.readUInt32LE(24),
  sizeBytes: record.readUInt32LE(28),
  headCrc: record.readUInt32LE(32),
});

/** Copies the next bytes of a body that comes in parts, whatever their lengths. */
export class BodyParts {
  readonly #parts: readonly Uint8Array[];
  #part = 0;
  #at = 0;
  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
  }
  /** Fills the target; there must be enough left. */
  take(target: Uint8Array): void {
    for (let filled = 0; filled < target.length; ) {
      const part = this.#parts[this.#part];
      if (!part) throw new Error("bug: a body is shorter than its parts");
      const piece = part.subarray(this.#at, this.#at + target.length - filled);
      target.set(piece, filled);
      filled += piece.length;
      this.#at += piece.length;
      if (this.#at === part.length) {
        this.#part += 1;
        this.#at = 0;
      }
    }
  }
}

/** Sums the blocks of a piece of a body that begins at a block's border. */
export const sumBlocks = (piece: Uint8Array, sums: Uint32Array, firstBlock: number): void => {
  for (let at = 0, block = firstBlock; at < piece.length; at += BLOCK_BYTES, block += 1) {
    sums[block] = blockSum(piece.subarray(at, at + BLOCK_BYTES));
  }
};
