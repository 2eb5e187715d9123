import assert from "node:assert/strict";
import { test } from "node:test";
import { FrequencySketch } from "./frequency-sketch.ts";
import { hashOf } from "./key-hash.ts";

const hash = (n: number): number => hashOf(`acme/films/vod/${n}.m4s`, 1);

test("a count is never too low, and seldom too high", () => {
  const sketch = new FrequencySketch();
  for (let n = 0; n < 1_000; n += 1) for (let times = 0; times <= n % 5; times += 1) sketch.add(hash(n), 1_000);
  const errors = Array.from({ length: 1_000 }, (_, n) => sketch.estimate(hash(n)) - (1 + (n % 5)));
  assert.ok(errors.every((error) => error >= 0));
  assert.ok(errors.filter((error) => error > 0).length < 20);
});

test("a count ends at 15, and all are halved when the sample is full", () => {
  const sketch = new FrequencySketch();
  for (let times = 0; times < 100; times += 1) sketch.add(hash(0), 256);
  assert.equal(sketch.estimate(hash(0)), 15);
  for (let n = 100; n < 2_560; n += 1) sketch.add(hash(1), 256);
  assert.deepEqual([sketch.estimate(hash(0)), sketch.estimate(hash(1))], [7, 7]);
});

test("counts stay the same when the cache grows", () => {
  const sketch = new FrequencySketch();
  for (let n = 0; n < 200; n += 1) for (let times = 0; times < 3; times += 1) sketch.add(hash(n), 200);
  const counts = (): number[] => Array.from({ length: 200 }, (_, n) => sketch.estimate(hash(n)));
  const before = counts();
  assert.ok(before.every((count) => count >= 3));
  sketch.add(hash(1_000), 100_000);
  assert.deepEqual(counts(), before);
});

test("a seed makes other hashes of the same keys", () => {
  assert.equal(hashOf("a/b", 1), hashOf("a/b", 1));
  assert.notEqual(hashOf("a/b", 1), hashOf("a/b", 2));
  assert.equal(new Set(Array.from({ length: 10_000 }, (_, n) => hash(n))).size, 10_000);
});
