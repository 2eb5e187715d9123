import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { missingServers } from "../support/cluster.ts";
import { surviveKills } from "./kills.suite.ts";

const skip = (await missingServers()) ?? false;
const TITLES = Number(process.env.KILL_TITLES ?? 40);
const KILLS = Number(process.env.KILL_ROUNDS ?? 40);

test(`${KILLS} kills over the jobs of ${TITLES} titles cost none of them`, { skip }, async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const seen = await surviveKills(t, { titles: TITLES, kills: KILLS, seed });
  t.diagnostic(JSON.stringify(seen));
  assert.ok(Object.values(seen.jobs).reduce((sum, count) => sum + count) >= 9 * TITLES * (2 / 3));
  assert.ok(seen.lapses > 0, "jobs were cut off in the middle");
});
