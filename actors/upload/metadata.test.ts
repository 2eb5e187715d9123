import assert from "node:assert/strict";
import test from "node:test";
import { describe, placeIn } from "./metadata.ts";

/** Fields that are complained of. */
const complaints = (metadata: Record<string, string>): readonly string[] => {
  try {
    describe(metadata);
    return [];
  } catch (error) {
    const { code, data } = error as { code: string; data: { errors: { path: string }[] } };
    assert.equal(code, "BAD_INPUT");
    return data.errors.map(({ path }) => path);
  }
};

test("an upload with a series is an episode at its place", () => {
  const metadata = { series: " Show ", seriesYear: "2010", season: "0", episode: "12" };
  assert.equal(describe(metadata).titleKind, "episode");
  assert.deepEqual(placeIn(metadata), { series: "Show", seriesYear: 2010, season: 0, number: 12 });
  assert.equal(placeIn({ kind: "episode", name: "alone" }), null);
  assert.deepEqual(complaints({ kind: "episode", name: "alone" }), []);
});

test("a place that is none is refused, field by field", () => {
  assert.deepEqual(complaints({ series: "Show" }), ["season", "episode"]);
  assert.deepEqual(complaints({ series: "Show", season: "1" }), ["episode"]);
  assert.deepEqual(complaints({ season: "1", episode: "2" }), ["series"]);
  assert.deepEqual(complaints({ series: "Show", season: "one", episode: "2" }), ["season"]);
  assert.deepEqual(complaints({ series: "Show", season: "1", episode: "-2" }), ["episode"]);
  assert.deepEqual(complaints({ series: "Show", season: "1", episode: "1e9" }), ["episode"]);
  assert.deepEqual(complaints({ series: "Show", season: "1.5", episode: "2" }), ["season"]);
  assert.deepEqual(complaints({ series: "x".repeat(501), season: "1", episode: "2" }), ["series"]);
  assert.deepEqual(complaints({ series: "Show", seriesYear: "12", season: "1", episode: "2" }), ["seriesYear"]);
  assert.deepEqual(complaints({ series: "Show", season: "1", episode: "2", kind: "movie" }), ["kind"]);
});
