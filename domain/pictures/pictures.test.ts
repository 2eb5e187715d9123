import assert from "node:assert/strict";
import { test } from "node:test";
import { clipTimes, type GreyFrame, posterTimes } from "./choice.ts";
import { planStoryboard, storyboardVtt } from "./storyboard.ts";

const PIXELS = 32 * 18;
const flat = (value: number): Uint8Array => new Uint8Array(PIXELS).fill(value);
/** Bars of two values, moved by `shift` pixels. */
const bars = (dark: number, light: number, shift = 0): Uint8Array =>
  Uint8Array.from({ length: PIXELS }, (_, i) => ((i + shift) % 8 < 4 ? dark : light));
const framesOf = (pictures: readonly Uint8Array[]): GreyFrame[] =>
  pictures.map((pixels, i) => ({ atSeconds: 2 * i, pixels }));

test("posters are not taken from black, white or flat frames", () => {
  const pictures = Array.from({ length: 50 }, (_, i) => flat([0, 255, 120][i % 3] ?? 0));
  pictures[20] = bars(40, 200);
  pictures[33] = bars(60, 180);
  const times = posterTimes(framesOf(pictures), { durationSeconds: 100, count: 8 });
  assert.deepEqual(times, [40, 66], "the one with more contrast first");
});

test("posters come from different parts of a title, and not from its first and last minutes", () => {
  const pictures = Array.from({ length: 500 }, (_, i) => bars(30, i < 20 || i > 460 ? 255 : 200, i));
  const times = posterTimes(framesOf(pictures), { durationSeconds: 1_000, count: 8 });
  assert.equal(new Set(times.map((at) => Math.floor(at / 125))).size, 8);
  assert.ok(times.every((at) => at >= 50 && at <= 900));
});

test("a title of nothing but black still has a poster", () => {
  assert.equal(posterTimes(framesOf([flat(0), flat(0)]), { durationSeconds: 4, count: 8 }).length > 0, true);
});

test("clips begin where most moves, don't overlap and are in the order of the title", () => {
  const pictures = Array.from({ length: 200 }, () => bars(30, 200));
  for (const from of [60, 120]) for (let i = from; i < from + 4; i += 1) pictures[i] = bars(30, 200, 4 * (i % 2));
  const options = { durationSeconds: 400, clipSeconds: 6, count: 2 };
  const times = clipTimes(framesOf(pictures), options);
  assert.ok(Math.abs((times[0] ?? 0) - 120) <= 6 && Math.abs((times[1] ?? 0) - 240) <= 6, String(times));
  const many = clipTimes(framesOf(pictures), { ...options, count: 6 });
  assert.ok(many.every((at, i) => i === 0 || at - (many[i - 1] ?? 0) >= 6));
});

test("a clip of a title that is as short begins at its beginning", () => {
  assert.deepEqual(clipTimes(framesOf([bars(1, 200)]), { durationSeconds: 2, clipSeconds: 2, count: 1 }), [0]);
});

test("a storyboard has a picture every 4 s of a short title, every 10 s of a film, on key frames", () => {
  const film = planStoryboard({ durationSeconds: 5_400, width: 854, height: 480, gopSeconds: 2 });
  assert.deepEqual(film, {
    ...{ everySeconds: 10, pictureCount: 540, width: 160, height: 90, columns: 10, rows: 10, sheetCount: 6 },
  });
  const clip = planStoryboard({ durationSeconds: 19, width: 480, height: 854, gopSeconds: 2 });
  assert.deepEqual(clip, {
    ...{ everySeconds: 4, pictureCount: 5, width: 160, height: 284, columns: 5, rows: 1, sheetCount: 1 },
  });
});

test("its WebVTT names a part of a sheet for every stretch of time", () => {
  const plan = {
    ...planStoryboard({ durationSeconds: 9, width: 1280, height: 720, gopSeconds: 2 }),
    columns: 2,
    rows: 1,
  };
  assert.equal(
    storyboardVtt(plan, 9, (sheet) => `s-${sheet}.jpg`),
    `WEBVTT

00:00:00.000 --> 00:00:04.000
s-0.jpg#xywh=0,0,160,90

00:00:04.000 --> 00:00:08.000
s-0.jpg#xywh=160,0,160,90

00:00:08.000 --> 00:00:09.000
s-1.jpg#xywh=0,0,160,90
`,
  );
});
