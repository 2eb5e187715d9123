/** Where the samples of a stitched movie lie: in the ranges of the parts, or copied segment by segment. */
import type { StitchedSamples, StitchedTrack } from "./stitch-samples.ts";

/** A range of a part, in the order in which they make up the media of the whole. */
export interface Extent {
  /** 0-based: a chunk, or the audio where it is their number. */
  readonly part: number;
  readonly offset: number;
  readonly lengthBytes: number;
}

const FIRST_LENGTH = 64;

/** A list of numbers that grows. A film with several tracks of sound has a million ranges: no object for each. */
class Numbers {
  length = 0;
  #values = new Float64Array(FIRST_LENGTH);

  push(value: number): void {
    if (this.length === this.#values.length) {
      const grown = new Float64Array(this.length * 2);
      grown.set(this.#values);
      this.#values = grown;
    }
    this.#values[this.length] = value;
    this.length += 1;
  }
  at(index: number): number {
    return this.#values[index]!;
  }
  addToLast(value: number): void {
    this.#values[this.length - 1]! += value;
  }
}

/** Extents one behind the other, those that touch as one. */
export class Extents implements Iterable<Extent> {
  /** Of all of them. */
  lengthBytes = 0;
  readonly #parts = new Numbers();
  readonly #offsets = new Numbers();
  readonly #lengths = new Numbers();

  get length(): number {
    return this.#parts.length;
  }

  at(index: number): Extent {
    return { part: this.#parts.at(index), offset: this.#offsets.at(index), lengthBytes: this.#lengths.at(index) };
  }

  add(part: number, offset: number, lengthBytes: number): void {
    this.lengthBytes += lengthBytes;
    const last = this.length - 1;
    if (last >= 0 && this.#parts.at(last) === part && this.#offsets.at(last) + this.#lengths.at(last) === offset) {
      this.#lengths.addToLast(lengthBytes);
    } else if (lengthBytes > 0) {
      this.#parts.push(part);
      this.#offsets.push(offset);
      this.#lengths.push(lengthBytes);
    }
  }

  *[Symbol.iterator](): Generator<Extent> {
    for (let index = 0; index < this.length; index += 1) yield this.at(index);
  }
}

/** Runs of samples that lie one behind the other in the whole: chunks of `stsc` and `stco` (ISO/IEC 14496-12 §8.7). */
export class Runs {
  readonly #counts = new Numbers();
  readonly #offsets = new Numbers();

  get length(): number {
    return this.#counts.length;
  }

  /** `offset`: counted from the first byte of the media. */
  begin(offset: number, sampleCount: number): void {
    this.#counts.push(sampleCount);
    this.#offsets.push(offset);
  }
  /** One more sample in the last run. */
  extend(): void {
    this.#counts.addToLast(1);
  }
  sampleCount(index: number): number {
    return this.#counts.at(index);
  }
  offset(index: number): number {
    return this.#offsets.at(index);
  }
}

export interface Layout {
  readonly extents: Extents;
  /** One for each track, in their order. */
  readonly runs: readonly Runs[];
}

/** First samples of each segment of the grid, by track, and behind the last one. */
export type Cuts = readonly (readonly number[])[];

/**
 * Pictures are cut at the key frames that begin a multiple of `segmentSeconds`, rounded by half a picture: at rates of
 * 1000/1001 no key frame lies on it. Sound goes with the segment in which it begins.
 */
export const gridCuts = (
  [video, ...audio]: readonly [StitchedTrack, ...StitchedTrack[]],
  segmentSeconds: number,
): Cuts => {
  const starts: number[] = []; // of segments, in seconds
  const cuts: number[] = [];
  const { samples, timescale } = video;
  let segment = -1;
  for (let sample = 0; sample < samples.count; sample += 1) {
    if (samples.sync[sample] !== 1) continue;
    const dts = samples.dts[sample]!;
    const half = (samples.dts[sample + 1]! - dts) / 2;
    const shown = dts + samples.compositionOffset[sample]! + video.emptyTicks - video.mediaTicks;
    const its = Math.floor((shown + half) / timescale / segmentSeconds);
    if (its <= segment && sample > 0) continue;
    segment = its;
    cuts.push(sample);
    starts.push(shown / timescale);
  }
  return [[...cuts, samples.count], ...audio.map((track) => soundCuts(track, starts))];
};

const soundCuts = (
  { samples, timescale, emptyTicks, mediaTicks }: StitchedTrack,
  starts: readonly number[],
): number[] => {
  const cuts = [0];
  let sample = 0;
  for (const start of starts.slice(1)) {
    const dts = start * timescale - emptyTicks + mediaTicks;
    while (sample < samples.count && samples.dts[sample]! < dts) sample += 1;
    cuts.push(sample);
  }
  return [...cuts, samples.count];
};

/** All samples of a segment, track by track: whoever reads a segment of one track reads one range. */
export const finalLayout = (tracks: readonly StitchedTrack[], cuts: Cuts): Layout => {
  const extents = new Extents();
  const runs = tracks.map(() => new Runs());
  for (let segment = 0; segment + 1 < (cuts[0]?.length ?? 0); segment += 1) {
    for (const [track, { samples }] of tracks.entries()) {
      const [first, end] = [cuts[track]![segment]!, cuts[track]![segment + 1]!];
      if (end === first) continue;
      runs[track]!.begin(extents.lengthBytes, end - first);
      for (let sample = first; sample < end; sample += 1) {
        extents.add(samples.part[sample]!, samples.offset[sample]!, samples.size[sample]!);
      }
    }
  }
  return { extents, runs };
};

/** From the first to the last byte that samples have in each part, in the parts' order. */
const rangesOf = (tracks: readonly StitchedTrack[]): Extent[] => {
  const first: number[] = [];
  const end: number[] = [];
  for (const { samples } of tracks) {
    for (let sample = 0; sample < samples.count; sample += 1) {
      const part = samples.part[sample]!;
      const offset = samples.offset[sample]!;
      first[part] = Math.min(first[part] ?? Number.POSITIVE_INFINITY, offset);
      end[part] = Math.max(end[part] ?? 0, offset + samples.size[sample]!);
    }
  }
  return first.map((offset, part) => ({ part, offset, lengthBytes: end[part]! - offset }));
};

/** Runs of one track where its samples lie; cut on the grid too, so that no reader has to sum up a whole part. */
const runsIn = (samples: StitchedSamples, cuts: readonly number[], inWhole: readonly number[]): Runs => {
  const runs = new Runs();
  let cut = 0;
  let next = -1;
  for (let sample = 0; sample < samples.count; sample += 1) {
    const at = samples.offset[sample]! + inWhole[samples.part[sample]!]!;
    const isCut = sample === cuts[cut];
    while (cuts[cut]! <= sample) cut += 1;
    if (at === next && !isCut) runs.extend();
    else runs.begin(at, 1);
    next = at + samples.size[sample]!;
  }
  return runs;
};

/** One range of each part: nothing is copied. */
export const virtualLayout = (tracks: readonly StitchedTrack[], cuts: Cuts): Layout => {
  const extents = new Extents();
  const inWhole: number[] = [];
  for (const { part, offset, lengthBytes } of rangesOf(tracks).filter((range) => range !== undefined)) {
    inWhole[part] = extents.lengthBytes - offset;
    extents.add(part, offset, lengthBytes);
  }
  return { extents, runs: tracks.map(({ samples }, track) => runsIn(samples, cuts[track]!, inWhole)) };
};
