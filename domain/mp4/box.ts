/** Boxes of ISO base media files (ISO/IEC 14496-12 §4.2), as they come over a pipe from an encoder. */

const HEADER_BYTES = 8;
/** A live fragment holds one frame; 64 MiB is far above any of them and far below what would hurt. */
export const BOX_BYTES_MAX = 64 * 2 ** 20;

const refusal = (size: number): string => {
  if (size === 0) return "a box that runs to the end of the file, on a live pipe";
  if (size === 1) return "a box with a 64-bit size, on a live pipe";
  return `a box of ${size} bytes: ${HEADER_BYTES} to ${BOX_BYTES_MAX} are taken`;
};

/**
 * Splits a byte stream into its top-level boxes. A box inside of one chunk is a view into it; one that spans chunks is
 * copied once, into a buffer of its own size. Holds at most one box and eight bytes.
 */
export class BoxReader {
  readonly #onBox: (type: string, box: Buffer) => void;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  /** The box that spans chunks, and how much of it is there. */
  #box: Buffer | undefined;
  #boxBytes = 0;

  constructor(onBox: (type: string, box: Buffer) => void) {
    this.#onBox = onBox;
  }

  /** Throws on a size that no encoder of ours writes: 64-bit, to the end of the file, or over 64 MiB. */
  push(chunk: Buffer): void {
    let at = this.#finish(chunk);
    while (chunk.length - at >= HEADER_BYTES) {
      const size = this.#checked(chunk.readUInt32BE(at));
      if (chunk.length - at < size) {
        this.#begin(size, chunk.subarray(at));
        return;
      }
      this.#emit(chunk.subarray(at, at + size));
      at += size;
    }
    this.#headerBytes += chunk.copy(this.#header, this.#headerBytes, at);
  }

  /** Completes what earlier chunks began; gives how many bytes that took. */
  #finish(chunk: Buffer): number {
    let at = 0;
    if (this.#headerBytes > 0) {
      at = chunk.copy(this.#header, this.#headerBytes, 0, HEADER_BYTES - this.#headerBytes);
      this.#headerBytes += at;
      if (this.#headerBytes < HEADER_BYTES) {
        this.#headerBytes -= at; // counted again by the caller, which copies what is left of a chunk
        return 0;
      }
      this.#headerBytes = 0;
      this.#begin(this.#checked(this.#header.readUInt32BE(0)), this.#header);
    }
    if (!this.#box) return at;
    const copied = chunk.copy(this.#box, this.#boxBytes, at);
    this.#boxBytes += copied;
    if (this.#boxBytes === this.#box.length) {
      const box = this.#box;
      this.#box = undefined;
      this.#emit(box);
    }
    return at + copied;
  }

  #checked(size: number): number {
    if (size < HEADER_BYTES || size > BOX_BYTES_MAX) throw new Error(refusal(size));
    return size;
  }

  #begin(size: number, head: Buffer): void {
    this.#box = Buffer.allocUnsafeSlow(size); // not from the pool: one frame would keep 8 KiB of others
    this.#boxBytes = head.copy(this.#box);
  }

  #emit(box: Buffer): void {
    this.#onBox(box.toString("latin1", 4, HEADER_BYTES), box);
  }
}
