/** Reads boxes that may be anything (ISO/IEC 14496-12 §4.2): no field outside its box, no box outside its parent. */
import { MovieError } from "./movie.ts";

/** Of one parent: a long fragment may have thousands of runs. */
const CHILDREN_MAX = 10_000;
const HEADER_BYTES = 8;
const LARGE_HEADER_BYTES = 16;

/** `reason` is half a sentence: it stands behind "is damaged:". */
export const damaged = (reason: string): never => {
  throw new MovieError("damaged", reason);
};
/** `reason` is half a sentence: it stands behind "can't be served:". */
export const unsupported = (reason: string): never => {
  throw new MovieError("unsupported", reason);
};

/** Four characters for a message, whatever bytes they are. */
export const printable = (type: string): string => type.replace(/[^\x20-\x7e]/g, "?");

/** Copies into memory of its own, so that a few bytes don't keep a large buffer. */
export const ownCopy = (bytes: Uint8Array): Buffer => {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
};

/** A table in memory of its own. */
export const ownView = (view: DataView): DataView =>
  new DataView(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));

/** A view of one box. Positions are counted from the first byte after its header. */
export class BoxView {
  readonly type: string;
  /** Header and body. */
  readonly whole: Buffer;
  readonly body: Buffer;
  #children: readonly BoxView[] | undefined;

  constructor(type: string, whole: Buffer, headerBytes: number) {
    this.type = type;
    this.whole = whole;
    this.body = whole.subarray(headerBytes);
  }

  get bytes(): number {
    return this.body.length;
  }

  u8(at: number): number {
    return this.body[this.#checked(at, 1)] ?? 0;
  }
  u16(at: number): number {
    return this.body.readUInt16BE(this.#checked(at, 2));
  }
  u24(at: number): number {
    return this.body.readUIntBE(this.#checked(at, 3), 3);
  }
  u32(at: number): number {
    return this.body.readUInt32BE(this.#checked(at, 4));
  }
  i32(at: number): number {
    return this.body.readInt32BE(this.#checked(at, 4));
  }
  /** Exact below 2^53; what is above is no size, offset or time of any file. */
  u64(at: number): number {
    const value = this.u32(at) * 2 ** 32 + this.u32(at + 4);
    return Number.isSafeInteger(value) ? value : damaged(`${this.type}: a number above 2^53`);
  }
  i64(at: number): number {
    const value = this.i32(at) * 2 ** 32 + this.u32(at + 4);
    return Number.isSafeInteger(value) ? value : damaged(`${this.type}: a number above 2^53`);
  }

  /** Version and flags of a full box (§4.2). */
  get version(): number {
    return this.u8(0);
  }
  get flags(): number {
    return this.u24(1);
  }

  slice(at: number, length: number): Buffer {
    return this.body.subarray(this.#checked(at, length), at + length);
  }
  /** A view of a table of `count` entries; the count is the file's word, the box decides. */
  table(at: number, count: number, entryBytes: number): DataView {
    const bytes = Math.ceil(count * entryBytes);
    if (at + bytes > this.bytes) damaged(`${this.type}: ${count} entries don't fit into a box of ${this.bytes} bytes`);
    return new DataView(this.body.buffer, this.body.byteOffset + at, bytes);
  }

  /** Boxes inside this one, behind its header. */
  children(): readonly BoxView[] {
    this.#children ??= boxesIn(this.body, 0, this.type);
    return this.#children;
  }
  /** Boxes behind fields of so many bytes. */
  childrenAfter(fieldBytes: number): BoxView[] {
    return boxesIn(this.body, fieldBytes, this.type);
  }
  /** The first child of a type. */
  child(type: string): BoxView | undefined {
    return this.children().find((box) => box.type === type);
  }
  /** The first box at a path of types. */
  find(...path: readonly string[]): BoxView | undefined {
    let box: BoxView | undefined = this;
    for (const type of path) box = box?.child(type);
    return box;
  }
  /** A box without which the file makes no sense. */
  need(...path: readonly string[]): BoxView {
    return this.find(...path) ?? damaged(`${this.type} without ${path.join("/")}`);
  }

  #checked(at: number, length: number): number {
    if (at < 0 || at + length > this.bytes) damaged(`${printable(this.type)} ends before its fields do`);
    return at;
  }
}

/** Size of a header (§4.2), and of the box as told; null: it runs to the end of what surrounds it. */
export const boxHeader = (bytes: Buffer, at: number): { headerBytes: number; sizeBytes: number | null } | null => {
  const size = bytes.readUInt32BE(at);
  if (size === 0) return { headerBytes: HEADER_BYTES, sizeBytes: null };
  if (size !== 1) return { headerBytes: HEADER_BYTES, sizeBytes: size };
  if (at + LARGE_HEADER_BYTES > bytes.length) return null;
  const large = bytes.readUInt32BE(at + 8) * 2 ** 32 + bytes.readUInt32BE(at + 12);
  return { headerBytes: LARGE_HEADER_BYTES, sizeBytes: large };
};

/** Boxes of `bytes` from `from` on; fewer than eight bytes at the end (QuickTime's terminators) are none. */
export const boxesIn = (bytes: Buffer, from: number, parent: string): BoxView[] => {
  const boxes: BoxView[] = [];
  for (let at = from; at + HEADER_BYTES <= bytes.length; ) {
    const type = bytes.toString("latin1", at + 4, at + HEADER_BYTES);
    const header = boxHeader(bytes, at);
    const size = header?.sizeBytes ?? bytes.length - at;
    if (!header || size < header.headerBytes || size > bytes.length - at)
      return damaged(`${printable(parent)}: a box of ${size} bytes does not fit: ${printable(type)}`);
    if (boxes.length === CHILDREN_MAX) return damaged(`${printable(parent)}: more than ${CHILDREN_MAX} boxes`);
    boxes.push(new BoxView(type, bytes.subarray(at, at + size), header.headerBytes));
    at += size;
  }
  return boxes;
};
