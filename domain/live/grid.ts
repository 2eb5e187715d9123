/**
 * Where a channel's media are cut: whole frames per part and per GOP, whole GOPs per segment, in 90 kHz ticks.
 * All arithmetic is on integers, so that any origin, started at any time, cuts at the same places.
 */
export const TICKS_PER_SECOND = 90_000;

export interface FrameRate {
  readonly num: number;
  readonly den: number;
}

export interface Grid {
  readonly frameRate: FrameRate;
  /** Frames from one key frame to the next. */
  readonly gopFrames: number;
  readonly gopTicks: number;
  readonly segmentTicks: number;
  readonly partFrames: number;
  readonly partTicks: number;
}

/** Rates whose second (or nearest whole number of frames) is a whole number of ticks. */
const RATES: readonly FrameRate[] = [
  ...[5, 6, 8, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 100, 120].map((num) => ({ num, den: 1 })),
  ...[24_000, 30_000, 48_000, 60_000, 120_000].map((num) => ({ num, den: 1001 })),
];

const SAME_RATE = 0.0002; // 29.97 is 30000/1001, 30 is not: they differ by 0.001

/** The usual rate nearest to a measured one; what the encoder is told to make. */
export const usualRate = ({ num, den }: FrameRate): FrameRate => {
  const wanted = num / den;
  const off = (rate: FrameRate): number => Math.abs(rate.num / rate.den - wanted) / wanted;
  const best = RATES.reduce((a, b) => (off(b) < off(a) ? b : a));
  const exact = (TICKS_PER_SECOND * den * Math.max(1, Math.round(wanted))) % num === 0;
  return exact && off(best) > SAME_RATE ? { num, den } : best;
};

export interface GridOptions {
  readonly segmentMs: number;
  readonly partMs: number;
  /** As `usualRate` gives it. */
  readonly frameRate: FrameRate;
}

/** Parts divide the GOP, so that every key frame begins one. */
const nearestDivisor = (of: number, wanted: number): number => {
  let best = 1;
  for (let n = 2; n <= of; n += 1) {
    if (of % n === 0 && Math.abs(n - wanted) < Math.abs(best - wanted)) best = n;
  }
  return best;
};

/** A GOP is one second of whole frames, a segment the number of GOPs nearest to `segmentMs`, at least one. */
export const gridOf = ({ segmentMs, partMs, frameRate }: GridOptions): Grid => {
  const { num, den } = frameRate;
  const gopFrames = Math.max(1, Math.round(num / den));
  const gopTicks = (gopFrames * TICKS_PER_SECOND * den) / num;
  if (!Number.isInteger(gopTicks)) throw new Error(`bug: ${num}/${den} has no whole ticks per GOP`);
  const segmentGops = Math.max(1, Math.round((segmentMs * 90) / gopTicks));
  const partFrames = nearestDivisor(gopFrames, (partMs * num) / (1000 * den));
  return {
    frameRate,
    gopFrames,
    gopTicks,
    segmentTicks: segmentGops * gopTicks,
    partFrames,
    partTicks: (partFrames * TICKS_PER_SECOND * den) / num,
  };
};

export const segmentMsOf = (grid: Grid): number => grid.segmentTicks / 90;
