import { test } from "node:test";
import { surviveKills } from "./kill.fixture.ts";

for (const mode of ["ranges", "whole"] as const) {
  test(`fifty kills under load, input kept ${mode === "whole" ? "whole" : "in ranges"}: never a truncated or mixed answer`, async (t) => {
    await surviveKills(t, { rounds: 50, seed: Date.now() % 2 ** 31, mode });
  });
}
