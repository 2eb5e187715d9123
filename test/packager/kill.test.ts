import { test } from "node:test";
import { surviveKills } from "./kill.fixture.ts";

test("kill -9 under load: whatever is served afterwards is whole, of one version, and caches keep to their limits", async (t) => {
  await surviveKills(t, { rounds: 3, seed: 20_261_121, mode: "ranges" });
});
