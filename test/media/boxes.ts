/** Edits boxes of whole files, to make inputs that ffmpeg does not write (ISO/IEC 14496-12 §4.2). */

/** Bytes before the boxes in a box, where they are not its header alone. */
const FIELDS: Readonly<Record<string, number>> = { stsd: 16, dref: 16, avc1: 86, mp4a: 36 };

const childrenAt = (box: Buffer): number => FIELDS[box.toString("latin1", 4, 8)] ?? 8;

const splitAt = (bytes: Buffer, from: number): Buffer[] => {
  const boxes: Buffer[] = [];
  for (let at = from; at < bytes.length; at += boxes.at(-1)?.length ?? 0) {
    const size = bytes.readUInt32BE(at) === 1 ? Number(bytes.readBigUInt64BE(at + 8)) : bytes.readUInt32BE(at);
    boxes.push(bytes.subarray(at, at + size));
  }
  return boxes;
};

/** The boxes of a file. */
export const topLevel = (file: Buffer): Buffer[] => splitAt(file, 0);
export const typeOf = (box: Buffer): string => box.toString("latin1", 4, 8);

/** A box with this content. */
export const boxOf = (type: string, ...parts: readonly Uint8Array[]): Buffer => {
  const body = Buffer.concat(parts);
  const header = Buffer.alloc(8);
  header.writeUInt32BE(8 + body.length);
  header.write(type, 4, "latin1");
  return Buffer.concat([header, body]);
};

export type Change = (box: Buffer, index: number) => Buffer;

const editIn = (box: Buffer, path: readonly string[], change: Change): Buffer => {
  const at = childrenAt(box);
  return boxOf(typeOf(box), box.subarray(8, at), ...changed(splitAt(box, at), path, change));
};

const changed = (boxes: readonly Buffer[], [type = "", ...rest]: readonly string[], change: Change): Buffer[] => {
  let index = -1;
  return boxes.map((box) => {
    if (typeOf(box) !== type) return box;
    index += 1;
    return rest.length === 0 ? change(Buffer.from(box), index) : editIn(box, rest, change);
  });
};

/**
 * The file with each box at a path of types replaced; `index` counts those with the same parent. Sizes above it follow,
 * chunk offsets don't: `moov` has to be behind the media.
 */
export const edit = (file: Buffer, path: string, change: Change): Buffer =>
  Buffer.concat(changed(topLevel(file), path.split("/"), change));

/** 32-bit numbers, big endian; more of them than a call takes arguments come as one list. */
export const u32 = (...numbers: readonly (number | readonly number[])[]): Buffer => {
  const all = numbers.flat() as readonly number[];
  const bytes = Buffer.alloc(all.length * 4);
  for (const [index, number] of all.entries()) bytes.writeUInt32BE(number >>> 0, index * 4);
  return bytes;
};
/** The 32-bit numbers of a box from `at` on. */
export const numbersOf = (box: Buffer, at: number): number[] =>
  Array.from({ length: Math.floor((box.length - at) / 4) }, (_, index) => box.readUInt32BE(at + index * 4));
