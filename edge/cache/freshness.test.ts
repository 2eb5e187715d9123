import assert from "node:assert/strict";
import { test } from "node:test";
import { type CacheHeaders, lifetimeOf } from "./freshness.ts";
import type { ObjectKind } from "./object-kind.ts";

const SEGMENT_MS = 3_000;
const freshMs = (kind: ObjectKind, headers: CacheHeaders | string): number =>
  lifetimeOf(kind, typeof headers === "string" ? { cacheControl: headers } : headers, SEGMENT_MS).freshMs;

test("a playlist lives for a third of a segment at most, and for one part at least", () => {
  assert.equal(freshMs("playlist", "max-age=60"), 1_000);
  assert.equal(freshMs("playlist", {}), 1_000);
  assert.equal(freshMs("playlist", "max-age=0"), 200);
  assert.equal(freshMs("playlist", "no-cache"), 200);
});

test("segments live long, inits as long as a segment plays, other things hardly", () => {
  assert.equal(freshMs("segment", "public, max-age=3600, immutable"), 3_600_000);
  assert.equal(freshMs("segment", "max-age=31536000"), 3_600_000);
  assert.equal(freshMs("segment", {}), 60_000);
  assert.equal(freshMs("init", "max-age=3600"), SEGMENT_MS);
  assert.equal(freshMs("other", {}), 0);
  assert.equal(freshMs("other", "max-age=60"), 1_000);
});

test("s-maxage comes before max-age, max-age before Expires; the age of the answer is taken off", () => {
  const date = "Fri, 20 Nov 2026 10:00:00 GMT";
  const expires = "Fri, 20 Nov 2026 10:00:30 GMT";
  assert.equal(freshMs("segment", "max-age=10, s-maxage=20"), 20_000);
  assert.equal(freshMs("segment", 'max-age="10"'), 10_000);
  assert.equal(freshMs("segment", { cacheControl: "max-age=10", expires, date }), 10_000);
  assert.equal(freshMs("segment", { expires, date }), 30_000);
  assert.equal(freshMs("segment", { expires: "0", date }), 0);
  assert.equal(freshMs("segment", { cacheControl: "max-age=10", age: "4" }), 6_000);
  assert.equal(freshMs("segment", { cacheControl: "max-age=10", age: "40" }), 0);
  assert.equal(freshMs("segment", "max-age=soon"), 60_000);
});

test("what must not be stored is not, and what must not be stale is not", () => {
  for (const cacheControl of ["no-store", "private", "public, No-Store"]) {
    assert.equal(lifetimeOf("segment", { cacheControl }, SEGMENT_MS).storable, false);
  }
  assert.equal(lifetimeOf("playlist", {}, SEGMENT_MS).staleMs, SEGMENT_MS);
  assert.equal(lifetimeOf("playlist", { cacheControl: "must-revalidate" }, SEGMENT_MS).staleMs, 0);
  assert.equal(lifetimeOf("segment", { cacheControl: "max-age=1, proxy-revalidate" }, SEGMENT_MS).staleMs, 0);
});
