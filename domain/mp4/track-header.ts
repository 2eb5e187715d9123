/** What a track says of itself beside its samples: `tkhd`, `mdhd`, `elng`, `hdlr` (ISO/IEC 14496-12 §8.3, §8.4). */
import { type BoxView, damaged } from "./box-view.ts";

const FIXED_POINT = 2 ** 16;

/** `track_ID` of `tkhd` (§8.3.2). */
export const trackId = (tkhd: BoxView): number => tkhd.u32(tkhd.version === 1 ? 20 : 12);

/** Enabled tracks are presented; the others only when chosen. */
export const isEnabled = (tkhd: BoxView): boolean => (tkhd.flags & 1) === 1;

/** Clockwise degrees of the matrix of `tkhd`, to the next quarter; 0 where it mirrors the picture. */
export const rotationOf = (tkhd: BoxView): number => {
  const at = tkhd.version === 1 ? 52 : 40;
  const [a, b, c, d] = [tkhd.i32(at), tkhd.i32(at + 4), tkhd.i32(at + 12), tkhd.i32(at + 16)].map(
    (n) => n / FIXED_POINT,
  );
  if (a === undefined || b === undefined || c === undefined || d === undefined || a * d - b * c <= 0) return 0;
  const quarters = Math.round(Math.atan2(b, a) / (Math.PI / 2));
  return ((quarters + 4) % 4) * 90;
};

/** Units per second of `mdhd` and of `mvhd`, whose fields stand at the same places. */
export const timescaleOf = (header: BoxView): number => {
  const timescale = header.u32(header.version === 1 ? 20 : 12);
  return timescale > 0 ? timescale : damaged(`${header.type}: a timescale of 0`);
};
