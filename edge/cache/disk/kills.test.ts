import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import { seeded } from "../../../test/support/seeded.ts";
import { folderOf } from "./disk.fixture.ts";
import { surviveKills } from "./kills.fixture.ts";

test("killed while it writes the store has what it flushed and nothing torn", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const comparedCount = await surviveKills(folderOf(t), 3, seeded(seed));
  t.diagnostic(`${comparedCount} objects compared`);
  assert.ok(comparedCount > 50);
});
