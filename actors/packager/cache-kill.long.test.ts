import { test } from "node:test";
import { surviveKills } from "./cache-kill-rounds.fixture.ts";

test("fifty kills of each kind of cache: what is served afterwards is whole, and folder and index agree", async (t) => {
  await surviveKills(t, { rounds: 50, seed: Date.now() % 2 ** 31 });
});
