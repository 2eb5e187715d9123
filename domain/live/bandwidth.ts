/**
 * What playlists and manifests say of a rendition's bit rate: constant as long as the encoder keeps what it promised.
 */
import type { Grid } from "./grid.ts";
import type { Rendition } from "./rendition.ts";

const CONTAINER = 1.03; // moof, mdat and NAL lengths: 2 to 3 % at 200 ms chunks
const ROUND_BPS = 1_000;

/** bit/s that no segment exceeds, and its mean. */
export interface Bandwidth {
  readonly peakBps: number;
  readonly averageBps: number;
}

/**
 * `declaredBps`: the encoder's rate, with a buffer of one second: a segment may hold so much more. A rendition that is
 * measured above that is told as measured, in steps that only go up.
 */
export const bandwidthOf = ({ kind, rates }: Rendition, grid: Grid, declaredBps: number): Bandwidth => {
  const bufferSeconds = kind === "video" ? 90_000 / grid.segmentTicks : 0;
  const promisedBps = declaredBps * CONTAINER;
  const peakBps = Math.max(promisedBps * (1 + bufferSeconds), rates.peakBps, ROUND_BPS);
  const averageBps = promisedBps > 0 ? promisedBps : rates.averageBps;
  const round = (bps: number): number => Math.ceil(bps / ROUND_BPS) * ROUND_BPS;
  return { peakBps: round(peakBps), averageBps: round(Math.max(averageBps, ROUND_BPS)) };
};
