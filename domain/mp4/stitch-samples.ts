/** Samples of a stitched movie: where each lies in the parts, and when it is decoded and shown. */
import { damaged } from "./box-view.ts";
import type { AudioTrack, Samples, Track, VideoTrack } from "./movie.ts";

const SAMPLES_AT_ONCE = 100_000; // 3 MB of arrays

/** Samples of one track of the whole, in decode order. */
export interface StitchedSamples {
  readonly count: number;
  readonly size: Uint32Array;
  /** 0-based number of the part that has the bytes. */
  readonly part: Uint32Array;
  /** Where they begin in that part. */
  readonly offset: Float64Array;
  /** `count + 1` entries in the track's timescale, from 0 on. */
  readonly dts: Float64Array;
  /** Never negative. */
  readonly compositionOffset: Uint32Array;
  readonly sync: Uint8Array;
}

/** A track of the whole. */
export interface StitchedTrack {
  /** Where codec, language, name and header come from. */
  readonly like: Track;
  readonly timescale: number;
  readonly samples: StitchedSamples;
  /** Nothing is shown for so long first: ticks of the track (ISO/IEC 14496-12 §8.6.6, an empty edit). */
  readonly emptyTicks: number;
  /** Then what has this composition time. */
  readonly mediaTicks: number;
  /** Presentation time at which the last sample ends. */
  readonly endTicks: number;
}

export const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

const emptySamples = (count: number): StitchedSamples => ({
  count,
  size: new Uint32Array(count),
  part: new Uint32Array(count),
  offset: new Float64Array(count),
  dts: new Float64Array(count + 1),
  compositionOffset: new Uint32Array(count),
  sync: new Uint8Array(count),
});

/** All samples of a track up to `end`, in slices that fit into memory whatever its length. */
function* slicesOf({ table }: Track, end = table.sampleCount): Generator<Samples> {
  for (let first = 0; first < end; first += SAMPLES_AT_ONCE) {
    yield table.samples(first, Math.min(end, first + SAMPLES_AT_ONCE));
  }
}

/** What a chunk is in time, in its own ticks. */
interface ChunkTimes {
  /** Decode time of its first sample. */
  readonly firstDts: number;
  /** How long after that decode time its first picture is shown. */
  readonly delay: number;
  /** By how much decode times have to run ahead of it, so that no picture is shown before it is decoded. */
  readonly ahead: number;
  readonly duration: number;
  /** When its first picture is shown, after the edit list. */
  readonly start: number;
}

const chunkTimes = ({ table, shift }: VideoTrack, samplesOf: Iterable<Samples>): ChunkTimes => {
  const firstDts = table.dtsOf(0);
  let firstPts = Number.POSITIVE_INFINITY;
  let lastPts = Number.NEGATIVE_INFINITY;
  let leastOffset = Number.POSITIVE_INFINITY;
  for (const { count, dts, compositionOffset } of samplesOf) {
    for (let index = 0; index < count; index += 1) {
      const offset = compositionOffset[index]!;
      const pts = dts[index]! + offset;
      firstPts = Math.min(firstPts, pts);
      lastPts = Math.max(lastPts, pts);
      leastOffset = Math.min(leastOffset, offset);
    }
  }
  const duration = table.endDts - firstDts;
  if (lastPts - firstPts >= duration) damaged(`its pictures span ${lastPts - firstPts} of ${duration} ticks`);
  const delay = firstPts - firstDts;
  return { firstDts, delay, ahead: delay - leastOffset, duration, start: firstPts + shift };
};

/** Ticks that are exact in each part's timescale. */
const commonTimescale = (tracks: readonly Track[]): number => {
  const timescale = tracks.reduce((common, track) => {
    return (common / greatestDivisor(common, track.timescale)) * track.timescale;
  }, 1);
  return timescale < 2 ** 31 ? timescale : damaged(`timescales whose common one is ${timescale}`);
};

/** Names a part in what it is refused for. */
export const inChunk = <T>(index: number, work: () => T): T => {
  try {
    return work();
  } catch (error) {
    if (error instanceof Error) error.message = `chunk ${index}: ${error.message}`;
    throw error;
  }
};

/**
 * Chunks one behind the other: the first keeps the time at which it begins, each other one is shown as soon as the one
 * before it ends, whatever time it says of itself. Encoders reorder a short chunk less than a long one: all are
 * delayed as much as the most delayed is, and one edit takes that off.
 */
export const stitchVideo = (tracks: readonly VideoTrack[]): StitchedTrack => {
  const [first] = tracks;
  if (!first) throw new Error("bug: a movie of no chunks");
  const timescale = commonTimescale(tracks);
  const scales = tracks.map((track) => timescale / track.timescale);
  const times = tracks.map((track, index) => inChunk(index, () => chunkTimes(track, slicesOf(track))));
  const ahead = times.reduce((most, time, index) => Math.max(most, time.ahead * scales[index]!), 0);
  const samples = emptySamples(tracks.reduce((sum, { table }) => sum + table.sampleCount, 0));
  let at = 0;
  let begin = 0;
  for (const [part, track] of tracks.entries()) {
    const [time, scale] = [times[part]!, scales[part]!];
    for (const slice of slicesOf(track)) {
      if (slice.first === 0 && slice.sync[0] !== 1) inChunk(part, () => damaged("it begins without a key frame"));
      for (let index = 0; index < slice.count; index += 1, at += 1) {
        samples.size[at] = slice.size[index]!;
        samples.part[at] = part;
        samples.offset[at] = slice.offset[index]!;
        samples.dts[at] = begin + (slice.dts[index]! - time.firstDts) * scale;
        samples.compositionOffset[at] = (slice.compositionOffset[index]! - time.delay) * scale + ahead;
        samples.sync[at] = slice.sync[index]!;
      }
    }
    begin += time.duration * scale;
  }
  samples.dts[samples.count] = begin;
  const start = times[0]!.start * scales[0]!;
  const edit = { emptyTicks: Math.max(0, start), mediaTicks: ahead - Math.min(0, start) };
  return { like: first, timescale, samples, ...edit, endTicks: start + begin };
};

/** Samples of `track` that begin before `endSeconds`. */
const samplesBefore = ({ table, shift, timescale }: AudioTrack, endSeconds: number): number => {
  const end = endSeconds * timescale - shift;
  return table.sampleAt(Math.ceil(end - 1e-6)); // what begins there by a rounding of seconds is of what follows
};

/** A track of the audio part as it is, or what of it begins before `endSeconds`. */
export const stitchAudio = (track: AudioTrack, part: number, endSeconds: number | null): StitchedTrack => {
  const count = endSeconds === null ? track.table.sampleCount : samplesBefore(track, endSeconds);
  const samples = emptySamples(count);
  const firstDts = track.table.dtsOf(0);
  for (const slice of slicesOf(track, count)) {
    samples.size.set(slice.size, slice.first);
    samples.offset.set(slice.offset, slice.first);
    samples.sync.set(slice.sync, slice.first);
    for (let index = 0; index <= slice.count; index += 1) {
      samples.dts[slice.first + index] = slice.dts[index]! - firstDts;
    }
    for (let index = 0; index < slice.count; index += 1) {
      const offset = slice.compositionOffset[index]!;
      samples.compositionOffset[slice.first + index] = offset >= 0 ? offset : damaged("sound that is out of order");
    }
  }
  samples.part.fill(part);
  const shift = track.shift + firstDts;
  const edit = { emptyTicks: Math.max(0, shift), mediaTicks: Math.max(0, -shift) };
  return { like: track, timescale: track.timescale, samples, ...edit, endTicks: samples.dts[count]! + shift };
};
