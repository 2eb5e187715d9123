/** Sizes of samples, left as raw bytes (ISO/IEC 14496-12 §8.7.3). */
import { type BoxView, damaged, ownView, unsupported } from "./box-view.ts";

/** Of one track: 38 hours of 120 frames a second. Counts alone, without bytes behind them, must not keep us busy. */
export const SAMPLES_MAX = 2 ** 24;

/** `stsz` and `stz2`. */
export class SampleSizes {
  readonly count: number;
  readonly heapBytes: number;
  /** Part of `heapBytes` that are bytes of the file. */
  readonly rawBytes: number;
  /** Of every sample; 0: the table has one for each. */
  readonly #fixed: number;
  /** Bits of an entry: 32, or 4, 8, 16 of `stz2`. */
  readonly #bits: number;
  #table: DataView;

  /** `stsz` or `stz2` of a file with so many bytes. */
  constructor(box: BoxView, fileBytes: number) {
    const compact = box.type === "stz2";
    this.#fixed = compact ? 0 : box.u32(4);
    this.#bits = compact ? box.u8(7) : 32;
    this.count = box.u32(8);
    if (![4, 8, 16, 32].includes(this.#bits)) damaged(`stz2: sizes of ${this.#bits} bits`);
    if (this.count > SAMPLES_MAX) unsupported(`a track of ${this.count} samples: ${SAMPLES_MAX} are taken`);
    if (this.#fixed * this.count > fileBytes)
      damaged(`${this.count} samples of ${this.#fixed} bytes: more than the file`);
    this.#table = box.table(12, this.#fixed === 0 ? this.count : 0, this.#bits / 8);
    this.rawBytes = this.#table.byteLength;
    this.heapBytes = this.rawBytes;
  }

  /** Copies what it keeps of the file's bytes. */
  detach(): void {
    this.#table = ownView(this.#table);
  }

  at(sample: number): number {
    if (this.#fixed !== 0) return this.#fixed;
    if (this.#bits === 32) return this.#table.getUint32(sample * 4);
    if (this.#bits === 16) return this.#table.getUint16(sample * 2);
    if (this.#bits === 8) return this.#table.getUint8(sample);
    const both = this.#table.getUint8(sample >>> 1);
    return sample % 2 === 0 ? both >>> 4 : both & 15;
  }

  sum(first: number, end: number): number {
    if (this.#fixed !== 0) return this.#fixed * (end - first);
    let bytes = 0;
    if (this.#bits === 32) for (let at = first * 4; at < end * 4; at += 4) bytes += this.#table.getUint32(at);
    else for (let sample = first; sample < end; sample += 1) bytes += this.at(sample);
    return bytes;
  }
}
