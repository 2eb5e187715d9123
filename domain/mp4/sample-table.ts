/**
 * The sample table of a track of a file that is not fragmented (ISO/IEC 14496-12 §8.6, §8.7). `stsz`, `ctts` and the
 * chunk offsets stay the raw bytes of the file and are read for the samples that are asked for: a film of 100 minutes
 * has 425,000 samples, and a playlist needs a few thousand of them.
 */
import { type BoxView, damaged, ownView, unsupported } from "./box-view.ts";
import { ChunkTable } from "./chunk-table.ts";
import type { Samples, SampleTable } from "./movie.ts";
import { firstAtLeast, RunTable } from "./run-table.ts";
import { SampleSizes } from "./sample-sizes.ts";

/** Samples that are expanded at once: 10 hours of 58 frames a second without a second key frame; 60 MB. */
export const SAMPLES_AT_ONCE_MAX = 2 ** 21;
/** Durations above are negative ones in 32 bits: 10 s back at 48 kHz. ffmpeg draws the line at the same place. */
const DURATION_MAX = 2 ** 32 - 480_000;
const NO_ENTRIES = new DataView(new ArrayBuffer(0));

/** Arrays for `count` samples, from `first` on. */
export const emptySamples = (first: number, count: number): Samples => {
  if (count > SAMPLES_AT_ONCE_MAX) unsupported(`${count} samples in one segment: ${SAMPLES_AT_ONCE_MAX} are taken`);
  return {
    first,
    count,
    size: new Uint32Array(count),
    offset: new Float64Array(count),
    dts: new Float64Array(count + 1),
    compositionOffset: new Int32Array(count),
    sync: new Uint8Array(count),
  };
};

/** Marks the sync samples; null: all are. */
export const markSync = ({ first, count, sync }: Samples, syncSamples: Uint32Array | null): void => {
  if (!syncSamples) {
    sync.fill(1);
    return;
  }
  for (let index = firstAtLeast(syncSamples, first); index < syncSamples.length; index += 1) {
    const at = (syncSamples[index] ?? 0) - first;
    if (at >= count) return;
    sync[at] = 1;
  }
};

/** Refuses samples that reach beyond the file. */
export const checkWithin = ({ count, offset, size }: Samples, fileBytes: number): void => {
  let sum = 0;
  for (let index = 0; index < count; index += 1) {
    const bytes = size[index] ?? 0;
    const end = (offset[index] ?? 0) + bytes;
    if (!(end <= fileBytes)) damaged(`a sample ends at byte ${end} of ${fileBytes}: the file is cut off`);
    sum += bytes;
  }
  if (sum > fileBytes) damaged("its samples overlap: they have more bytes than the file");
};

/** `stss` (§8.6.2); one without entries leaves the first sample, which nothing can be played without. */
const readSync = (stss: BoxView | undefined, sampleCount: number): Uint32Array | null => {
  if (!stss) return null;
  const count = stss.u32(4);
  const entries = stss.table(8, count, 4);
  if (count === 0) return new Uint32Array(1);
  const samples = new Uint32Array(count);
  let last = 0;
  for (let index = 0; index < count; index += 1) {
    const number = entries.getUint32(index * 4); // 1-based
    if (number <= last || number > sampleCount) damaged(`stss: sample ${number} after ${last} of ${sampleCount}`);
    samples[index] = number - 1;
    last = number;
  }
  return samples.length === sampleCount ? null : samples;
};

export class CompactTable implements SampleTable {
  readonly sampleCount: number;
  readonly endDts: number;
  readonly syncSamples: Uint32Array | null;
  readonly heapBytes: number;
  /** Part of `heapBytes` that are bytes of the file, in the buffer from which it was read. */
  readonly rawBytes: number;
  /** Indexes into `stsd`, 1-based, of its samples. */
  readonly descriptions: ReadonlySet<number>;
  readonly #fileBytes: number;
  readonly #sizes: SampleSizes;
  readonly #chunks: ChunkTable;
  readonly #durations: RunTable;
  #ctts: DataView;
  #compositions: RunTable | undefined;

  /** Reads `stbl`, whose bytes it keeps. */
  constructor(stbl: BoxView, fileBytes: number) {
    this.#fileBytes = fileBytes;
    this.#sizes = new SampleSizes(stbl.child("stsz") ?? stbl.need("stz2"), fileBytes);
    this.sampleCount = this.#sizes.count;
    this.#chunks = new ChunkTable(stbl.need("stsc"), stbl.child("stco") ?? stbl.need("co64"), this.sampleCount);
    this.descriptions = this.#chunks.descriptions;
    const stts = stbl.need("stts");
    this.#durations = new RunTable(stts.table(8, stts.u32(4), 8), this.sampleCount);
    if (this.#durations.sampleCount < this.sampleCount)
      damaged(`stts has the times of ${this.#durations.sampleCount} of ${this.sampleCount} samples`);
    this.endDts = this.#durations.ticks;
    if (!Number.isSafeInteger(this.endDts)) damaged("its decode times go beyond 2^53");
    if (this.#durations.largest > DURATION_MAX) damaged("a sample of a negative duration");
    this.syncSamples = readSync(stbl.child("stss"), this.sampleCount);
    const ctts = stbl.child("ctts");
    this.#ctts = ctts ? ctts.table(8, ctts.u32(4), 8) : NO_ENTRIES;
    const sums = Math.ceil(this.#ctts.byteLength / 32); // that #composition makes on first use
    const tables = [this.#sizes, this.#chunks, this.#durations];
    this.rawBytes = tables.reduce((sum, table) => sum + table.rawBytes, this.#ctts.byteLength);
    this.heapBytes = tables.reduce((sum, table) => sum + table.heapBytes, this.#ctts.byteLength + sums);
    this.heapBytes += this.syncSamples?.byteLength ?? 0;
    if (this.sampleCount > 0) this.samples(this.sampleCount - 1, this.sampleCount); // a cut file is told at once
  }

  /** Copies what it keeps of the file's bytes, so that the buffer from which it was read can go. */
  detach(): void {
    for (const table of [this.#sizes, this.#chunks, this.#durations]) table.detach();
    this.#ctts = ownView(this.#ctts);
    this.#compositions = undefined;
  }

  dtsOf(sample: number): number {
    if (sample >= this.sampleCount) return this.endDts;
    this.#durations.seek(sample);
    return this.#durations.firstTicks + (sample - this.#durations.first) * this.#durations.value;
  }
  ptsOf(sample: number): number {
    const compositions = this.#composition();
    if (sample >= compositions.sampleCount) return this.dtsOf(sample);
    compositions.seek(sample);
    return this.dtsOf(sample) + (compositions.value | 0);
  }
  sampleAt(dts: number): number {
    return this.#durations.sampleAt(dts);
  }
  sizeBytes(first: number, end: number): number {
    return this.#sizes.sum(first, end);
  }

  samples(first: number, end: number): Samples {
    const samples = emptySamples(first, end - first);
    const { size, offset } = samples;
    for (let index = 0; index < size.length; index += 1) size[index] = this.#sizes.at(first + index);
    this.#chunks.locate(first, size, offset, this.#sizes);
    checkWithin(samples, this.#fileBytes);
    this.#fillTimes(samples);
    this.#fillCompositions(samples);
    markSync(samples, this.syncSamples);
    return samples;
  }

  #fillTimes({ first, count, dts }: Samples): void {
    const end = first + count;
    for (let sample = first; sample < end; ) {
      this.#durations.seek(sample);
      const { first: entryFirst, firstTicks, value, entryEnd } = this.#durations;
      const stop = Math.min(end, entryEnd);
      for (; sample < stop; sample += 1) dts[sample - first] = firstTicks + (sample - entryFirst) * value;
    }
    dts[count] = this.dtsOf(end);
  }
  #fillCompositions({ first, count, compositionOffset }: Samples): void {
    const compositions = this.#composition();
    const end = Math.min(first + count, compositions.sampleCount);
    for (let sample = first; sample < end; ) {
      compositions.seek(sample);
      const { value, entryEnd } = compositions;
      const stop = Math.min(end, entryEnd);
      compositionOffset.fill(value, sample - first, stop - first); // signed in both versions of ctts, in practice
      sample = stop;
    }
  }
  #composition(): RunTable {
    this.#compositions ??= new RunTable(this.#ctts, this.sampleCount);
    return this.#compositions;
  }
}
