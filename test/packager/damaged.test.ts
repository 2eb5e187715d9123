import { test } from "node:test";
import { surviveDamages } from "./damaged.fixture.ts";

test("damaged files are served whole or refused with 4xx, within a second", async (t) => {
  await surviveDamages(t, { caseCount: Number(process.env.FUZZ_ROUNDS ?? 250), firstSeed: 1 });
});
