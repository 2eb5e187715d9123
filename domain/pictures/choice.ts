/**
 * Which moments of a title make good pictures: told from tiny grey pictures of its key frames, so that nothing has to
 * be looked at in full size.
 */

/** A grey picture of one key frame. */
export interface GreyFrame {
  readonly atSeconds: number;
  /** One byte per pixel, all frames of one size. */
  readonly pixels: Uint8Array;
}

interface Looks {
  readonly atSeconds: number;
  /** 0 to 255. */
  readonly brightness: number;
  /** Standard deviation of the pixels: a black, white or foggy frame has little of it. */
  readonly contrast: number;
  /** Mean difference from the key frame before, per pixel. */
  readonly motion: number;
}

const looksOf = (frames: readonly GreyFrame[]): readonly Looks[] =>
  frames.map(({ atSeconds, pixels }, index) => {
    const before = frames[index - 1]?.pixels;
    let sum = 0;
    let squares = 0;
    let moved = 0;
    for (let i = 0; i < pixels.length; i += 1) {
      const value = pixels[i] ?? 0;
      sum += value;
      squares += value * value;
      if (before) moved += Math.abs(value - (before[i] ?? 0));
    }
    const count = Math.max(1, pixels.length);
    const brightness = sum / count;
    const contrast = Math.sqrt(Math.max(0, squares / count - brightness * brightness));
    return { atSeconds, brightness, contrast, motion: moved / count };
  });

const isFlat = ({ brightness, contrast }: Looks): boolean => contrast < 8 || brightness < 16 || brightness > 240;

/** Contrast counts, and a picture of middle brightness more than one of the same contrast in the dark. */
const posterScore = ({ brightness, contrast }: Looks): number => contrast * (1 - Math.abs(brightness - 118) / 236);

/** Titles and credits are at the ends. */
const MIDDLE_FROM = 0.05;
const MIDDLE_TO = 0.9;

const middleOf = (looks: readonly Looks[], durationSeconds: number): readonly Looks[] => {
  const middle = looks.filter(
    ({ atSeconds }) => atSeconds >= durationSeconds * MIDDLE_FROM && atSeconds <= durationSeconds * MIDDLE_TO,
  );
  return middle.length > 0 ? middle : looks;
};

/**
 * Times of up to `count` poster candidates, one from each equal part of the title, the best first. Empty only where
 * there are no frames.
 */
export const posterTimes = (
  frames: readonly GreyFrame[],
  { durationSeconds, count }: { readonly durationSeconds: number; readonly count: number },
): readonly number[] => {
  const looks = middleOf(looksOf(frames), durationSeconds);
  const candidates = looks.some((one) => !isFlat(one)) ? looks.filter((one) => !isFlat(one)) : looks;
  const best = new Map<number, Looks>();
  for (const one of candidates) {
    const part = Math.min(count - 1, Math.floor((one.atSeconds / durationSeconds) * count));
    const before = best.get(part);
    if (!before || posterScore(one) > posterScore(before)) best.set(part, one);
  }
  return [...best.values()].sort((a, b) => posterScore(b) - posterScore(a)).map(({ atSeconds }) => atSeconds);
};

/**
 * Beginnings of up to `count` clips of `clipSeconds` that don't overlap, in the order of the title: where most moves.
 */
export const clipTimes = (
  frames: readonly GreyFrame[],
  of: { readonly durationSeconds: number; readonly clipSeconds: number; readonly count: number },
): readonly number[] => {
  const { durationSeconds, clipSeconds, count } = of;
  const last = durationSeconds - clipSeconds;
  const looks = middleOf(looksOf(frames), durationSeconds).filter(({ atSeconds }) => atSeconds <= last);
  const scored = looks.map((one) => {
    const within = looks.filter(
      ({ atSeconds }) => atSeconds >= one.atSeconds && atSeconds < one.atSeconds + clipSeconds,
    );
    const lively = within.filter((each) => !isFlat(each)).reduce((sum, { motion }) => sum + motion, 0);
    return { atSeconds: one.atSeconds, lively };
  });
  const chosen: number[] = [];
  for (const { atSeconds } of scored.sort((a, b) => b.lively - a.lively || a.atSeconds - b.atSeconds)) {
    if (chosen.length >= count) break;
    if (chosen.every((other) => Math.abs(other - atSeconds) >= clipSeconds)) chosen.push(atSeconds);
  }
  return chosen.length > 0 ? chosen.sort((a, b) => a - b) : [0];
};
