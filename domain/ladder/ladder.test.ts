import assert from "node:assert/strict";
import { test } from "node:test";
import { type LadderChoice, ladderFor } from "./ladder.ts";

const sizes = (choice: LadderChoice, source: [number, number] | null, cores = 2): string[] =>
  ladderFor(choice, source && { width: source[0], height: source[1] }, { cores }).map(
    ({ name, width, height, videoKbps }) => `${name} ${width}x${height} ${videoKbps}k`,
  );

test("auto suits the machine", () => {
  assert.deepEqual(sizes({}, [1920, 1080], 2), ["v0 1280x720 3000k", "v1 640x360 900k"]);
  assert.deepEqual(sizes({ profile: "auto" }, [1920, 1080], 4), [
    "v0 1280x720 3000k",
    "v1 852x480 1400k",
    "v2 640x360 900k",
  ]);
  assert.equal(sizes({}, [1920, 1080], 16).length, 4);
  assert.deepEqual(sizes({}, null, 2), sizes({}, [1920, 1080], 2));
});

test("a source smaller than a profile keeps its size and gets a rung of half of it", () => {
  assert.deepEqual(sizes({}, [640, 360]), ["v0 640x360 900k", "v1 320x180 300k"]);
  assert.deepEqual(sizes({ profile: "hd" }, [720, 576]), ["v0 720x576 1800k", "v1 450x360 900k"]);
  assert.deepEqual(sizes({ profile: "hd" }, [1280, 720]), ["v0 1280x720 3000k", "v1 852x480 1400k", "v2 640x360 900k"]);
  assert.deepEqual(sizes({ profile: "low" }, [64, 36]), ["v0 64x36 200k"]);
});

test("an inline ladder is cut down to the source; rungs that become equal are one", () => {
  const ladder = [
    { height: 1080, videoKbps: 6000 },
    { height: 720, videoKbps: 2500 },
    { width: 320, height: 180, videoKbps: 300 },
  ];
  assert.deepEqual(sizes({ ladder }, [640, 361]), ["v0 640x360 6000k", "v1 320x180 300k"]);
  assert.deepEqual(sizes({ ladder, profile: "hd" }, [1920, 1080]), [
    "v0 1920x1080 6000k",
    "v1 1280x720 2500k",
    "v2 320x180 300k",
  ]);
});

/** Small seeded generator (mulberry32), so that a failing case can be run again. */
const randomOf = (seed: number) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

test("whatever the source and the choice: even sizes, at least one rung, largest first, nothing upscaled", () => {
  const random = randomOf(20261121);
  const int = (min: number, max: number): number => min + Math.floor(random() * (max - min + 1));
  for (let round = 0; round < 3000; round++) {
    const source = { width: int(2, 4096), height: int(2, 2304) };
    const profile = (["auto", "hd", "sd", "low"] as const)[int(0, 3)];
    const rung = () => ({
      ...(random() < 0.5 ? { width: 2 * int(32, 2000) } : {}),
      height: 2 * int(18, 1100),
      videoKbps: int(50, 20_000),
    });
    const choice = random() < 0.5 ? { profile } : { ladder: Array.from({ length: int(1, 8) }, rung) };
    const cores = int(1, 64);
    const ladder = ladderFor(choice, source, { cores });
    const shown = JSON.stringify({ source, choice, cores, ladder });
    assert.ok(ladder.length >= 1 && ladder.length <= 8, shown);
    assert.equal(new Set(ladder.map(({ width, height }) => `${width}x${height}`)).size, ladder.length, shown);
    ladder.forEach((made, i) => {
      assert.equal(made.name, `v${i}`, shown);
      assert.ok(made.width % 2 === 0 && made.height % 2 === 0 && made.width >= 2 && made.height >= 2, shown);
      assert.ok(made.width <= Math.max(2, source.width) && made.height <= Math.max(2, source.height), shown);
      const above = ladder[i - 1];
      assert.ok(!above || above.width * above.height > made.width * made.height, shown);
    });
    if (cores <= 2 && "profile" in choice && profile === "auto") {
      assert.ok(ladder.length <= 2 && ladder.every(({ height }) => height <= 720), shown);
    }
  }
});
