import assert from "node:assert/strict";
import { test } from "node:test";
import type { SampleTable } from "../mp4/movie.ts";
import { cutMovie } from "./cut.ts";
import { describe } from "./describe.ts";
import type { RenditionTrack } from "./rendition.ts";
import { handMadeTable, movieOf, videoTrack } from "./tables.fixture.ts";

const FRAME_RATE = 50;

const videoOf = (table: SampleTable): RenditionTrack => {
  const cut = cutMovie(movieOf([videoTrack(FRAME_RATE * 512, table)], []), 6) ?? assert.fail();
  return describe(cut, { uri: "", version: "" }).video ?? assert.fail();
};

test("of 100 minutes of pictures that are all key frames, two a second are listed, from the first on", () => {
  const sampleCount = 100 * 60 * FRAME_RATE;
  const { keyFrames, keyFrameIndexes, keyFrameRates } = videoOf(
    handMadeTable({ durationTicks: 512, sampleCount, keys: null }),
  );
  assert.equal(keyFrames.length, 12_000);
  assert.deepEqual([...(keyFrameIndexes ?? [])].slice(0, 4), [0, 25, 50, 75]);
  assert.ok(keyFrames.every((seconds, n) => seconds === n / 2 && keyFrameIndexes?.[n] === n * 25));
  // 100 bytes and what a fragment adds to them, twice a second.
  assert.ok(keyFrameRates && keyFrameRates.fmp4.averageBps < 2 * 8 * 300);
});

test("key frames that lie apart are all listed, however many they are", () => {
  const sampleCount = 12_000 * 60;
  const keys = Array.from({ length: 12_000 }, (_, n) => n * 60);
  const { keyFrames, keyFrameIndexes } = videoOf(handMadeTable({ durationTicks: 512, sampleCount, keys }));
  assert.equal(keyFrames.length, keys.length);
  assert.ok(keyFrames.every((seconds, n) => seconds === (n * 60) / FRAME_RATE && keyFrameIndexes?.[n] === n));
});

test("of a minute of pictures that are all key frames, each is listed", () => {
  const { keyFrames, keyFrameIndexes } = videoOf(handMadeTable({ durationTicks: 512, sampleCount: 3000, keys: null }));
  assert.equal(keyFrames.length, 3000);
  assert.equal(keyFrameIndexes, null);
});
