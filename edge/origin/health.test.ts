import assert from "node:assert/strict";
import { test } from "node:test";
import { Health } from "./health.ts";

test("an origin that fails is left out for longer each time, up to five seconds", () => {
  const health = new Health();
  let nowMs = 0;
  const rests = Array.from({ length: 5 }, () => {
    health.failed("a", nowMs);
    const restMs = health.dueAtMs("a") - nowMs;
    nowMs = health.dueAtMs("a");
    return restMs;
  });
  assert.deepEqual(rests, [1_000, 2_000, 4_000, 5_000, 5_000]);
  assert.equal(health.isUp("a"), false);
  health.succeeded("a");
  assert.equal(health.isUp("a"), true);
  health.failed("a", nowMs);
  assert.equal(health.dueAtMs("a") - nowMs, 1_000);
});

test("failures of requests that were under way together count as one", () => {
  const health = new Health();
  for (let count = 0; count < 10; count += 1) health.failed("a", count);
  assert.equal(health.dueAtMs("a"), 1_000);
});

test("one probe is sent when its rest is over, another only when that one has failed or was lost", () => {
  const health = new Health();
  assert.equal(health.takeProbe("a", 0), false);
  health.failed("a", 0);
  assert.equal(health.takeProbe("a", 999), false);
  assert.equal(health.takeProbe("a", 1_000), true);
  assert.equal(health.takeProbe("a", 1_001), false);
  health.failed("a", 1_500);
  assert.equal(health.takeProbe("a", 3_499), false);
  assert.equal(health.takeProbe("a", 3_500), true);
  assert.equal(health.takeProbe("a", 13_500), true);
});
