/** Times as they are sent: 90 kHz, 33 bits (ISO/IEC 13818-1 §2.4.3.5, §2.4.3.7). */
import { TIME_OFFSET_SECONDS } from "../vod/plan.ts";

export const TICKS_PER_SECOND = 90_000;
const OFFSET_TICKS = TIME_OFFSET_SECONDS * TICKS_PER_SECOND;
const WRAP = 2 ** 33;
const LOW = 2 ** 15;

/** A track's units, and the shift of its edit list. */
export interface TrackClock {
  readonly timescale: number;
  readonly shift: number;
}

/** Time of a track in ticks: `round((units + shift) × 90,000 / timescale) + offset`, not wrapped. */
export const ticksOf = ({ timescale, shift }: TrackClock, units: number): number =>
  Math.round(((units + shift) * TICKS_PER_SECOND) / timescale) + OFFSET_TICKS;

const wrapped = (ticks: number): number => ((ticks % WRAP) + WRAP) % WRAP;

/** PTS or DTS: four bits that the caller sets, then 3, 15 and 15 bits with a marker bit behind each. */
export const writeTimestamp = (bytes: Uint8Array, at: number, ticks: number): void => {
  const time = wrapped(ticks);
  const high = Math.floor(time / LOW); // 18 bits
  bytes[at] = ((high >> 14) & 14) | 1;
  bytes[at + 1] = high >> 7;
  bytes[at + 2] = (high << 1) | 1;
  bytes[at + 3] = (time % LOW) >> 7;
  bytes[at + 4] = ((time % LOW) << 1) | 1;
};

/** program_clock_reference: 33 bits of base, 6 reserved, 9 bits of extension, which is 0. */
export const writeClockReference = (bytes: Uint8Array, at: number, ticks: number): void => {
  const time = wrapped(ticks);
  const high = Math.floor(time / 2); // 32 bits
  bytes[at] = high >>> 24;
  bytes[at + 1] = high >>> 16;
  bytes[at + 2] = high >>> 8;
  bytes[at + 3] = high;
  bytes[at + 4] = ((time % 2) << 7) | 0x7e;
  bytes[at + 5] = 0;
};
