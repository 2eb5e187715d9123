/** Where the body of an answer ends, by its length, its chunks or the connection (RFC 9112 §6.3, §7.1). */
import { UpstreamError } from "../upstream.ts";
import type { AnswerHead } from "./answer-head.ts";

export interface BodyReader {
  readonly isDone: boolean;
  /** Puts the content of `bytes` from `from` on into `pieces`; gives where the body ended, or the end of the bytes. */
  read(bytes: Buffer, from: number, pieces: Buffer[]): number;
  /** The connection has ended: an UpstreamError when the body is not whole. */
  end(): void;
}

class LengthReader implements BodyReader {
  #leftBytes: number;
  constructor(sizeBytes: number) {
    this.#leftBytes = sizeBytes;
  }
  get isDone(): boolean {
    return this.#leftBytes === 0;
  }
  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    const to = Math.min(bytes.length, from + this.#leftBytes);
    this.#leftBytes -= to - from;
    if (to > from) pieces.push(from === 0 && to === bytes.length ? bytes : bytes.subarray(from, to));
    return to;
  }
  end(): void {
    throw new UpstreamError("reset", new Error(`the connection ended ${this.#leftBytes} bytes too early`));
  }
}

class CloseReader implements BodyReader {
  isDone = false;
  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    if (from < bytes.length) pieces.push(bytes.subarray(from));
    return bytes.length;
  }
  end(): void {
    this.isDone = true;
  }
}

const CR = 0x0d;
const LF = 0x0a;
const SIZE_DIGITS_MAX = 13; // below 2^53
const EXTRA_BYTES_MAX = 16 * 1024; // extensions and trailers of one body, all of which are dropped

const hexOf = (byte: number): number => {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
};

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
  | "line-lf"
  | "last-lf";

class ChunkedReader implements BodyReader {
  isDone = false;
  #at: At = "size";
  #leftBytes = 0;
  #digits = 0;
  #extraBytes = 0;

  read(bytes: Buffer, from: number, pieces: Buffer[]): number {
    let at = from;
    while (at < bytes.length && !this.isDone) {
      if (this.#at !== "data") {
        this.#frame(bytes[at]!);
        at += 1;
        continue;
      }
      const to = Math.min(bytes.length, at + this.#leftBytes);
      pieces.push(bytes.subarray(at, to));
      this.#leftBytes -= to - at;
      if (this.#leftBytes === 0) this.#at = "data-cr";
      at = to;
    }
    return at;
  }

  end(): void {
    throw new UpstreamError("reset", new Error("the connection ended before the last chunk"));
  }

  #frame(byte: number): void {
    switch (this.#at) {
      case "size":
        this.#size(byte);
        return;
      case "extension":
        if (byte === CR) this.#at = "size-lf";
        else this.#extra(byte);
        return;
      case "size-lf":
        this.#expect(byte, LF, this.#leftBytes === 0 ? "line" : "data");
        return;
      case "data-cr":
        this.#expect(byte, CR, "data-lf");
        return;
      case "data-lf":
        this.#digits = 0;
        this.#expect(byte, LF, "size");
        return;
      case "line":
      case "trailer":
        if (byte === CR) this.#at = this.#at === "line" ? "last-lf" : "line-lf";
        else {
          this.#at = "trailer";
          this.#extra(byte);
        }
        return;
      case "line-lf":
        this.#expect(byte, LF, "line");
        return;
      case "last-lf":
        this.#expect(byte, LF, "last-lf");
        this.isDone = true;
    }
  }

  #size(byte: number): void {
    const digit = hexOf(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#leftBytes = this.#leftBytes * 16 + digit;
      if (this.#digits > SIZE_DIGITS_MAX) this.#malformed();
    } else if (this.#digits === 0) {
      this.#malformed();
    } else if (byte === CR) {
      this.#at = "size-lf";
    } else if (byte === 0x3b || byte === 0x20 || byte === 0x09) {
      this.#at = "extension"; // RFC 9112 §7.1.1: white space before it is bad, and common
    } else {
      this.#malformed();
    }
  }

  #extra(byte: number): void {
    this.#extraBytes += 1;
    if (this.#extraBytes > EXTRA_BYTES_MAX || byte === LF || byte === 0) this.#malformed();
  }
  #expect(byte: number, expected: number, next: At): void {
    if (byte !== expected) this.#malformed();
    this.#at = next;
  }
  #malformed(): never {
    throw new UpstreamError("protocol", new Error("the answer's chunks are malformed"));
  }
}

/** The reader for the body that a head announces. */
export const bodyReaderOf = ({ framing, sizeBytes }: AnswerHead): BodyReader => {
  switch (framing) {
    case "chunked":
      return new ChunkedReader();
    case "close":
      return new CloseReader();
    default:
      return new LengthReader(sizeBytes);
  }
};
