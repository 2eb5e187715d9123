import assert from "node:assert/strict";
import { test } from "node:test";
import { namesWithin } from "./rungs.ts";

test("lines are those of the shorter side: a film that stands upright may be seen where one that lies may", () => {
  const sizes = [
    [1920, 1080],
    [1280, 720],
    [720, 1280],
    [480, 854],
  ] as const;
  const rungs = sizes.map(([width, height]) => ({ name: `${width}x${height}`, width, height }));
  assert.deepEqual(namesWithin(rungs, 720), ["1280x720", "720x1280", "480x854"]);
  assert.deepEqual(namesWithin(rungs, 719), ["480x854"]);
  assert.equal(namesWithin(rungs, null).length, 4);
});
