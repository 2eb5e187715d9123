/** Which ranges of a file hold the samples of a window, and where in memory they are. */

/** Of a window; the next one begins when they are used up. */
const EXTENT_COUNT_MAX = 64;

/** A range of the file to be read into memory. */
export interface SourceRange {
  readonly fileOffset: number;
  readonly lengthBytes: number;
  /** Where it goes, counted from the start of the area. */
  readonly at: number;
}

/** Ranges in the order of the file. Two that have less than a gap between them become one, with the bytes between. */
export class Extents {
  readonly #starts = new Float64Array(EXTENT_COUNT_MAX);
  readonly #ends = new Float64Array(EXTENT_COUNT_MAX);
  readonly #addresses = new Float64Array(EXTENT_COUNT_MAX);
  #count = 0;
  #bytes = 0;
  /** The one that was found last. */
  #last = 0;

  get bytes(): number {
    return this.#bytes;
  }
  clear(): void {
    this.#count = 0;
    this.#bytes = 0;
    this.#last = 0;
  }

  /** Takes `[offset, end)` in, unless all together would then have more than `bytesMax`. */
  add(offset: number, end: number, limits: { readonly bytesMax: number; readonly gapBytes: number }): boolean {
    const { bytesMax, gapBytes } = limits;
    let first = this.#count;
    while (first > 0 && this.#starts[first - 1]! > offset) first -= 1;
    let low = offset;
    if (first > 0 && offset - this.#ends[first - 1]! <= gapBytes) {
      first -= 1;
      low = this.#starts[first]!;
    }
    let high = end;
    let known = 0;
    let last = first;
    for (; last < this.#count && this.#starts[last]! - high <= gapBytes; last += 1) {
      high = Math.max(high, this.#ends[last]!);
      known += this.#ends[last]! - this.#starts[last]!;
    }
    const bytes = this.#bytes + high - low - known;
    if (bytes > bytesMax || (first === last && this.#count === EXTENT_COUNT_MAX)) return false;
    this.#keepOne(first, last);
    this.#starts[first] = low;
    this.#ends[first] = high;
    this.#bytes = bytes;
    return true;
  }

  /** Leaves one place where those from `first` up to `last`, exclusive, are. */
  #keepOne(first: number, last: number): void {
    const shift = first + 1 - last;
    if (shift !== 0 && last < this.#count) {
      this.#starts.copyWithin(first + 1, last, this.#count);
      this.#ends.copyWithin(first + 1, last, this.#count);
    }
    this.#count += shift;
  }

  /** Puts them one behind the other; gives what is to be read. */
  place(): SourceRange[] {
    const ranges: SourceRange[] = [];
    let to = 0;
    for (let index = 0; index < this.#count; index += 1) {
      const [fileOffset, end] = [this.#starts[index]!, this.#ends[index]!];
      this.#addresses[index] = to;
      ranges.push({ fileOffset, lengthBytes: end - fileOffset, at: to });
      to += end - fileOffset;
    }
    return ranges;
  }

  /** Where a byte of the file is in the area; it must be of a range that was taken in. */
  addressOf(offset: number): number {
    let index = this.#last;
    if (offset < this.#starts[index]! || offset >= this.#ends[index]!) {
      index = 0;
      while (index < this.#count - 1 && offset >= this.#ends[index]!) index += 1;
      this.#last = index;
    }
    return this.#addresses[index]! + offset - this.#starts[index]!;
  }
}
