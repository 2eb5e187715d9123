/** If-Match on what belongs to a title, on people, libraries and licences, over the REST API (RFC 9110 §13.1.1). */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { CallOptions } from "../../gateway/gateway.fixture.ts";
import { ROUTES } from "../../gateway/routes.ts";
import { testDatabase } from "../../test/support/database.ts";
import { type Caller, catalogOn, codeOf } from "./catalog.fixture.ts";

const CONFLICT = [412, "VERSION_CONFLICT"];
const TAGS = ["titles", "people", "artwork", "libraries", "enrichment"];

const scene = async (t: TestContext) => catalogOn(t, await testDatabase(t), { whole: true });
const ifMatch = (version: number | string, body?: unknown): CallOptions => ({
  headers: { "if-match": `"${version}"` },
  ...(body === undefined ? {} : { body }),
});
const versionOf = async ({ call }: Caller, path: string): Promise<number> => {
  const { headers, body } = await call("GET", path);
  const { version } = body.data as { version: number };
  assert.equal(headers.get("etag"), `"${version}"`);
  return version;
};
const idOf = async ({ call }: Caller, path: string, body: unknown): Promise<string> => {
  const made = await call("POST", path, { body });
  assert.equal(made.status, 201, made.text);
  return (made.body.data as { id: string }).id;
};

test("every change of something that is there takes If-Match", () => {
  const changes = ROUTES.filter(({ rest }) => rest.method !== "GET" && TAGS.includes(rest.tag));
  // Without: what makes something of its own, and what names the versions in its body.
  const without = changes.filter(({ rest }) => !rest.versioned).map(({ ask }) => ask.name);
  assert.deepEqual(without.sort(), [
    ...["catalog.createGenre", "catalog.createTitle", "catalog.editTitles"],
    ...["libraries.create", "people.create"],
  ]);
  for (const { ask, rest } of changes.filter((route) => route.rest.versioned)) {
    assert.ok(ask.errors.includes("VERSION_CONFLICT"), rest.path);
  }
});

test("a deletion is taken back by the version that it made, and by no other", async (t) => {
  const { a } = await scene(t);
  const { id, version } = await a.make();
  const deleted = await a.call("DELETE", `/titles/${id}`);
  assert.equal(deleted.headers.get("etag"), `"${version + 1}"`);
  assert.deepEqual(codeOf(await a.call("POST", `/titles/${id}/restore`, ifMatch(version))), CONFLICT);
  assert.equal((await a.call("GET", `/titles/${id}`)).status, 404);
  assert.equal((await a.call("POST", `/titles/${id}/restore`, ifMatch(version + 1))).status, 200);
});

test("a credit changes its title's version, and is refused to who saw another one", async (t) => {
  const { a } = await scene(t);
  const { id, version } = await a.make();
  const personId = await idOf(a, "/people", { name: "Ada" });
  const credit = { personId, kind: "cast", character: "The captain" };
  const path = `/titles/${id}/credits`;
  assert.deepEqual(codeOf(await a.call("POST", path, ifMatch(version + 7, credit))), CONFLICT);
  assert.deepEqual((await a.call("GET", path)).body.data, []);
  const added = (await a.call("POST", path, ifMatch(version, credit))).body.data as {
    id: string;
    titleVersion: number;
  };
  assert.deepEqual([added.titleVersion, await versionOf(a, `/titles/${id}`)], [version + 1, version + 1]);
  assert.deepEqual(codeOf(await a.call("DELETE", `${path}/${added.id}`, ifMatch(version))), CONFLICT);
  const removed = await a.call("DELETE", `${path}/${added.id}`, ifMatch(version + 1));
  assert.deepEqual(removed.body.data, { id: added.id, titleVersion: version + 2 });
  assert.deepEqual((await a.call("GET", path)).body.data, []);
  const stranger = `/titles/${randomUUID()}/credits/${added.id}`;
  assert.deepEqual(codeOf(await a.call("DELETE", stranger)), [404, "TITLE_NOT_FOUND"]);
});

test("two people become one for who knows the first one's version", async (t) => {
  const { a } = await scene(t);
  const [first, other] = [await idOf(a, "/people", { name: "Ada" }), await idOf(a, "/people", { name: "A. da" })];
  const merge = (version: number) =>
    a.call("POST", `/people/${first}/merge`, ifMatch(version, { otherPersonId: other }));
  assert.deepEqual(codeOf(await merge(2)), CONFLICT);
  assert.equal((await a.call("GET", `/people/${other}`)).status, 200);
  assert.equal((await merge(1)).headers.get("etag"), '"2"');
  assert.equal((await a.call("GET", `/people/${other}`)).status, 404);
});

test("a picture is chosen and deleted for who knows the title's version", async (t) => {
  const { a, db } = await scene(t);
  const { id, version } = await a.make();
  const artworkId = randomUUID();
  await db.asOwner(
    `insert into artwork (id, tenant_id, title_id, kind, source, origin, object_name, width, height)
     values ($1, $2, $3, 'poster', 'manual', 'x', 'x.jpg', 20, 30)`,
    [artworkId, a.tenantId, id],
  );
  const path = `/titles/${id}/artwork`;
  const shown = async () =>
    ((await a.call("GET", path)).body.data as { chosen: boolean }[]).map(({ chosen }) => chosen);
  assert.deepEqual(codeOf(await a.call("POST", path, ifMatch(version + 1, { artworkId }))), CONFLICT);
  assert.deepEqual(await shown(), [false]);
  const chosen = await a.call("POST", path, ifMatch(version, { artworkId }));
  assert.equal((chosen.body.data as { titleVersion: number }).titleVersion, version + 1);
  assert.deepEqual(codeOf(await a.call("DELETE", `${path}/${artworkId}`, ifMatch(version))), CONFLICT);
  assert.deepEqual(await shown(), [true]);
  assert.equal((await a.call("DELETE", `${path}/${artworkId}`, ifMatch(version + 1))).status, 200);
  assert.equal(await versionOf(a, `/titles/${id}`), version + 2);
});

test("a library's titles and licences go by its version, a licence's end by the licence's own", async (t) => {
  const { a, b } = await scene(t);
  const { id } = await a.make();
  const libraryId = await idOf(a, "/libraries", { slug: "shelf" });
  const path = `/libraries/${libraryId}`;
  const titles = { titleIds: [id] };
  assert.deepEqual(codeOf(await a.call("POST", `${path}/titles`, ifMatch(9, titles))), CONFLICT);
  assert.deepEqual((await a.call("POST", `${path}/titles`, ifMatch(1, titles))).body.data, { added: 1, version: 2 });
  // Nothing changed: it is the version that it was.
  assert.deepEqual((await a.call("POST", `${path}/titles`, ifMatch(2, titles))).body.data, { added: 0, version: 2 });
  assert.equal(await versionOf(a, path), 2);
  const grant = (version: number) => a.call("POST", `${path}/licences`, ifMatch(version, { tenant: b.tenant }));
  assert.deepEqual(codeOf(await grant(1)), CONFLICT);
  const granted = await grant(2);
  assert.deepEqual([granted.status, granted.headers.get("etag")], [201, '"1"']);
  const licence = `${path}/licences/${(granted.body.data as { id: string }).id}`;
  assert.deepEqual(codeOf(await a.call("DELETE", licence, ifMatch(2))), CONFLICT);
  assert.equal((await a.call("DELETE", licence, ifMatch(1))).headers.get("etag"), '"2"');
  assert.deepEqual(codeOf(await a.call("DELETE", licence, ifMatch(1))), CONFLICT);
  assert.deepEqual(codeOf(await a.call("DELETE", `${path}/titles/${id}`, ifMatch(1))), CONFLICT);
  const removed = await a.call("DELETE", `${path}/titles/${id}`, ifMatch(2));
  assert.deepEqual(removed.body.data, { titleId: id, version: 3 });
});

test("whose film it is says who knows what was said before", async (t) => {
  const { a } = await scene(t);
  const { id } = await a.make();
  const path = `/titles/${id}`;
  assert.equal(await versionOf(a, `${path}/enrichment`), 1);
  assert.deepEqual(codeOf(await a.call("POST", `${path}/enrich`, ifMatch(2, { tmdbId: 5 }))), CONFLICT);
  const said = await a.call("POST", `${path}/enrich`, ifMatch(1, { tmdbId: 5 }));
  assert.deepEqual([said.status, said.headers.get("etag")], [202, '"2"']);
  assert.deepEqual(codeOf(await a.call("POST", `${path}/enrich`, ifMatch(1, { tmdbId: 6 }))), CONFLICT);
  assert.equal((await a.call("POST", `${path}/enrich`, ifMatch(2, { tmdbId: 6 }))).headers.get("etag"), '"3"');
  const { body } = await a.call("GET", `${path}/enrichment`);
  assert.equal((body.data as { chosen: number }).chosen, 6);
});

test("a tenant's language of enrichment is its own, changed by its version, and taken back", async (t) => {
  const { a, b } = await scene(t);
  const path = "/enrichment/settings";
  const set = (language: string | null, version: number) => a.call("PATCH", path, ifMatch(version, { language }));
  assert.deepEqual((await a.call("GET", path)).body.data, { language: null, version: 1 });
  assert.deepEqual(codeOf(await set("de", 2)), CONFLICT);
  assert.deepEqual((await set("de", 1)).body.data, { language: "de", version: 2 });
  assert.deepEqual(codeOf(await set("fr", 1)), CONFLICT);
  assert.equal(await versionOf(a, path), 2);
  assert.deepEqual((await b.call("GET", path)).body.data, { language: null, version: 1 });
  assert.deepEqual(codeOf(await a.call("PATCH", path, { body: { language: "German" } })), [422, "BAD_INPUT"]);
  assert.deepEqual((await set(null, 2)).body.data, { language: null, version: 3 });
  // Of two at once that saw the same, one is refused.
  const both = await Promise.all([set("fr", 3), set("es", 3)]);
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 412]);
});

test("of two changes at once that saw the same version, one is refused", async (t) => {
  const { a } = await scene(t);
  const { id, version } = await a.make();
  const personId = await idOf(a, "/people", { name: "Ada" });
  const add = () => a.call("POST", `/titles/${id}/credits`, ifMatch(version, { personId, kind: "crew" }));
  const statuses = (await Promise.all([add(), add(), add()])).map(({ status }) => status);
  assert.deepEqual(statuses.sort(), [201, 412, 412]);
});
