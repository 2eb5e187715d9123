/** A table of (sample count, value) pairs, as `stts` and `ctts` are (ISO/IEC 14496-12 §8.6.1), left as raw bytes. */

import { ownView } from "./box-view.ts";

/** Entries between two running sums: a look-up walks half of that; the sums cost a quarter of a byte per entry. */
const STRIDE = 64;
const ENTRY_BYTES = 8;

/** Where samples lie in the table. Looking up ascending samples walks on from the last one. */
export class RunTable {
  /** Samples that the table describes, at most as many as wanted. */
  readonly sampleCount: number;
  /** Sum of the values of all samples, each unsigned. */
  readonly ticks: number;
  /** The largest value, unsigned. */
  readonly largest: number;
  readonly heapBytes: number;
  /** Part of `heapBytes` that are bytes of the file. */
  readonly rawBytes: number;
  #entries: DataView;
  /** Before every 64th entry; infinite where there is none. */
  readonly #samplesBefore: Float64Array;
  readonly #ticksBefore: Float64Array;
  #entry = 0;
  #first = 0;
  #firstTicks = 0;

  /** Walks `entries` once, until `sampleCount` samples are described. */
  constructor(entries: DataView, sampleCount: number) {
    this.#entries = entries;
    const entryCount = entries.byteLength / ENTRY_BYTES;
    this.#samplesBefore = new Float64Array(Math.ceil(entryCount / STRIDE) + 1).fill(Number.POSITIVE_INFINITY);
    this.#ticksBefore = this.#samplesBefore.slice();
    this.#samplesBefore[0] = 0;
    this.#ticksBefore[0] = 0;
    let samples = 0;
    let ticks = 0;
    let largest = 0;
    for (let entry = 0; entry < entryCount && samples < sampleCount; entry += 1) {
      if (entry % STRIDE === 0) {
        this.#samplesBefore[entry / STRIDE] = samples;
        this.#ticksBefore[entry / STRIDE] = ticks;
      }
      const count = Math.min(entries.getUint32(entry * ENTRY_BYTES), sampleCount - samples);
      const value = entries.getUint32(entry * ENTRY_BYTES + 4);
      samples += count;
      ticks += count * value;
      if (value > largest) largest = value;
    }
    this.sampleCount = samples;
    this.ticks = ticks;
    this.largest = largest;
    this.rawBytes = entries.byteLength;
    this.heapBytes = entries.byteLength + 2 * this.#ticksBefore.byteLength;
  }

  /** Copies what it keeps of the file's bytes. */
  detach(): void {
    this.#entries = ownView(this.#entries);
  }

  /** Finds the entry of a sample, which must be one that the table describes. */
  seek(sample: number): void {
    const nextStride = Math.floor(this.#entry / STRIDE) + 1;
    const isFar = sample >= (this.#samplesBefore[nextStride] ?? Number.POSITIVE_INFINITY);
    if (sample < this.#first || isFar) this.#enter(lastAtMost(this.#samplesBefore, sample));
    while (sample >= this.entryEnd) this.#next();
  }

  /** The first sample before which the values sum up to `ticks` or more; `sampleCount` when there is none. */
  sampleAt(ticks: number): number {
    const wanted = Math.ceil(ticks);
    if (wanted <= 0) return 0;
    this.#enter(lastAtMost(this.#ticksBefore, wanted - 1)); // strictly before: samples may share a time
    for (;;) {
      const missing = Math.max(0, wanted - this.#firstTicks);
      const samples = missing === 0 ? 0 : Math.ceil(missing / this.value); // infinite where the value is 0
      if (samples < this.entrySamples) return Math.min(this.#first + samples, this.sampleCount);
      if (this.entryEnd >= this.sampleCount) return this.sampleCount;
      this.#next();
    }
  }

  /** First sample of the entry that was found. */
  get first(): number {
    return this.#first;
  }
  /** Sum of the values of all samples before `first`. */
  get firstTicks(): number {
    return this.#firstTicks;
  }
  /** Of each sample of the entry, unsigned. */
  get value(): number {
    return this.#entries.getUint32(this.#entry * ENTRY_BYTES + 4);
  }
  get entrySamples(): number {
    return this.#entries.getUint32(this.#entry * ENTRY_BYTES);
  }
  /** The sample behind its last one. */
  get entryEnd(): number {
    return this.#first + this.entrySamples;
  }

  #enter(stride: number): void {
    this.#entry = stride * STRIDE;
    this.#first = this.#samplesBefore[stride] ?? 0;
    this.#firstTicks = this.#ticksBefore[stride] ?? 0;
  }
  #next(): void {
    const count = this.entrySamples;
    this.#first += count;
    this.#firstTicks += count * this.value;
    this.#entry += 1;
  }
}

/** Index of the last of ascending values that is at most `wanted`; 0 when none is. */
export const lastAtMost = (values: Float64Array | Uint32Array, wanted: number): number => {
  let low = 0;
  let high = values.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((values[middle] ?? 0) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
};

/** Index of the first of ascending values that is at least `wanted`; their number when none is. */
export const firstAtLeast = (values: Float64Array | Uint32Array, wanted: number): number => {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((values[middle] ?? 0) < wanted) low = middle + 1;
    else high = middle;
  }
  return low;
};
