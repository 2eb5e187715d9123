/** What stands around the data of a chunked body (RFC 9112 §7.1), byte by byte; the data is its reader's. */
import { CR, IS_VALUE, LF, SP, TAB } from "./raw-bytes.ts";

/** What one side puts up with. */
export interface ChunkRules {
  /** Hexadecimal digits of a chunk's size. */
  readonly sizeDigitsMax: number;
  /** Extensions and trailers of one body, all of which are dropped. */
  readonly extraBytesMax: number;
  /** White space behind a size: bad (RFC 9112 §7.1.1), and common among servers. */
  readonly allowsSpace: boolean;
}

const SEMICOLON = 0x3b;

/** size → (extension →) line end → data → its end → size …; after size 0: trailers → end. */
type At =
  | "size"
  | "extension"
  | "size-lf"
  | "data"
  | "data-cr"
  | "data-lf"
  | "line"
  | "trailer"
  | "trailer-lf"
  | "last-lf";

const hexOf = (byte: number): number => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
};

export class ChunkFraming {
  /** The last chunk and its trailers were read. */
  isDone = false;
  /** Why it can't be read on, for people. */
  fault: string | undefined;
  /** Data of the chunk at hand that is still to come. */
  leftBytes = 0;
  readonly #rules: ChunkRules;
  #at: At = "size";
  #digits = 0;
  #extraBytes = 0;

  constructor(rules: ChunkRules) {
    this.#rules = rules;
  }

  /** Whether the next byte is data: `took` is to be told of it, not `read`. */
  get isAtData(): boolean {
    return this.#at === "data";
  }

  /** So much data was read, at most `leftBytes`. */
  took(bytes: number): void {
    this.leftBytes -= bytes;
    if (this.leftBytes === 0) this.#at = "data-cr";
  }

  /** One byte that is not data. */
  read(byte: number): void {
    switch (this.#at) {
      case "size":
        this.#size(byte);
        break;
      case "extension":
        if (byte === CR) this.#at = "size-lf";
        else this.#extra(byte);
        break;
      case "size-lf":
        this.#expect(byte, LF, this.leftBytes === 0 ? "line" : "data");
        break;
      case "data-cr":
        this.#expect(byte, CR, "data-lf");
        break;
      case "data-lf":
        this.#digits = 0;
        this.#expect(byte, LF, "size");
        break;
      case "line":
        this.#at = byte === CR ? "last-lf" : "trailer";
        if (byte !== CR) this.#extra(byte);
        break;
      case "trailer":
        if (byte === CR) this.#at = "trailer-lf";
        else this.#extra(byte);
        break;
      case "trailer-lf":
        this.#expect(byte, LF, "line");
        break;
      case "last-lf":
        if (byte === LF) this.isDone = true;
        else this.fault = "a CR stands alone";
        break;
    }
  }

  #size(byte: number): void {
    const digit = hexOf(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.leftBytes = this.leftBytes * 16 + digit;
      if (this.#digits > this.#rules.sizeDigitsMax) this.fault = "a chunk's size is no size";
    } else if (this.#digits > 0 && byte === CR) {
      this.#at = "size-lf";
    } else if (this.#digits > 0 && (byte === SEMICOLON || (this.#rules.allowsSpace && (byte === SP || byte === TAB)))) {
      this.#at = "extension";
    } else {
      this.fault = "a chunk's size is no size";
    }
  }

  #extra(byte: number): void {
    this.#extraBytes += 1;
    if (IS_VALUE[byte] !== 1) this.fault = "a chunk has a control character";
    else if (this.#extraBytes > this.#rules.extraBytesMax) this.fault = "its chunks have too much beside their data";
  }

  #expect(byte: number, expected: number, next: At): void {
    if (byte === expected) this.#at = next;
    else this.fault = "a chunk does not end where it says";
  }
}
