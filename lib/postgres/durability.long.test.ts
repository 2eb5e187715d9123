import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import test from "node:test";
import { surviveKills } from "./durability.suite.ts";

test("killed twenty times under eight writers the server loses nothing that it acknowledged", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const count = await surviveKills(t, { rounds: 20, seed, writesPerRound: 1_000 });
  t.diagnostic(`${count} acknowledged writes, none lost`);
  assert.ok(count >= 20_000);
});
