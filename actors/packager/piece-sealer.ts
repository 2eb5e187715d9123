/** Whole-segment encryption (RFC 8216 §4.3.2.4, METHOD=AES-128) of a segment that is made in pieces, by a thread. */
import { fail } from "../../contracts/errors.ts";
import type { CipherThreads } from "../../lib/crypto/cipher-threads.ts";
import { BLOCK_BYTES, type SegmentKey } from "../../lib/crypto/segment-cipher.ts";

/** Room that is left behind a piece: its padding, if it is the last one. */
export const SEAL_BYTES = BLOCK_BYTES;

interface MadePiece {
  /** In the memory that is shared with the threads. */
  readonly at: number;
  /** With what `begin` put in front. */
  readonly madeBytes: number;
  readonly isLast: boolean;
}

export class PieceSealer {
  readonly #threads: CipherThreads;
  readonly #key: Buffer;
  /** The block before: of the key, then of what is encrypted. */
  #iv: Buffer;
  /** Fewer bytes than a block, which wait for the next piece. */
  #rest: Buffer = Buffer.alloc(0);

  constructor({ key, iv }: SegmentKey, threads: CipherThreads) {
    this.#threads = threads;
    this.#key = key;
    this.#iv = iv;
  }

  /** Puts what is left of the piece before in front of the next one; gives its length. */
  begin(window: Buffer): number {
    return this.#rest.copy(window);
  }

  /** Encrypts a piece in its window; gives how much of it is to be sent. */
  async end(window: Buffer, { at, madeBytes, isLast }: MadePiece): Promise<number> {
    const bytes = isLast ? madeBytes : madeBytes - (madeBytes % BLOCK_BYTES);
    this.#rest = Buffer.from(window.subarray(bytes, madeBytes));
    if (bytes === 0 && !isLast) return 0;
    const order = { at, end: at + bytes, isLast };
    const end = await this.#threads.encrypt({ key: this.#key, iv: this.#iv }, order);
    if (end === null) return fail("PACKAGER_BUSY"); // its thread has ended: the next request has another way
    this.#iv = Buffer.from(window.subarray(end - at - BLOCK_BYTES, end - at));
    return end - at;
  }
}
