/** From the index of a file to what manifests say of it: rates, codecs, frame rate, key frames. */
import type { AudioTrack, Samples, VideoTrack } from "../mp4/movie.ts";
import { firstAtLeast } from "../mp4/run-table.ts";
import { endOfServedKeys, firstServedKey, presentedAt, shownUntil } from "./cut.ts";
import { frameRateOf } from "./frame-rate.ts";
import { type KeyFrames, keyFrameRatesOf } from "./key-frame-rates.ts";
import { type CutMovie, type SegmentPlan, TIME_OFFSET_SECONDS, type TrackCuts } from "./plan.ts";
import { ratesOf, type SentStream, toldMs } from "./rates.ts";
import type { Rates, Rendition, RenditionTrack } from "./rendition.ts";

/** More of them are in no list. */
const KEY_FRAMES_MAX = 100_000;
/**
 * Where there are more, the list has some: a film whose pictures are all key frames has 300,000 in 100 minutes, whose
 * list would be 13 MB; of 99,000, what is said of them took 0.27 s (measured). Nobody winds by less than half a second.
 */
const KEY_FRAMES_DENSE = 10_000;
const DENSE_GAP_SECONDS = 0.5;

/** Which of the key frames that are served a list has, 0-based; null: each. */
const listedKeys = (cuts: TrackCuts, first: number): Uint32Array | null => {
  const { table, timescale } = cuts.track;
  const { syncSamples } = table;
  const end = endOfServedKeys(cuts);
  if (end - first <= KEY_FRAMES_DENSE) return null;
  const listed: number[] = [];
  for (let key = first; key < end; ) {
    listed.push(key - first);
    if (listed.length > KEY_FRAMES_MAX) break;
    const next = table.sampleAt(table.dtsOf(syncSamples?.[key] ?? key) + DENSE_GAP_SECONDS * timescale);
    key = Math.max(key + 1, syncSamples ? firstAtLeast(syncSamples, next) : next);
  }
  return Uint32Array.from(listed);
};

/** Key frames that are shown before an earlier one are no key frames, whatever the file says: they take no time. */
const keyFramesOf = (cuts: TrackCuts): KeyFrames => {
  const { track } = cuts;
  const { syncSamples } = track.table;
  const first = firstServedKey(cuts);
  const indexes = listedKeys(cuts, first);
  const count = indexes?.length ?? endOfServedKeys(cuts) - first;
  if (count > KEY_FRAMES_MAX) return { times: new Float64Array(0), indexes: null };
  const times = new Float64Array(count);
  let latest = Number.NEGATIVE_INFINITY;
  for (let n = 0; n < count; n += 1) {
    const key = first + (indexes?.[n] ?? n);
    latest = Math.max(latest, presentedAt(track, syncSamples?.[key] ?? key));
    times[n] = latest;
  }
  return { times, indexes };
};

/** Earliest presentation time of each segment of a track, as sent. */
const ticksOf = ({ track, firsts }: TrackCuts, plan: SegmentPlan): Float64Array => {
  const { table, timescale, shift } = track;
  const offset = TIME_OFFSET_SECONDS * timescale;
  return Float64Array.from(firsts, (first, segment) => {
    const isAtEnd = segment === plan.count && first >= table.sampleCount; // of what grows, more may be there
    if (isAtEnd) return Math.round(shownUntil(track) * timescale) + offset;
    if (track.codec.kind === "video") return Math.round((plan.starts[segment] ?? 0) * timescale) + offset;
    return table.dtsOf(first) + shift + offset;
  });
};

/** Made when it is first asked for: media playlists tell of no rates, and those of a long film take milliseconds. */
const lazily = <T>(make: () => T): (() => T) => {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
};

const videoOf = (
  cuts: TrackCuts,
  track: VideoTrack,
  { plan, rates }: { readonly plan: SegmentPlan; readonly rates: () => Rates },
): RenditionTrack => {
  const segmentTicks = ticksOf(cuts, plan);
  // What precedes the video (an audio track that starts earlier) is no part of it.
  segmentTicks[0] =
    Math.round(presentedAt(track, cuts.firsts[0] ?? 0) * track.timescale) + TIME_OFFSET_SECONDS * track.timescale;
  const { codec } = track;
  const isTurned = track.rotation === 90 || track.rotation === 270;
  const [wide, high] = codec.sampleAspectRatio;
  const keyFrames = lazily(() => keyFramesOf(cuts));
  const frameRate = lazily(() => frameRateOf(track));
  const keyFrameRates = lazily(() => keyFrameRatesOf(cuts, track, { plan, keyFrames: keyFrames() }));
  return {
    kind: "video",
    codecs: codec.codecs,
    timescale: track.timescale,
    segmentTicks,
    get peakBps() {
      return rates().peakBps;
    },
    get averageBps() {
      return rates().averageBps;
    },
    language: track.language,
    name: track.name,
    width: isTurned ? codec.height : codec.width,
    height: isTurned ? codec.width : codec.height,
    sampleAspectRatio: isTurned ? [high, wide] : [wide, high],
    get frameRate() {
      return frameRate();
    },
    sampleRate: 0,
    channelCount: 0,
    get keyFrames() {
      return keyFrames().times;
    },
    get keyFrameIndexes() {
      return keyFrames().indexes;
    },
    get keyFrameRates() {
      return keyFrameRates();
    },
  };
};

/** One audio track, and how it is cut. */
interface Sound {
  readonly cuts: TrackCuts;
  readonly track: AudioTrack;
  readonly segmentTicks: Float64Array;
}

const soundsOf = ({ movie, audio, plan }: CutMovie): readonly Sound[] =>
  movie.audio.flatMap((track, index) => {
    const cuts = audio[index];
    return cuts ? [{ cuts, track, segmentTicks: ticksOf(cuts, plan) }] : [];
  });

const alone = (container: SentStream["container"], { cuts, track, segmentTicks }: Sound): SentStream => ({
  container,
  video: null,
  audio: cuts,
  instants: toldMs(segmentTicks, track.timescale),
});

const audioOf = ({ track, segmentTicks }: Sound, rates: () => Record<"fmp4" | "ts", Rates>): RenditionTrack => ({
  kind: "audio",
  codecs: track.codec.codecs,
  timescale: track.timescale,
  segmentTicks,
  get peakBps() {
    return rates().fmp4.peakBps;
  },
  get averageBps() {
    return rates().fmp4.averageBps;
  },
  get ts() {
    return rates().ts;
  },
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

const BITS = 8;
const NOTHING: Rates = { peakBps: 0, averageBps: 0 };

/** Mean rate of the encoded media that are served, without containers. */
const mediaBpsOf = ({ plan, video, audio }: CutMovie): number => {
  let bytes = 0;
  for (const cuts of [video, audio[0]]) {
    if (cuts) bytes += cuts.track.table.sizeBytes(cuts.firsts[0] ?? 0, cuts.track.table.sampleCount);
  }
  const seconds = (plan.starts[plan.count] ?? 0) - (plan.starts[0] ?? 0);
  return seconds > 0 ? Math.ceil((bytes * BITS) / seconds) : 0;
};

interface AllRates {
  readonly muxedTs: Rates;
  readonly muxedFmp4: Rates;
  readonly picture: Rates;
  readonly sounds: readonly Record<"fmp4" | "ts", Rates>[];
}

const allRatesOf = (cut: CutMovie, sounds: readonly Sound[]): AllRates => {
  const { plan, video, audio } = cut;
  const instants = toldMs(plan.starts, 1);
  const muxed = { video, audio: audio[0] ?? null, instants };
  const [muxedTs = NOTHING, muxedFmp4 = NOTHING, picture = NOTHING, ...ofSounds] = ratesOf(cut, [
    { container: "ts", ...muxed },
    { container: "fmp4", ...muxed },
    { container: "fmp4", video, audio: null, instants },
    ...sounds.flatMap((sound) => [alone("fmp4", sound), alone("ts", sound)]),
  ]);
  const ofSound = (n: number) => ({ fmp4: ofSounds[2 * n] ?? NOTHING, ts: ofSounds[2 * n + 1] ?? NOTHING });
  return { muxedTs, muxedFmp4, picture, sounds: sounds.map((_, n) => ofSound(n)) };
};

/** Describes a file for manifests: passes over its sizes where rates are asked for, so keep what it gives. */
export const describe = (cut: CutMovie, place: { readonly uri: string; readonly version: string }): Rendition => {
  const { movie, plan, video } = cut;
  const sounds = soundsOf(cut);
  const rates = lazily(() => allRatesOf(cut, sounds));
  const mediaBps = lazily(() => mediaBpsOf(cut));
  const silence = { fmp4: NOTHING, ts: NOTHING };
  const [videoTrack] = movie.video;
  return {
    ...place,
    plan,
    video: video && videoTrack ? videoOf(video, videoTrack, { plan, rates: () => rates().picture }) : null,
    audio: sounds.map((sound, n) => audioOf(sound, () => rates().sounds[n] ?? silence)),
    get muxedPeakBps() {
      return rates().muxedTs.peakBps;
    },
    get muxedAverageBps() {
      return rates().muxedTs.averageBps;
    },
    get muxedFmp4() {
      return rates().muxedFmp4;
    },
    get mediaBps() {
      return mediaBps();
    },
    closedCaptions: null,
  };
};

/** The same where a picture goes with sound that is sent alone, as a timed ID3 tag in each of its TS segments. */
export const withArtwork = (rendition: Rendition, cut: CutMovie, tagBytes: number): Rendition => {
  const sounds = soundsOf(cut);
  const instants = toldMs(cut.plan.starts, 1);
  const [muxed = NOTHING, ...ofSounds] = ratesOf(cut, [
    { container: "ts", video: null, audio: cut.audio[0] ?? null, instants, tagBytes },
    ...sounds.map((sound) => ({ ...alone("ts", sound), tagBytes })),
  ]);
  const audio = rendition.audio.map((track, n) => ({ ...track, ts: ofSounds[n] ?? NOTHING }));
  if (rendition.video) return { ...rendition, audio };
  return { ...rendition, audio, muxedPeakBps: muxed.peakBps, muxedAverageBps: muxed.averageBps };
};

/** What is told of each sample that is encrypted (ISO/IEC 23001-7 §7): its vector, its subsamples, their size. */
const ENCRYPTED_SAMPLE_BYTES = { video: 24, audio: 10 } as const;

/** The same where fMP4 is encrypted sample by sample. */
export const withSampleEncryption = (rendition: Rendition, cut: CutMovie): Rendition => {
  const seconds = Math.max(0.001, (cut.plan.starts[cut.plan.count] ?? 0) - (cut.plan.starts[0] ?? 0));
  const added = (track: RenditionTrack, cuts: TrackCuts | null | undefined): number => {
    const [frames, per] = track.frameRate;
    const samplesPerSecond = Math.max(frames / per, (cuts?.track.table.sampleCount ?? 0) / seconds);
    return Math.ceil(samplesPerSecond * ENCRYPTED_SAMPLE_BYTES[track.kind] * BITS);
  };
  const more = (track: RenditionTrack, bps: number): RenditionTrack => ({
    ...track,
    peakBps: track.peakBps + bps,
    averageBps: track.averageBps + bps,
  });
  const { video, audio } = rendition;
  return {
    ...rendition,
    video: video && more(video, added(video, cut.video)),
    audio: audio.map((track, n) => more(track, added(track, cut.audio[n]))),
  };
};

/** The samples of a track in one segment. */
export const samplesIn = ({ track, firsts }: TrackCuts, segment: number): Samples =>
  track.table.samples(firsts[segment] ?? 0, firsts[segment + 1] ?? 0);
