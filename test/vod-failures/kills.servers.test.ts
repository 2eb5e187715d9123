import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { missingServers } from "../support/cluster.ts";
import { surviveKills } from "./kills.suite.ts";

const skip = (await missingServers()) ?? false;

test("kill -9 of any process costs no title, doubles nothing and leaves nothing behind", { skip }, async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const seen = await surviveKills(t, { titles: 6, kills: 6, seed });
  t.diagnostic(JSON.stringify(seen));
  assert.ok(Object.values(seen.jobs).reduce((sum, count) => sum + count) >= 50);
});
