import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { newTenant, type Tenant } from "../../test/support/control.ts";
import { type CatalogScene, catalogScene } from "./enrich.fixture.ts";
import { joinDefaultLibrary, licenceFor, licensedOwnerOf, licensedTitlesOf } from "./libraries.ts";
import { searchIn } from "./search.ts";

const code = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => "OK",
    (error: unknown) => codeOf(error) ?? String(error),
  );
const idOf = async (work: Promise<{ data: { id: string } }>): Promise<string> => (await work).data.id;
const ALL = { limit: 50 };

interface Licensing extends CatalogScene {
  readonly third: Tenant;
  readonly libraryId: string;
  readonly titleId: string;
  readonly secretId: string;
  ownerFor(tenant: Tenant, titleId: string): Promise<string | null>;
}
/** One title in a library of `one`, another that is not in it. */
const licensing = async (t: TestContext): Promise<Licensing> => {
  const scene = await catalogScene(t);
  const { db, one, libraries, film } = scene;
  const third = await newTenant(db, "third");
  const libraryId = await idOf(libraries.create(one.tenantId, { slug: "films" }));
  const titleId = await film("Seven Winters");
  const secretId = await film("Not for you");
  await libraries.addTitles(one.tenantId, { libraryId, titleIds: [titleId] });
  const ownerFor = async ({ tenantId }: Tenant, id: string) =>
    (await licensedOwnerOf(db, tenantId, id))?.ownerTenantId ?? null;
  return { ...scene, third, libraryId, titleId, secretId, ownerFor };
};

test("every tenant has a default library, which stays; others come and go", async (t) => {
  const { libraries, one } = await catalogScene(t);
  const [standard] = (await libraries.list(one.tenantId, ALL)).data;
  assert.deepEqual([standard?.slug, standard?.titleCount], ["default", 0]);
  const libraryId = await idOf(libraries.create(one.tenantId, { slug: "kids", name: "Kids" }));
  assert.equal(await code(libraries.create(one.tenantId, { slug: "kids" })), "LIBRARY_SLUG_TAKEN");
  const late = libraries.patch(one.tenantId, { libraryId, name: "Children", ifVersion: 7 });
  assert.equal(await code(late), "VERSION_CONFLICT");
  const { data } = await libraries.patch(one.tenantId, { libraryId, name: "Children", ifVersion: 1 });
  assert.deepEqual([data.name, data.version], ["Children", 2]);
  assert.equal(await code(libraries.patch(one.tenantId, { libraryId, slug: "default" })), "LIBRARY_SLUG_TAKEN");
  assert.equal(await code(libraries.delete(one.tenantId, { libraryId: standard!.id })), "LIBRARY_DEFAULT");
  await libraries.delete(one.tenantId, { libraryId });
  assert.equal(await code(libraries.get(one.tenantId, libraryId)), "LIBRARY_NOT_FOUND");
});

test("a new title begins in the default library, and may be in several", async (t) => {
  const { libraries, db, one, libraryId, titleId } = await licensing(t);
  for (let count = 0; count < 2; count += 1) {
    await db.tenantTx(one.tenantId, (tx) => joinDefaultLibrary(tx, one.tenantId, titleId));
  }
  const { data } = await libraries.list(one.tenantId, ALL);
  assert.deepEqual(data.map(({ slug, titleCount }) => `${slug} ${titleCount}`).sort(), ["default 1", "films 1"]);
  const { data: listed } = await libraries.titles(one.tenantId, { libraryId, ...ALL });
  assert.deepEqual(
    listed.map(({ titleId, name }) => [titleId, name]),
    [[titleId, "Seven Winters"]],
  );
  await libraries.removeTitle(one.tenantId, { libraryId, titleId });
  assert.equal(await code(libraries.removeTitle(one.tenantId, { libraryId, titleId })), "TITLE_NOT_FOUND");
});

test("a licensee has what is in the library as long as it is there, and nothing else", async (t) => {
  const { libraries, one, other, third, libraryId, titleId, secretId, ownerFor } = await licensing(t);
  assert.equal(await ownerFor(other, titleId), null);
  await libraries.grant(one.tenantId, { libraryId, tenant: "other" });
  assert.equal(await ownerFor(other, titleId), one.tenantId);
  assert.equal(await ownerFor(other, secretId), null);
  assert.equal(await ownerFor(third, titleId), null);
  assert.equal(await ownerFor(one, titleId), null);
  await libraries.addTitles(one.tenantId, { libraryId, titleIds: [secretId] });
  assert.equal(await ownerFor(other, secretId), one.tenantId);
  await libraries.removeTitle(one.tenantId, { libraryId, titleId: secretId });
  assert.equal(await ownerFor(other, secretId), null);
});

test("a licence for one title is for that title alone", async (t) => {
  const { libraries, db, one, other, libraryId, titleId, secretId, ownerFor } = await licensing(t);
  const elsewhere = libraries.grant(one.tenantId, { libraryId, tenant: "other", titleId: secretId });
  assert.equal(await code(elsewhere), "TITLE_NOT_FOUND");
  await libraries.addTitles(one.tenantId, { libraryId, titleIds: [secretId] });
  await libraries.grant(one.tenantId, { libraryId, tenant: "other", titleId });
  assert.deepEqual([await ownerFor(other, titleId), await ownerFor(other, secretId)], [one.tenantId, null]);
  assert.deepEqual(await licensedTitlesOf(db, other.tenantId), [
    { ownerTenantId: one.tenantId, ownerTenant: "one", titleIds: [titleId] },
  ]);
});

test("of several licences the one counts that allows most where the viewer is", async (t) => {
  const { libraries, db, one, other, third, libraryId, titleId } = await licensing(t);
  const grant = (terms: object) => libraries.grant(one.tenantId, { libraryId, tenant: "other", ...terms });
  const ends = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  const termsIn = async (country?: string) => {
    const terms = await licenceFor(db, other.tenantId, { titleId, country });
    return terms && [terms.maxHeight, terms.endsAt?.toISOString() ?? null];
  };
  assert.equal(await termsIn("DE"), null);
  await grant({ territories: ["DE"], maxHeight: 1080 });
  const [soon, later] = [ends(1), ends(2)];
  await grant({ territories: ["DE", "FR"], maxHeight: 720 });
  assert.deepEqual(
    [await termsIn("DE"), await termsIn("FR")],
    [
      [1080, null],
      [720, null],
    ],
  );
  await grant({ maxHeight: 480 });
  assert.deepEqual(
    [await termsIn("DE"), await termsIn("US"), await termsIn()],
    [
      [1080, null],
      [480, null],
      [480, null],
    ],
  );
  await grant({ territories: ["DE"], endsAt: soon });
  const { data: last } = await grant({ territories: ["DE"], endsAt: later });
  assert.deepEqual(await termsIn("DE"), [null, later]);
  await libraries.revoke(one.tenantId, { libraryId, licenceId: last.id });
  assert.deepEqual(await termsIn("DE"), [null, soon]);
  assert.equal(await licenceFor(db, third.tenantId, { titleId, country: "DE" }), null);
});

test("a licence holds within its window and its territories", async (t) => {
  const { libraries, db, one, other, libraryId, titleId, ownerFor } = await licensing(t);
  const at = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString();
  const grant = (terms: object) => libraries.grant(one.tenantId, { libraryId, tenant: "other", ...terms });
  await grant({ startsAt: at(1) });
  await grant({ startsAt: at(-2), endsAt: at(-1) });
  assert.equal(await ownerFor(other, titleId), null);
  assert.equal(await code(grant({ startsAt: at(2), endsAt: at(1) })), "LICENCE_REFUSED");
  // It would start now.
  assert.equal(await code(grant({ endsAt: at(-1) })), "LICENCE_REFUSED");
  await grant({ startsAt: at(-1), endsAt: at(3), territories: ["DE", "AT"], maxHeight: 1080 });
  const termsIn = (country?: string) => licenceFor(db, other.tenantId, { titleId, country });
  assert.deepEqual((await termsIn("AT"))?.maxHeight, 1080);
  assert.equal(await code(termsIn("US")), "TERRITORY_EXCLUDED");
  assert.equal(await code(termsIn()), "COUNTRY_UNKNOWN");
  assert.equal((await licensedOwnerOf(db, other.tenantId, titleId))?.ownerTenant, "one");
  const { data } = await libraries.received(other.tenantId, ALL);
  assert.deepEqual(
    data.map(({ active, ownerTenant }) => [active, ownerTenant]),
    [
      [false, "one"],
      [false, "one"],
      [true, "one"],
    ],
  );
});

test("a revoked licence is worth nothing from that moment on, and others are told once", async (t) => {
  const { libraries, db, one, other, libraryId, titleId, ownerFor } = await licensing(t);
  const licenceId = await idOf(libraries.grant(one.tenantId, { libraryId, tenant: "other" }));
  assert.equal(await ownerFor(other, titleId), one.tenantId);
  const first = await libraries.revoke(one.tenantId, { libraryId, licenceId });
  assert.equal(await ownerFor(other, titleId), null);
  assert.deepEqual(await libraries.revoke(one.tenantId, { libraryId, licenceId }), first);
  assert.deepEqual((await libraries.received(other.tenantId, ALL)).data, []);
  const { rows } = await db.asOwner<{ payload: unknown }>(
    "select payload from event where name = 'library.licenceRevoked'",
  );
  const told = { tenantId: one.tenantId, licenseeId: other.tenantId, licenceId, libraryId, titleId: null };
  assert.deepEqual(
    rows.map(({ payload }) => payload),
    [told],
  );
  const again = await idOf(libraries.grant(one.tenantId, { libraryId, tenant: "other" }));
  await libraries.removeTitle(one.tenantId, { libraryId, titleId });
  const { rows: later } = await db.asOwner<{ payload: { titleId: string } }>(
    "select payload from event where name = 'library.licenceRevoked' and key = $1",
    [again],
  );
  assert.deepEqual(
    later.map(({ payload }) => payload.titleId),
    [titleId],
  );
  await libraries.addTitles(one.tenantId, { libraryId, titleIds: [titleId] });
  assert.equal(await ownerFor(other, titleId), one.tenantId);
  await libraries.delete(one.tenantId, { libraryId });
  assert.equal(await ownerFor(other, titleId), null);
});

test("a licensee reads of its licensor's rows the licence and the ids, and changes none", async (t) => {
  const { libraries, db, one, other, third, libraryId, titleId, secretId } = await licensing(t);
  await db.tenantTx(one.tenantId, (tx) => joinDefaultLibrary(tx, one.tenantId, secretId));
  const licenceId = await idOf(libraries.grant(one.tenantId, { libraryId, tenant: "other" }));
  await libraries.grant(one.tenantId, { libraryId, tenant: "third" });
  const as = (tenant: Tenant, text: string) =>
    db.tenantTx(tenant.tenantId, async (tx) => (await tx.query<Record<string, unknown>>(text)).rows);
  assert.deepEqual(await as(other, "select id from library_licence"), [{ id: licenceId }]);
  assert.deepEqual(await as(other, "select title_id from library_title"), [{ title_id: titleId }]);
  for (const table of ["library", "title", "title_index", "person", "credit", "artwork", "title_enrichment"]) {
    assert.deepEqual(await as(other, `select * from ${table} where tenant_id = '${one.tenantId}'`), [], table);
  }
  assert.deepEqual(await as(other, "update library_licence set ends_at = null returning id"), []);
  assert.deepEqual(await as(other, "delete from library_title returning title_id"), []);
  assert.deepEqual(await as(other, "delete from library_licence returning id"), []);
  assert.equal((await as(third, "select id from library_licence")).length, 1);
  const strange = libraries.licences(other.tenantId, { libraryId, ...ALL });
  assert.equal(await code(strange), "LIBRARY_NOT_FOUND");
  assert.equal(await code(libraries.revoke(other.tenantId, { libraryId, licenceId })), "LIBRARY_NOT_FOUND");
  const own = await idOf(libraries.create(other.tenantId, { slug: "mine" }));
  // What one has a licence for can't be passed on.
  const passedOn = libraries.addTitles(other.tenantId, { libraryId: own, titleIds: [titleId] });
  assert.equal(await code(passedOn), "TITLE_NOT_FOUND");
});

test("a licence needs a tenant that is there, and another one", async (t) => {
  const { libraries, one, libraryId } = await licensing(t);
  assert.equal(await code(libraries.grant(one.tenantId, { libraryId, tenant: "nobody" })), "TENANT_NOT_FOUND");
  assert.equal(await code(libraries.grant(one.tenantId, { libraryId, tenant: "one" })), "LICENCE_REFUSED");
});

test("a licensee reads, finds and lists what is published, marked as another's, and changes nothing of it", async (t) => {
  const { libraries, titles, people, artwork, enrichment, runJobs, db, film, one, other, third, ...made } =
    await licensing(t);
  const { libraryId, titleId, secretId } = made;
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  await titles.patch(one.tenantId, { titleId, tags: ["internal"] });
  const own = await film("Seven Summers", {}, other);
  await libraries.grant(one.tenantId, { libraryId, tenant: "other" });
  const search = async (tenant: Tenant, said: object = {}) => {
    const { data, total, nextCursor, facets } = await searchIn(db, tenant.tenantId, {
      ...{ q: "seven", limit: 50, facets: "true", ...said },
    });
    return { ids: data.map(({ id, ownerTenant }) => `${id} ${ownerTenant ?? "own"}`), total, nextCursor, facets };
  };
  // Not published yet.
  assert.equal(await code(titles.get(other.tenantId, { titleId })), "TITLE_NOT_FOUND");
  assert.deepEqual((await search(other)).ids, [`${own} own`]);
  await db.asOwner("update title set state = 'ready', revision = 1, playable_revision = 1 where id = $1", [titleId]);
  await titles.publish(one.tenantId, { titleId });
  const { data: seen } = await titles.get(other.tenantId, { titleId });
  assert.deepEqual([seen.name, "ownerTenant" in seen && seen.ownerTenant, seen.tags], ["Seven Winters", "one", []]);
  const found = await search(other);
  assert.deepEqual(found.ids.sort(), [`${own} own`, `${titleId} one`].sort());
  assert.deepEqual([found.total, found.facets?.kind], [2, [{ value: "movie", count: 2 }]]);
  const first = await search(other, { limit: 1 });
  const second = await search(other, { limit: 1, cursor: first.nextCursor });
  assert.deepEqual([...first.ids, ...second.ids].sort(), found.ids);
  assert.equal(second.nextCursor, null);
  assert.deepEqual((await search(other, { state: ["draft"] })).ids, [`${own} own`]);
  assert.deepEqual((await search(other, { q: "not for you" })).ids, []);
  assert.deepEqual((await search(third)).ids, []);
  const credits = (await people.credits(other.tenantId, { titleId, limit: 200 })).data;
  assert.ok(credits.length > 0 && credits.every(({ personId }) => personId === null));
  const pictures = (await artwork.list(other.tenantId, { titleId, limit: 200 })).data;
  assert.ok(pictures.length > 0 && pictures.every(({ chosen, url }) => chosen && url !== null));
  for (const change of [
    () => titles.patch(other.tenantId, { titleId, name: "Mine" }),
    () => titles.withdraw(other.tenantId, { titleId }),
    () => people.addCredit(other.tenantId, { titleId, personId: secretId, kind: "cast", order: 0 }),
    () => artwork.choose(other.tenantId, { titleId, artworkId: pictures[0]!.id, trusted: false }),
    () => enrichment.start(other.tenantId, { titleId }),
    () => titles.get(third.tenantId, { titleId }),
    () => people.credits(third.tenantId, { titleId, limit: 200 }),
    () => artwork.list(third.tenantId, { titleId, limit: 200 }),
  ]) {
    assert.equal(await code(change()), "TITLE_NOT_FOUND");
  }
  const [licence] = (await libraries.licences(one.tenantId, { libraryId, ...ALL })).data;
  await libraries.revoke(one.tenantId, { libraryId, licenceId: licence!.id });
  assert.equal(await code(titles.get(other.tenantId, { titleId })), "TITLE_NOT_FOUND");
  assert.deepEqual((await search(other)).ids, [`${own} own`]);
});
