/** Lists of what belongs to a title or a person, a page at a time. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { type Caller, catalogOn, codeOf } from "./catalog.fixture.ts";

const scene = async (t: TestContext) => catalogOn(t, await testDatabase(t), { whole: true });
type Item = Record<string, unknown>;

/** All pages of two, and how many there are. */
const walked = async ({ call }: Caller, path: string): Promise<{ items: Item[]; pageCount: number }> => {
  const items: Item[] = [];
  let cursor = "";
  for (let pageCount = 1; pageCount < 50; pageCount += 1) {
    const { body, status, text } = await call("GET", `${path}?limit=2${cursor && `&cursor=${cursor}`}`);
    assert.equal(status, 200, text);
    items.push(...(body.data as Item[]));
    if (body.nextCursor === null) return { items, pageCount };
    cursor = String(body.nextCursor);
  }
  throw new Error("the list has no end");
};

const refusesForeignCursors = async ({ call }: Caller, path: string, cursors: readonly string[]) => {
  for (const cursor of cursors) {
    assert.deepEqual(codeOf(await call("GET", `${path}?cursor=${cursor}`)), [400, "BAD_CURSOR"], cursor);
  }
};
const sealed = (...parts: unknown[]): string => Buffer.from(JSON.stringify(parts)).toString("base64url");

test("credits come in pages in the order of the whole list, equal places too", async (t) => {
  const { a } = await scene(t);
  const { id } = await a.make();
  const { body } = await a.call("POST", "/people", { body: { name: "Ada" } });
  const personId = (body.data as { id: string }).id;
  const wanted = [
    ...[3, 1, 1, 0].map((order) => ({ kind: "cast", order })),
    ...[0, 0, 9].map((order) => ({ kind: "crew", order })),
  ];
  const path = `/titles/${id}/credits`;
  for (const one of wanted) assert.equal((await a.call("POST", path, { body: { personId, ...one } })).status, 201);
  const { items, pageCount } = await walked(a, path);
  assert.deepEqual(
    items.map(({ kind, order }) => `${kind} ${order}`),
    ["cast 0", "cast 1", "cast 1", "cast 3", "crew 0", "crew 0", "crew 9"],
  );
  assert.deepEqual([new Set(items.map((one) => one.id)).size, pageCount], [7, 4]);
  assert.deepEqual(items, (await a.call("GET", path)).body.data);
  const list = `credits ${id}`;
  await refusesForeignCursors(a, path, [
    ...["x", sealed(`credits ${randomUUID()}`, "cast", 1, id), sealed(list, "cast", 1.5, id)],
    ...[sealed(list, "cast", 1e12, id), sealed(list, "stunt", 1, id), sealed(list, "cast", 1, "x")],
    sealed(list, "cast", 1, id, 1),
  ]);
});

test("pictures come in pages, those chosen first of their kind", async (t) => {
  const { a, db } = await scene(t);
  const { id } = await a.make();
  const art = (kind: string, language: string, place: number, chosen: boolean) =>
    db.asOwner(
      `insert into artwork (id, tenant_id, title_id, kind, language, source, origin, place, chosen)
       values ($1, $2, $3, $4, $5, 'tmdb', $6, $7, $8)`,
      [randomUUID(), a.tenantId, id, kind, language, randomUUID(), place, chosen],
    );
  await art("poster", "en", 1, false);
  await art("poster", "", 4, true);
  await art("poster", "en", 0, true);
  await art("poster", "en", 1, false);
  await art("backdrop", "", 7, false);
  const { items } = await walked(a, `/titles/${id}/artwork`);
  assert.deepEqual(
    items.map(({ kind, language, chosen }) => `${kind} ${language} ${chosen}`),
    ["backdrop null false", "poster null true", "poster en true", "poster en false", "poster en false"],
  );
  assert.equal(new Set(items.map((one) => one.id)).size, 5);
  const list = `artwork ${id}`;
  await refusesForeignCursors(a, `/titles/${id}/artwork`, [
    ...["x", sealed(list), sealed(list, "poster", "true", "en", "tmdb", 0, id)],
    ...[sealed(list, "cover", true, "en", "tmdb", 0, id), sealed(list, "poster", true, "en\0", "tmdb", 0, id)],
    ...[sealed(list, "poster", true, "en", "web", 0, id), sealed(list, "poster", true, "en", "tmdb", 3e9, id)],
  ]);
});

test("a filmography has each title once, the newest first and those without a year last", async (t) => {
  const { a } = await scene(t);
  const { body } = await a.call("POST", "/people", { body: { name: "Ada" } });
  const personId = (body.data as { id: string }).id;
  const films: [string, number | null][] = [
    ["B", 2001],
    ["A", 2001],
    ["Old", 1950],
    ["Undated", null],
    ["New", 2020],
  ];
  for (const [name, year] of films) {
    const { id } = await a.make({ name, ...(year === null ? {} : { year }) });
    for (const job of ["Director", "Writer"]) {
      const credit = { personId, kind: "crew", job, order: job === "Director" ? 0 : 1 };
      await a.call("POST", `/titles/${id}/credits`, { body: credit });
    }
  }
  const path = `/people/${personId}/filmography`;
  const { items, pageCount } = await walked(a, path);
  assert.deepEqual(
    items.map(({ name, year, roles }) => [name, year, (roles as Item[]).map(({ job }) => job)]),
    [
      ["New", 2020],
      ["A", 2001],
      ["B", 2001],
      ["Old", 1950],
      ["Undated", null],
    ].map((film) => [...film, ["Director", "Writer"]]),
  );
  assert.equal(pageCount, 3);
  const list = `films ${personId}`;
  await refusesForeignCursors(a, path, [
    ...["x", sealed(list, 2001, "a", "x"), sealed(list, "2001", "a", personId)],
    ...[sealed(list, 2001, "a\0", personId), sealed(`films ${randomUUID()}`, 2001, "a", personId)],
  ]);
  assert.deepEqual(codeOf(await a.call("GET", `/people/${randomUUID()}/filmography`)), [404, "PERSON_NOT_FOUND"]);
});
