/** What playlists and manifests say of a stored file. Made from its index alone: no media is read for it. */
import type { SegmentPlan } from "./plan.ts";

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
  /** Highest rate of any segment and the mean, container overhead included, bit/s. */
  readonly peakBps: number;
  readonly averageBps: number;
  /** BCP 47, `und` where not told. */
  readonly language: string;
  readonly name: string;
  /** Video only; display size after sample aspect ratio is `width × sar`. 0 for audio. */
  readonly width: number;
  readonly height: number;
  readonly sampleAspectRatio: readonly [number, number];
  /** Frames per second as a fraction, lowest terms; [0, 1] for audio. */
  readonly frameRate: readonly [number, number];
  /** Audio only. */
  readonly sampleRate: number;
  readonly channelCount: number;
  /** Key frames: presentation time in seconds, sorted (I-frame playlists). Empty for audio, and where they are too many. */
  readonly keyFrames: Float64Array;
  /** Key frames alone, bit/s (I-frame playlists); absent: not counted, the rates of all frames stand for them. */
  readonly keyFramePeakBps?: number;
  readonly keyFrameAverageBps?: number;
}

/** One file of a set. */
export interface Rendition {
  /** Path of its folder from where the manifest is, or absolute URL; ends without a slash. */
  readonly uri: string;
  readonly video: RenditionTrack | null;
  readonly audio: readonly RenditionTrack[];
  readonly plan: SegmentPlan;
  /** Of all tracks muxed into one stream (video and first audio), transport overhead included, bit/s. */
  readonly muxedPeakBps: number;
  readonly muxedAverageBps: number;
  /** Text of the file's version, for `?v=`. */
  readonly version: string;
  /** Has CEA-608/708 captions in its video as far as is known; null: not looked at. */
  readonly closedCaptions: boolean | null;
}
