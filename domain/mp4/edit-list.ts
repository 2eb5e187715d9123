/** What an edit list does to a track (ISO/IEC 14496-12 §8.6.6). */
import { type BoxView, damaged } from "./box-view.ts";

const EMPTY = -1;
/** More edits than a cutting room's: nothing behind the first real one is used. */
const EDITS_MAX = 10_000;

export interface TimeScales {
  readonly movie: number;
  readonly track: number;
}

/**
 * Ticks of the track that are added to composition times: the empty edits (a late start) less the media time of the
 * first real edit (encoder delay, B-frames). Edits behind it would cut or repeat samples: all samples are kept instead.
 */
export const editShift = (elst: BoxView | undefined, scales: TimeScales): number => {
  if (!elst) return 0;
  const wide = elst.version === 1;
  const count = Math.min(elst.u32(4), EDITS_MAX);
  elst.table(8, count, wide ? 20 : 12);
  let emptyDuration = 0; // in the movie's timescale
  for (let edit = 0; edit < count; edit += 1) {
    const at = 8 + edit * (wide ? 20 : 12);
    const mediaTime = wide ? elst.i64(at + 8) : elst.i32(at + 4);
    if (mediaTime === EMPTY) emptyDuration += wide ? elst.u64(at) : elst.u32(at);
    else if (mediaTime < 0) damaged(`elst: a media time of ${mediaTime}`);
    else return shiftOf(emptyDuration, mediaTime, scales);
  }
  return shiftOf(emptyDuration, 0, scales);
};

const shiftOf = (emptyDuration: number, mediaTime: number, { movie, track }: TimeScales): number => {
  if (emptyDuration > 0 && movie === 0) damaged("mvhd: a timescale of 0");
  const empty = emptyDuration === 0 ? 0 : Math.round((emptyDuration / movie) * track);
  const shift = empty - mediaTime;
  return Number.isSafeInteger(shift) ? shift : damaged("elst: a time beyond 2^53");
};
