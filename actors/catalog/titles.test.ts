/** Titles over REST: a real gateway before the real actor. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import type { Title } from "../../contracts/catalog.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { catalogOn, codeOf, factsOf, titleIn } from "./catalog.fixture.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

const FULL = {
  kind: "movie",
  name: "Die fabelhafte Welt der Amélie",
  originalName: "Le Fabuleux Destin d'Amélie Poulain",
  sortName: "fabelhafte Welt der Amélie, Die",
  description: "A waitress changes the lives of those around her.",
  tagline: "She'll change your life.",
  year: 2001,
  releaseDate: "2001-04-25",
  runtimeSeconds: 7_320,
  ratings: [{ country: "DE", system: "FSK", certification: "6", age: 6 }],
  genres: [],
  tags: ["paris"],
  languages: ["fr"],
  externalIds: { imdb: "tt0211915" },
  translations: { en: { name: "Amélie" } },
  access: "public",
  encryption: "none",
  codec: "h264",
  autoPublish: true,
  availableFrom: "2030-01-01T00:00:00.000Z",
  availableUntil: "2031-01-01T00:00:00.000Z",
};

test("a title has what it was created with, an address, a version, and one fact", async (t) => {
  const { a } = await catalogOn(t, db);
  const made = await a.call("POST", "/titles", { body: FULL });
  const { id, createdAt, updatedAt, ...title } = titleIn(made);
  assert.equal(made.status, 201);
  assert.equal(made.headers.get("location"), `/api/v1/titles/${id}`);
  assert.equal(made.headers.get("etag"), '"1"');
  const blank = { parentId: null, number: null, channelId: null, readyRevision: null, processingError: null };
  assert.deepEqual(title, { ...FULL, ...blank, state: "draft", revision: 0, media: null, rungs: null, version: 1 });
  assert.equal(createdAt, updatedAt);
  const got = await a.call("GET", `/titles/${id}`);
  assert.deepEqual([got.body.data, got.headers.get("etag")], [made.body.data, '"1"']);
  assert.deepEqual(await factsOf(db, id), ["content.created"]);
});

test("the same Idempotency-Key makes one title", async (t) => {
  const { a } = await catalogOn(t, db);
  const headers = { "idempotency-key": randomUUID() };
  const create = () => a.call("POST", "/titles", { headers, body: { kind: "clip", name: "Once" } });
  const [first, second] = [await create(), await create()];
  assert.equal(titleIn(first).id, titleIn(second).id);
  assert.equal(second.headers.get("idempotency-replayed"), "true");
});

test("a patch changes what it names, takes back what it says null of, and merges maps member by member", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id, ...made } = await a.make(FULL);
  const patch = {
    year: 2002,
    tagline: null,
    access: null,
    externalIds: { tmdb: "194", imdb: null },
    translations: { en: { description: "A film." }, sv: { name: "Amelie från Montmartre" } },
  };
  const { updatedAt, ...patched } = titleIn(await a.call("PATCH", `/titles/${id}`, { body: patch }));
  const { updatedAt: _, ...before } = made;
  assert.deepEqual(patched, {
    ...before,
    ...{ id, year: 2002, tagline: null, access: "session", externalIds: { tmdb: "194" }, version: 2 },
    translations: { en: { name: "Amélie", description: "A film." }, sv: { name: "Amelie från Montmartre" } },
  });
  assert.ok(updatedAt >= made.updatedAt);
  assert.deepEqual(await factsOf(db, id), ["content.created", "content.updated"]);
});

test("a patch that changes nothing makes no version and no fact", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id } = await a.make(FULL);
  const same = await a.call("PATCH", `/titles/${id}`, { body: { year: 2001, tags: ["paris"] } });
  assert.equal(titleIn(same).version, 1);
  assert.deepEqual(await factsOf(db, id), ["content.created"]);
});

test("every change obeys If-Match, and a stale one changes nothing", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id } = await a.make({ kind: "series" });
  const headers = { "if-match": '"7"' };
  const stale = { headers, body: {} };
  for (const [method, path, body] of [
    ["PATCH", "", { name: "Other" }],
    ["DELETE", "", undefined],
    ["POST", "/publish", {}],
    ["POST", "/schedule", { at: "2040-01-01T00:00:00Z" }],
    ["POST", "/unschedule", {}],
    ["POST", "/withdraw", {}],
  ] as const) {
    const options = body === undefined ? { headers } : { ...stale, body };
    const answer = await a.call(method, `/titles/${id}${path}`, options);
    assert.deepEqual(codeOf(answer), [412, "VERSION_CONFLICT"], `${method} ${path}`);
  }
  assert.equal(titleIn(await a.call("GET", `/titles/${id}`)).version, 1);
  const fresh = await a.call("PATCH", `/titles/${id}`, { headers: { "if-match": '"1"' }, body: { name: "Other" } });
  assert.deepEqual([fresh.status, fresh.headers.get("etag")], [200, '"2"']);
});

test("of changes that come at once under one version one wins", async (t) => {
  const { a } = await catalogOn(t, db);
  const { id } = await a.make();
  const headers = { "if-match": '"1"' };
  const rename = (name: string) => a.call("PATCH", `/titles/${id}`, { headers, body: { name } });
  const statuses = (await Promise.all(["a", "b", "c", "d", "e"].map(rename))).map(({ status }) => status);
  assert.deepEqual(statuses.sort(), [200, 412, 412, 412, 412]);
});

test("what does not fit is refused with its field", async (t) => {
  const { a } = await catalogOn(t, db);
  const bad: [Record<string, unknown>, string][] = [
    [{ name: "" }, "name"],
    [{ kind: "opera" }, "kind"],
    [{ year: 1066 }, "year"],
    [{ ratings: [{ country: "DE", system: "FSK", certification: "99", age: 99 }] }, "ratings.0.age"],
    [{ genres: ["no-such-genre"] }, "genres.0"],
    [{ languages: ["not a language"] }, "languages.0"],
    [{ availableFrom: "2031-01-01T00:00:00Z", availableUntil: "2030-01-01T00:00:00Z" }, "availableUntil"],
    [{ number: 1 }, "number"],
    [{ channelId: 1 }, "channelId"],
    [{ externalIds: { "Not A Name": "x" } }, "externalIds.Not A Name"],
    [{ state: "published" }, "state"],
    [{ releaseDate: "2001-02-30" }, "releaseDate"],
  ];
  for (const [fields, path] of bad) {
    const answer = await a.call("POST", "/titles", { body: { kind: "movie", name: "Film", ...fields } });
    assert.deepEqual(codeOf(answer), [422, "BAD_INPUT"], JSON.stringify(fields));
    assert.deepEqual(
      (answer.body.errors as { path: string }[]).map((error) => error.path),
      [path],
    );
  }
  const { id } = await a.make();
  const merged = await a.call("PATCH", `/titles/${id}`, { body: { translations: { "": { name: "x" } } } });
  assert.deepEqual(codeOf(merged), [422, "BAD_INPUT"]);
  assert.deepEqual(codeOf(await a.call("GET", "/titles/nothing")), [422, "BAD_INPUT"]);
  assert.deepEqual(codeOf(await a.call("GET", `/titles/${randomUUID()}`)), [404, "TITLE_NOT_FOUND"]);
});

test("a season is part of a series, an episode of a season, each number once", async (t) => {
  const { a } = await catalogOn(t, db);
  const series = await a.make({ kind: "series", name: "Dark" });
  const season = await a.make({ kind: "season", name: "Season 1", parentId: series.id, number: 1 });
  const episode = (fields: object) => a.call("POST", "/titles", { body: { kind: "episode", name: "E", ...fields } });
  const first = titleIn(await episode({ parentId: season.id, number: 1 }));
  assert.deepEqual([first.parentId, first.number], [season.id, 1]);
  assert.deepEqual(codeOf(await episode({ parentId: season.id, number: 1 })), [409, "TITLE_NUMBER_TAKEN"]);
  assert.deepEqual(codeOf(await episode({ parentId: series.id, number: 2 })), [422, "TITLE_PARENT"]);
  assert.deepEqual(codeOf(await episode({ parentId: randomUUID(), number: 2 })), [422, "TITLE_PARENT"]);
  assert.deepEqual(codeOf(await episode({ parentId: season.id })), [422, "BAD_INPUT"]);
  const second = titleIn(await episode({ parentId: season.id, number: 2 }));
  const moved = await a.call("PATCH", `/titles/${second.id}`, { body: { number: 1 } });
  assert.deepEqual(codeOf(moved), [409, "TITLE_NUMBER_TAKEN"]);
  assert.equal(titleIn(await a.call("PATCH", `/titles/${second.id}`, { body: { number: 3 } })).number, 3);
  const parts = await a.call("GET", `/titles?parent=${season.id}`);
  assert.deepEqual(
    (parts.body.data as Title[]).map(({ id }) => id),
    [first.id, second.id],
  );
});

test("a number that many want at once goes to one of them", async (t) => {
  const { a } = await catalogOn(t, db);
  const series = await a.make({ kind: "series" });
  const body = { kind: "season", name: "S", parentId: series.id, number: 1 };
  const answers = await Promise.all([1, 2, 3, 4].map(() => a.call("POST", "/titles", { body })));
  assert.deepEqual(answers.map(({ status }) => status).sort(), [201, 409, 409, 409]);
});

test("lists are filtered, ordered and paged, in both directions, without a hole", async (t) => {
  const { b } = await catalogOn(t, db);
  await b.call("POST", "/genres", { body: { slug: "drama", name: "Drama" } });
  for (let index = 0; index < 12; index += 1) {
    const isSeries = index % 3 === 0;
    await b.make({
      ...{ kind: isSeries ? "series" : "movie", name: `Film ${String.fromCharCode(97 + ((index * 5) % 12))}` },
      ...{ year: 2000 + (index % 4), genres: index % 2 === 0 ? ["drama"] : [] },
    });
  }
  const all = async (query: string): Promise<Title[]> => {
    const titles: Title[] = [];
    for (let cursor: unknown = null; ; ) {
      const { status, body, text } = await b.call("GET", `/titles?${query}${cursor ? `&cursor=${cursor}` : ""}`);
      assert.equal(status, 200, text);
      titles.push(...(body.data as Title[]));
      cursor = body.nextCursor;
      if (cursor === null) return titles;
    }
  };
  const names = (titles: Title[]) => titles.map(({ name }) => name.slice(-1)).join("");
  for (const limit of [1, 5, 12, 50]) {
    assert.equal(names(await all(`sort=name&limit=${limit}`)), "abcdefghijkl");
    assert.equal(names(await all(`sort=-name&limit=${limit}`)), "lkjihgfedcba");
    assert.equal(names(await all(`sort=created&limit=${limit}`)), "afkdibglejch");
    assert.equal(names(await all(`sort=-updated&limit=${limit}`)), "hcjelgbidkfa");
    const years = (await all(`sort=year&limit=${limit}`)).map(({ year }) => year);
    assert.deepEqual(years, [2000, 2000, 2000, 2001, 2001, 2001, 2002, 2002, 2002, 2003, 2003, 2003]);
  }
  assert.equal((await all("kind=series")).length, 4);
  assert.equal((await all("kind=series,movie&genre=drama")).length, 6);
  assert.equal((await all("yearFrom=2001&yearTo=2002")).length, 6);
  assert.equal((await all("state=published")).length, 0);
  const [newest] = await all("sort=-updated&limit=1");
  assert.equal((await all(`updatedSince=${newest?.updatedAt}`)).at(-1)?.id, newest?.id);
});

test("an instant that could not be shown again is refused, as input and in a cursor", async (t) => {
  const { a } = await catalogOn(t, db);
  for (const at of ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "1969-12-31T23:59:59Z"]) {
    const body = { kind: "movie", name: "Film", availableFrom: at };
    assert.deepEqual(codeOf(await a.call("POST", "/titles", { body })), [422, "BAD_INPUT"], at);
    assert.deepEqual(codeOf(await a.call("GET", `/titles?updatedSince=${encodeURIComponent(at)}`)), [422, "BAD_INPUT"]);
  }
  const body = { kind: "movie", name: "Film", availableFrom: "9999-12-31T23:59:59Z" };
  assert.equal((await a.call("POST", "/titles", { body })).status, 201);
  assert.equal((await a.call("GET", "/titles")).status, 200);
  const parts = ["titles updated", "0000-01-01T00:00:00.000Z", randomUUID()];
  const cursor = Buffer.from(JSON.stringify(parts)).toString("base64url");
  assert.deepEqual(codeOf(await a.call("GET", `/titles?sort=updated&cursor=${cursor}`)), [400, "BAD_CURSOR"]);
});

test("a list goes on behind the longest name, whatever it is written in", async (t) => {
  const { b } = await catalogOn(t, db);
  for (const last of ["一", "二"]) await b.make({ name: `${"水".repeat(499)}${last}` });
  for (const path of [
    "/titles?sort=name&limit=1",
    `/titles/search?limit=1&q=${encodeURIComponent("水".repeat(200))}`,
  ]) {
    const { body } = await b.call("GET", path);
    const next = await b.call("GET", `${path}&cursor=${body.nextCursor}`);
    assert.deepEqual([next.status, (next.body.data as unknown[]).length], [200, 1], path.slice(0, 20));
  }
});

test("a cursor of another order, or a made-up one, is refused", async (t) => {
  const { b } = await catalogOn(t, db);
  await b.make();
  await b.make();
  const { body } = await b.call("GET", "/titles?limit=1&sort=name");
  const seal = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString("base64url");
  const id = randomUUID();
  for (const [sort, cursor] of [
    ["year", body.nextCursor],
    ["name", "nonsense"],
    ["name", `${body.nextCursor}A`],
    ["name", seal(["titles name", "x"])],
    ["name", seal(["titles name", "\0", id])],
    ["year", seal(["titles year", "x", id])],
    ["updated", seal(["titles updated", "2030-13-45T99:99:99.000Z", id])],
    ["created", seal(["titles created", "1", id])],
  ]) {
    const answer = await b.call("GET", `/titles?sort=${sort}&cursor=${cursor}`);
    assert.deepEqual(codeOf(answer), [400, "BAD_CURSOR"], `${sort} ${cursor}`);
  }
});

test("genres are made, changed and deleted, and titles follow", async (t) => {
  const { b } = await catalogOn(t, db);
  const make = (slug: string) => b.call("POST", "/genres", { body: { slug, name: slug, translations: { de: "X" } } });
  const made = await make("sci-fi");
  const { id } = titleIn(made);
  assert.equal(made.headers.get("location"), `/api/v1/genres/${id}`);
  assert.deepEqual(codeOf(await make("sci-fi")), [409, "GENRE_SLUG_TAKEN"]);
  await make("drama");
  const title = await b.make({ genres: ["drama", "sci-fi"] });
  const patch = { slug: "science-fiction", translations: { de: null, fr: "Science-fiction" } };
  const patched = await b.call("PATCH", `/genres/${id}`, { headers: { "if-match": '"1"' }, body: patch });
  assert.deepEqual((patched.body.data as { translations: object }).translations, { fr: "Science-fiction" });
  assert.deepEqual(codeOf(await b.call("PATCH", `/genres/${id}`, { body: { slug: "drama" } })), [
    409,
    "GENRE_SLUG_TAKEN",
  ]);
  const genresOf = async () => titleIn(await b.call("GET", `/titles/${title.id}`));
  assert.deepEqual([(await genresOf()).genres, (await genresOf()).version], [["drama", "science-fiction"], 2]);
  const found = await b.call("GET", "/titles/search?genre=science-fiction");
  assert.equal(found.body.total, 1);
  const stale = await b.call("DELETE", `/genres/${id}`, { headers: { "if-match": '"1"' } });
  assert.deepEqual(codeOf(stale), [412, "VERSION_CONFLICT"]);
  assert.equal((await b.call("DELETE", `/genres/${id}`)).status, 200);
  assert.deepEqual((await genresOf()).genres, ["drama"]);
  assert.deepEqual(codeOf(await b.call("GET", `/genres/${id}`)), [404, "GENRE_NOT_FOUND"]);
  const { body } = await b.call("GET", "/genres?limit=1");
  assert.deepEqual([(body.data as { slug: string }[])[0]?.slug, body.nextCursor], ["drama", null]);
});
