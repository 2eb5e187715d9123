import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { eventually } from "../../test/support/control.ts";
import { catalogScene } from "./enrich.fixture.ts";
import { forgetPeople } from "./forgotten.ts";
import { insertCredits } from "./people.store.ts";

const code = (work: Promise<unknown>): Promise<string | undefined> =>
  work.then(
    () => "OK",
    (error: unknown) => codeOf(error) ?? String(error),
  );

test("two tenants with the same film each have their own people, whose films are their own alone", async (t) => {
  const { people, enrichment, film, runJobs, db, one, other } = await catalogScene(t);
  const same = await Promise.all([one, other].map((tenant) => film("Seven Winters", { year: 1995 }, tenant)));
  // Whoever is in the first one is in this one as well, and only `other` has it.
  const more = await film("Se7en Winters", { year: 2008 }, other);
  for (const [index, tenant] of [one, other].entries()) {
    await enrichment.start(tenant.tenantId, { titleId: same[index]! });
  }
  await enrichment.start(other.tenantId, { titleId: more });
  await runJobs();
  const mine = (await people.credits(one.tenantId, { titleId: same[0]!, limit: 200 })).data;
  const theirs = (await people.credits(other.tenantId, { titleId: same[1]!, limit: 200 })).data;
  assert.deepEqual(
    mine.map(({ name }) => name),
    theirs.map(({ name }) => name),
  );
  const both = (await people.credits(other.tenantId, { titleId: more, limit: 200 })).data.map(({ name }) => name);
  const shared = mine.find(({ name, kind }) => kind === "cast" && both.includes(name));
  assert.ok(shared, "the simulator has somebody in both films");
  const { data: here } = await people.filmography(one.tenantId, { personId: shared.personId!, limit: 200 });
  assert.deepEqual(
    here.map(({ titleId }) => titleId),
    [same[0]],
  );
  const namesake = theirs.find(({ name }) => name === shared.name);
  const { data: there } = await people.filmography(other.tenantId, { personId: namesake!.personId!, limit: 200 });
  assert.deepEqual(there.map(({ titleId }) => titleId).sort(), [same[1], more].sort());
  const strangers = { personId: namesake!.personId!, limit: 200 };
  assert.equal(await code(people.get(one.tenantId, strangers.personId)), "PERSON_NOT_FOUND");
  assert.equal(await code(people.filmography(one.tenantId, strangers)), "PERSON_NOT_FOUND");
  for (const { personId } of mine) {
    const { data } = await people.filmography(one.tenantId, { personId: personId!, limit: 200 });
    assert.ok(data.every(({ titleId }) => titleId === same[0]));
  }
  const { rows } = await db.asOwner(
    "select id from credit c where not exists (select from person p where p.id = c.person_id and p.tenant_id = c.tenant_id)",
  );
  assert.deepEqual(rows, []);
});

test("people are added, found by the beginnings of words without accents, changed and deleted", async (t) => {
  const { people, one, other } = await catalogScene(t);
  const { data: made } = await people.create(one.tenantId, { name: "Léa Kovács", bornOn: "1970-05-04" });
  await people.create(one.tenantId, { name: "Anna Levin" });
  await people.create(other.tenantId, { name: "Lea Kovac" });
  const names = async (q?: string) =>
    (await people.list(one.tenantId, { limit: 50, ...(q === undefined ? {} : { q }) })).data.map(({ name }) => name);
  assert.deepEqual(await names(), ["Anna Levin", "Léa Kovács"]);
  assert.deepEqual(await names("kov le"), ["Léa Kovács"]);
  assert.deepEqual(await names("100%_"), []);
  assert.deepEqual(await names("%"), []);
  const { data: first, nextCursor } = await people.list(one.tenantId, { limit: 1 });
  const { data: second } = await people.list(one.tenantId, { limit: 1, cursor: nextCursor! });
  assert.deepEqual(
    [...first, ...second].map(({ name }) => name),
    ["Anna Levin", "Léa Kovács"],
  );
  const change = { personId: made.id, biography: "Directs.", ifVersion: 1 };
  const { data: changed } = await people.patch(one.tenantId, change);
  assert.deepEqual([changed.biography, changed.bornOn, changed.version], ["Directs.", "1970-05-04", 2]);
  assert.equal(await code(people.patch(one.tenantId, change)), "VERSION_CONFLICT");
  assert.equal(await code(people.delete(other.tenantId, { personId: made.id })), "PERSON_NOT_FOUND");
  await people.delete(one.tenantId, { personId: made.id });
  assert.equal(await code(people.get(one.tenantId, made.id)), "PERSON_NOT_FOUND");
});

test("a page of people goes on behind somebody who is gone by now", async (t) => {
  const { people, one } = await catalogScene(t);
  const page = async (cursor?: string) =>
    people.list(one.tenantId, { limit: 1, ...(cursor === undefined ? {} : { cursor }) });
  for (const name of ["Anna", "Bea", "Cleo"]) await people.create(one.tenantId, { name });
  const { nextCursor } = await page();
  const [anna] = (await page()).data;
  await people.delete(one.tenantId, { personId: anna!.id });
  assert.deepEqual(
    (await page(nextCursor!)).data.map(({ name }) => name),
    ["Bea"],
  );
  assert.equal(await code(page(`${nextCursor}x`)), "BAD_CURSOR");
});

test("what is taken back of somebody is free for the next refresh, as what was never given", async (t) => {
  const { people, db, one } = await catalogScene(t);
  const { data: made } = await people.create(one.tenantId, { name: "Anna", bornOn: "1970-05-04", birthplace: null });
  const manual = async () => {
    const { rows } = await db.asOwner<{ fields: string[] }>(
      "select manual_fields as fields from person where id = $1",
      [made.id],
    );
    return rows[0]?.fields;
  };
  assert.deepEqual(await manual(), ["name", "bornOn"]);
  await people.patch(one.tenantId, { personId: made.id, bornOn: null, department: "Acting" });
  assert.deepEqual(await manual(), ["name", "department"]);
});

test("credits by hand stay through a refresh, and somebody added by name becomes the one who is found", async (t) => {
  const { people, enrichment, film, runJobs, one } = await catalogScene(t);
  const titleId = await film("Seven Winters", { year: 1995 });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  const [lead] = (await people.credits(one.tenantId, { titleId, limit: 200 })).data;
  const again = await film("Se7en Winters", { year: 2008 });
  const { data: composer } = await people.create(one.tenantId, { name: "Somebody Else" });
  const said = { titleId: again, personId: composer.id, kind: "crew" as const, job: "Composer", order: 0 };
  const { data: credit } = await people.addCredit(one.tenantId, said);
  for (let count = 0; count < 2; count += 1) {
    await enrichment.start(one.tenantId, { titleId: again });
    await runJobs();
  }
  const credits = (await people.credits(one.tenantId, { titleId: again, limit: 200 })).data;
  assert.deepEqual(
    credits.filter(({ source }) => source === "manual").map(({ id, job }) => [id, job]),
    [[credit.id, "Composer"]],
  );
  assert.equal(new Set(credits.map(({ name, kind, job }) => `${name} ${kind} ${job}`)).size, credits.length);
  await people.removeCredit(one.tenantId, { titleId: again, creditId: credit.id });
  assert.equal(
    await code(people.removeCredit(one.tenantId, { titleId: again, creditId: credit.id })),
    "CREDIT_NOT_FOUND",
  );
  const { data: byHand } = await people.patch(one.tenantId, { personId: lead!.personId!, name: "Another Name" });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  assert.equal((await people.credits(one.tenantId, { titleId, limit: 200 })).data[0]?.name, byHand.name);
});

test("somebody whom a person put on a title by name is not added a second time", async (t) => {
  const { people, enrichment, film, runJobs, one } = await catalogScene(t);
  const probe = await film("Seven Winters", { year: 1995 });
  await enrichment.start(one.tenantId, { titleId: probe });
  await runJobs();
  const { name, personId } = (await people.credits(one.tenantId, { titleId: probe, limit: 200 })).data[0]!;
  await people.delete(one.tenantId, { personId: personId! });
  const { data: byName } = await people.create(one.tenantId, { name: name.toUpperCase() });
  await people.addCredit(one.tenantId, { titleId: probe, personId: byName.id, kind: "cast", order: 0 });
  await enrichment.start(one.tenantId, { titleId: probe });
  await runJobs();
  const found = (await people.list(one.tenantId, { limit: 50, q: name })).data;
  assert.deepEqual(
    found.map(({ id }) => id),
    [byName.id],
  );
  assert.ok(found[0]?.tmdbId);
  assert.equal(found[0]?.name, name.toUpperCase());
});

test("the picture of a person goes with the person, deleted or merged", async (t) => {
  const { people, objects, enrichment, film, runJobs, one } = await catalogScene(t);
  const titleId = await film("Seven Winters", { year: 1995 });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  const [first, second, third] = (await people.credits(one.tenantId, { titleId, limit: 200 })).data.map(
    ({ personId }) => personId!,
  );
  const has = (id: string) => [...objects.all.keys()].some((key) => key.startsWith(`thumbnails/${id}/artwork/`));
  assert.ok(has(first!) && has(second!) && has(third!));
  await people.delete(one.tenantId, { personId: first! });
  await people.merge(one.tenantId, { personId: second!, otherPersonId: third! });
  assert.deepEqual([has(first!), has(second!), has(third!)], [false, true, false]);
});

test("whom nobody knows but by a title that is purged goes with it, with the portrait; others stay", async (t) => {
  const { people, objects, enrichment, film, runJobs, one, db } = await catalogScene(t);
  const titleId = await film("Seven Winters", { year: 1995 });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  const [first, second] = (await people.credits(one.tenantId, { titleId, limit: 200 })).data.map(
    ({ personId }) => personId!,
  );
  await people.patch(one.tenantId, { personId: second!, biography: "By hand." });
  const { data: added } = await people.create(one.tenantId, { name: "Somebody of ours" });
  assert.equal(await forgetPeople({ db, objects }, one.tenantId), 0, "they are in a title");
  await db.asOwner("delete from title where id = $1", [titleId]);
  assert.ok((await forgetPeople({ db, objects }, one.tenantId)) > 0);
  const left = (await people.list(one.tenantId, { limit: 200 })).data.map(({ id }) => id);
  assert.deepEqual(left.toSorted(), [added.id, second!].toSorted());
  const has = (id: string) => [...objects.all.keys()].some((key) => key.startsWith(`thumbnails/${id}/`));
  assert.deepEqual([has(first!), has(second!)], [false, true]);
});

test("who is found again while others are forgotten stays, with credit and portrait", async (t) => {
  const { people, objects, enrichment, film, runJobs, one, db } = await catalogScene(t);
  const titleId = await film("Seven Winters", { year: 1995 });
  await enrichment.start(one.tenantId, { titleId });
  await runJobs();
  const { data: credits } = await people.credits(one.tenantId, { titleId, limit: 200 });
  const [kept, ...others] = [...new Set(credits.map(({ personId }) => personId!))];
  await db.asOwner("delete from title where id = $1", [titleId]);
  const again = await film("Another film");
  let forgetting: Promise<number> | undefined;
  await db.tenantTx(one.tenantId, async (tx) => {
    const credit = {
      id: randomUUID(),
      personId: kept!,
      kind: "cast",
      character: null,
      department: null,
      job: null,
    } as const;
    const of = { tenantId: one.tenantId, titleId: again, source: "tmdb" } as const;
    await insertCredits(tx, of, [{ ...credit, order: 0 }]);
    forgetting = forgetPeople({ db, objects }, one.tenantId);
    await eventually("it waits for this one", async () => {
      const { rows } = await db.asOwner("select from pg_locks where not granted and locktype = 'transactionid'");
      return rows.length > 0 ? true : undefined;
    });
  });
  assert.equal(await forgetting, others.length);
  const { data: left } = await people.credits(one.tenantId, { titleId: again, limit: 200 });
  assert.deepEqual(
    left.map(({ personId }) => personId),
    [kept],
  );
  const has = (id: string) => [...objects.all.keys()].some((key) => key.startsWith(`thumbnails/${id}/`));
  assert.deepEqual([has(kept!), others.some(has)], [true, false]);
});

test("two people become one, by hand or by the id that both turn out to have", async (t) => {
  const { people, film, one } = await catalogScene(t);
  const titleId = await film("A film");
  const person = async (name: string, fields: object = {}) =>
    (await people.create(one.tenantId, { name, ...fields })).data.id;
  const [first, second] = [await person("J. Doe", { birthplace: "Graz" }), await person("Jane Doe", { tmdbId: 77 })];
  assert.equal(await code(people.create(one.tenantId, { name: "X", tmdbId: 77 })), "PERSON_TAKEN");
  for (const personId of [first, second]) {
    await people.addCredit(one.tenantId, { titleId, personId, kind: "crew", job: "Editor", order: 0 });
  }
  const { data } = await people.patch(one.tenantId, { personId: first, tmdbId: 77 });
  assert.deepEqual([data.name, data.tmdbId, data.birthplace], ["J. Doe", 77, "Graz"]);
  assert.equal(await code(people.get(one.tenantId, second)), "PERSON_NOT_FOUND");
  assert.equal((await people.credits(one.tenantId, { titleId, limit: 200 })).data.length, 1);
  const third = await person("Jane", { biography: "Cuts." });
  const { data: whole } = await people.merge(one.tenantId, { personId: first, otherPersonId: third });
  assert.deepEqual([whole.id, whole.biography], [first, "Cuts."]);
  const none = people.merge(one.tenantId, { personId: first, otherPersonId: third });
  assert.equal(await code(none), "PERSON_NOT_FOUND");
});
