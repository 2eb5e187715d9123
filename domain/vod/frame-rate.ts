/** Frames per second of a video, from the durations in its index. */
import type { VideoTrack } from "../mp4/movie.ts";

type Fraction = readonly [numerator: number, denominator: number];

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/** The rates that broadcast and film use; a measured one that is as near to one as ticks allow is that one. */
const USUAL_RATES: readonly Fraction[] = [
  [24000, 1001],
  [24, 1],
  [25, 1],
  [30000, 1001],
  [30, 1],
  [50, 1],
  [60000, 1001],
  [60, 1],
];
const USUAL_WITHIN = 2e-4;
/** Places of the file that are looked at, and frames of each: some seconds. */
const PLACES = 8;
const FRAMES = 240;
/** A duration that fewer frames have (a cut, a stutter) is none that the file goes on with. */
const REGULAR_SHARE = 0.05;

const fractionOf = (rate: number, within: number): Fraction => {
  const nearness = ([num, den]: Fraction): number => Math.abs(rate / (num / den) - 1);
  const [usual] = USUAL_RATES.toSorted((one, other) => nearness(one) - nearness(other));
  if (usual && nearness(usual) < within) return usual;
  const thousandths = Math.round(rate * 1000);
  const divisor = greatestDivisor(thousandths, 1000);
  return [thousandths / divisor, 1000 / divisor];
};

/** How many frames of those that are looked at have which duration, the shortest one first. */
const durationsOf = ({ table }: VideoTrack): readonly (readonly [ticks: number, frames: number])[] => {
  const frames = new Map<number, number>();
  const stride = Math.max(FRAMES, Math.floor(table.sampleCount / PLACES));
  for (let place = 0; place < table.sampleCount; place += stride) {
    const end = Math.min(place + FRAMES, table.sampleCount);
    for (let sample = place; sample < end; sample += 1) {
      const ticks = table.dtsOf(sample + 1) - table.dtsOf(sample);
      if (ticks > 0) frames.set(ticks, (frames.get(ticks) ?? 0) + 1);
    }
  }
  return [...frames].sort(([one], [other]) => one - other);
};

/**
 * Frames per second in lowest terms: the mean where frames last equally long but for the rounding of ticks; else the
 * highest that the file goes on with, as RFC 8216 §4.3.4.2 has it for FRAME-RATE.
 */
export const frameRateOf = (track: VideoTrack): Fraction => {
  const { table, timescale } = track;
  const ticks = table.endDts - table.dtsOf(0);
  if (ticks <= 0 || table.sampleCount < 2) return [0, 1];
  const durations = durationsOf(track);
  const all = durations.reduce((sum, [, frames]) => sum + frames, 0);
  const meanTicks = ticks / table.sampleCount;
  const isEven = ([duration]: readonly [number, number]): boolean => Math.abs(duration - meanTicks) <= 1;
  const evenFrames = durations.filter(isEven).reduce((sum, [, frames]) => sum + frames, 0);
  if (evenFrames > all * (1 - REGULAR_SHARE)) return fractionOf(timescale / meanTicks, USUAL_WITHIN);
  for (const [shortest] of durations) {
    // Durations that are a tick apart are one, rounded.
    const alike = durations.filter(([duration]) => duration === shortest || duration === shortest + 1);
    const frames = alike.reduce((sum, [, count]) => sum + count, 0);
    if (frames < all * REGULAR_SHARE) continue;
    const mean = alike.reduce((sum, [duration, count]) => sum + duration * count, 0) / frames;
    return fractionOf(timescale / mean, USUAL_WITHIN + 0.5 / mean);
  }
  return fractionOf(timescale / meanTicks, USUAL_WITHIN);
};
