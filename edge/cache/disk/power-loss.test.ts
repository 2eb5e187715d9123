import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { type TestContext, test } from "node:test";
import { seeded } from "../../../test/support/seeded.ts";
import { livesWithPowerLosses } from "./power-loss.fixture.ts";

const KiB = 1024;
const seedOf = (t: TestContext): number => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  return seed;
};

test("after a power loss the store is what it was at or after the last flush, byte by byte", async (t) => {
  const random = seeded(seedOf(t));
  // Two slabs' worth of work per life, and room for all: nothing may be missing that was flushed.
  const sizes = { maxBytes: 36 * 256 * KiB, sizeBytesMax: 16 * KiB, evicts: false };
  const lossyCount = await livesWithPowerLosses(30, { random, ...sizes });
  t.diagnostic(`${lossyCount} of 30 lives lost what was not flushed`);
  assert.ok(lossyCount > 0, "the power went while something was unsynced");
});

test("the same while slabs are dropped: nothing comes back that was replaced, and the limit holds", async (t) => {
  const random = seeded(seedOf(t));
  const sizes = { maxBytes: 36 * 64 * KiB, sizeBytesMax: 50 * KiB, evicts: true };
  await livesWithPowerLosses(40, { random, ...sizes });
});
