/**
 * Decrypts SAMPLE-AES in a transport stream, by OpenSSL and as Apple's "MPEG-2 Stream Encryption Format for HTTP Live
 * Streaming" says.
 */
import { createDecipheriv } from "node:crypto";
import { unitsInStream } from "./compare.ts";
import type { ServedSegment, Unit } from "./served.ts";

export interface SampleKey {
  readonly key: Buffer;
  readonly iv: Buffer;
}

const BLOCK = 16;
const SLICES = [1, 5];
const START = Buffer.from([0, 0, 1]);

/** Whole blocks, from the IV on. */
const clearBlocks = (blocks: Buffer, { key, iv }: SampleKey): Buffer =>
  createDecipheriv("aes-128-cbc", key, iv).setAutoPadding(false).update(blocks);

/** Without one layer of emulation prevention (H.264 §7.4.1.1). */
const unescaped = (bytes: Buffer): Buffer => {
  const pieces: Buffer[] = [];
  let from = 0;
  for (let at = bytes.indexOf("\0\0\x03"); at >= 0; at = bytes.indexOf("\0\0\x03", at + 3)) {
    pieces.push(bytes.subarray(from, at + 2));
    from = at + 3;
  }
  return Buffer.concat([...pieces, bytes.subarray(from)]);
};

/** A slice of more than 48 bytes: 32 are clear, then one block of ten is encrypted, but not the last one. */
const clearNal = (nal: Buffer, secret: SampleKey): Buffer => {
  if (nal.length <= 48 || !SLICES.includes((nal[0] ?? 0) & 31)) return nal;
  const slice = unescaped(nal);
  const places: number[] = [];
  for (let at = 32; slice.length - at > BLOCK; at += 10 * BLOCK) places.push(at);
  const clear = clearBlocks(Buffer.concat(places.map((at) => slice.subarray(at, at + BLOCK))), secret);
  for (const [index, at] of places.entries()) clear.copy(slice, at, index * BLOCK, (index + 1) * BLOCK);
  return slice;
};

/** Frames with ADTS headers of seven bytes: sixteen more are clear, and what is behind the last whole block. */
const clearFrames = (bytes: Buffer, secret: SampleKey): Buffer => {
  const clear = Buffer.from(bytes);
  for (let at = 0; at < clear.length; ) {
    const end = at + ((clear.readUIntBE(at + 3, 3) >> 5) & 0x1fff);
    const from = at + 7 + BLOCK;
    const to = from + Math.floor(Math.max(0, end - from) / BLOCK) * BLOCK;
    if (to > from) clearBlocks(clear.subarray(from, to), secret).copy(clear, from);
    at = end;
  }
  return clear;
};

/** The same segment in the clear. */
export const decryptedSegment = ({ video, audio }: ServedSegment<Unit>, secret: SampleKey): ServedSegment<Unit> => ({
  video: video.map(({ bytes, ptsSeconds }) => {
    const units = unitsInStream(bytes).flatMap((nal) => [START, clearNal(nal, secret)]);
    return { ptsSeconds, bytes: Buffer.concat(units) };
  }),
  audio: audio.map(({ bytes, ptsSeconds }) => ({ ptsSeconds, bytes: clearFrames(bytes, secret) })),
});
