/** The sample table of a track whose samples are described by its fragments (ISO/IEC 14496-12 §8.8). */
import { damaged, unsupported } from "./box-view.ts";
import type { Samples, SampleTable } from "./movie.ts";
import { firstAtLeast } from "./run-table.ts";
import { type CompactTable, checkWithin, emptySamples, markSync } from "./sample-table.ts";

/** Of all tracks of a file: 10 hours of 60 frames a second with two audio tracks; 100 MB. */
const SAMPLES_MAX = 2 ** 22;
const FIRST_CAPACITY = 1024;
/** Samples that are taken over at once from a table that is not fragmented. */
const PART = 65_536;

/** What a run says of one sample. */
export interface FragmentSample {
  readonly duration: number;
  readonly size: number;
  readonly compositionOffset: number;
  readonly isSync: boolean;
  readonly offset: number;
}

/** Samples that all tracks of a file may still have. */
export class SampleBudget {
  #left = SAMPLES_MAX;
  take(count: number): void {
    this.#left -= count;
    if (this.#left < 0) unsupported(`its fragments have more than ${SAMPLES_MAX} samples`);
  }
}

const grown = <T extends Uint32Array | Float64Array | Int32Array>(array: T, capacity: number): T => {
  const larger = new (array.constructor as new (length: number) => T)(capacity);
  larger.set(array);
  return larger;
};

/** Collects the samples of one track, fragment by fragment. */
export class SampleCollector {
  readonly descriptions = new Set<number>();
  readonly #budget: SampleBudget;
  #count = 0;
  #size = new Uint32Array(FIRST_CAPACITY);
  #offset = new Float64Array(FIRST_CAPACITY);
  #dts = new Float64Array(FIRST_CAPACITY + 1);
  #composition = new Int32Array(FIRST_CAPACITY);
  #sync = new Uint32Array(FIRST_CAPACITY);
  #syncCount = 0;

  constructor(budget: SampleBudget) {
    this.#budget = budget;
  }

  get count(): number {
    return this.#count;
  }

  /** The next sample begins at this time; the one before lasts until then. */
  seek(dts: number): void {
    if (this.#count > 0 && dts < (this.#dts[this.#count - 1] ?? 0)) damaged("its fragments go back in time");
    this.#dts[this.#count] = dts;
  }

  /** Makes room, before anything is read. */
  reserve(count: number): void {
    this.#budget.take(count);
    const wanted = this.#count + count;
    if (wanted <= this.#size.length) return;
    const capacity = Math.max(wanted, this.#size.length * 2);
    this.#size = grown(this.#size, capacity);
    this.#offset = grown(this.#offset, capacity);
    this.#dts = grown(this.#dts, capacity + 1);
    this.#composition = grown(this.#composition, capacity);
    this.#sync = grown(this.#sync, capacity);
  }

  /** There must be room for it. */
  add(sample: FragmentSample): void {
    const at = this.#count;
    this.#size[at] = sample.size;
    this.#offset[at] = sample.offset;
    this.#composition[at] = sample.compositionOffset;
    this.#dts[at + 1] = (this.#dts[at] ?? 0) + sample.duration;
    if (sample.isSync) {
      this.#sync[this.#syncCount] = at;
      this.#syncCount += 1;
    }
    this.#count += 1;
  }

  /** Takes over the samples that `moov` describes, before those of fragments. */
  addTable(table: CompactTable): void {
    for (const index of table.descriptions) this.descriptions.add(index);
    this.reserve(table.sampleCount);
    for (let first = 0; first < table.sampleCount; first += PART) {
      const { count, size, offset, dts, compositionOffset, sync } = table.samples(
        first,
        Math.min(first + PART, table.sampleCount),
      );
      for (let index = 0; index < count; index += 1) {
        this.add({
          duration: (dts[index + 1] ?? 0) - (dts[index] ?? 0),
          size: size[index] ?? 0,
          compositionOffset: compositionOffset[index] ?? 0,
          isSync: sync[index] === 1,
          offset: offset[index] ?? 0,
        });
      }
    }
  }

  /** The table of what was collected. */
  table(fileBytes: number): FragmentedTable {
    const count = this.#count;
    const composition = this.#composition.slice(0, count);
    return new FragmentedTable({
      fileBytes,
      descriptions: this.descriptions,
      size: this.#size.slice(0, count),
      offset: this.#offset.slice(0, count),
      dts: this.#dts.slice(0, count + 1),
      composition: composition.some((offset) => offset !== 0) ? composition : null,
      sync: this.#syncCount === count ? null : this.#sync.slice(0, this.#syncCount),
    });
  }
}

interface Columns {
  readonly fileBytes: number;
  readonly descriptions: ReadonlySet<number>;
  readonly size: Uint32Array;
  readonly offset: Float64Array;
  readonly dts: Float64Array;
  /** Null: all are 0. */
  readonly composition: Int32Array | null;
  /** Null: all are sync samples. */
  readonly sync: Uint32Array | null;
}

class FragmentedTable implements SampleTable {
  readonly sampleCount: number;
  readonly endDts: number;
  readonly syncSamples: Uint32Array | null;
  readonly heapBytes: number;
  /** Indexes into `stsd`, 1-based, of its samples. */
  readonly descriptions: ReadonlySet<number>;
  readonly #columns: Columns;

  constructor(columns: Columns) {
    const { size, offset, dts, composition, sync } = columns;
    this.#columns = columns;
    this.sampleCount = size.length;
    this.endDts = dts[size.length] ?? 0;
    if (!Number.isSafeInteger(this.endDts)) damaged("its decode times go beyond 2^53");
    this.syncSamples = sync;
    this.descriptions = columns.descriptions;
    const arrays = [size, offset, dts, composition, sync];
    this.heapBytes = arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
    if (size.length > 0) this.samples(size.length - 1, size.length); // a cut file is told at once
  }

  dtsOf(sample: number): number {
    return this.#columns.dts[Math.min(sample, this.sampleCount)] ?? 0;
  }
  ptsOf(sample: number): number {
    return this.dtsOf(sample) + (this.#columns.composition?.[sample] ?? 0);
  }
  sampleAt(dts: number): number {
    return firstAtLeast(this.#columns.dts.subarray(0, this.sampleCount), dts);
  }
  sizeBytes(first: number, end: number): number {
    let bytes = 0;
    for (let sample = first; sample < end; sample += 1) bytes += this.#columns.size[sample] ?? 0;
    return bytes;
  }

  samples(first: number, end: number): Samples {
    const { size, offset, dts, composition, fileBytes } = this.#columns;
    const samples = emptySamples(first, end - first);
    samples.size.set(size.subarray(first, end));
    samples.offset.set(offset.subarray(first, end));
    samples.dts.set(dts.subarray(first, end + 1));
    if (composition) samples.compositionOffset.set(composition.subarray(first, end));
    checkWithin(samples, fileBytes);
    markSync(samples, this.syncSamples);
    return samples;
  }
}
