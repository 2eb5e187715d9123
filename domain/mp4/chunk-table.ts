/** Where samples lie in the file: `stsc` over `stco` or `co64` (ISO/IEC 14496-12 §8.7.4, §8.7.5), left as raw bytes. */
import { type BoxView, damaged, ownView, unsupported } from "./box-view.ts";
import { lastAtMost } from "./run-table.ts";
import type { SampleSizes } from "./sample-sizes.ts";

const RUN_BYTES = 12;
const DESCRIPTIONS_MAX = 64;

/** Chunks, in runs of chunks that have equally many samples. Numbers of chunks are 0-based here. */
export class ChunkTable {
  readonly heapBytes: number;
  /** Part of `heapBytes` that are bytes of the file. */
  readonly rawBytes: number;
  /** Indexes into `stsd`, 1-based, of the samples that are there. */
  readonly descriptions: ReadonlySet<number>;
  #runs: DataView;
  /** Samples before each run. */
  readonly #samplesBefore: Uint32Array;
  #offsets: DataView;
  readonly #offsetBytes: number;

  /** Walks `stsc` once; it must lead to at least `sampleCount` samples. */
  constructor(stsc: BoxView, offsets: BoxView, sampleCount: number) {
    const chunkCount = offsets.u32(4);
    this.#offsetBytes = offsets.type === "co64" ? 8 : 4;
    this.#offsets = offsets.table(8, chunkCount, this.#offsetBytes);
    const runCount = stsc.u32(4);
    this.#runs = stsc.table(8, runCount, RUN_BYTES);
    const before = new Uint32Array(runCount);
    const descriptions = new Set<number>();
    let samples = 0;
    let run = 0;
    for (; run < runCount && samples < sampleCount; run += 1) {
      const first = this.#firstChunk(run);
      const next = run + 1 < runCount ? this.#firstChunk(run + 1) : chunkCount;
      if (next <= first || next > chunkCount || (run === 0 && first !== 0))
        damaged(`stsc: chunks ${first + 1} to ${next} of ${chunkCount}`);
      before[run] = samples;
      samples += (next - first) * this.#samplesPerChunk(run);
      descriptions.add(this.#runs.getUint32(run * RUN_BYTES + 8));
      if (descriptions.size > DESCRIPTIONS_MAX) unsupported("samples of many descriptions in one track");
    }
    if (samples < sampleCount) damaged(`its chunks have ${samples} of ${sampleCount} samples`);
    this.#samplesBefore = before.subarray(0, run);
    this.descriptions = descriptions;
    this.rawBytes = this.#runs.byteLength + this.#offsets.byteLength;
    this.heapBytes = this.rawBytes + before.byteLength;
  }

  /** Copies what it keeps of the file's bytes. */
  detach(): void {
    this.#runs = ownView(this.#runs);
    this.#offsets = ownView(this.#offsets);
  }

  /** Sets `offset` for the samples from `first` on, whose sizes are in `size`. */
  locate(first: number, size: Uint32Array, offset: Float64Array, sizes: SampleSizes): void {
    if (size.length === 0) return;
    let run = lastAtMost(this.#samplesBefore, first);
    const perChunk = this.#samplesPerChunk(run);
    const into = first - (this.#samplesBefore[run] ?? 0);
    let chunk = this.#firstChunk(run) + Math.floor(into / perChunk);
    let left = perChunk - (into % perChunk);
    let at = this.#offset(chunk) + sizes.sum(first - (into % perChunk), first);
    for (let index = 0; index < size.length; index += 1) {
      while (left === 0) {
        chunk += 1;
        if (run + 1 < this.#samplesBefore.length && chunk >= this.#firstChunk(run + 1)) run += 1;
        left = this.#samplesPerChunk(run);
        at = this.#offset(chunk);
      }
      offset[index] = at;
      at += size[index] ?? 0;
      left -= 1;
    }
  }

  #offset(chunk: number): number {
    const at = chunk * this.#offsetBytes;
    if (this.#offsetBytes === 4) return this.#offsets.getUint32(at);
    return this.#offsets.getUint32(at) * 2 ** 32 + this.#offsets.getUint32(at + 4);
  }
  #firstChunk(run: number): number {
    return this.#runs.getUint32(run * RUN_BYTES) - 1;
  }
  #samplesPerChunk(run: number): number {
    return this.#runs.getUint32(run * RUN_BYTES + 4);
  }
}
