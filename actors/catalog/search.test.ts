/** Search over REST: what is found, in which order, with which counts, and by whom. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { Title } from "../../contracts/catalog.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { type Caller, catalogOn, codeOf } from "./catalog.fixture.ts";
import { searchIndex } from "./index.store.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

const FILMS: [name: string, fields?: Record<string, unknown>][] = [
  ["Alien", { year: 1979, genres: ["horror", "sci-fi"] }],
  ["Aliens", { year: 1986, genres: ["sci-fi"] }],
  ["Harry Potter and the Chamber of Secrets", { year: 2002, genres: ["fantasy"] }],
  ["Harry Potter and the Goblet of Fire", { year: 2005, genres: ["fantasy"] }],
  ["Le Fabuleux Destin d'Amélie Poulain", { year: 2001, translations: { de: { name: "Die fabelhafte Welt" } } }],
  ["The Matrix", { year: 1999, genres: ["sci-fi"] }],
  ["Überraschung im Straßencafé", { year: 2001 }],
  ["Smørrebrød", { kind: "clip" }],
  ["Иди и смотри", { year: 1985, originalName: "Come and See" }],
  ["千と千尋の神隠し", { year: 2001, translations: { en: { name: "Spirited Away" } } }],
  ["Don't Look Now", { year: 1973, genres: ["horror"] }],
  ["100% Wolf", { year: 2020 }],
  ["Dark", { kind: "series", year: 2017, genres: ["sci-fi"] }],
];
const fill = async ({ call, make }: Caller): Promise<void> => {
  for (const slug of ["horror", "sci-fi", "fantasy"]) await call("POST", "/genres", { body: { slug, name: slug } });
  for (const [name, fields] of FILMS) await make({ name, ...fields });
};
const query = (fields: Record<string, string>) => `/titles/search?${new URLSearchParams(fields)}`;
const namesIn = (body: Record<string, unknown>): string[] => (body.data as Title[]).map(({ name }) => name);
const finder =
  ({ call }: Caller) =>
  async (q: string, fields: Record<string, string> = {}): Promise<string[]> => {
    const { status, body, text } = await call("GET", query({ q, ...fields }));
    assert.equal(status, 200, text);
    return namesIn(body);
  };

test("names are found as one types, with typing errors, without accents, in any of their languages and scripts", async (t) => {
  const { b } = await catalogOn(t, db);
  await fill(b);
  const find = finder(b);
  const first: [q: string, name: string][] = [
    ["Alien", "Alien"],
    ["alie", "Alien"],
    ["alein", "Alien"],
    ["hary poter goblet", "Harry Potter and the Goblet of Fire"],
    ["harry potter and the goblit", "Harry Potter and the Goblet of Fire"],
    ["potter cham", "Harry Potter and the Chamber of Secrets"],
    ["chamer of secretss", "Harry Potter and the Chamber of Secrets"],
    ["amelie", "Le Fabuleux Destin d'Amélie Poulain"],
    ["AMÉLIE", "Le Fabuleux Destin d'Amélie Poulain"],
    ["fabelhafte", "Le Fabuleux Destin d'Amélie Poulain"],
    ["fabelhfate welt", "Le Fabuleux Destin d'Amélie Poulain"],
    ["matirx", "The Matrix"],
    ["mat", "The Matrix"],
    ["uberraschung", "Überraschung im Straßencafé"],
    ["strassencafe", "Überraschung im Straßencafé"],
    ["smorrebrod", "Smørrebrød"],
    ["иди", "Иди и смотри"],
    ["ИДИ И СМОТРЫ", "Иди и смотри"],
    ["come and se", "Иди и смотри"],
    ["千尋", "千と千尋の神隠し"],
    ["spirted away", "千と千尋の神隠し"],
    ["dont look", "Don't Look Now"],
    ["don’t look", "Don't Look Now"],
    ["100%", "100% Wolf"],
    ["d", "Dark"],
  ];
  for (const [q, name] of first) assert.equal((await find(q))[0], name, q);
});

test("the very name comes before names that begin with it, and these before names that have it inside", async (t) => {
  const { b } = await catalogOn(t, db);
  for (const name of ["A Star Is Born", "Starship", "Star", "Star Wars", "Lone Star"]) await b.make({ name });
  assert.deepEqual(await finder(b)("star"), ["Star", "Starship", "Star Wars", "Lone Star", "A Star Is Born"]);
});

test("what is not alike is not found, and signs alone find nothing", async (t) => {
  const { b } = await catalogOn(t, db);
  await fill(b);
  const find = finder(b);
  for (const q of ["xylophone", "%", "_", "%%%", "\\", "'", "zzz", "!?"]) assert.deepEqual(await find(q), [], q);
  assert.equal((await find("   ")).length, FILMS.length);
});

test("filters narrow, and facets count what was found", async (t) => {
  const { b } = await catalogOn(t, db);
  await fill(b);
  const find = finder(b);
  assert.deepEqual(await find("alien", { genre: "horror" }), ["Alien"]);
  assert.deepEqual(await find("", { genre: "horror,sci-fi" }), ["Alien"]);
  assert.deepEqual(await find("", { kind: "series,clip" }), ["Dark", "Smørrebrød"]);
  assert.deepEqual(await find("alien", { year: "1986" }), ["Aliens"]);
  assert.deepEqual(await find("", { yearFrom: "1999", yearTo: "2000" }), ["The Matrix"]);
  assert.deepEqual(await find("", { state: "published" }), []);
  const { body } = await b.call("GET", query({ genre: "sci-fi" }));
  assert.equal(body.total, 4);
  assert.deepEqual(body.facets, {
    kind: [
      { value: "movie", count: 3 },
      { value: "series", count: 1 },
    ],
    genre: [
      { value: "sci-fi", count: 4 },
      { value: "horror", count: 1 },
    ],
    year: ["2017", "1999", "1986", "1979"].map((value) => ({ value, count: 1 })),
    state: [{ value: "draft", count: 4 }],
  });
  assert.equal((await b.call("GET", query({ facets: "false" }))).body.facets, null);
});

test("pages join without a hole or a repeat, for every page size", async (t) => {
  const { b } = await catalogOn(t, db);
  await fill(b);
  const all = (await b.call("GET", query({ q: "a" }))).body;
  assert.ok(namesIn(all).length > 4);
  for (const limit of ["1", "2", "3"]) {
    const names: string[] = [];
    for (let cursor: string | null = null; ; ) {
      const { body } = await b.call("GET", query({ q: "a", limit, ...(cursor === null ? {} : { cursor }) }));
      names.push(...namesIn(body));
      assert.equal(body.total, all.total);
      assert.equal(body.facets === null, cursor !== null);
      cursor = body.nextCursor as string | null;
      if (cursor === null) break;
    }
    assert.deepEqual(names, namesIn(all));
  }
  const { nextCursor } = (await b.call("GET", query({ q: "a", limit: "1" }))).body;
  for (const [q, cursor] of [
    ["b", String(nextCursor)],
    ["a", "x"],
    ["a", Buffer.from('["search","a",1.5,"x","y"]').toString("base64url")],
  ] as const)
    assert.deepEqual(codeOf(await b.call("GET", query({ q, cursor }))), [400, "BAD_CURSOR"]);
});

test("a changed name is found by the new one alone, and a deleted title not at all", async (t) => {
  const { b } = await catalogOn(t, db);
  const { id } = await b.make({ name: "Working Title" });
  const find = finder(b);
  await b.call("PATCH", `/titles/${id}`, {
    body: { name: "Vertigo", translations: { fr: { name: "Sueurs froides" } } },
  });
  assert.deepEqual(
    [await find("working"), await find("vertigo"), await find("sueurs")],
    [[], ["Vertigo"], ["Vertigo"]],
  );
  await b.call("DELETE", `/titles/${id}`);
  assert.deepEqual(await find("vertigo"), []);
});

test("bad filters are refused with their field", async (t) => {
  const { b } = await catalogOn(t, db);
  for (const [name, value] of [
    ["kind", "opera"],
    ["genre", "No Slug"],
    ["year", "soon"],
    ["year", "99999"],
    ["facets", "maybe"],
    ["limit", "0"],
    ["q", "x".repeat(201)],
    ["other", "1"],
  ] as const) {
    const answer = await b.call("GET", query({ [name]: value }));
    assert.deepEqual(codeOf(answer), [422, "BAD_INPUT"], `${name}=${value}`);
  }
});

test("two tenants with the same titles: nothing crosses in search, facets, lists, gets and edits", async (t) => {
  const { a, b } = await catalogOn(t, db);
  await fill(a);
  await fill(b);
  await a.make({ name: "Alien Covenant" });
  const found = (await b.call("GET", query({ q: "alien" }))).body;
  assert.deepEqual(namesIn(found), ["Alien", "Aliens"]);
  assert.equal((await b.call("GET", query({}))).body.total, FILMS.length);
  const { facets } = (await b.call("GET", query({ kind: "movie" }))).body as { facets: { kind: { count: number }[] } };
  assert.equal(facets.kind[0]?.count, FILMS.length - 2);
  const listed = (await b.call("GET", "/titles?limit=200")).body.data as Title[];
  assert.equal(listed.length, FILMS.length);
  const [foreign] = (await a.call("GET", query({ q: "alien" }))).body.data as Title[];
  const id = foreign?.id;
  assert.ok(id && !listed.some((title) => title.id === id));
  for (const [method, path, body] of [
    ["GET", "", undefined],
    ["PATCH", "", { name: "Mine" }],
    ["DELETE", "", undefined],
    ["POST", "/publish", {}],
    ["POST", "/restore", {}],
  ] as const) {
    const answer = await b.call(method, `/titles/${id}${path}`, body === undefined ? {} : { body });
    assert.deepEqual(codeOf(answer), [404, "TITLE_NOT_FOUND"], `${method} ${path}`);
  }
  const bulk = await b.call("POST", "/titles/bulk", { body: { titles: [{ id }], patch: { year: 1900 } } });
  assert.equal((bulk.body.data as { error: { code: string } }[])[0]?.error.code, "TITLE_NOT_FOUND");
  await b.call("POST", "/titles/bulk", { body: { filter: {}, patch: { tags: ["mine"] } } });
  const { tags, year } = (await a.call("GET", `/titles/${id}`)).body.data as Title;
  assert.deepEqual([tags, year], [[], 1979]);
  const part = { kind: "season", name: "S", parentId: id, number: 1 };
  assert.deepEqual(codeOf(await b.call("POST", "/titles", { body: part })), [422, "TITLE_PARENT"]);
  assert.deepEqual((await b.call("GET", `/titles?parent=${id}`)).body.data, []);
});

test("the functions that look past row security answer nobody who names another tenant", async (t) => {
  const { a, b } = await catalogOn(t, db);
  const asked = { q: "", after: null, rowCount: 1, facets: true };
  // Null is what the types of the language forbid, and the database must refuse.
  const search = (as: string | null, of: string | null) =>
    db.tenantTx(as, (tx) => searchIndex(tx, of as string, asked));
  await search(a.tenantId, a.tenantId);
  for (const [as, of] of [
    [a.tenantId, b.tenantId],
    [a.tenantId, null],
    [null, b.tenantId],
    [null, null],
  ] as const)
    await assert.rejects(search(as, of), { code: "42501" });
  for (const text of ["select titles_due(now(), 1)", "select titles_known('{}')"]) {
    await db.tenantTx(null, (tx) => tx.query(text));
    await assert.rejects(
      db.tenantTx(a.tenantId, (tx) => tx.query(text)),
      { code: "42501" },
    );
  }
});
