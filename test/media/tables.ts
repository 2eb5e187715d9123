/** Sample tables as boxes, made from samples that are known (ISO/IEC 14496-12 §8.6, §8.7). */
import { BoxView, boxesIn } from "../../domain/mp4/box-view.ts";
import { boxOf, u32 } from "./boxes.ts";

/** Columns of a track, one entry a sample, and how many samples each of its chunks has. */
export interface KnownSamples {
  readonly duration: readonly number[];
  readonly composition: readonly number[];
  readonly size: readonly number[];
  /** 0-based numbers of sync samples; null: no `stss`. */
  readonly sync: readonly number[] | null;
  readonly chunks: readonly number[];
  readonly chunkOffset: readonly number[];
}
export interface TableLayout {
  /** Bits of a size: 32 for `stsz`, others for `stz2`. */
  readonly sizeBits: 4 | 8 | 16 | 32;
  readonly isWide: boolean;
}

/** Values with how often each comes in a row. */
const runsOf = (values: readonly number[]): [count: number, value: number][] => {
  const runs: [number, number][] = [];
  for (const value of values) {
    const last = runs.at(-1);
    if (last?.[1] === value) last[0] += 1;
    else runs.push([1, value]);
  }
  return runs;
};

const pairs = (type: string, values: readonly number[], version = 0): Buffer => {
  const runs = runsOf(values);
  return boxOf(type, u32(version * 2 ** 24, runs.length, runs.flat()));
};

const sizes = (size: readonly number[], bits: TableLayout["sizeBits"]): Buffer => {
  const [first = 0] = size;
  if (bits === 32 && first !== 0 && size.every((one) => one === first))
    return boxOf("stsz", u32(0, first, size.length));
  if (bits === 32) return boxOf("stsz", u32(0, 0, size.length, size));
  const bytes = Buffer.alloc(Math.ceil((size.length * bits) / 8));
  for (const [index, value] of size.entries()) {
    if (bits === 16) bytes.writeUInt16BE(value, index * 2);
    else if (bits === 8) bytes[index] = value;
    else bytes[index >> 1] = (bytes[index >> 1] ?? 0) | (value << (index % 2 === 0 ? 4 : 0));
  }
  return boxOf("stz2", u32(0, bits, size.length), bytes);
};

const chunkRuns = (chunks: readonly number[]): Buffer => {
  const entries: number[] = [];
  let firstChunk = 1;
  for (const [count, samples] of runsOf(chunks)) {
    entries.push(firstChunk, samples, 1);
    firstChunk += count;
  }
  return boxOf("stsc", u32(0, entries.length / 3, entries));
};

/** A `stbl` without `stsd`. */
export const stblOf = (samples: KnownSamples, { sizeBits, isWide }: TableLayout): BoxView => {
  const offsets = isWide ? samples.chunkOffset.flatMap((at) => [Math.floor(at / 2 ** 32), at]) : samples.chunkOffset;
  const bytes = boxOf(
    "stbl",
    pairs("stts", samples.duration),
    pairs("ctts", samples.composition, 1),
    sizes(samples.size, sizeBits),
    chunkRuns(samples.chunks),
    boxOf(isWide ? "co64" : "stco", u32(0, samples.chunkOffset.length, offsets)),
    samples.sync
      ? boxOf(
          "stss",
          u32(
            0,
            samples.sync.length,
            samples.sync.map((sample) => sample + 1),
          ),
        )
      : Buffer.alloc(0),
  );
  return boxesIn(bytes, 0, "test")[0] ?? new BoxView("stbl", bytes, 8);
};
