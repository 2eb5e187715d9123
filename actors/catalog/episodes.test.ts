/** Episodes that come as files: their series and seasons are made once. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { attachSource, type Title } from "../../contracts/catalog.ts";
import type { EpisodePlace } from "../../contracts/episode-place.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { aSource, type Caller, catalogOn, titleIn } from "./catalog.fixture.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

const attach = ({ ask }: Caller, place: EpisodePlace, name?: string) =>
  ask(attachSource, { ...aSource({ kind: "episode", ...(name === undefined ? {} : { name }) }), place });

const get = async (caller: Caller, titleId: string | null): Promise<Title> =>
  titleIn(await caller.call("GET", `/titles/${titleId}`));

/** `Show (2010) / 1 Season 1 / 2 Title`. */
const pathOf = async (caller: Caller, titleId: string): Promise<string> => {
  const episode = await get(caller, titleId);
  const season = await get(caller, episode.parentId);
  const { name, year } = await get(caller, season.parentId);
  const series = year === null ? name : `${name} (${year})`;
  return `${series} / ${season.number} ${season.name} / ${episode.number} ${episode.name}`;
};

const namesOf = async (caller: Caller, kind: string): Promise<string[]> => {
  const { body } = await caller.call("GET", `/titles?kind=${kind}&limit=100`);
  return (body.data as Title[]).map(({ name }) => name).toSorted();
};

test("an episode that comes makes its series and its season, once", async (t) => {
  const { b } = await catalogOn(t, db);
  const one = await attach(b, { series: "The Café", season: 1, number: 1 }, "Opening");
  const two = await attach(b, { series: "the cafe", season: 1, number: 2 });
  const special = await attach(b, { series: "The Café", season: 0, number: 1 });
  assert.deepEqual(await Promise.all([one, two, special].map(({ titleId }) => pathOf(b, titleId))), [
    "The Café / 1 Season 1 / 1 Opening",
    "The Café / 1 Season 1 / 2 Episode 2",
    "The Café / 0 Specials / 1 Episode 1",
  ]);
  assert.deepEqual(await namesOf(b, "series"), ["The Café"]);
  assert.deepEqual(await namesOf(b, "season"), ["Season 1", "Specials"]);
  const again = await attach(b, { series: "The Café", season: 1, number: 1 }, "Another");
  assert.deepEqual(again, { titleId: one.titleId, revision: 2 });
  assert.deepEqual(await namesOf(b, "episode"), ["Episode 1", "Episode 2", "Opening"]);
});

test("episodes that come at once make one series and one season", async (t) => {
  const { b } = await catalogOn(t, db);
  const numbers = [1, 2, 3, 4, 5, 6, 7, 8];
  const made = await Promise.all(numbers.map((number) => attach(b, { series: "Show", season: 1, number })));
  assert.equal(new Set(made.map(({ titleId }) => titleId)).size, numbers.length);
  assert.deepEqual(await namesOf(b, "series"), ["Show"]);
  assert.deepEqual(await namesOf(b, "season"), ["Season 1"]);
  const same = await Promise.all([1, 2, 3].map(() => attach(b, { series: "Show", season: 2, number: 1 })));
  assert.equal(new Set(same.map(({ titleId }) => titleId)).size, 1);
  assert.deepEqual(same.map(({ revision }) => revision).toSorted(), [1, 2, 3]);
});

test("series of one name are told apart by their years, and by their tenants", async (t) => {
  const { a, b } = await catalogOn(t, db);
  const place = { series: "Again", season: 1, number: 1 };
  const old = await attach(b, { ...place, seriesYear: 1978 });
  const anew = await attach(b, { ...place, seriesYear: 2004 });
  assert.deepEqual(
    [await pathOf(b, old.titleId), await pathOf(b, anew.titleId)],
    ["Again (1978) / 1 Season 1 / 1 Episode 1", "Again (2004) / 1 Season 1 / 1 Episode 1"],
  );
  assert.equal((await attach(b, { ...place, seriesYear: 2004 })).titleId, anew.titleId);
  assert.equal((await attach(b, place)).titleId, old.titleId);
  const elsewhere = await attach(a, place);
  assert.equal(await pathOf(a, elsewhere.titleId), "Again / 1 Season 1 / 1 Episode 1");
  const { id } = await b.make({ kind: "series", name: "Mine", year: null });
  const { titleId } = await attach(b, { series: "Mine", seriesYear: 2020, season: 3, number: 1 });
  assert.equal((await get(b, (await get(b, titleId)).parentId)).parentId, id);
});

test("names of signs alone are not taken for each other", async (t) => {
  const { b } = await catalogOn(t, db);
  await attach(b, { series: "???", season: 1, number: 1 });
  await attach(b, { series: "!!!", season: 1, number: 1 });
  await attach(b, { series: "???", season: 1, number: 2 });
  assert.deepEqual(await namesOf(b, "series"), ["!!!", "???"]);
});

test("what was deleted is made anew", async (t) => {
  const { b } = await catalogOn(t, db);
  const place = { series: "Gone", season: 1, number: 1 };
  const { titleId } = await attach(b, place);
  assert.equal((await b.call("DELETE", `/titles/${titleId}`)).status, 200);
  const second = await attach(b, place);
  assert.notEqual(second.titleId, titleId);
  const season = await get(b, (await get(b, second.titleId)).parentId);
  assert.equal((await b.call("DELETE", `/titles/${season.parentId}`)).status, 200);
  const third = await attach(b, place);
  assert.equal(await pathOf(b, third.titleId), "Gone / 1 Season 1 / 1 Episode 1");
  assert.deepEqual(await namesOf(b, "series"), ["Gone"]);
});
