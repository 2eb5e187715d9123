/** Reads the bits of a NAL unit (ISO/IEC 14496-10 §7.3.1, §9.1; the same in 23008-2 §7.3.1, §9.2). */

/** What is read can't be told from here: cut off, out of its range, or of a kind that is not known. */
export class NalError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "NalError";
  }
}

const EMULATION_PREVENTION = 3;
const UE_ZEROS_MAX = 31;

/** Steps over emulation prevention bytes, and counts them: `position` is in the bytes as they are stored. */
export class NalReader {
  readonly #bytes: Uint8Array;
  readonly #end: number;
  #at: number;
  #bit = 8;
  #byte = 0;
  #zeros = 0;

  /** Reads from `start` up to `end`; neither the unit's length nor a start code is part of it. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = Math.min(end, bytes.length);
  }

  /** Where the first byte is that was not touched yet. */
  get position(): number {
    return this.#at;
  }

  #nextByte(): number {
    if (this.#at >= this.#end) throw new NalError("a NAL unit that ends early");
    const byte = this.#bytes[this.#at]!;
    this.#at += 1;
    if (this.#zeros >= 2 && byte === EMULATION_PREVENTION) {
      this.#zeros = 0;
      return this.#nextByte();
    }
    this.#zeros = byte === 0 ? this.#zeros + 1 : 0;
    return byte;
  }

  flag(): boolean {
    return this.bits(1) === 1;
  }

  /** u(n), up to 32 bits. */
  bits(count: number): number {
    let value = 0;
    for (let left = count; left > 0; left -= 1) {
      if (this.#bit === 8) {
        this.#byte = this.#nextByte();
        this.#bit = 0;
      }
      value = value * 2 + ((this.#byte >> (7 - this.#bit)) & 1);
      this.#bit += 1;
    }
    return value;
  }

  skip(count: number): void {
    for (let left = count; left > 0; left -= 32) this.bits(Math.min(32, left));
  }

  /** ue(v); NalError above `max`, which the standard sets for the element. */
  ue(max = 2 ** 32 - 2): number {
    let zeros = 0;
    while (!this.flag()) {
      zeros += 1;
      if (zeros > UE_ZEROS_MAX) throw new NalError("an Exp-Golomb code of more than 63 bits");
    }
    const value = 2 ** zeros - 1 + this.bits(zeros);
    if (value > max) throw new NalError(`a value of ${value}, at most ${max} is allowed`);
    return value;
  }

  se(): number {
    const code = this.ue();
    return code % 2 === 1 ? (code + 1) / 2 : -code / 2;
  }

  /** Steps over `count` Exp-Golomb codes, of either kind. */
  skipCodes(count: number): void {
    for (let left = count; left > 0; left -= 1) this.ue();
  }
}

/** Keeps a parameter set under its id; one that can't be read is none: its slices will lack it. */
export const learn = <T>(sets: Map<number, T>, read: () => readonly [number, T]): void => {
  try {
    sets.set(...read());
  } catch (error) {
    if (!(error instanceof NalError)) throw error;
  }
};
