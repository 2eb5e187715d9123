/** The body of a request, by length or in chunks (RFC 9112 §6, §7.1), read strictly: collected or dropped. */
import { Fault } from "../../contracts/errors.ts";
import { CR, IS_VALUE, LF } from "./raw-bytes.ts";
import { CHUNKED } from "./raw-head.ts";

const SIZE_DIGITS_MAX = 8; // 4 GiB a chunk
const EXTRA_BYTES_MAX = 8 * 1024; // extensions and trailers of one body, all of which are dropped
const FIRST_BYTES = 4 * 1024;
const EMPTY = Buffer.alloc(0);
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

interface Wanted {
  readonly limitBytes: number;
  readonly resolve: (body: Buffer) => void;
  readonly reject: (error: Fault) => void;
}

export class RequestBody {
  isDone = false;
  /** Why it can't be read on; the connection can't either. */
  fault: Fault | undefined;
  /** Content and framing that were read. */
  readBytes = 0;
  readonly #isChunked: boolean;
  /** Of the chunk, or of the body that has a length. */
  #leftBytes: number;
  #at: At = "size";
  #digits = 0;
  #extraBytes = 0;
  #content: Buffer = EMPTY;
  #contentBytes = 0;
  #wanted: Wanted | undefined;
  #dropBytesMax = -1;

  constructor(bodyBytes: number) {
    this.#isChunked = bodyBytes === CHUNKED;
    this.#leftBytes = this.#isChunked ? 0 : bodyBytes;
    if (!this.#isChunked) this.#at = "data";
  }

  /** Whether somebody takes what comes: it is collected or dropped. */
  get isFlowing(): boolean {
    return this.#wanted !== undefined || this.#dropBytesMax >= 0;
  }

  /** Whether what is still to come is known to be more than this. */
  exceeds(bytes: number): boolean {
    return !this.isDone && this.#leftBytes > bytes;
  }

  /** What `read` gets is collected from now on. Rejects when it is too much, or by `end`. */
  collect(limitBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.#wanted = { limitBytes, resolve, reject };
      if (this.exceeds(limitBytes)) this.#tooLarge();
    });
  }

  /** What `read` gets is dropped from now on; above `limitBytes` it is a fault. */
  drop(limitBytes: number): void {
    this.#wanted = undefined;
    this.#content = EMPTY;
    this.#dropBytesMax = this.readBytes + limitBytes;
  }

  /** Nothing more will come: who waits for it is told why. */
  end(fault: Fault): void {
    this.fault ??= fault;
    this.#wanted?.reject(fault);
    this.#wanted = undefined;
  }

  /** Reads from `bytes`; gives where it stopped: behind the body's end, or at the end of the bytes, or at a fault. */
  read(bytes: Buffer, from: number): number {
    let at = from;
    while (at < bytes.length && !this.isDone && !this.fault) {
      at = this.#at === "data" ? this.#data(bytes, at) : this.#frame(bytes[at]!, at);
    }
    this.readBytes += at - from;
    if (this.#dropBytesMax >= 0 && this.readBytes > this.#dropBytesMax) this.#tooLarge();
    if (this.isDone && this.#wanted) {
      this.#wanted.resolve(this.#content.subarray(0, this.#contentBytes));
      this.#wanted = undefined;
    }
    return at;
  }

  #data(bytes: Buffer, from: number): number {
    const to = Math.min(bytes.length, from + this.#leftBytes);
    if (this.#wanted) {
      if (this.#contentBytes + to - from > this.#wanted.limitBytes) {
        this.#tooLarge();
        return to;
      }
      this.#keep(bytes, from, to);
    }
    this.#leftBytes -= to - from;
    if (this.#leftBytes === 0) {
      if (this.#isChunked) this.#at = "data-cr";
      else this.isDone = true;
    }
    return to;
  }

  /** Into memory that doubles: many small chunks must not become many small buffers. */
  #keep(bytes: Buffer, from: number, to: number): void {
    const needed = this.#contentBytes + to - from;
    if (needed > this.#content.length) {
      const grown = Buffer.allocUnsafe(Math.max(FIRST_BYTES, needed, this.#content.length * 2));
      this.#content.copy(grown, 0, 0, this.#contentBytes);
      this.#content = grown;
    }
    bytes.copy(this.#content, this.#contentBytes, from, to);
    this.#contentBytes = needed;
  }

  /** One byte of the framing; gives the place of the next. */
  #frame(byte: number, at: number): number {
    switch (this.#at) {
      case "size":
        this.#size(byte);
        break;
      case "extension":
        if (byte === CR) this.#at = "size-lf";
        else this.#extra(byte);
        break;
      case "size-lf":
        this.#expect(byte, LF, this.#leftBytes === 0 ? "line" : "data");
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
        this.isDone = byte === LF;
        if (!this.isDone) this.#malformed("a CR stands alone");
        break;
    }
    return at + 1;
  }

  #size(byte: number): void {
    const digit = hexOf(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#leftBytes = this.#leftBytes * 16 + digit;
      if (this.#digits > SIZE_DIGITS_MAX) this.#malformed("a chunk's size is no size");
    } else if (this.#digits > 0 && (byte === CR || byte === SEMICOLON)) {
      this.#at = byte === CR ? "size-lf" : "extension";
    } else {
      this.#malformed("a chunk's size is no size");
    }
  }

  #extra(byte: number): void {
    this.#extraBytes += 1;
    if (IS_VALUE[byte] !== 1) this.#malformed("a chunk has a control character");
    else if (this.#extraBytes > EXTRA_BYTES_MAX) this.#malformed("its chunks have too much beside their data");
  }

  #expect(byte: number, expected: number, next: At): void {
    if (byte === expected) this.#at = next;
    else this.#malformed("a chunk does not end where it says");
  }

  #tooLarge(): void {
    const limitBytes = this.#wanted?.limitBytes ?? this.#dropBytesMax;
    this.end(new Fault("BODY_TOO_LARGE", { limitBytes }));
  }
  #malformed(reason: string): void {
    this.end(new Fault("REQUEST_MALFORMED", { reason }));
  }
}
