/** The body of a request, by length or in chunks (RFC 9112 §6, §7.1), read strictly: collected or dropped. */
import { Fault } from "../../contracts/errors.ts";
import { ChunkFraming, type ChunkRules } from "./chunk-framing.ts";
import { CHUNKED } from "./raw-head.ts";

/** Chunks of up to 4 GiB. */
const RULES: ChunkRules = { sizeDigitsMax: 8, extraBytesMax: 8 * 1024, allowsSpace: false };
const FIRST_BYTES = 4 * 1024;
const EMPTY = Buffer.alloc(0);

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
  readonly #framing: ChunkFraming | undefined;
  /** Of the body that has a length. */
  #lengthLeftBytes: number;
  #content: Buffer = EMPTY;
  #contentBytes = 0;
  #wanted: Wanted | undefined;
  #dropBytesMax = -1;

  constructor(bodyBytes: number) {
    this.#framing = bodyBytes === CHUNKED ? new ChunkFraming(RULES) : undefined;
    this.#lengthLeftBytes = this.#framing ? 0 : bodyBytes;
  }

  /** Of the chunk, or of the body that has a length. */
  get #leftBytes(): number {
    return this.#framing?.leftBytes ?? this.#lengthLeftBytes;
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
      if (!this.#framing || this.#framing.isAtData) at = this.#data(bytes, at);
      else this.#frame(this.#framing, bytes[at++]!);
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
    if (this.#framing) {
      this.#framing.took(to - from);
    } else {
      this.#lengthLeftBytes -= to - from;
      this.isDone = this.#lengthLeftBytes === 0;
    }
    return to;
  }

  #frame(framing: ChunkFraming, byte: number): void {
    framing.read(byte);
    if (framing.fault) this.end(new Fault("REQUEST_MALFORMED", { reason: framing.fault }));
    this.isDone = framing.isDone;
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

  #tooLarge(): void {
    const limitBytes = this.#wanted?.limitBytes ?? this.#dropBytesMax;
    this.end(new Fault("BODY_TOO_LARGE", { limitBytes }));
  }
}
