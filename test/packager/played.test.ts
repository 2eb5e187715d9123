/** Every input in every format, played by ffmpeg: nothing to complain of, and all frames at their times. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type PlayedStream, play } from "./play.ts";
import { OFFSET_SECONDS } from "./served.ts";
import { inputsServed, NOT_IN_TS, SERVED, type Subject } from "./subjects.ts";
import type { SampledTrack } from "./truth.ts";

/** What its reader makes of the times of frames that follow each other in one packet. */
const NEAR_SECONDS = 0.001;

/** ffmpeg moves a fragmented track by its largest negative composition offset, that of these by a frame. */
const MOVED_SECONDS: Readonly<Record<string, number>> = {
  "fragmented-negative-offsets": 0.04,
  "fragmented-late-start": 0.04,
};

/** Times of a stream in order, as sent and as ffmpeg is known to read them. */
const timesOf = ({ kind, samples }: SampledTrack, { subject, isFmp4 }: Expected): number[] => {
  const moved = isFmp4 && kind === "video" ? (MOVED_SECONDS[subject.name] ?? 0) : 0;
  return samples.map(({ ptsSeconds }) => ptsSeconds + subject.lateSeconds + OFFSET_SECONDS + moved);
};

interface Expected {
  readonly subject: Subject;
  readonly tracks: readonly SampledTrack[];
  readonly isFmp4: boolean;
  readonly label: string;
}

const isNear = (one: number | undefined, other: number | undefined): boolean =>
  Math.abs((one ?? Number.NaN) - (other ?? Number.NaN)) <= NEAR_SECONDS;

const FRAMES_IN_PACKET = 10;
/** Of audio by itself, ffmpeg has those behind the first in one packet a frame early: how long one is, it sees later. */
const isGuess = ({ kind, ptsSeconds }: PlayedStream, times: readonly number[], at: number): boolean =>
  kind === "audio" && at < FRAMES_IN_PACKET && isNear(ptsSeconds[at], times[at - 1]);

const assertStream = (stream: PlayedStream, times: readonly number[], label: string): void => {
  const isOff = (pts: number, at: number): boolean => !isNear(pts, times[at]) && !isGuess(stream, times, at);
  const off = stream.ptsSeconds.findIndex(isOff);
  assert.equal(off, -1, `${label}: packet ${off} at ${stream.ptsSeconds[off]}, not ${times[off]}`);
  assert.equal(stream.frameCount, stream.ptsSeconds.length, `${label}: frames`);
};

/** All of it was played. */
const assertPlayed = (streams: readonly PlayedStream[], expectation: Expected): void => {
  const { tracks, label } = expectation;
  const counts = streams.map(({ kind, ptsSeconds }) => `${kind} ${ptsSeconds.length}`);
  const expected = tracks.map(({ kind, samples }) => `${kind} ${samples.length}`);
  assert.deepEqual(counts, expected, label);
  for (const [index, stream] of streams.entries())
    assertStream(stream, timesOf(tracks[index] ?? assert.fail(), expectation), label);
};

/** ffmpeg ends an MPD where its first stream ends: of the others, nothing that comes before is missing. */
const assertPlayedToAnEnd = (streams: readonly PlayedStream[], expectation: Expected): void => {
  const { tracks, label } = expectation;
  assert.deepEqual(
    streams.map(({ kind }) => kind),
    tracks.map(({ kind }) => kind),
    label,
  );
  const times = tracks.map((track) => timesOf(track, expectation));
  const ends = streams.flatMap(({ ptsSeconds }, index) =>
    ptsSeconds.length === times[index]?.length ? [Math.max(...ptsSeconds)] : [],
  );
  assert.ok(ends.length > 0, `${label}: no stream was played to its end`);
  for (const [index, stream] of streams.entries()) {
    const all = times[index] ?? [];
    assertStream(stream, all, label);
    const missing = all.slice(stream.ptsSeconds.length);
    assert.ok(Math.min(...missing) >= Math.min(...ends) - 0.1, `${label}: stream ${index} ends early`);
  }
};

describe("every input", { concurrency: 2 }, () => {
  const inputs = inputsServed();

  for (const name of SERVED) {
    test(`${name}: ffmpeg plays HLS of both kinds and DASH without a word`, async () => {
      const subject = await inputs().subject(name);
      const { url, truth } = subject;
      const addresses = [`${url}/manifest.mpd`, `${url}/cmaf_0_av.m3u8`];
      if (!NOT_IN_TS.has(name)) addresses.push(`${url}/index.m3u8`);
      const [dash = [], ...lists] = await play(addresses);
      const video = truth.video ? [truth.video] : [];
      for (const [index, list] of lists.entries()) {
        const tracks = [...video, ...truth.audio.slice(0, 1)];
        const label = addresses[index + 1] ?? "";
        assertPlayed(list, { subject, tracks, isFmp4: label.includes("cmaf"), label });
      }
      assertPlayedToAnEnd(dash, { subject, tracks: [...video, ...truth.audio], isFmp4: true, label: "DASH" });
    });
  }
});
