/** Reads numbers of any width, from the highest bit of the first byte on. */
import { damaged } from "./box-view.ts";

export class Bits {
  readonly #bytes: Uint8Array;
  readonly #of: string;
  #at = 0;

  /** `of` names what is read, for the complaint about what is missing. */
  constructor(bytes: Uint8Array, of: string) {
    this.#bytes = bytes;
    this.#of = of;
  }
  get left(): number {
    return this.#bytes.length * 8 - this.#at;
  }
  read(count: number): number {
    if (count > this.left) return damaged(`${this.#of} is cut off`);
    let value = 0;
    for (let bit = 0; bit < count; bit += 1, this.#at += 1)
      value = value * 2 + (((this.#bytes[this.#at >>> 3] ?? 0) >>> (7 - (this.#at & 7))) & 1);
    return value;
  }
}
