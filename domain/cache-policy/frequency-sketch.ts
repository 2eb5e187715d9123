/**
 * How often keys were asked for lately: a count-min sketch of 4-bit counters with conservative update, all halved from
 * time to time (TinyLFU: Einziger, Friedman, Manes, 2017). Eight counters to a word; grows with what it is asked to
 * hold: a table of twice the width that holds the old one twice gives the same estimates.
 */

const ROWS = 4;
/** A count that has reached this says: so often, or more often. */
export const COUNT_MAX = 15;
const COUNTERS_PER_WORD = 8;
/** Keys seen between two halvings, in objects held: more remembers longer, and follows a new taste later. */
const SAMPLE_PER_OBJECT = 10;
/** Counters of a row per object held: those of a sample share them, and the least of four rows is near the truth. */
const COUNTERS_PER_OBJECT = 4;
const WIDTH_MIN = 1_024;
/** 4 rows × 8 Mi counters × 4 bit = 16 MiB: for two million objects, and more share counters. */
const WIDTH_MAX = 2 ** 23;
/** Odd numbers with well-mixed bits, one per row. */
const MIXERS = Int32Array.of(0x9e3779b1 | 0, 0x85ebca6b | 0, 0xc2b2ae35 | 0, 0x27d4eb2f | 0);
const HALF_OF_EACH = 0x77777777;

export class FrequencySketch {
  #width = WIDTH_MIN;
  #words = new Int32Array((ROWS * WIDTH_MIN) / COUNTERS_PER_WORD);
  #additions = 0;
  /** Where the last key's counters are: kept so that adding and estimating allocate nothing. */
  readonly #slots = new Int32Array(ROWS);

  /** 0 to 15; never less than the truth since the last halving. */
  estimate(hash: number): number {
    let least = COUNT_MAX;
    for (let row = 0; row < ROWS; row += 1) {
      const slot = this.#slotOf(hash, row);
      this.#slots[row] = slot;
      least = Math.min(least, this.#counter(slot));
    }
    return least;
  }

  /** Counts a request; `objectCount` is what the cache holds now. */
  add(hash: number, objectCount: number): void {
    this.#fit(objectCount);
    const least = this.estimate(hash);
    if (least < COUNT_MAX) {
      for (const slot of this.#slots) {
        if (this.#counter(slot) === least) this.#words[slot >>> 3]! += 1 << ((slot & 7) << 2);
      }
    }
    this.#additions += 1;
    if (this.#additions >= SAMPLE_PER_OBJECT * Math.max(objectCount, WIDTH_MIN / COUNTERS_PER_OBJECT)) this.#halve();
  }

  #slotOf(hash: number, row: number): number {
    const mixed = Math.imul(hash ^ (hash >>> 15), MIXERS[row]!);
    return row * this.#width + ((mixed ^ (mixed >>> 15)) & (this.#width - 1));
  }

  #counter(slot: number): number {
    return (this.#words[slot >>> 3]! >>> ((slot & 7) << 2)) & COUNT_MAX;
  }

  #halve(): void {
    for (let n = 0; n < this.#words.length; n += 1) this.#words[n] = (this.#words[n]! >>> 1) & HALF_OF_EACH;
    this.#additions >>>= 1;
  }

  #fit(objectCount: number): void {
    while (this.#width < WIDTH_MAX && this.#width < objectCount * COUNTERS_PER_OBJECT) {
      const rowWords = this.#width / COUNTERS_PER_WORD;
      const wider = new Int32Array(this.#words.length * 2);
      for (let row = 0; row < ROWS; row += 1) {
        const words = this.#words.subarray(row * rowWords, (row + 1) * rowWords);
        wider.set(words, row * 2 * rowWords);
        wider.set(words, (row * 2 + 1) * rowWords);
      }
      this.#words = wider;
      this.#width *= 2;
    }
  }
}
