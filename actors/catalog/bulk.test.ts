/** Many titles changed in one request. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import type { Title } from "../../contracts/catalog.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { type Caller, catalogOn, codeOf, titleIn } from "./catalog.fixture.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

interface Outcome {
  readonly id: string;
  readonly ok: boolean;
  readonly version: number | null;
  readonly error: { readonly code: string; readonly message: string } | null;
}
const edit = async ({ call }: Caller, body: object): Promise<Outcome[]> => {
  const answer = await call("POST", "/titles/bulk", { body });
  assert.equal(answer.status, 200, answer.text);
  return answer.body.data as Outcome[];
};
const get = async ({ call }: Caller, id: string): Promise<Title> => titleIn(await call("GET", `/titles/${id}`));

test("each title has its own outcome: what one refuses is no matter of the others", async (t) => {
  const { b } = await catalogOn(t, db);
  const [fine, stale, closed] = [
    await b.make(),
    await b.make(),
    await b.make({ availableUntil: "2030-01-01T00:00:00Z" }),
  ];
  const nobody = randomUUID();
  const outcomes = await edit(b, {
    titles: [{ id: fine.id, version: 1 }, { id: stale.id, version: 9 }, { id: closed.id }, { id: nobody }],
    patch: { availableFrom: "2035-01-01T00:00:00Z", tags: ["x"] },
  });
  assert.deepEqual(
    outcomes.map(({ id, ok, version, error }) => [id, ok, version, error?.code ?? null]),
    [
      [fine.id, true, 2, null],
      [stale.id, false, 1, "VERSION_CONFLICT"],
      [closed.id, false, null, "BAD_INPUT"],
      [nobody, false, null, "TITLE_NOT_FOUND"],
    ],
  );
  assert.equal(outcomes[2]?.error?.message, "availableUntil must be later than availableFrom");
  assert.deepEqual([(await get(b, fine.id)).tags, (await get(b, stale.id)).tags], [["x"], []]);
});

test("a filter chooses the titles", async (t) => {
  const { b } = await catalogOn(t, db);
  const old = await b.make({ year: 1950 });
  const recent = await b.make({ year: 2020 });
  const outcomes = await edit(b, { filter: { yearTo: 1999 }, patch: { tags: ["classic"] } });
  assert.deepEqual(outcomes, [{ id: old.id, ok: true, version: 2, error: null }]);
  assert.deepEqual((await get(b, recent.id)).tags, []);
});

test("a dry run says what would be, and changes nothing", async (t) => {
  const { b } = await catalogOn(t, db);
  const { id } = await b.make();
  const change = { titles: [{ id }], patch: { name: "Another" }, dryRun: true };
  assert.deepEqual(await edit(b, change), [{ id, ok: true, version: 2, error: null }]);
  const { name, version } = await get(b, id);
  assert.deepEqual([name, version], ["Film", 1]);
  const facts = await db.asOwner("select from event where key = $1", [id]);
  assert.equal(facts.rowCount, 1);
  assert.deepEqual((await b.call("GET", "/titles/search?q=another")).body.data, []);
});

test("neither titles nor a filter, both, and a filter that fits too many are refused", async (t) => {
  const { b } = await catalogOn(t, db);
  const refused = async (body: object) => codeOf(await b.call("POST", "/titles/bulk", { body }));
  const titles = [{ id: randomUUID() }];
  assert.deepEqual(await refused({ patch: {} }), [422, "BAD_INPUT"]);
  assert.deepEqual(await refused({ titles, filter: {}, patch: {} }), [422, "BAD_INPUT"]);
  assert.deepEqual(await refused({ titles: [], patch: {} }), [422, "BAD_INPUT"]);
  assert.deepEqual(await refused({ titles, patch: { parentId: null } }), [422, "BAD_INPUT"]);
  await db.asOwner(
    `insert into title (id, tenant_id, kind, name, sort_key)
     select gen_random_uuid(), $1, 'movie', 'n', 'n' from generate_series(1, 1001)`,
    [b.tenantId],
  );
  assert.deepEqual(await refused({ filter: { kind: "movie" }, patch: {} }), [422, "BULK_TOO_MANY"]);
});

test("a thousand titles are changed within the deadline", async (t) => {
  const { b } = await catalogOn(t, db);
  await db.asOwner(
    `insert into title (id, tenant_id, kind, name, sort_key)
     select gen_random_uuid(), $1, 'movie', 'n', 'n' from generate_series(1, 1000)`,
    [b.tenantId],
  );
  const outcomes = await edit(b, { filter: { kind: "movie" }, patch: { languages: ["de"] } });
  assert.equal(outcomes.filter(({ ok, version }) => ok && version === 2).length, 1_000);
});
