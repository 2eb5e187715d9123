/**
 * Ties source timestamps to stream time (design §6). Stream time S = PTS + k · 2³³ + offset, in 90 kHz ticks; the wall
 * clock of S, in ms since 1970, is S / 90 + residualMs. The offset is a multiple of the GOP, so key frames lie where
 * the PTS itself is a multiple of the GOP: origins that have not talked yet agree already.
 */
import type { Grid } from "./grid.ts";

/** PTS of MPEG-TS have 33 bits (ISO/IEC 13818-1 §2.4.3.7). */
export const WRAP_TICKS = 2 ** 33;

/** The same shape as the contract's; see contracts/streamer.ts. */
export interface AnchorPoint {
  readonly offsetTicks: number;
  readonly residualMs: number;
  readonly firstSegmentNumber: number;
  readonly frameRateNum: number;
  readonly frameRateDen: number;
  readonly anchorEpoch: number;
}

export const segmentNumberAt = (streamTicks: number, grid: Grid): number => Math.floor(streamTicks / grid.segmentTicks);

/** Stream time that the wall clock stands at. */
export const expectedTicks = (anchor: Pick<AnchorPoint, "residualMs">, nowMs: number): number =>
  (nowMs - anchor.residualMs) * 90;

export interface Placed {
  readonly streamTicks: number;
  /** How many 33-bit wraps the source is away from the anchor; `-1` before one that is to come. */
  readonly wraps: number;
  /** Stream time minus expected, ticks: negative is late. */
  readonly aheadTicks: number;
}

/** Where a source timestamp lies in stream time: of all its unwrappings the one nearest to what the clock expects. */
export const placeTicks = (ptsTicks: number, anchor: AnchorPoint, nowMs: number): Placed => {
  const expected = expectedTicks(anchor, nowMs);
  const raw = ptsTicks + anchor.offsetTicks;
  const wraps = Math.round((expected - raw) / WRAP_TICKS) || 0;
  const streamTicks = raw + wraps * WRAP_TICKS;
  return { streamTicks, wraps, aheadTicks: streamTicks - expected };
};

const floorMod = (value: number, by: number): number => ((value % by) + by) % by;

/**
 * Where in the GOP a source timestamp of 0 lies, ticks: what the encoder's key-frame grid is shifted by; 0 before any
 * wrap.
 */
export const phaseTicks = (anchor: AnchorPoint, wraps: number, grid: Grid): number =>
  floorMod(anchor.offsetTicks + wraps * WRAP_TICKS, grid.gopTicks);

/** Arrivals within this are the same clock, however the network jitters; a restarted origin keeps the anchor then. */
const FITS_MS = 1_000;
/** A running source that is further ahead or behind has jumped. */
const JUMP_AHEAD_MS = 600;
const JUMP_BEHIND_MS = 2_000;

/** Whether a (re)started source still fits the anchor. */
export const fitsAnchor = ({ aheadTicks }: Placed): boolean => Math.abs(aheadTicks) <= FITS_MS * 90;

export const hasJumped = ({ aheadTicks }: Placed): boolean =>
  aheadTicks > JUMP_AHEAD_MS * 90 || aheadTicks < -JUMP_BEHIND_MS * 90;

export interface Proposal {
  /** Of the first key frame seen, unwrapped or not. */
  readonly ptsTicks: number;
  readonly nowMs: number;
  readonly grid: Grid;
  /** The anchor that no longer fits; null for a channel's first one. */
  readonly previous: AnchorPoint | null;
}

/**
 * An anchor for a source. The first one puts stream time at the wall clock since 1970, so that numbers grow over all
 * the lives of a channel, and the first key frame at the start of a segment; a moved one puts it at the first GOP at or
 * after the expected time, never back.
 */
export const proposeAnchor = ({ ptsTicks, nowMs, grid, previous }: Proposal): AnchorPoint => {
  const { gopTicks, segmentTicks, frameRate } = grid;
  const gopStart = Math.round(ptsTicks / gopTicks) * gopTicks;
  const streamStart = previous
    ? Math.ceil((expectedTicks(previous, nowMs) - ptsTicks) / gopTicks) * gopTicks + gopStart
    : Math.floor((nowMs * 90) / segmentTicks) * segmentTicks;
  const offsetTicks = streamStart - gopStart;
  const streamTicks = ptsTicks + offsetTicks;
  return {
    offsetTicks,
    residualMs: nowMs - streamTicks / 90,
    firstSegmentNumber: previous?.firstSegmentNumber ?? segmentNumberAt(streamStart, grid),
    frameRateNum: frameRate.num,
    frameRateDen: frameRate.den,
    anchorEpoch: (previous?.anchorEpoch ?? 0) + 1,
  };
};
