import { test } from "node:test";
import { surviveDamages } from "./damaged.fixture.ts";

test("20,000 damaged files are served whole or refused with 4xx, within a second and within bounds", async (t) => {
  await surviveDamages(t, { caseCount: 20_000, firstSeed: 1_000_000 });
});
