/**
 * The index journal of a slab: what a start reads instead of the data. A header, then batches; all words are 32 bits,
 * little-endian, six to a line:
 *
 *   header   magic · slab · seed of the key hash (2) · 0 · CRC of the five
 *   batch    magic · its number in this journal, from 0 · entries · sealed (0, 1) · end of the data · CRC of all else
 *   entry    hash of the key (2) · kind + 4 × how many slabs back the record lies · offset · bytes · CRC of its head
 *
 * The journal ends before the first batch that is not whole. A sealed one is its slab's last.
 */
import { endianness } from "node:os";
import { crc32 } from "node:zlib";
import type { KeyHash } from "./key-hash.ts";

const HEADER_MAGIC = 0x314a4443; // "CDJ1"
const BATCH_MAGIC = 0x31424443; // "CDB1"
const LINE_WORDS = 6;
export const LINE_BYTES = LINE_WORDS * 4;
if (endianness() !== "LE") throw new Error("the disk tier needs a little-endian processor");

export const ENTRY_KINDS = { put: 1, metadata: 2, remove: 3 } as const;
const KINDS = 4;
export type EntryKind = (typeof ENTRY_KINDS)[keyof typeof ENTRY_KINDS];

/** One change of the index. Of a removal only the hash counts. */
export interface JournalEntry {
  readonly hash: KeyHash;
  readonly kind: EntryKind;
  /** The record's slab: the journal's own, or the one before when that one's journal had no room left. */
  readonly slabId: number;
  readonly offset: number;
  readonly sizeBytes: number;
  readonly headCrc: number;
}

/** What a batch says besides its entries. */
export interface BatchHead {
  /** The journal's. */
  readonly slabId: number;
  readonly number: number;
  readonly isSealed: boolean;
  /** All that the slab's data file holds up to here was synced before this batch was written. */
  readonly dataBytes: number;
}

const bytesOf = (words: Uint32Array): Buffer => Buffer.from(words.buffer, words.byteOffset, words.byteLength);
/** Over a line without its last word, and what follows the line. */
const crcOf = (words: Uint32Array): number =>
  crc32(bytesOf(words.subarray(LINE_WORDS)), crc32(bytesOf(words.subarray(0, LINE_WORDS - 1))));

/** A journal's first line. */
export const headerOf = (slabId: number, seed: KeyHash): Buffer => {
  const words = Uint32Array.of(HEADER_MAGIC, slabId, seed.low, seed.high, 0, 0);
  words[LINE_WORDS - 1] = crcOf(words);
  return bytesOf(words);
};

/** A batch as it is written. */
export const batchOf = (head: BatchHead, entries: readonly JournalEntry[]): Buffer => {
  const words = new Uint32Array((entries.length + 1) * LINE_WORDS);
  words.set([BATCH_MAGIC, head.number, entries.length, head.isSealed ? 1 : 0, head.dataBytes]);
  entries.forEach(({ hash, kind, slabId, offset, sizeBytes, headCrc }, index) => {
    const kindAndSlab = kind + (head.slabId - slabId) * KINDS;
    words.set([hash.low, hash.high, kindAndSlab, offset, sizeBytes, headCrc], (index + 1) * LINE_WORDS);
  });
  words[LINE_WORDS - 1] = crcOf(words);
  return bytesOf(words);
};

/** What a journal says, as far as it is whole. */
export interface ReadJournal {
  readonly seed: KeyHash;
  /** Whole batches' entries as they lie in the file: they are walked, never made into objects. */
  readonly batches: readonly Uint32Array[];
  /** Where the next batch goes. */
  readonly journalBytes: number;
  readonly dataBytes: number;
  readonly isSealed: boolean;
}

/** Reads a journal's bytes; undefined when not even its header is whole. */
export const readJournal = (bytes: ArrayBuffer, slabId: number): ReadJournal | undefined => {
  const words = new Uint32Array(bytes, 0, Math.floor(bytes.byteLength / 4));
  const header = words.subarray(0, LINE_WORDS);
  if (header.length < LINE_WORDS || header[0] !== HEADER_MAGIC || header[1] !== slabId) return undefined;
  if (crcOf(header) !== header[LINE_WORDS - 1]) return undefined;
  const batches: Uint32Array[] = [];
  let at = LINE_WORDS;
  let dataBytes = 0;
  let isSealed = false;
  while (!isSealed && words[at] === BATCH_MAGIC && words[at + 1] === batches.length) {
    const end = at + LINE_WORDS * (1 + (words[at + 2] ?? 0));
    if (end > words.length || crcOf(words.subarray(at, end)) !== words[at + LINE_WORDS - 1]) break;
    batches.push(words.subarray(at + LINE_WORDS, end));
    isSealed = words[at + 3] === 1;
    dataBytes = words[at + 4] ?? 0;
    at = end;
  }
  const seed = { low: header[2] ?? 0, high: header[3] ?? 0 };
  return { seed, batches, journalBytes: at * 4, dataBytes, isSealed };
};

/** Calls back with each entry of a batch from the journal of a slab, in order. */
export const eachEntry = (batch: Uint32Array, slabId: number, take: (entry: JournalEntry) => void): void => {
  const word = (at: number): number => batch[at] ?? 0;
  for (let at = 0; at < batch.length; at += LINE_WORDS) {
    const hash = { low: word(at), high: word(at + 1) };
    const kind = (word(at + 2) % KINDS) as EntryKind; // written by batchOf alone, and the batch's CRC held
    const back = Math.floor(word(at + 2) / KINDS);
    take({ hash, kind, slabId: slabId - back, offset: word(at + 3), sizeBytes: word(at + 4), headCrc: word(at + 5) });
  }
};
