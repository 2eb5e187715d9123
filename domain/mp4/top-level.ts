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
const SHORT_HEADER_BYTES = 8;
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

  /** Type of the first box, whatever else its header says; empty in a file that is too short for one. */
  async firstType(aheadBytes: number): Promise<string> {
    if (this.sizeBytes < SHORT_HEADER_BYTES) return "";
    await this.#load(0, aheadBytes);
    return this.#window.toString("latin1", 4, SHORT_HEADER_BYTES);
  }

  /** The box that begins at `offset`; `aheadBytes` are read with its header, for what comes next. */
  async boxAt(offset: number, aheadBytes: number): Promise<FileBox> {
    if (!this.holds(offset)) await this.#load(offset, aheadBytes);
    return this.boxHere(offset);
  }

  /** Whether the header of a box at `offset` has been read. */
  holds(offset: number): boolean {
    const end = Math.min(offset + HEADER_BYTES, this.sizeBytes);
    return offset >= this.#windowAt && end <= this.#windowAt + this.#window.length;
  }
  /** The box at `offset`, whose header has been read. */
  boxHere(offset: number): FileBox {
    const left = this.sizeBytes - offset;
    if (left < SHORT_HEADER_BYTES) return damaged(`${left} bytes behind the last box`);
    const at = offset - this.#windowAt;
    const type = this.#window.toString("latin1", at + 4, at + SHORT_HEADER_BYTES);
    const header = boxHeader(this.#window, at);
    const size = header?.sizeBytes ?? left;
    if (!header || size < header.headerBytes || size > left)
      return damaged(`a box of ${size} bytes at ${offset} of ${this.sizeBytes}: ${printable(type)}`);
    return { type, offset, headerBytes: header.headerBytes, sizeBytes: size };
  }

  /** All of a box, if it has been read with its header: a view that lasts. */
  wholeHere({ offset, sizeBytes }: FileBox): Buffer | null {
    const at = offset - this.#windowAt;
    return at >= 0 && at + sizeBytes <= this.#window.length ? this.#window.subarray(at, at + sizeBytes) : null;
  }
  /** All of a box, in memory of its own. */
  async whole(box: FileBox): Promise<Buffer> {
    const here = this.wholeHere(box);
    return here ? ownCopy(here) : this.#reader.read(box.offset, box.sizeBytes);
  }

  async #load(offset: number, aheadBytes: number): Promise<void> {
    const length = Math.min(Math.max(HEADER_BYTES, aheadBytes), this.sizeBytes - offset);
    this.#window = length > 0 ? await this.#reader.read(offset, length) : Buffer.alloc(0);
    this.#windowAt = offset;
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
  if (!FIRST_TYPES.has(await walk.firstType(FIRST_READ_BYTES))) unsupported("it is no MP4 file");
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
