/** From the index of a file to what manifests say of it: rates, codecs, frame rate, key frames. */
import type { AudioTrack, Samples, VideoTrack } from "../mp4/movie.ts";
import { firstServedKey, presentedAt, shownUntil } from "./cut.ts";
import { type CutMovie, type SegmentPlan, TIME_OFFSET_SECONDS, type TrackCuts } from "./plan.ts";
import type { Rendition, RenditionTrack } from "./rendition.ts";

const BITS = 8;

/** What a container adds, in bytes: never less than what is really sent, so that BANDWIDTH is an upper bound. */
interface Overhead {
  readonly factor: number;
  readonly perSample: number;
  readonly perSegment: number;
}
// moof: trun entry ≤ 16, encryption ≤ 24; styp, moof, traf, tfhd, tfdt, mdat heads
const FMP4: Overhead = { factor: 1, perSample: 16, perSegment: 200 };
// A frame's last packet is stuffed, half of it on average and all of it at most; PES and adaptation field heads
const TS_VIDEO: Overhead = { factor: 188 / 184, perSample: 220, perSegment: 188 * 48 };
// ADTS head, one PES for several frames
const TS_AUDIO: Overhead = { factor: 188 / 184, perSample: 7 + 188 / 4, perSegment: 188 * 16 };

interface Rates {
  readonly peakBps: number;
  readonly averageBps: number;
}

/** Bits per second of each segment, and of all of it, over the tracks that are sent together. */
const ratesOf = (parts: readonly (readonly [TrackCuts, Overhead])[], plan: SegmentPlan): Rates => {
  let peakBps = 0;
  let totalBytes = 0;
  for (let segment = 0; segment < plan.count; segment += 1) {
    let bytes = 0;
    for (const [{ track, firsts }, { factor, perSample, perSegment }] of parts) {
      const first = firsts[segment] ?? 0;
      const end = firsts[segment + 1] ?? first;
      bytes += track.table.sizeBytes(first, end) * factor + (end - first) * perSample + perSegment;
    }
    totalBytes += bytes;
    const seconds = (plan.starts[segment + 1] ?? 0) - (plan.starts[segment] ?? 0);
    if (seconds > 0) peakBps = Math.max(peakBps, (bytes * BITS) / seconds);
  }
  const allSeconds = (plan.starts[plan.count] ?? 0) - (plan.starts[0] ?? 0);
  const averageBps = allSeconds > 0 ? (totalBytes * BITS) / allSeconds : 0;
  return { peakBps: Math.ceil(Math.max(peakBps, averageBps)), averageBps: Math.ceil(averageBps) };
};

const greatestDivisor = (a: number, b: number): number => (b === 0 ? a : greatestDivisor(b, a % b));

/** The rates that broadcast and film use; a measured mean that is as near to one as ticks allow is that one. */
const USUAL_RATES: readonly (readonly [number, number])[] = [
  [24000, 1001],
  [24, 1],
  [25, 1],
  [30000, 1001],
  [30, 1],
  [50, 1],
  [60000, 1001],
  [60, 1],
];
const USUAL_WITHIN = 2e-4;

/** Mean frames per second, as a fraction in lowest terms. */
const frameRateOf = ({ table, timescale }: VideoTrack): readonly [number, number] => {
  const ticks = table.endDts - table.dtsOf(0);
  if (ticks <= 0 || table.sampleCount < 2) return [0, 1];
  const rate = (table.sampleCount * timescale) / ticks;
  const usual = USUAL_RATES.find(([num, den]) => Math.abs(rate / (num / den) - 1) < USUAL_WITHIN);
  if (usual) return usual;
  const thousandths = Math.round(rate * 1000);
  const divisor = greatestDivisor(thousandths, 1000);
  return [thousandths / divisor, 1000 / divisor];
};

/** More of them are in no list: an hour and more of pictures that are all key frames. */
const KEY_FRAMES_MAX = 100_000;

/** Key frames that are shown before an earlier one are no key frames, whatever the file says: they take no time. */
const keyFramesOf = (cuts: TrackCuts): Float64Array => {
  const { track } = cuts;
  const { syncSamples, sampleCount } = track.table;
  const first = firstServedKey(cuts);
  const count = (syncSamples?.length ?? sampleCount) - first;
  if (count > KEY_FRAMES_MAX) return new Float64Array(0);
  const times = new Float64Array(count);
  let latest = Number.NEGATIVE_INFINITY;
  for (let index = 0; index < count; index += 1) {
    latest = Math.max(latest, presentedAt(track, syncSamples?.[first + index] ?? first + index));
    times[index] = latest;
  }
  return times;
};

/** Earliest presentation time of each segment of a track, as sent. */
const ticksOf = ({ track, firsts }: TrackCuts, plan: SegmentPlan): Float64Array => {
  const { table, timescale, shift } = track;
  const offset = TIME_OFFSET_SECONDS * timescale;
  return Float64Array.from(firsts, (first, segment) => {
    if (segment === plan.count) return Math.round(shownUntil(track) * timescale) + offset;
    if (track.codec.kind === "video") return Math.round((plan.starts[segment] ?? 0) * timescale) + offset;
    return table.dtsOf(first) + shift + offset;
  });
};

const videoOf = (cuts: TrackCuts, track: VideoTrack, plan: SegmentPlan): RenditionTrack => {
  const segmentTicks = ticksOf(cuts, plan);
  // What precedes the video (an audio track that starts earlier) is no part of it.
  segmentTicks[0] =
    Math.round(presentedAt(track, cuts.firsts[0] ?? 0) * track.timescale) + TIME_OFFSET_SECONDS * track.timescale;
  const { codec } = track;
  const isTurned = track.rotation === 90 || track.rotation === 270;
  const [wide, high] = codec.sampleAspectRatio;
  return {
    kind: "video",
    codecs: codec.codecs,
    timescale: track.timescale,
    segmentTicks,
    ...ratesOf([[cuts, FMP4]], plan),
    language: track.language,
    name: track.name,
    width: isTurned ? codec.height : codec.width,
    height: isTurned ? codec.width : codec.height,
    sampleAspectRatio: isTurned ? [high, wide] : [wide, high],
    frameRate: frameRateOf(track),
    sampleRate: 0,
    channelCount: 0,
    keyFrames: keyFramesOf(cuts),
  };
};

const audioOf = (cuts: TrackCuts, track: AudioTrack, plan: SegmentPlan): RenditionTrack => ({
  kind: "audio",
  codecs: track.codec.codecs,
  timescale: track.timescale,
  segmentTicks: ticksOf(cuts, plan),
  ...ratesOf([[cuts, FMP4]], plan),
  language: track.language,
  name: track.name,
  width: 0,
  height: 0,
  sampleAspectRatio: [1, 1],
  frameRate: [0, 1],
  sampleRate: track.codec.sampleRate,
  channelCount: track.codec.channelCount,
  keyFrames: new Float64Array(0),
});

/** Describes a file for manifests: a pass over its sizes, so keep what it gives. */
export const describe = (
  { movie, plan, video, audio }: CutMovie,
  place: { readonly uri: string; readonly version: string },
): Rendition => {
  const muxed: (readonly [TrackCuts, Overhead])[] = [];
  if (video) muxed.push([video, TS_VIDEO]);
  if (audio[0]) muxed.push([audio[0], TS_AUDIO]);
  const { peakBps, averageBps } = ratesOf(muxed, plan);
  const [videoTrack] = movie.video;
  return {
    ...place,
    plan,
    video: video && videoTrack ? videoOf(video, videoTrack, plan) : null,
    audio: movie.audio.flatMap((track, index) => {
      const cuts = audio[index];
      return cuts ? [audioOf(cuts, track, plan)] : [];
    }),
    muxedPeakBps: peakBps,
    muxedAverageBps: averageBps,
    closedCaptions: null,
  };
};

/** The samples of a track in one segment. */
export const samplesIn = ({ track, firsts }: TrackCuts, segment: number): Samples =>
  track.table.samples(firsts[segment] ?? 0, firsts[segment + 1] ?? 0);

/** The file's bytes that samples lie in, `[low, high)`; equal when there are none. */
export const spanOf = (...parts: readonly (Samples | null)[]): readonly [low: number, high: number] => {
  let low = Number.POSITIVE_INFINITY;
  let high = 0;
  for (const samples of parts) {
    if (!samples) continue;
    const { offset, size, count } = samples;
    for (let index = 0; index < count; index += 1) {
      const at = offset[index] ?? 0;
      if (at < low) low = at;
      const end = at + (size[index] ?? 0);
      if (end > high) high = end;
    }
  }
  return high === 0 ? [0, 0] : [low, high];
};
