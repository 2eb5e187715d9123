/** What ffmpeg must get of a file that it plays: all frames, at their times, the source's bytes. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { PlayedStream } from "./play.ts";
import { OFFSET_SECONDS } from "./served.ts";
import type { Subject } from "./subjects.ts";
import type { SampledTrack } from "./truth.ts";

/** What ffmpeg makes of the times of frames that follow each other in one packet. */
const NEAR_SECONDS = 0.001;
/** ffmpeg moves a fragmented track by its largest negative composition offset, that of these by a frame. */
const MOVED_SECONDS: Readonly<Record<string, number>> = {
  "fragmented-negative-offsets": 0.04,
  "fragmented-late-start": 0.04,
};

export interface Expected {
  readonly subject: Subject;
  /** In the order in which they are played: pictures first. */
  readonly tracks: readonly SampledTrack[];
  readonly container: "ts" | "fmp4";
  readonly label: string;
  /** Key frames alone: their decode times are their times, and frames between them are missing. */
  readonly keysOnly?: boolean;
  /** One segment, and not from the beginning. */
  readonly isAlone?: boolean;
}

/** Times of a stream in order, as sent and as ffmpeg is known to read them. */
const timesOf = ({ kind, samples }: SampledTrack, expected: Expected): number[] => {
  const { subject, container, keysOnly = false } = expected;
  const moved = container === "fmp4" && kind === "video" && !keysOnly ? (MOVED_SECONDS[subject.name] ?? 0) : 0;
  return samples.map(({ ptsSeconds }) => ptsSeconds + subject.lateSeconds + OFFSET_SECONDS + moved);
};

const isNear = (one: number | undefined, other: number | undefined): boolean =>
  Math.abs((one ?? Number.NaN) - (other ?? Number.NaN)) <= NEAR_SECONDS;

const FRAMES_IN_PACKET = 32; // at most
/**
 * Of audio by itself, ffmpeg has those behind the first in one packet a frame early: how long one is, it sees later.
 */
const isGuess = ({ kind, ptsSeconds }: PlayedStream, times: readonly number[], at: number): boolean =>
  kind === "audio" && at < FRAMES_IN_PACKET && isNear(ptsSeconds[at], times[at - 1]);

const md5 = (bytes: Buffer): string => createHash("md5").update(bytes).digest("hex");

/** Pictures that refer to those before their key frame can't be decoded where one begins there. */
export const isOpen = ({ subject, tracks, keysOnly = false, isAlone = false }: Expected): boolean => {
  const all = keysOnly && subject.truth.video ? [subject.truth.video] : tracks;
  const samples = all.find(({ kind }) => kind === "video")?.samples ?? [];
  if (!keysOnly && !isAlone) return false;
  let key = Number.NEGATIVE_INFINITY;
  return samples.some(({ isKey, ptsSeconds }) => {
    if (isKey) key = ptsSeconds;
    return ptsSeconds < key;
  });
};

/** What was played of a stream is as expected; how much of it was is not looked at. */
const assertStream = (stream: PlayedStream, track: SampledTrack, expected: Expected): void => {
  const { label, container } = expected;
  const times = timesOf(track, expected);
  const isOff = (pts: number, at: number): boolean => !isNear(pts, times[at]) && !isGuess(stream, times, at);
  const off = stream.ptsSeconds.findIndex(isOff);
  assert.equal(off, -1, `${label}: packet ${off} at ${stream.ptsSeconds[off]}, not ${times[off]}`);
  if (!isOpen(expected)) assert.equal(stream.frames.length, stream.ptsSeconds.length, `${label}: frames`);
  if (container === "ts") return; // other bytes than those of the source: start codes, headers
  const other = stream.hashes.findIndex((hash, at) => hash !== md5(track.samples[at]?.bytes ?? Buffer.alloc(0)));
  assert.equal(other, -1, `${label}: ${track.kind} ${other} has other bytes`);
};

/** All of it was played. */
export const assertPlayed = (streams: readonly PlayedStream[], expected: Expected): void => {
  const { tracks, label } = expected;
  const counts = streams.map(({ kind, ptsSeconds }) => `${kind} ${ptsSeconds.length}`);
  assert.deepEqual(
    counts,
    tracks.map(({ kind, samples }) => `${kind} ${samples.length}`),
    label,
  );
  for (const [index, stream] of streams.entries()) assertStream(stream, tracks[index] ?? assert.fail(), expected);
};

const FRAME_SECONDS = 0.1; // decode order is not that of times

/** ffmpeg ends an MPD where its first stream ends: of the others, nothing that comes before is missing. */
export const assertPlayedToAnEnd = (streams: readonly PlayedStream[], expected: Expected): void => {
  const { tracks, label } = expected;
  assert.deepEqual(
    streams.map(({ kind }) => kind),
    tracks.map(({ kind }) => kind),
    label,
  );
  const whole = streams.filter(({ ptsSeconds }, index) => ptsSeconds.length === tracks[index]?.samples.length);
  assert.ok(whole.length > 0, `${label}: no stream was played to its end`);
  const end = Math.min(...whole.map(({ ptsSeconds }) => Math.max(...ptsSeconds)));
  for (const [index, stream] of streams.entries()) {
    const track = tracks[index] ?? assert.fail();
    assertStream(stream, track, expected);
    const missing = timesOf(track, expected).slice(stream.ptsSeconds.length);
    assert.ok(Math.min(...missing) >= end - FRAME_SECONDS, `${label}: stream ${index} ends early`);
  }
};
