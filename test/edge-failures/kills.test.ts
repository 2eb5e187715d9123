import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { surviveKills } from "./kills.fixture.ts";

/** One second that may be lost, and what a busy machine's timers are late by. */
const LOST_MS_MAX = 2_500;

test("an edge that is killed while it fills serves nothing torn and loses a second of its accounts", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const { lostMsMax, hits } = await surviveKills(t, { rounds: 5, seed, threads: 2 });
  t.diagnostic(`${Math.round(lostMsMax)} ms of accounts lost at most, ${hits} hits of what was on disk`);
  assert.ok(lostMsMax <= LOST_MS_MAX, `${lostMsMax} ms`);
});
