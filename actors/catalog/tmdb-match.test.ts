import assert from "node:assert/strict";
import { test } from "node:test";
import type { Found } from "../../lib/tmdb/tmdb.ts";
import { genreOf } from "./tmdb-fields.ts";
import { guessesOf, likeness, ranked, sureOne } from "./tmdb-match.ts";

const found = (id: number, name: string, year: number | null, fields: Partial<Found> = {}): Found => ({
  ...{ id, name, originalName: null, date: year === null ? null : `${year}-05-01`, posterPath: null, popularity: 1 },
  ...fields,
});
const chosenFor = (name: string, year: number | null, results: readonly Found[]): number | undefined =>
  sureOne(ranked(guessesOf(name, year, 2026), results))?.tmdbId;

test("a file's name is taken apart: name, year, and what releases put behind it", () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ["The.Glass.Harbour.1999.1080p.BluRay.x264.mkv", ["The Glass Harbour|1999", "The Glass Harbour 1999|null"]],
    ["The Glass Harbour (1999)", ["The Glass Harbour|1999", "The Glass Harbour (1999)|null"]],
    ["Quiet Orbit 2049", ["Quiet Orbit 2049|null"]],
    ["2049: A Quiet Orbit", ["2049: A Quiet Orbit|null"]],
    ["1984", ["1984|null"]],
    ["Summer_of_1984.mp4", ["Summer of|1984", "Summer of 1984|null"]],
    ["Up", ["Up|null"]],
    ["Seven Winters", ["Seven Winters|null"]],
  ];
  for (const [name, expected] of cases) {
    assert.deepEqual(
      guessesOf(name, null, 2026).map((guess) => `${guess.name}|${guess.year}`),
      expected,
      name,
    );
  }
  assert.deepEqual(guessesOf("Summer of 1984", 2020, 2026), [
    { name: "Summer of", year: 2020 },
    { name: "Summer of 1984", year: 2020 },
  ]);
});

test("accents, case and signs make no difference; other words do", () => {
  assert.equal(likeness("Amelies Orchard", "Amélie's ORCHARD"), 1);
  assert.ok(likeness("Glass Harbour", "The Glass Harbour") > 0.6);
  assert.ok(likeness("Seven Winters", "Se7en Winters") < 0.95);
  assert.ok(likeness("Up", "Upside Down") < 0.5);
  assert.equal(likeness("!!!", "???"), 0);
  assert.equal(likeness("月の橋", "月の橋"), 1);
});

test("one that fits is chosen; of two alike neither is, unless the year tells them apart", () => {
  const both = [found(1, "The Glass Harbour", 1999), found(2, "The Glass Harbour", 2017)];
  assert.equal(chosenFor("The Glass Harbour", null, both), undefined);
  assert.equal(chosenFor("The Glass Harbour", 2017, both), 2);
  assert.equal(chosenFor("The Glass Harbour", 1998, both), 1);
  assert.equal(chosenFor("The.Glass.Harbour.1999.mkv", null, both), 1);
  assert.equal(chosenFor("Seven Winters", null, [found(1, "Seven Winters", 1995), found(2, "Se7en Winters", 2008)]), 1);
  assert.equal(chosenFor("Summer of 1984", null, [found(3, "Summer of 1984", 2020), found(4, "Summer", 1984)]), 3);
  assert.equal(chosenFor("Le Verger", 2001, [found(5, "Orchard", 2001, { originalName: "Le Verger" })]), 5);
  assert.equal(chosenFor("Something Else", 2001, [found(5, "Orchard", 2001)]), undefined);
  assert.equal(chosenFor("Orchard", 1950, [found(5, "Orchard", 2001)]), undefined);
});

test("candidates are in order of confidence, then of how many people look for them, ten at most", () => {
  const many = Array.from({ length: 15 }, (_, index) => found(index + 1, "Orchard", 2001, { popularity: index }));
  const list = ranked(guessesOf("Orchard", 2001, 2026), [...many, ...many, found(99, "Orchards", 2001)]);
  assert.deepEqual(
    list.map(({ tmdbId }) => tmdbId),
    [15, 14, 13, 12, 11, 10, 9, 8, 7, 6],
  );
});

test("a genre's name becomes a slug", () => {
  const slugs = ["Science Fiction", "Sci-Fi & Fantasy", "Komödie", "アニメ"].map((name) => genreOf(name).slug);
  assert.deepEqual(slugs, ["science-fiction", "sci-fi-and-fantasy", "komodie", "other"]);
});
