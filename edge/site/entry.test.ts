import assert from "node:assert/strict";
import { test } from "node:test";
import type { Freshness } from "../../domain/http-cache/storability.ts";
import { tagsOf, timesOf } from "./entry.ts";

const FRESHNESS: Freshness = {
  initialAgeMs: 2_000,
  lifetimeMs: 10_000,
  staleWhileRevalidateMs: 5_000,
  staleIfErrorMs: 20_000,
  mustRevalidate: false,
  noCache: false,
  isHeuristic: false,
};

// RFC 9111 §4.2.3, RFC 5861 §3, §4: ages count from where the object was made, not from where it came in.
test("an object serves fresh, then while it is asked about, then while its origin fails", () => {
  assert.deepEqual(timesOf(FRESHNESS, 100_000), {
    bornAtMs: 98_000,
    freshUntilMs: 108_000,
    revalidateUntilMs: 113_000,
    staleUntilMs: 128_000,
  });
});

// RFC 9111 §5.2.2.2, §5.2.2.4
test("must-revalidate forbids stale answers, no-cache any that was not asked about", () => {
  const must = timesOf({ ...FRESHNESS, mustRevalidate: true }, 100_000);
  assert.deepEqual(must, { bornAtMs: 98_000, freshUntilMs: 108_000, revalidateUntilMs: 0, staleUntilMs: 0 });
  const never = timesOf({ ...FRESHNESS, noCache: true }, 100_000);
  assert.deepEqual(never, { bornAtMs: 98_000, freshUntilMs: 0, revalidateUntilMs: 0, staleUntilMs: 0 });
});

test("tags are those of both fields, each once, as many and as long as purges take", () => {
  assert.deepEqual(tagsOf(["Surrogate-Key", "a b  a", "Cache-Tag", "b, c d,"]), ["a", "b", "c d"]);
  assert.equal(tagsOf(["Surrogate-Key", Array.from({ length: 99 }, (_, at) => `t${at}`).join(" ")]).length, 32);
  assert.deepEqual(tagsOf(["Cache-Tag", "x".repeat(129)]), []);
});
