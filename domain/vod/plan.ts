/** Where a stored file is cut into segments: the same places in every rendition and every format of a set. */
import type { Movie, Track } from "../mp4/movie.ts";

/**
 * Added to every time that is sent, in all tracks and formats, so that no time is negative: B-frames, AAC priming and
 * edit lists start tracks before zero. Ten seconds is what Apple's own segmenter starts at. The MPD takes it off with
 * `presentationTimeOffset`, WebVTT with `X-TIMESTAMP-MAP`.
 */
export const TIME_OFFSET_SECONDS = 10;

/** Segment n (0-based) is presented from `starts[n]` to `starts[n + 1]`: seconds after edit lists, no offset. */
export interface SegmentPlan {
  readonly count: number;
  /** `count + 1` entries. */
  readonly starts: Float64Array;
}

/** Samples of one track in each segment: segment n has the samples from `firsts[n]` up to `firsts[n + 1]`. */
export interface TrackCuts {
  readonly track: Track;
  /** `count + 1` entries; the last one is the number of samples. */
  readonly firsts: Uint32Array;
}

/** A file as it is served: its plan, and which samples of which track are in which segment. */
export interface CutMovie {
  readonly movie: Movie;
  readonly plan: SegmentPlan;
  readonly video: TrackCuts | null;
  readonly audio: readonly TrackCuts[];
}
