/** What a connection has read and nobody has taken yet. */

const EMPTY = Buffer.alloc(0);
/** A client that sends byte by byte must not cost an object for each. */
const PIECES_MAX = 64;

export class RawInput {
  #bytes: Buffer = EMPTY;
  #at = 0;
  /** What came behind `#bytes`. */
  #pieces: Buffer[] = [];
  #pieceBytes = 0;

  /** Bytes that are there. */
  get size(): number {
    return this.#bytes.length - this.#at + this.#pieceBytes;
  }

  /** The bytes in one piece; the first untaken one is at `at`. */
  get bytes(): Buffer {
    this.#join();
    return this.#bytes;
  }
  get at(): number {
    return this.#at;
  }

  add(bytes: Buffer): void {
    if (this.#at === this.#bytes.length && this.#pieces.length === 0) {
      this.#bytes = bytes;
      this.#at = 0;
      return;
    }
    this.#pieces.push(bytes);
    this.#pieceBytes += bytes.length;
    if (this.#pieces.length > PIECES_MAX) this.#join();
  }

  /** Those before `to` are taken. */
  take(to: number): void {
    this.#at = to;
    if (to === this.#bytes.length && this.#pieces.length === 0) this.clear();
  }

  clear(): void {
    this.#bytes = EMPTY;
    this.#at = 0;
    this.#pieces = [];
    this.#pieceBytes = 0;
  }

  #join(): void {
    if (this.#pieces.length === 0) return;
    this.#bytes = Buffer.concat([this.#bytes.subarray(this.#at), ...this.#pieces]);
    this.#at = 0;
    this.#pieces = [];
    this.#pieceBytes = 0;
  }
}
