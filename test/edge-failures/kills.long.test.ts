import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { surviveKills } from "./kills.fixture.ts";

const ROUNDS = Number(process.env.KILL_ROUNDS ?? 50);
/** One second that may be lost, and what a busy machine's timers are late by. */
const LOST_MS_MAX = 2_500;

for (const threads of [1, 2]) {
  test(`killed ${ROUNDS / 2} times while it fills, an edge of ${threads} thread(s) serves nothing torn`, async (t) => {
    const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
    t.diagnostic(`TEST_SEED=${seed}`);
    const { lostMsMax, hits } = await surviveKills(t, { rounds: ROUNDS / 2, seed, threads });
    t.diagnostic(`${Math.round(lostMsMax)} ms of accounts lost at most, ${hits} hits of what was on disk`);
    assert.ok(lostMsMax <= LOST_MS_MAX, `${lostMsMax} ms`);
    assert.ok(hits > 0);
  });
}
