/** Walks the boxes of a file by their headers (ISO/IEC 14496-12 §4.2), so that its size does not matter. */
import { boxHeader, damaged, ownCopy, printable, unsupported } from "./box-view.ts";
import type { RangeReader } from "./movie.ts";

const KIB = 1024;
/** The first read: `ftyp` and, where `moov` comes first and the file is short, all that is wanted. */
const FIRST_READ_BYTES = 64 * KIB;
/** Boxes whose headers are read with what follows: a short `moov` behind the media takes one read. */
const BOXES_READ_AHEAD = 8;
/** 9 hours of film have a `moov` of 20 MiB. */
const MOOV_BYTES_MAX = 256 * KIB * KIB;
const HEADER_BYTES = 16; // with a 64-bit size

/** A box of the file: nothing of its body has been read. */
export interface FileBox {
  readonly type: string;
  readonly offset: number;
  readonly headerBytes: number;
  readonly sizeBytes: number;
}

/** Reads headers, from the bytes of the last read where they are in it. */
export class FileWalk {
  readonly #reader: RangeReader;
  #window: Buffer = Buffer.alloc(0);
  #windowAt = 0;

  constructor(reader: RangeReader) {
    this.#reader = reader;
  }

  get sizeBytes(): number {
    return this.#reader.sizeBytes;
  }

  /** The box that begins at `offset`; `aheadBytes` are read with its header, for what comes next. */
  async boxAt(offset: number, aheadBytes: number): Promise<FileBox> {
    const left = this.sizeBytes - offset;
    if (left < 8) return damaged(`${left} bytes behind the last box`);
    const bytes = await this.#bytes(offset, Math.min(HEADER_BYTES, left), aheadBytes);
    const type = bytes.toString("latin1", 4, 8);
    const header = boxHeader(bytes, 0);
    const size = header?.sizeBytes ?? left;
    if (!header || size < header.headerBytes || size > left)
      return damaged(`a box of ${size} bytes at ${offset} of ${this.sizeBytes}: ${printable(type)}`);
    return { type, offset, headerBytes: header.headerBytes, sizeBytes: size };
  }

  /** Type of the box that begins at `offset`, whatever else its header says. */
  async typeAt(offset: number, aheadBytes: number): Promise<string> {
    return (await this.#bytes(offset, 8, aheadBytes)).toString("latin1", 4, 8);
  }

  /** All of a box, in memory of its own. */
  async whole({ offset, sizeBytes }: FileBox): Promise<Buffer> {
    const at = offset - this.#windowAt;
    if (at >= 0 && at + sizeBytes <= this.#window.length) return ownCopy(this.#window.subarray(at, at + sizeBytes));
    return this.#reader.read(offset, sizeBytes);
  }

  async #bytes(offset: number, length: number, aheadBytes: number): Promise<Buffer> {
    if (offset < this.#windowAt || offset + length > this.#windowAt + this.#window.length) {
      this.#window = await this.#reader.read(offset, Math.min(Math.max(length, aheadBytes), this.sizeBytes - offset));
      this.#windowAt = offset;
    }
    const at = offset - this.#windowAt;
    return this.#window.subarray(at, at + length);
  }
}

/** Boxes before `moov` that a file of ours may have; more is an attempt to keep us reading. */
const BOXES_MAX = 10_000;
/** Types with which a file of this family begins (§4.3; QuickTime File Format: files without `ftyp`). */
const FIRST_TYPES = new Set(["ftyp", "styp", "moov", "mdat", "free", "skip", "wide", "pnot", "uuid", "pdin", "sidx"]);

export interface FoundMoov {
  readonly moov: Buffer;
  /** Where fragments may begin: at the first one before `moov`, else behind it. */
  readonly fragmentsFrom: number;
}

/** Looks for `moov` from the file's beginning and reads the whole of it. */
export const readMoov = async (walk: FileWalk): Promise<FoundMoov> => {
  let firstMoof: number | null = null;
  if (walk.sizeBytes < 8 || !FIRST_TYPES.has(await walk.typeAt(0, FIRST_READ_BYTES))) unsupported("it is no MP4 file");
  for (let offset = 0, count = 0; offset < walk.sizeBytes; count += 1) {
    if (count === BOXES_MAX) damaged(`no moov within the first ${BOXES_MAX} boxes`);
    const box = await walk.boxAt(offset, count < BOXES_READ_AHEAD ? FIRST_READ_BYTES : 0);
    if (box.type === "moov") {
      if (box.sizeBytes > MOOV_BYTES_MAX)
        unsupported(`its moov has ${box.sizeBytes} bytes: ${MOOV_BYTES_MAX} are taken`);
      return { moov: await walk.whole(box), fragmentsFrom: firstMoof ?? offset + box.sizeBytes };
    }
    if (box.type === "moof") firstMoof ??= offset;
    offset += box.sizeBytes;
  }
  return damaged("it has no moov box: it was not finished, or is cut off");
};
