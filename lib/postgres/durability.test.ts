import assert from "node:assert/strict";
import test from "node:test";
import { surviveKills } from "./durability.suite.ts";

test("a server that is killed under eight writers loses nothing that it acknowledged", async (t) => {
  assert.ok((await surviveKills(t, { rounds: 2, seed: 20_261_121, writesPerRound: 100 })) >= 200);
});
