/**
 * Scenes of most of a minute each are shared out over the days: a plain run plays some of them, `npm run test:long`
 * all.
 */
const DAY_MS = 86_400_000;

const seed = (): number => Number(process.env.TEST_SEED ?? Math.floor(Date.now() / DAY_MS));

/** Why scene `index` of `of` is not played in this run, of which `plays` are; false: it is. */
export const leftOut = (
  index: number,
  { of, plays }: { readonly of: number; readonly plays: number },
): string | false =>
  process.env.TEST_WHOLE === "1" || (index + seed() * plays) % of < plays
    ? false
    : "another day's scene: npm run test:long plays all";
