import assert from "node:assert/strict";
import { test } from "node:test";
import { chunkPlan, commonRate, frameFrom, hertz, keyFrames, type Rate, secondsAt } from "./timing.ts";

const RATES: readonly Rate[] = [
  { num: 24_000, den: 1001 },
  { num: 24, den: 1 },
  { num: 25, den: 1 },
  { num: 30_000, den: 1001 },
  { num: 30, den: 1 },
  { num: 50, den: 1 },
  { num: 60_000, den: 1001 },
  { num: 60, den: 1 },
];

test("the rate is the nearest common one, at most 60, or one that shows all pictures equally long", () => {
  const cases: readonly [average: number | null, nominal: number | null, rate: string][] = [
    [24_000 / 1001, 24_000 / 1001, "24000/1001"],
    [24, 24, "24/1"],
    [29.87, 30, "30/1"],
    [29.97, 30_000 / 1001, "30000/1001"],
    [25, 50, "25/1"],
    [18.2, 1000, "24000/1001"],
    [1, 1, "24/1"],
    [3, 3, "24/1"],
    [10, 10, "30/1"],
    [12, 12, "24/1"],
    [11.988, 11.988, "24000/1001"],
    [12.5, 12.5, "25/1"],
    [15, 15, "30/1"],
    [14.985, 14.985, "30000/1001"],
    [20, 20, "60/1"],
    [17, 17, "24000/1001"],
    [72, 72, "60/1"],
    [90, 90, "60/1"],
    [100, 100, "50/1"],
    [120_000 / 1001, 120_000 / 1001, "60000/1001"],
    [120, 120, "60/1"],
    [144, 144, "60/1"],
    [240, 240, "60/1"],
    [48, 48, "50/1"],
    [null, 59.94, "60000/1001"],
    [null, null, "25/1"],
    [0, 0, "25/1"],
  ];
  for (const [average, nominal, text] of cases) {
    const { num, den } = commonRate(average, nominal);
    assert.equal(`${num}/${den}`, text, `${average} of ${nominal}`);
  }
});

test("key frames are the first ones at or after the multiples of two seconds", () => {
  assert.deepEqual(keyFrames(0, 150, { num: 25, den: 1 }), [0, 50, 100]);
  assert.deepEqual(keyFrames(0, 200, { num: 24_000, den: 1001 }), [0, 48, 96, 144, 192]);
  for (const rate of RATES) {
    const frames = keyFrames(0, frameFrom(4000, rate), rate);
    assert.equal(frames.length, 2000);
    frames.forEach((frame, k) => {
      const lateSeconds = secondsAt(frame, rate) - 2 * k;
      assert.ok(lateSeconds > -1e-6 && lateSeconds < 1 / hertz(rate), `${hertz(rate)}: ${frame}`);
    });
  }
});

test("key frames of a part are those of the whole", () => {
  for (const rate of RATES) {
    const all = keyFrames(0, 5000, rate);
    const parts = [0, 1, 48, 1000, 1439, 4000, 5000].flatMap((from, i, cuts) =>
      i + 1 < cuts.length ? keyFrames(from, cuts[i + 1] ?? from, rate) : [],
    );
    assert.deepEqual(parts, all);
  }
});

test("chunks cover every frame once, begin on the segment grid, and the first and last ones are short", () => {
  const seconds = (frameCount: number, rate: Rate) =>
    chunkPlan(frameCount, rate).map((chunk) => Math.round(secondsAt(chunk.until - chunk.from, rate)));
  assert.deepEqual(seconds(25 * 120, { num: 25, den: 1 }), [6, 6, 12, 18, 24, 18, 12, 6, 6, 6, 6]);
  assert.deepEqual(seconds(25 * 65, { num: 25, den: 1 }), [6, 6, 12, 12, 6, 6, 6, 11]);
  assert.deepEqual(seconds(25 * 11, { num: 25, den: 1 }), [11]);
  assert.deepEqual(seconds(1, { num: 25, den: 1 }), [0]);
  for (const rate of RATES)
    for (const frameCount of [1, 100, 143, 144, 145, 299, 1000, 14_400, 14_401, 172_800, 400_000]) {
      const chunks = chunkPlan(frameCount, rate);
      assert.equal(chunks[0]?.from, 0);
      assert.equal(chunks.at(-1)?.until, frameCount);
      chunks.forEach((chunk, i) => {
        assert.equal(chunk.index, i);
        assert.ok(chunk.until > chunk.from);
        if (i === 0) return;
        assert.equal(chunk.from, chunks[i - 1]?.until);
        const onGrid = frameFrom(6 * Math.round(secondsAt(chunk.from, rate) / 6), rate);
        assert.equal(chunk.from, onGrid);
      });
    }
});
