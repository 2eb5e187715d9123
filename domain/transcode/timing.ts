/**
 * The frame grid of a title. All of its rungs have one constant rate; key frames are the first frame at or after each
 * multiple of two seconds, and chunks begin at the first frame at or after multiples of six. With 23.976 a GOP has 48
 * or 47 frames: a fixed 48 would drift off the seconds by 3.6 s an hour.
 */

export interface Rate {
  readonly num: number;
  readonly den: number;
}

export const GOP_SECONDS = 2;
export const SEGMENT_SECONDS = 6;

/** What players and screens know; the highest one bounds the work too. */
const COMMON_RATES: readonly Rate[] = [
  { num: 24_000, den: 1001 },
  { num: 24, den: 1 },
  { num: 25, den: 1 },
  { num: 30_000, den: 1001 },
  { num: 30, den: 1 },
  { num: 50, den: 1 },
  { num: 60_000, den: 1001 },
  { num: 60, den: 1 },
];
const RATE_OTHERWISE: Rate = { num: 25, den: 1 };
/** More than this over the average is the rate of fields, or of nothing but the clock. */
const NOMINAL_SHARE_MAX = 1.9;

export const hertz = ({ num, den }: Rate): number => num / den;

/** So near is a multiple: less than what 24 and 23.976 differ by. */
const MULTIPLE_MISS_MAX = 0.000_4;
const isMultiple = (rate: number, of: number): boolean => {
  const times = Math.round(rate / of);
  return times > 0 && Math.abs(rate / of / times - 1) < MULTIPLE_MISS_MAX;
};
const [SLOWEST, FASTEST] = [COMMON_RATES[0]!, COMMON_RATES.at(-1)!];

/** Less takes more from what moves than uneven steps do. */
const FAST_LEAST = 50;

/** Each picture as often as every other, or each so-many-th one: 15 becomes 30, 12.5 becomes 25, 100 becomes 50. */
const evenRate = (wanted: number): Rate | undefined => {
  if (wanted < hertz(SLOWEST)) return COMMON_RATES.find((rate) => isMultiple(hertz(rate), wanted));
  if (wanted > hertz(FASTEST)) {
    return COMMON_RATES.find((rate) => hertz(rate) >= FAST_LEAST && isMultiple(wanted, hertz(rate)));
  }
  return undefined;
};

/**
 * The common rate that a source has, or that shows its pictures most evenly. `nominal` is what its timestamps could
 * hold: the rate that is meant, where phones and screen recorders leave frames out; of an interlaced source it is the
 * rate of fields, twice as high, and of an irregular one often 1000. Then it is the `average` that counts.
 */
export const commonRate = (average: number | null, nominal: number | null): Rate => {
  const isMeant = average !== null && nominal !== null && nominal < average * NOMINAL_SHARE_MAX;
  const wanted = isMeant ? nominal : (average ?? nominal);
  if (wanted === null || !(wanted > 0)) return RATE_OTHERWISE;
  const nearest = COMMON_RATES.reduce((best, rate) =>
    Math.abs(hertz(rate) - wanted) < Math.abs(hertz(best) - wanted) ? rate : best,
  );
  return evenRate(wanted) ?? nearest;
};

/** The first frame at or after a time; a hair before a frame counts as that frame. */
export const frameFrom = (seconds: number, { num, den }: Rate): number =>
  Math.max(0, Math.ceil((seconds * num) / den - 1e-6));
/** Frames that are shown in a time: the last one is shown for more than half of its own. */
export const frameCountOf = (seconds: number, { num, den }: Rate): number =>
  Math.max(1, Math.round((seconds * num) / den));
export const secondsAt = (frame: number, { num, den }: Rate): number => (frame * den) / num;

/** The most frames that a GOP has. */
export const gopFramesMax = (rate: Rate): number => Math.ceil(GOP_SECONDS * hertz(rate) - 1e-6);

/** Key frames from `from` until before `until`, as frames of the whole title. */
export const keyFrames = (from: number, until: number, rate: Rate): number[] => {
  const frames: number[] = [];
  for (let k = Math.floor(secondsAt(from, rate) / GOP_SECONDS); ; k += 1) {
    const frame = frameFrom(k * GOP_SECONDS, rate);
    if (frame >= until) return frames;
    if (frame >= from) frames.push(frame);
  }
};

export interface Chunk {
  /** 0-based. */
  readonly index: number;
  /** The first frame. */
  readonly from: number;
  /** The one behind the last. */
  readonly until: number;
}

/** In segments. The first chunks are short, so that a title plays soon. */
const FIRST_LENGTHS = [1, 1, 2, 3, 4] as const;
/** 30 s: what a killed process costs at most. Of long titles a minute, so that their chunks stay few. */
const LENGTH = 5;
const LENGTH_LONG = 10;
const LONG_SECONDS = 2 * 3600;

/** No chunk is more than a third of what is left: the nodes that encode the last ones end at about the same time. */
const SHARE_OF_THE_REST = 3;

/** Covers all frames without a hole; each chunk but the first begins on the segment grid. A rest joins the last one. */
export const chunkPlan = (frameCount: number, rate: Rate): Chunk[] => {
  const usual = secondsAt(frameCount, rate) > LONG_SECONDS ? LENGTH_LONG : LENGTH;
  const chunks: Chunk[] = [];
  for (let segment = 0, from = 0; from < frameCount; ) {
    const left = secondsAt(frameCount, rate) / SEGMENT_SECONDS - segment;
    const length = Math.min(FIRST_LENGTHS[chunks.length] ?? usual, Math.max(1, Math.floor(left / SHARE_OF_THE_REST)));
    segment += length;
    const next = frameFrom(segment * SEGMENT_SECONDS, rate);
    const isLast = frameCount - next < hertz(rate) * SEGMENT_SECONDS;
    const until = isLast ? frameCount : next;
    chunks.push({ index: chunks.length, from, until });
    from = until;
  }
  return chunks;
};
