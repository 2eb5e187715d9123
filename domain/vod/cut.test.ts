import assert from "node:assert/strict";
import { test } from "node:test";
import { areAligned, cutMovie, cutTogether } from "./cut.ts";
import { describe } from "./describe.ts";
import { audioTrack, handMadeTable, movieOf, videoTrack } from "./tables.fixture.ts";

const every = (frames: number, until: number): number[] =>
  Array.from({ length: Math.ceil(until / frames) }, (_, index) => index * frames);

/** 25 frames per second with a key frame every `gop` frames. */
const filmOf = (seconds: number, gop: number, shift = 0) =>
  videoTrack(
    12_800,
    handMadeTable({ durationTicks: 512, sampleCount: seconds * 25, keys: every(gop, seconds * 25) }),
    shift,
  );

const aac = (seconds: number, shift = 0) =>
  audioTrack(
    48_000,
    handMadeTable({ durationTicks: 1024, sampleCount: Math.ceil((seconds * 48_000) / 1024), keys: null }),
    shift,
  );

test("cuts lie on the grid: a GOP that does not divide the segment makes them vary, never drift", () => {
  // Key frames every 2.56 s; grid 6, 12, 18, 24 → first key frame at or after each.
  const cut = cutMovie(movieOf([filmOf(30, 64)], []), 6);
  assert.deepEqual([...(cut?.plan.starts ?? [])], [0, 7.68, 12.8, 17.92 + 2.56, 25.6, 30]);
});

test("a GOP longer than the segment skips grid points and a single key frame makes one segment", () => {
  assert.deepEqual([...(cutMovie(movieOf([filmOf(40, 250)], []), 6)?.plan.starts ?? [])], [0, 10, 20, 30, 40]);
  assert.deepEqual([...(cutMovie(movieOf([filmOf(40, 9999)], []), 6)?.plan.starts ?? [])], [0, 40]);
});

test("an audio frame is in the segment in which it starts: none twice, none lost", () => {
  const cut = cutMovie(movieOf([filmOf(20, 50)], [aac(20)]), 6);
  // 6 s is frame 281.25: frame 281 starts before the cut, 282 after it.
  assert.deepEqual([...(cut?.audio[0]?.firsts ?? [])], [0, 282, 563, 844, 938]);
});

test("an edit list moves a track against the cuts", () => {
  // 1,024 priming samples in front: frame n is heard one frame earlier.
  const cut = cutMovie(movieOf([filmOf(20, 50)], [aac(20, -1024)]), 6);
  assert.deepEqual([...(cut?.audio[0]?.firsts ?? [])], [0, 283, 564, 845, 938]);
  assert.equal(cut?.plan.starts[0], 0);
});

test("what an edit list cuts off is not served, but for the GOP that is needed to decode what is shown", () => {
  // Shown from 31 s on: key frames are every 2 s, so decoding begins at 30 s.
  const cut = cutMovie(movieOf([filmOf(60, 50, -31 * 12_800)], [aac(60, -31 * 48_000)]), 6);
  assert.equal(cut?.video?.firsts[0], 30 * 25);
  assert.equal(cut?.audio[0]?.firsts[0], Math.ceil((30 * 48_000) / 1024));
  assert.equal(cut?.plan.starts[0], 0);
  assert.equal(cut?.plan.starts[1], 5);
});

test("audio alone is cut at the starts of frames", () => {
  const cut = cutMovie(movieOf([], [aac(14)]), 6);
  const starts = [...(cut?.plan.starts ?? [])];
  assert.deepEqual([...(cut?.audio[0]?.firsts ?? [])], [0, 282, 563, 657]);
  assert.deepEqual(starts.slice(0, 3), [0, (282 * 1024) / 48_000, (563 * 1024) / 48_000]);
});

test("a segment with an open GOP is shown from its earliest picture on", () => {
  // Two pictures behind each key frame are shown before it.
  const compositionOffset = (sample: number): number => [1024, -512, -512][sample % 50] ?? 0;
  const table = handMadeTable({ durationTicks: 512, sampleCount: 500, keys: every(50, 500), compositionOffset });
  const cut = cutMovie(movieOf([videoTrack(12_800, table)], []), 6);
  assert.equal(cut?.plan.starts[1], (150 * 512) / 12_800);
  assert.equal(cut?.video?.firsts[1], 150);
});

test("what is shown goes forward, whatever a damaged file says of its key frames", () => {
  const table = { durationTicks: 512, sampleCount: 1000, keys: every(25, 1000) };
  const backwards = handMadeTable({ ...table, compositionOffset: (sample) => (sample > 500 ? -800 * 512 : 0) });
  const movies = [movieOf([videoTrack(12_800, backwards)], []), movieOf([filmOf(40, 25)], [aac(40)])];
  for (const cut of [cutMovie(movies[0] ?? movieOf([], []), 6), ...cutTogether(movies, 6)]) {
    const { keyFrames = new Float64Array(0) } = (cut && describe(cut, { uri: "", version: "" }).video) || {};
    for (const times of [cut?.plan.starts, cut?.video?.firsts, keyFrames]) {
      assert.deepEqual(
        [...(times ?? [])],
        [...(times ?? [])].sort((a, b) => a - b),
      );
    }
  }
});

test("a file of more segments than a playlist can hold is refused; of too many key frames there is no list", () => {
  const seconds = (durationTicks: number) =>
    cutMovie(movieOf([videoTrack(1, handMadeTable({ durationTicks, sampleCount: 110_000, keys: null }))], []), 6);
  assert.throws(() => seconds(6), /more than 100000 segments/);
  const crowded = seconds(1) ?? assert.fail();
  assert.deepEqual(describe(crowded, { uri: "", version: "" }).video?.keyFrames, new Float64Array(0));
});

test("renditions of other timescales that share key frames are aligned by themselves", () => {
  const other = videoTrack(90_000, handMadeTable({ durationTicks: 3600, sampleCount: 500, keys: every(50, 500) }));
  const [a, b] = [cutMovie(movieOf([filmOf(20, 50)], []), 6), cutMovie(movieOf([other], []), 6)];
  assert.ok(a && b && areAligned(a.plan, b.plan));
});

test("renditions whose key frames differ are cut where both have one", () => {
  const movies = [movieOf([filmOf(36, 50)], [aac(36)]), movieOf([filmOf(36, 75)], []), movieOf([], [aac(36)])];
  const alone = movies.map((movie) => cutMovie(movie, 5));
  assert.ok(alone[0] && alone[1] && !areAligned(alone[0].plan, alone[1].plan));
  const together = cutTogether(movies, 5);
  for (const { plan } of together.slice(0, 2)) assert.deepEqual([...plan.starts].slice(0, 6), [0, 6, 12, 18, 24, 30]);
  assert.deepEqual([...(together[0]?.video?.firsts ?? [])], [0, 150, 300, 450, 600, 750, 900]);
  assert.deepEqual([...(together[2]?.audio[0]?.firsts ?? [])], [...(together[0]?.audio[0]?.firsts ?? [])]);
});

test("a rendition is described with the rate of its highest segment and its exact frame rate", () => {
  const ntsc = videoTrack(30_000, handMadeTable({ durationTicks: 1001, sampleCount: 600, keys: every(60, 600) }));
  const cut = cutMovie(movieOf([ntsc], []), 6);
  assert.ok(cut);
  const { video } = describe(cut, { uri: "a.mp4", version: "1" });
  assert.deepEqual(video?.frameRate, [30_000, 1001]);
  assert.deepEqual(
    [...(video?.segmentTicks ?? [])],
    [300_000, 480_180, 660_360, 840_540, 900_600].map((t) => t),
  );
  assert.ok((video?.peakBps ?? 0) >= (180 * 100 * 8) / 6.006);
});

test("a track whose pictures are reordered is told to end when its last one does, after its decode time", () => {
  const compositionOffset = (sample: number): number => [1024, 1536, 512][sample % 3] ?? 0;
  const table = handMadeTable({ durationTicks: 512, sampleCount: 150, keys: every(50, 150), compositionOffset });
  const cut = cutMovie(movieOf([videoTrack(12_800, table, -1024)], []), 6);
  assert.ok(cut);
  const { video } = describe(cut, { uri: "a.mp4", version: "1" });
  const last = Math.max(...Array.from({ length: 150 }, (_, sample) => table.ptsOf(sample))) - 1024 + 512;
  assert.equal(video?.segmentTicks.at(-1), 128_000 + last);
  assert.equal(cut.plan.starts[cut.plan.count], last / 12_800);
});
