/**
 * A file of a cache: the content as it is, and behind it what it is a copy of, so that a folder explains itself without
 * its index and a torn file is seen.
 *
 *     content · head (JSON) · a checksum per block (kind "ranges") · footer of 36 bytes
 *
 * Footer, little endian: magic 8, head bytes 4, block count 4, content bytes 8, CRC-32 of the head 4, of the content 4
 * (0: not taken), of the footer up to here 4.
 */
import { createHash } from "node:crypto";
import { readSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { z } from "zod";
import { writeAll } from "../../lib/source/copy.ts";

const MAGIC = Buffer.from("CSTLNC01", "latin1");
const FOOTER_BYTES = 36;
const HEAD_BYTES_MAX = 16 * 1024; // paths have 1 KiB at most, versions and ETags less
const LOOK_BYTES = 1024; // most tails are shorter
const PART_BYTES_MAX = 200; // NAME_MAX is 255
const HASH_DIGITS = 32;
const CHECKSUM_BYTES = 4;

const Head = z.object({
  kind: z.enum(["whole", "ranges", "segment"]),
  /** Of the source. */
  path: z.string(),
  version: z.string(),
  /** What else tells entries of one version apart. */
  detail: z.string(),
  sizeBytes: z.int().min(0),
  modifiedMs: z.number().nullable(),
  etag: z.string().nullable(),
});
export type CacheHead = z.output<typeof Head>;

export interface CacheTail {
  readonly head: CacheHead;
  readonly contentBytes: number;
  readonly contentCrc: number;
  /** Where the checksums of blocks begin; `blockCount` of them. */
  readonly blocksAt: number;
  readonly blockCount: number;
}

const hashOf = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, HASH_DIGITS);

/** Names that begin with `=` are ours; a part of a path that does gets another one, and a long one its hash. */
const partOf = (part: string): string => {
  if (Buffer.byteLength(part) > PART_BYTES_MAX) return `=~${hashOf(part)}`;
  return part.startsWith("=") ? `=${part}` : part;
};

/** The folder of a source path's entries. A file and a folder of one name don't collide: entries begin with `=`. */
const cacheFolderOf = (path: string): string => path.split("/").map(partOf).join("/");

/** The entry of one version of a file; `detail` where there are several. */
export const cacheNameOf = ({ path, version, detail }: Pick<CacheHead, "path" | "version" | "detail">): string =>
  `${cacheFolderOf(path)}/=${hashOf(`${version}\n${detail}`)}`;

/** A checksum that is never 0, which means that there is none. */
export const checksumOf = (bytes: Uint8Array): number => crc32(bytes) || 1;

/** How long the tail is. */
export const tailBytesOf = (head: CacheHead, blockCount: number): number =>
  Buffer.byteLength(JSON.stringify(head)) + blockCount * CHECKSUM_BYTES + FOOTER_BYTES;

/** The tail behind `contentBytes` of content; checksums of blocks are 0. */
export const tailOf = (tail: Omit<CacheTail, "blocksAt">): Buffer => {
  const head = Buffer.from(JSON.stringify(tail.head));
  const bytes = Buffer.alloc(head.length + tail.blockCount * CHECKSUM_BYTES + FOOTER_BYTES);
  const footerAt = bytes.length - FOOTER_BYTES;
  head.copy(bytes);
  MAGIC.copy(bytes, footerAt);
  bytes.writeUInt32LE(head.length, footerAt + 8);
  bytes.writeUInt32LE(tail.blockCount, footerAt + 12);
  bytes.writeBigUInt64LE(BigInt(tail.contentBytes), footerAt + 16);
  bytes.writeUInt32LE(checksumOf(head), footerAt + 24);
  bytes.writeUInt32LE(tail.contentCrc, footerAt + 28);
  bytes.writeUInt32LE(checksumOf(bytes.subarray(footerAt, footerAt + 32)), footerAt + 32);
  return bytes;
};

/** Fills `target` from a place in a file; false when the file ends before. */
export const readFully = async (handle: FileHandle, target: Uint8Array, position: number): Promise<boolean> => {
  for (let done = 0; done < target.length; ) {
    const { bytesRead } = await handle.read(target, done, target.length - done, position + done);
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
};

/** Writes the tail of a file whose content is there, or will be. */
export const writeTail = (handle: FileHandle, tail: Omit<CacheTail, "blocksAt">): Promise<void> =>
  writeAll(handle, tailOf(tail), tail.contentBytes);

/** A tail in the last bytes of a file; a number: so many more have to be looked at; null: it is none, or torn. */
const tailIn = (end: Buffer, sizeBytes: number): CacheTail | number | null => {
  const footer = end.subarray(-FOOTER_BYTES);
  if (end.length < FOOTER_BYTES || !footer.subarray(0, 8).equals(MAGIC)) return null;
  if (footer.readUInt32LE(32) !== checksumOf(footer.subarray(0, 32))) return null;
  const headBytes = footer.readUInt32LE(8);
  const blockCount = footer.readUInt32LE(12);
  const contentBytes = Number(footer.readBigUInt64LE(16));
  const blocksAt = contentBytes + headBytes;
  if (headBytes > HEAD_BYTES_MAX || blocksAt + blockCount * CHECKSUM_BYTES + FOOTER_BYTES !== sizeBytes) return null;
  const tailBytes = sizeBytes - contentBytes;
  if (tailBytes > end.length) return tailBytes;
  const text = end.subarray(end.length - tailBytes, end.length - tailBytes + headBytes);
  if (footer.readUInt32LE(24) !== checksumOf(text)) return null;
  const head = Head.safeParse(JSON.parse(text.toString()));
  if (!head.success) return null;
  return { head: head.data, contentBytes, contentCrc: footer.readUInt32LE(28), blocksAt, blockCount };
};

/** The tail of a file of a cache; null when it is none, or torn. */
export const readTail = async (handle: FileHandle): Promise<CacheTail | null> => {
  const { size } = await handle.stat();
  for (let bytes = LOOK_BYTES; ; ) {
    const end = Buffer.alloc(Math.min(size, bytes));
    if (!(await readFully(handle, end, size - end.length))) return null;
    const tail = tailIn(end, size);
    if (typeof tail !== "number") return tail;
    bytes = tail;
  }
};

/** As `readTail`, at once: a folder of thousands is read while nobody is served yet. */
export const readTailSync = (fd: number, sizeBytes: number): CacheTail | null => {
  for (let bytes = LOOK_BYTES; ; ) {
    const end = Buffer.alloc(Math.min(sizeBytes, bytes));
    if (readSync(fd, end, 0, end.length, sizeBytes - end.length) < end.length) return null;
    const tail = tailIn(end, sizeBytes);
    if (typeof tail !== "number") return tail;
    bytes = tail;
  }
};
