import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzMovies } from "../../test/media/fuzz.ts";

const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 600);

test("a damaged movie is refused in words, or its index is sound; neither takes a second", async (t) => {
  const { opened, refused, slowestCpuMs } = await fuzzMovies(ROUNDS);
  t.diagnostic(`${opened} opened, ${refused} refused, the slowest took ${Math.round(slowestCpuMs)} ms of CPU`);
  assert.ok(opened > ROUNDS / 20 && refused > ROUNDS / 5, `${opened} opened, ${refused} refused`);
});
