/** Renditions for tests of manifests, told by what matters in the test. */
import type { Rendition, RenditionTrack } from "../../domain/vod/rendition.ts";

/** What matters of a track; the rest is usual. */
export interface TrackSetup {
  readonly codecs?: string;
  readonly timescale?: number;
  readonly peakBps?: number;
  readonly averageBps?: number;
  readonly language?: string;
  readonly name?: string;
  readonly size?: readonly [number, number];
  readonly sampleAspectRatio?: readonly [number, number];
  readonly frameRate?: readonly [number, number];
  readonly sampleRate?: number;
  readonly channelCount?: number;
  readonly keyFrames?: readonly number[];
}
/** What matters of a file; the rest is usual. */
export interface RenditionSetup {
  readonly uri?: string;
  /** Seconds at which segments begin, and the end of the last one. */
  readonly starts?: readonly number[];
  readonly video?: TrackSetup | null;
  readonly audio?: readonly TrackSetup[];
  readonly muxedPeakBps?: number;
  readonly muxedAverageBps?: number;
  /** `muxedPeakBps` where not told. */
  readonly mediaBps?: number;
  readonly version?: string;
  readonly closedCaptions?: boolean | null;
}

const AUDIO_FRAME = 1_024;
const OFFSET_SECONDS = 10;

/** Ticks as a track has them: the grid itself, or the first audio frame at or after each place of it. */
const ticksOf = (starts: readonly number[], timescale: number, frame: number): Float64Array =>
  Float64Array.from(starts, (time) => Math.ceil(((time + OFFSET_SECONDS) * timescale) / frame - 1e-6) * frame);

const videoOf = (setup: TrackSetup, starts: readonly number[]): RenditionTrack => ({
  kind: "video",
  codecs: setup.codecs ?? "avc1.64001f",
  timescale: setup.timescale ?? 90_000,
  segmentTicks: ticksOf(starts, setup.timescale ?? 90_000, 1),
  peakBps: setup.peakBps ?? 1_000_000,
  averageBps: setup.averageBps ?? 800_000,
  language: setup.language ?? "und",
  name: setup.name ?? "",
  width: setup.size?.[0] ?? 1280,
  height: setup.size?.[1] ?? 720,
  sampleAspectRatio: setup.sampleAspectRatio ?? [1, 1],
  frameRate: setup.frameRate ?? [25, 1],
  sampleRate: 0,
  channelCount: 0,
  keyFrames: Float64Array.from(setup.keyFrames ?? starts.slice(0, -1)),
});

const audioOf = (setup: TrackSetup, starts: readonly number[]): RenditionTrack => ({
  kind: "audio",
  codecs: setup.codecs ?? "mp4a.40.2",
  timescale: setup.timescale ?? setup.sampleRate ?? 48_000,
  segmentTicks: ticksOf(starts, setup.timescale ?? setup.sampleRate ?? 48_000, AUDIO_FRAME),
  peakBps: setup.peakBps ?? 130_000,
  averageBps: setup.averageBps ?? 128_000,
  language: setup.language ?? "und",
  name: setup.name ?? "",
  width: 0,
  height: 0,
  sampleAspectRatio: [1, 1],
  frameRate: [0, 1],
  sampleRate: setup.sampleRate ?? 48_000,
  channelCount: setup.channelCount ?? 2,
  keyFrames: new Float64Array(),
});

/** Segments of `segmentSeconds` and a shorter last one. */
export const gridOf = (durationSeconds: number, segmentSeconds: number): number[] => {
  const count = Math.ceil(durationSeconds / segmentSeconds - 1e-9);
  return [...Array.from({ length: count }, (_, n) => n * segmentSeconds), durationSeconds];
};

/** A file of video and stereo sound, 20 s in segments of 6 s, unless told otherwise. */
export const renditionOf = (setup: RenditionSetup = {}): Rendition => {
  const starts = setup.starts ?? gridOf(20, 6);
  const video = setup.video === null ? null : videoOf(setup.video ?? {}, starts);
  const audio = (setup.audio ?? [{}]).map((track) => audioOf(track, starts));
  const sum = (rate: "peakBps" | "averageBps") => (video?.[rate] ?? 0) + (audio[0]?.[rate] ?? 0);
  return {
    uri: setup.uri ?? "movie.mp4",
    video,
    audio,
    plan: { count: starts.length - 1, starts: Float64Array.from(starts) },
    muxedPeakBps: setup.muxedPeakBps ?? sum("peakBps"),
    muxedAverageBps: setup.muxedAverageBps ?? sum("averageBps"),
    mediaBps: setup.mediaBps ?? setup.muxedPeakBps ?? sum("peakBps"),
    version: setup.version ?? "v1",
    closedCaptions: setup.closedCaptions ?? null,
  };
};
