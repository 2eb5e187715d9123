/** What playlists and manifests say of a stored file. Made from its index alone: no media is read for it. */
import type { SegmentPlan } from "./plan.ts";

/** Bit/s of segments with all that their container adds: the highest (RFC 8216bis §4.1) and the mean. */
export interface Rates {
  readonly peakBps: number;
  readonly averageBps: number;
}

/** One elementary stream of a rendition as manifests describe it. */
export interface RenditionTrack {
  readonly kind: "video" | "audio";
  /** RFC 6381. */
  readonly codecs: string;
  readonly timescale: number;
  /**
   * `count + 1` times in the timescale: earliest presentation time of each segment as sent, and the end of the last.
   */
  readonly segmentTicks: Float64Array;
  /** As fMP4 by itself. */
  readonly peakBps: number;
  readonly averageBps: number;
  /** As a transport stream by itself; absent: not counted, the rates of fMP4 stand for them. */
  readonly ts?: Rates;
  /** BCP 47, `und` where not told. */
  readonly language: string;
  readonly name: string;
  /** Video only; display size after sample aspect ratio is `width × sar`. 0 for audio. */
  readonly width: number;
  readonly height: number;
  readonly sampleAspectRatio: readonly [number, number];
  /** Frames per second as a fraction, lowest terms: the highest where they vary; [0, 1] for audio. */
  readonly frameRate: readonly [number, number];
  /** Audio only. */
  readonly sampleRate: number;
  readonly channelCount: number;
  /**
   * Key frames that are listed: presentation time in seconds, sorted (I-frame playlists). Empty for audio, and where
   * they are too many.
   */
  readonly keyFrames: Float64Array;
  /** Which they are among those that are served, 0-based, ascending; null or absent: all are listed. */
  readonly keyFrameIndexes?: Uint32Array | null;
  /** Key frames alone (I-frame playlists); absent: not counted, the rates of all frames stand for them. */
  readonly keyFrameRates?: { readonly ts: Rates; readonly fmp4: Rates };
}

/** One file of a set. */
export interface Rendition {
  /** Path of its folder from where the manifest is, or absolute URL; ends without a slash. */
  readonly uri: string;
  readonly video: RenditionTrack | null;
  readonly audio: readonly RenditionTrack[];
  readonly plan: SegmentPlan;
  /** Of all tracks muxed into one transport stream (video and first audio). */
  readonly muxedPeakBps: number;
  readonly muxedAverageBps: number;
  /** The same in fMP4; absent: not counted, the sum of its tracks stands for it. */
  readonly muxedFmp4?: Rates;
  /** Mean of its encoded media (video and first audio) without containers, or what a SMIL file says it is, bit/s. */
  readonly mediaBps: number;
  /** Text of the file's version, for `?v=`. */
  readonly version: string;
  /** Has CEA-608/708 captions in its video as far as is known; null: not looked at. */
  readonly closedCaptions: boolean | null;
}
