/** Everything that is served of one file, held against what is in it. */
import assert from "node:assert/strict";
import { assertClock, assertContinuous } from "../../domain/ts/walk.fixture.ts";
import { assertSamples, assertTsAudio, assertTsVideo, headersOf, joined, type Tolerance } from "./compare.ts";
import { type MediaList, mediaList } from "./lists.ts";
import {
  type Fetched,
  type Fmp4Options,
  fetchAll,
  fmp4Segments,
  type ServedSegment,
  tsSegments,
  type Unit,
} from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { Sample, SampledTrack, Truth } from "./truth.ts";

/** Playlists tell times in milliseconds. */
export const TIMES_NEAR_SECONDS = 0.001;
const HEADERS = { h264: [9, 7, 8], hevc: [35, 32, 33, 34] };

/** A media playlist and what is in its segments. */
export interface Stream<T> {
  readonly list: MediaList;
  readonly fetched: Fetched;
  readonly segments: readonly ServedSegment<T>[];
}

const earliest = (times: readonly { readonly ptsSeconds: number }[]): number =>
  Math.min(...times.map(({ ptsSeconds }) => ptsSeconds));

const tracksOf = ({ video, audio }: Truth): readonly SampledTrack[] => [...(video ? [video] : []), ...audio];

/** When the source is shown, from its first moment to its last; nothing is shown before zero. */
export const shownSeconds = ({ truth, lateSeconds }: Subject): readonly [from: number, to: number] => {
  const samples = tracksOf(truth).flatMap((track) => track.samples);
  let end = 0;
  for (const { endSeconds } of samples) end = Math.max(end, endSeconds);
  return [Math.max(0, earliest(samples) + lateSeconds), end + lateSeconds];
};

/** The sum of EXTINF is the source's duration, and segments begin where their playlist says. */
const assertTimes = <T extends { readonly ptsSeconds: number }>(
  { list, segments }: Stream<T>,
  subject: Subject,
): void => {
  const [from, to] = shownSeconds(subject);
  const near = TIMES_NEAR_SECONDS + (subject.frameSeconds ?? 0);
  assert.ok(Math.abs(list.totalSeconds - (to - from)) <= near, `${list.url}: ${list.totalSeconds} of ${to - from}`);
  let at = from;
  for (const [index, { video, audio }] of segments.entries()) {
    const start = earliest(video.length > 0 ? video : audio);
    if (index > 0) assert.ok(Math.abs(start - at) <= near, `${list.url}: segment ${index} at ${start}, not ${at}`);
    at += list.segments[index]?.seconds ?? 0;
  }
};

const tsStream = async (url: string): Promise<Stream<Unit>> => {
  const list = await mediaList(url);
  const fetched = await fetchAll(list);
  return { list, fetched, segments: tsSegments(fetched) };
};

export const fmp4Stream = async (url: string, options: Fmp4Options): Promise<Stream<Sample>> => {
  const list = await mediaList(url);
  const fetched = await fetchAll(list);
  return { list, fetched, segments: await fmp4Segments(fetched, options) };
};

/** Counters, clocks, and a start in each segment from which a decoder can begin. */
const assertTransport = ({ fetched, list, segments }: Stream<Unit>, video: SampledTrack | null): void => {
  const stream = Buffer.concat(fetched.segments);
  assertContinuous(stream);
  assertClock(stream);
  for (const {
    video: [key],
  } of segments) {
    if (!video) continue;
    assert.ok(key, `${list.url}: a segment without a picture`);
    const expected = /^h[ve]/.test(video.codecs) ? HEADERS.hevc : HEADERS.h264;
    assert.deepEqual([...new Set(headersOf(key, video.codecs))], expected, list.url);
  }
};

const lateOf = ({ lateSeconds }: Subject, label: string): Tolerance => ({ label, lateSeconds });

/** MPEG-TS: picture with the first sound, and each track by itself. */
export const assertTs = async (subject: Subject): Promise<Stream<Unit>> => {
  const { url, truth, rendition: r = 0 } = subject;
  const [sound] = truth.audio;
  const muxed = await tsStream(`${url}/index_${r}_av.m3u8`);
  const all = joined(muxed.segments);
  if (truth.video) assertTsVideo(all.video, truth.video, lateOf(subject, "TS"));
  if (sound) assertTsAudio(all.audio, sound, lateOf(subject, "TS"));
  assertTransport(muxed, truth.video);
  assertTimes(muxed, subject);
  for (const [index, track] of truth.audio.entries()) {
    const alone = await tsStream(`${url}/index_${r}_a${index === 0 ? "" : index + 1}.m3u8`);
    assertTsAudio(joined(alone.segments).audio, track, lateOf(subject, `TS audio ${index}`));
    assertTransport(alone, null);
  }
  if (sound && truth.video) {
    const pictures = await tsStream(`${url}/index_${r}_v.m3u8`);
    assertTsVideo(joined(pictures.segments).video, truth.video, lateOf(subject, "TS video"));
    assertTransport(pictures, truth.video);
    assertSameCuts(pictures, muxed, "video");
  }
  return muxed;
};

/** fMP4: muxed, and each track by itself. */
export const assertFmp4 = async (subject: Subject): Promise<Stream<Sample>> => {
  const { url, truth, keyServer, rendition: r = 0 } = subject;
  const [sound] = truth.audio;
  const muxed = await fmp4Stream(`${url}/cmaf_${r}_av.m3u8`, { hasVideo: truth.video !== null, keyServer });
  const all = joined(muxed.segments);
  if (truth.video) assertSamples(all.video, truth.video, lateOf(subject, "fMP4"));
  if (sound) assertSamples(all.audio, sound, lateOf(subject, "fMP4"));
  assertTimes(muxed, subject);
  if (truth.video) {
    const picture = await fmp4Stream(`${url}/cmaf_${r}_v.m3u8`, { hasVideo: true, keyServer });
    assertSamples(joined(picture.segments).video, truth.video, lateOf(subject, "CMAF video"));
    assertTimes(picture, subject);
    assertSameCuts(picture, muxed, "video");
  }
  for (const [index, track] of truth.audio.entries()) {
    const alone = await fmp4Stream(`${url}/cmaf_${r}_a${index === 0 ? "" : index + 1}.m3u8`, {
      hasVideo: false,
      keyServer,
    });
    assertSamples(joined(alone.segments).audio, track, lateOf(subject, `CMAF audio ${index}`));
    if (index === 0) assertSameCuts(alone, muxed, "audio");
  }
  return muxed;
};

/** Segment n of both begins with the same unit, in ticks of 90 kHz. */
export const assertSameCuts = (
  one: Stream<{ readonly ptsSeconds: number }>,
  other: Stream<{ readonly ptsSeconds: number }>,
  kind: "video" | "audio",
): void => {
  const starts = ({ segments }: Stream<{ readonly ptsSeconds: number }>): (number | null)[] =>
    segments.map((segment) => (segment[kind].length > 0 ? Math.round(earliest(segment[kind]) * 90_000) : null));
  assert.deepEqual(starts(one), starts(other), `${kind} of ${one.list.url} and ${other.list.url}`);
};
