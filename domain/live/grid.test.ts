import assert from "node:assert/strict";
import { test } from "node:test";
import { type FrameRate, gridOf, usualRate } from "./grid.ts";
import { Units } from "./units.ts";

const RATES: FrameRate[] = [
  { num: 25, den: 1 },
  { num: 30_000, den: 1_001 },
  { num: 24_000, den: 1_001 },
  { num: 50, den: 1 },
  { num: 60, den: 1 },
  { num: 60_000, den: 1_001 },
  { num: 24, den: 1 },
  { num: 30, den: 1 },
  { num: 25, den: 2 },
];
const nameOf = ({ num, den }: FrameRate): string => (den === 1 ? String(num) : `${num}/${den}`);

test("a grid is whole frames per part and GOP, whole parts per GOP, whole GOPs per segment", () => {
  const table = RATES.map((frameRate) => {
    const { gopFrames, gopTicks, partFrames, segmentTicks } = gridOf({ segmentMs: 4_000, partMs: 200, frameRate });
    return [nameOf(frameRate), gopFrames, gopTicks, partFrames, segmentTicks];
  });
  assert.deepEqual(table, [
    ["25", 25, 90_000, 5, 360_000],
    ["30000/1001", 30, 90_090, 6, 360_360],
    ["24000/1001", 24, 90_090, 4, 360_360],
    ["50", 50, 90_000, 10, 360_000],
    ["60", 60, 90_000, 12, 360_000],
    ["60000/1001", 60, 90_090, 12, 360_360],
    ["24", 24, 90_000, 4, 360_000],
    ["30", 30, 90_000, 6, 360_000],
    ["25/2", 13, 93_600, 1, 374_400],
  ]);
});

test("segments are the number of GOPs nearest to what is wanted, at least one", () => {
  const segmentSeconds = (segmentMs: number): number =>
    gridOf({ segmentMs, partMs: 200, frameRate: { num: 25, den: 1 } }).segmentTicks / 90_000;
  assert.deepEqual([1, 999, 1_499, 1_500, 4_000, 10_000].map(segmentSeconds), [1, 1, 1, 2, 4, 10]);
});

test("a measured rate becomes the usual one it stands for; an unusual one that fits the clock stays", () => {
  const table: [FrameRate, string][] = [
    [{ num: 2997, den: 100 }, "30000/1001"],
    [{ num: 23_976, den: 1_000 }, "24000/1001"],
    [{ num: 5994, den: 100 }, "60000/1001"],
    [{ num: 25, den: 1 }, "25"],
    [{ num: 50, den: 2 }, "25"],
    [{ num: 2_499, den: 100 }, "25"],
    [{ num: 18, den: 1 }, "18"],
    [{ num: 1_713, den: 100 }, "15"],
  ];
  for (const [rate, usual] of table) assert.equal(nameOf(usualRate(rate)), usual, nameOf(rate));
});

const LONG_AGO = 433_046_700; // segments of 4 s since 1970

for (const frameRate of RATES) {
  test(`at ${nameOf(frameRate)} frames/s each frame of a day has its one place, with rounded ticks`, () => {
    const grid = gridOf({ segmentMs: 4_000, partMs: 200, frameRate });
    const units = new Units(grid, "video", 90_000);
    const framesPerSegment = (grid.segmentTicks * frameRate.num) / (90_000 * frameRate.den);
    assert.ok(Number.isInteger(framesPerSegment));
    for (let segment = 0; segment < 22_000; segment += 97) {
      for (let frame = 0; frame < framesPerSegment; frame += 1) {
        // BigInt: the exact time, rounded as ffmpeg rounds it.
        const index = BigInt(LONG_AGO + segment) * BigInt(framesPerSegment) + BigInt(frame);
        const exact =
          (index * 90_000n * BigInt(frameRate.den) * 2n + BigInt(frameRate.num)) / (2n * BigInt(frameRate.num));
        const dts = Number(exact);
        assert.equal(units.numberOf(dts), LONG_AGO + segment);
        assert.equal(units.partOf(dts, LONG_AGO + segment), Math.floor(frame / grid.partFrames));
        assert.equal(units.isOnGop(dts), frame % grid.gopFrames === 0, `${segment} ${frame}`);
        assert.equal(units.isAtBoundary(dts), frame === 0);
        const next =
          Number((index + 1n) * 90_000n * BigInt(frameRate.den) * 2n + BigInt(frameRate.num)) / 2 / frameRate.num;
        assert.ok(Math.abs(units.nextFrame(dts) - next) <= 1);
      }
    }
  });
}

test("frames that a wrapped clock has put half a frame off still count to the slot they are nearest to", () => {
  const grid = gridOf({ segmentMs: 4_000, partMs: 200, frameRate: { num: 25, den: 1 } });
  const units = new Units(grid, "video", 90_000);
  const boundary = 1_000 * 360_000;
  assert.deepEqual(
    [-1_801, -1_800, -1, 0, 1_799].map((off) => [units.numberOf(boundary + off), units.isOnGop(boundary + off)]),
    [
      [999, false],
      [1_000, true],
      [1_000, true],
      [1_000, true],
      [1_000, true],
    ],
  );
});

test("audio boundaries are whole units at 48 kHz and exact fractions elsewhere", () => {
  const grid = gridOf({ segmentMs: 4_000, partMs: 200, frameRate: { num: 24_000, den: 1_001 } });
  assert.equal(new Units(grid, "audio", 48_000).boundary(1_000_000), 192_192_000_000);
  const odd = new Units(grid, "audio", 44_100); // 176,576.4 units per segment
  assert.equal(odd.boundary(5), 882_882);
  assert.deepEqual(
    [odd.numberOf(176_574), odd.numberOf(176_575), odd.numberOf(433_046_700 * 176_576.4)],
    [0, 1, 433_046_700],
  );
});
