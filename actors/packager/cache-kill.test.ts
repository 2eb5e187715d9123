import { test } from "node:test";
import { surviveKills } from "./cache-kill-rounds.fixture.ts";

test("kill -9 while both caches are written: what is served afterwards is whole, and folder and index agree", async (t) => {
  await surviveKills(t, { rounds: 2, seed: 20_260_101 });
});
