/**
 * The file that keeps purges: frames, each of which is
 *
 *   magic · bytes of the text · CRC-32 of the text · CRC-32 of these three words · text (JSON)
 *
 * The words are little-endian, of 32 bits. The first frame says what the table began with, each further one holds the
 * purges that were synced together.
 */
import { crc32 } from "node:zlib";
import type { NumberedPurge } from "./purge-table.ts";

const MAGIC = 0x31474350; // "PCG1"
const HEAD_BYTES = 16;

/** What a table begins with; see PurgeTable. */
export interface JournalStart {
  readonly epoch: number;
  readonly everything: { readonly soft: number; readonly hard: number };
}

const frameOf = (value: JournalStart | readonly NumberedPurge[]): Buffer => {
  const text = Buffer.from(JSON.stringify(value));
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt32LE(MAGIC, 0);
  head.writeUInt32LE(text.length, 4);
  head.writeUInt32LE(crc32(text), 8);
  head.writeUInt32LE(crc32(head.subarray(0, 12)), 12);
  return Buffer.concat([head, text]);
};

export const startFrame = (start: JournalStart): Buffer => frameOf(start);
export const purgesFrame = (purges: readonly NumberedPurge[]): Buffer => frameOf(purges);

/** Whether a frame's head, without its text, is whole at a position. */
const isHeadAt = (bytes: Buffer, at: number): boolean =>
  at + HEAD_BYTES <= bytes.length &&
  bytes.readUInt32LE(at) === MAGIC &&
  crc32(bytes.subarray(at, at + 12)) === bytes.readUInt32LE(at + 12);

const textAt = (bytes: Buffer, at: number): Buffer | undefined => {
  if (!isHeadAt(bytes, at)) return undefined;
  const text = bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + bytes.readUInt32LE(at + 4));
  const isWhole = text.length === bytes.readUInt32LE(at + 4) && crc32(text) === bytes.readUInt32LE(at + 8);
  return isWhole ? text : undefined;
};

/** What a journal's bytes say. */
export interface ReadPurges {
  /** Undefined when not even the first frame is whole. */
  readonly start: JournalStart | undefined;
  readonly purges: readonly NumberedPurge[];
  /**
   * `tail`: the last frame is not whole; most likely the power went before it was acknowledged. `body`: one before it
   * is not, which was.
   */
  readonly damage: "none" | "tail" | "body";
}

export const readPurges = (bytes: Buffer): ReadPurges => {
  const purges: NumberedPurge[] = [];
  const first = textAt(bytes, 0);
  if (!first) return { start: undefined, purges, damage: "body" };
  const start = JSON.parse(first.toString()) as JournalStart; // written by startFrame alone, and its CRC held
  let at = HEAD_BYTES + first.length;
  for (let text = textAt(bytes, at); text; text = textAt(bytes, at)) {
    for (const purge of JSON.parse(text.toString()) as NumberedPurge[]) purges.push(purge); // as above
    at += HEAD_BYTES + text.length;
  }
  if (at === bytes.length) return { start, purges, damage: "none" };
  const magic = Buffer.alloc(4);
  magic.writeUInt32LE(MAGIC);
  let next = bytes.indexOf(magic, at + 1);
  while (next >= 0 && !isHeadAt(bytes, next)) next = bytes.indexOf(magic, next + 1);
  return { start, purges, damage: next >= 0 ? "body" : "tail" };
};
