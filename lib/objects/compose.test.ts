import assert from "node:assert/strict";
import test from "node:test";
import { type ComposedPart, planParts } from "./compose.ts";

const LIMITS = { partBytesMin: 5, partBytesMax: 20, partsMax: 100 };

/** `0:0-5 1:0-2` for a part of two extents. */
const shown = (parts: readonly ComposedPart[]): string[] =>
  parts.map((part) =>
    part.map(({ index, offset, lengthBytes }) => `${index}:${offset}-${offset + lengthBytes}`).join(" "),
  );

test("what is long enough is copied, what is shorter is sent with what is behind it", () => {
  const plans: readonly (readonly [readonly number[], readonly string[]])[] = [
    [[], []],
    [[0, 0], []],
    [[3], ["0:0-3"]],
    [
      [16, 16, 7],
      ["0:0-16", "1:0-16", "2:0-7"],
    ],
    [
      [16, 2],
      ["0:0-16", "1:0-2"],
    ],
    [
      [16, 2, 16],
      ["0:0-16", "1:0-2 2:0-3", "2:3-16"],
    ],
    [[2, 7], ["0:0-2 1:0-7"]],
    [[1, 1, 1, 1], ["0:0-1 1:0-1 2:0-1 3:0-1"]],
    [
      [1, 0, 1, 3, 5],
      ["0:0-1 2:0-1 3:0-3", "4:0-5"],
    ],
    [[45], ["0:0-15", "0:15-30", "0:30-45"]],
    [[21], ["0:0-11", "0:11-21"]],
  ];
  for (const [sizes, parts] of plans) assert.deepEqual(shown(planParts(sizes, LIMITS)), parts, String(sizes));
});

test("whatever the sizes are, all bytes come once, in order, in parts that S3 takes", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed % below;
  };
  for (let round = 0; round < 2_000; round += 1) {
    const sizes = Array.from({ length: random(30) }, () => random(round % 2 ? 12 : 60));
    const partsMax = 5 + random(20);
    const parts = planParts(sizes, { ...LIMITS, partsMax });
    assert.ok(parts.length <= partsMax, `${parts.length} parts of ${sizes}`);
    const lengths = parts.map((part) => part.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0));
    for (const length of lengths.slice(0, -1)) assert.ok(length >= LIMITS.partBytesMin, String(sizes));
    const came = parts.flat();
    const due = sizes.flatMap((size, index) => Array.from({ length: size }, (_, at) => `${index}:${at}`));
    const got = came.flatMap(({ index, offset, lengthBytes }) =>
      Array.from({ length: lengthBytes }, (_, at) => `${index}:${offset + at}`),
    );
    assert.deepEqual(got, due, String(sizes));
  }
});
