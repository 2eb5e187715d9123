/** Samples that wait until their time line is decided. Bounded: past the bound all go, and the stream begins later. */
import type { Sample } from "../../domain/mp4/fragment.ts";

export interface HeldSample {
  readonly name: string;
  readonly sample: Sample;
  /** When it came. */
  readonly nowMs: number;
}
const HELD_BYTES_MAX = 16 * 2 ** 20; // 5 s of a ladder of 25 Mbit/s

export class HeldSamples {
  #samples: HeldSample[] = [];
  #byteLength = 0;

  get isEmpty(): boolean {
    return this.#samples.length === 0;
  }
  add(name: string, sample: Sample, nowMs: number): void {
    this.#byteLength += sample.data.length;
    if (this.#byteLength > HELD_BYTES_MAX) this.clear();
    this.#samples.push({ name, sample, nowMs });
  }
  takeAll(): HeldSample[] {
    const samples = this.#samples;
    this.clear();
    return samples;
  }
  clear(): void {
    this.#samples = [];
    this.#byteLength = 0;
  }
}
