import assert from "node:assert/strict";
import { test } from "node:test";
import { fuzzMovies } from "../../test/media/fuzz.ts";

test("20,000 damaged movies are refused in words, or their index is sound; none takes a second", async (t) => {
  const { opened, refused, slowestCpuMs } = await fuzzMovies(20_000, 100_000);
  t.diagnostic(`${opened} opened, ${refused} refused, the slowest took ${Math.round(slowestCpuMs)} ms of CPU`);
  assert.ok(opened > 1_000 && refused > 4_000, `${opened} opened, ${refused} refused`);
});
