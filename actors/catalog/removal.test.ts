/** Deleting, restoring and purging titles, and the sweep of what belongs to nobody. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, test } from "node:test";
import { attachSource, playableTitle } from "../../contracts/catalog.ts";
import { enqueueJob, type JobRun } from "../../lib/jobs/jobs.ts";
import { BUCKETS, type ObjectName, type ObjectStore } from "../../lib/objects/port.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { aSource, catalogOn, codeOf, factsOf, titleIn } from "./catalog.fixture.ts";
import { ENRICH, ENRICHMENT_SUBJECT } from "./enrich.ts";
import { PURGE_JOB, Removal } from "./removal.ts";
import { Sweep } from "./sweep.ts";

let db: TestDatabase;
before(async () => {
  db = await testDatabase();
});

const DEADLINE_MS = 60_000;
const HOUR_MS = 3_600_000;
const NEVER = new AbortController().signal;
type Scene = Awaited<ReturnType<typeof catalogOn>>;

const put = (objects: ObjectStore, bucket: ObjectName["bucket"], ...keys: string[]) =>
  Promise.all(keys.map((key) => objects.put({ bucket, key }, Buffer.from(key))));
const keysOf = async (objects: ObjectStore): Promise<string[]> => {
  const keys: string[] = [];
  for (const bucket of BUCKETS) for await (const { key } of objects.list(bucket)) keys.push(`${bucket}/${key}`);
  return keys;
};
/** A title with objects in every bucket. */
const filmWithFiles = async ({ a, objects }: Scene): Promise<string> => {
  const sourceId = randomUUID();
  const path = `${a.tenantId}/${sourceId}`;
  const { titleId } = await a.ask(attachSource, aSource({ sourceId, path }));
  await put(objects, "sources", path);
  await put(objects, "segments", `${titleId}/set.json`, `${titleId}/public.json`, `${titleId}/r1/1080p-e1.mp4`);
  await put(objects, "thumbnails", `${titleId}/r1/poster-e1.jpg`, `${titleId}/artwork/chosen.jpg`);
  await put(objects, "trailers", `${titleId}/r1/preview-e1.mp4`);
  return titleId;
};
const rowsOf = async (titleId: string): Promise<number> => {
  const { rows } = await db.asOwner<{ n: number }>(
    `select (select count(*) from title where id = $1) + (select count(*) from title_index where title_id = $1)
       + (select count(*) from title_source where title_id = $1)
       + (select count(*) from title_genre where title_id = $1)
       + (select count(*) from title_child where title_id = $1) as n`,
    [titleId],
  );
  return Number(rows[0]?.n);
};
const runOf = (tenantId: string, titleId: string) =>
  ({ tenantId, payload: { titleId }, signal: NEVER }) as JobRun<never>;
const removalOf = ({ clock, objects }: Scene) => new Removal({ db, clock, objects, graceMs: 0 });
/** The job as a worker would run it, its end included. */
const purge = async (scene: Scene, titleId: string): Promise<void> => {
  const { tenantId } = scene.a;
  const { write } = await removalOf(scene).purge.run(runOf(tenantId, titleId));
  if (write) await db.tenantTx(tenantId, write);
};

test("a deleted title is nowhere at once, and purged by a job that leaves nothing of it", async (t) => {
  const scene = await catalogOn(t, db);
  const { a, objects } = scene;
  const other = await filmWithFiles(scene);
  // What it is not, its mark does not say: it goes as soon as facts are delivered.
  const kept = (await keysOf(objects)).filter((key) => !key.endsWith("/public.json"));
  const titleId = await filmWithFiles(scene);
  assert.ok((await keysOf(objects)).length > kept.length);
  const { version } = titleIn(await a.call("GET", `/titles/${titleId}`));
  const deleted = await a.call("DELETE", `/titles/${titleId}`);
  assert.deepEqual(deleted.body.data, { id: titleId, deletedCount: 1, version: version + 1 });
  assert.deepEqual(codeOf(await a.call("GET", `/titles/${titleId}`)), [404, "TITLE_NOT_FOUND"]);
  assert.deepEqual(codeOf(await a.call("DELETE", `/titles/${titleId}`)), [404, "TITLE_NOT_FOUND"]);
  for (const path of ["/titles/search?q=my+film", "/titles"]) {
    const ids = ((await a.call("GET", path)).body.data as { id: string }[]).map(({ id }) => id);
    assert.deepEqual([ids.includes(other), ids.includes(titleId)], [true, false], path);
  }
  await assert.rejects(a.ask(playableTitle, { titleId }), { code: "TITLE_NOT_FOUND" });
  await scene.run();
  const endsAt = performance.now() + DEADLINE_MS;
  while ((await rowsOf(titleId)) > 0) {
    assert.ok(performance.now() < endsAt, "never purged");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.deepEqual(await keysOf(objects), kept);
  assert.deepEqual((await factsOf(db, titleId)).slice(-2), ["content.deleted", "content.purged"]);
  assert.equal((await a.call("GET", `/titles/${other}`)).status, 200);
});

test("a purge that broke off goes on from its beginning, and one that is done does nothing", async (t) => {
  const scene = await catalogOn(t, db);
  const titleId = await filmWithFiles(scene);
  await scene.a.call("DELETE", `/titles/${titleId}`);
  // It removed everything and died before its end.
  await removalOf(scene).purge.run(runOf(scene.a.tenantId, titleId));
  assert.ok((await rowsOf(titleId)) > 0);
  await purge(scene, titleId);
  await purge(scene, titleId);
  assert.equal(await rowsOf(titleId), 0);
  assert.equal((await factsOf(db, titleId)).filter((name) => name === "content.purged").length, 1);
});

test("a restored title is back, unpublished, and its purge does nothing; during the purge there is no way back", async (t) => {
  const scene = await catalogOn(t, db);
  const { a, objects } = scene;
  const titleId = await filmWithFiles(scene);
  const before = await keysOf(objects);
  await db.asOwner("update title set state = 'published', playable_revision = 1, ready_revision = 1 where id = $1", [
    titleId,
  ]);
  await a.call("DELETE", `/titles/${titleId}`);
  const restored = await a.call("POST", `/titles/${titleId}/restore`, { body: {} });
  assert.deepEqual([restored.status, titleIn(restored).state], [200, "withdrawn"]);
  assert.deepEqual(codeOf(await a.call("POST", `/titles/${titleId}/restore`, { body: {} })), [409, "TITLE_STATE"]);
  const { rows } = await db.asOwner("select cancelled from job_queue where kind = $1 and subject_id = $2", [
    PURGE_JOB,
    titleId,
  ]);
  assert.deepEqual(rows, [{ cancelled: true }]);
  await purge(scene, titleId);
  assert.deepEqual(await keysOf(objects), before);
  const found = (await a.call("GET", "/titles/search?q=my+film")).body.data as { id: string }[];
  assert.ok(found.some(({ id }) => id === titleId));

  await a.call("DELETE", `/titles/${titleId}`);
  await removalOf(scene).purge.run(runOf(a.tenantId, titleId));
  assert.deepEqual(codeOf(await a.call("POST", `/titles/${titleId}/restore`, { body: {} })), [409, "TITLE_STATE"]);
  await purge(scene, titleId);
  assert.deepEqual(codeOf(await a.call("POST", `/titles/${titleId}/restore`, { body: {} })), [404, "TITLE_NOT_FOUND"]);
});

test("a refresh of its metadata stays with a title that may come back, and goes with one that is purged", async (t) => {
  const scene = await catalogOn(t, db);
  const { tenantId } = scene.a;
  const titleId = await filmWithFiles(scene);
  const subject = { kind: ENRICHMENT_SUBJECT, id: titleId };
  const spec = { kind: ENRICH, tenantId, payload: { titleId }, subject, runAtMs: Date.now() + 24 * HOUR_MS };
  await db.tenantTx(tenantId, (tx) => enqueueJob(tx, spec));
  const cancelled = async () =>
    (await db.asOwner("select cancelled from job_queue where subject_id = $1 and kind = $2", [titleId, ENRICH])).rows;
  await scene.a.call("DELETE", `/titles/${titleId}`);
  assert.deepEqual(await cancelled(), [{ cancelled: false }]);
  await purge(scene, titleId);
  assert.deepEqual(await cancelled(), [{ cancelled: true }]);
});

test("a series goes with all that is below it, and comes back with what went along", async (t) => {
  const { a } = await catalogOn(t, db);
  const series = await a.make({ kind: "series" });
  const season = await a.make({ kind: "season", parentId: series.id, number: 1 });
  const gone = await a.make({ kind: "episode", parentId: season.id, number: 1 });
  const episode = await a.make({ kind: "episode", parentId: season.id, number: 2 });
  const restore = (id: string) => a.call("POST", `/titles/${id}/restore`, { body: {} });
  await a.call("DELETE", `/titles/${gone.id}`);
  const deleted = await a.call("DELETE", `/titles/${series.id}`);
  assert.deepEqual(deleted.body.data, { id: series.id, deletedCount: 3, version: series.version + 1 });
  for (const { id } of [series, season, episode]) {
    assert.equal((await a.call("GET", `/titles/${id}`)).status, 404);
    assert.equal((await factsOf(db, id)).at(-1), "content.deleted");
  }
  assert.deepEqual(codeOf(await restore(episode.id)), [409, "TITLE_STATE"], "without what it is part of");
  assert.equal((await restore(series.id)).status, 200);
  const { number, parentId } = titleIn(await a.call("GET", `/titles/${episode.id}`));
  assert.deepEqual([number, parentId], [2, season.id]);
  assert.equal((await a.call("GET", `/titles/${gone.id}`)).status, 404, "it was deleted before, by itself");
  assert.equal((await restore(gone.id)).status, 200);
});

test("the place of a deleted part is free, and a part whose place is taken by then can't come back", async (t) => {
  const { a } = await catalogOn(t, db);
  const series = await a.make({ kind: "series" });
  const first = await a.make({ kind: "season", parentId: series.id, number: 1 });
  await a.call("DELETE", `/titles/${first.id}`);
  await a.make({ kind: "season", parentId: series.id, number: 1 });
  const restored = await a.call("POST", `/titles/${first.id}/restore`, { body: {} });
  assert.deepEqual(codeOf(restored), [409, "TITLE_NUMBER_TAKEN"]);
});

test("the sweep removes what belongs to no title and no person once it is old enough, of whatever tenant, and nothing else", async (t) => {
  const scene = await catalogOn(t, db);
  const { a, b, clock, objects } = scene;
  const mine = await filmWithFiles(scene);
  const others = await b.make();
  await put(objects, "segments", `${others.id}/set.json`, "not-an-id/x", `${mine}.json`);
  const personId = randomUUID();
  await db.asOwner("insert into person (id, tenant_id, name, name_key) values ($1, $2, 'Ada', 'ada')", [
    ...[personId, b.tenantId],
  ]);
  await put(objects, "thumbnails", `${personId}/artwork/of-a-person.jpg`, `${mine}/artwork/chosen.jpg`);
  await put(objects, "sources", `${a.tenantId}/${randomUUID()}.parts/0`);
  const kept = await keysOf(objects);
  const nobody = randomUUID();
  await put(objects, "segments", `${nobody}/set.json`, `${nobody}/r1/a.mp4`);
  await put(objects, "trailers", `${nobody}/r1/b.mp4`);
  await put(objects, "thumbnails", `${nobody}/artwork/of-somebody-who-is-gone.jpg`);
  await put(objects, "sources", `${a.tenantId}/${randomUUID()}`, `${nobody}/${randomUUID()}`);
  const sweep = new Sweep({
    ...{ db, clock, objects, removal: removalOf(scene), ageMs: HOUR_MS, sourceAgeMs: 2 * HOUR_MS },
  });
  assert.equal((await sweep.run(NEVER)).removedCount, 0);
  clock.move(HOUR_MS + 1_000);
  assert.equal((await sweep.run(NEVER)).removedCount, 4);
  clock.move(HOUR_MS);
  assert.equal((await sweep.run(NEVER)).removedCount, 2);
  assert.deepEqual(await keysOf(objects), kept);
});

test("the sweep purges again what was deleted and whose job is gone", async (t) => {
  const scene = await catalogOn(t, db);
  const titleId = await filmWithFiles(scene);
  await scene.a.call("DELETE", `/titles/${titleId}`);
  const jobs = async () =>
    (await db.asOwner("select from job where kind = $1 and subject_id = $2", [PURGE_JOB, titleId])).rowCount;
  const { clock, objects } = scene;
  const sweep = new Sweep({ db, clock, objects, removal: removalOf(scene), ageMs: HOUR_MS, sourceAgeMs: HOUR_MS });
  await sweep.run(NEVER);
  assert.equal(await jobs(), 1, "a job that lives is enough");
  await db.asOwner("delete from job where subject_id = $1", [titleId]);
  await sweep.run(NEVER);
  assert.equal(await jobs(), 1);
});

test("a part that is made while its parent is being deleted is refused, and not left without one", async (t) => {
  const { a } = await catalogOn(t, db);
  const series = await a.make({ kind: "series" });
  const { promise: isDeleted, resolve: deleted } = Promise.withResolvers<void>();
  const { promise: held, resolve: release } = Promise.withResolvers<void>();
  const deletion = db.tenantTx(a.tenantId, async (tx) => {
    await tx.query("update title set deleted_at = now() where id = $1", [series.id]);
    deleted();
    await held;
  });
  await isDeleted;
  const name = `Season ${randomUUID()}`;
  const body = { kind: "season", name, parentId: series.id, number: 1 };
  const making = a.call("POST", "/titles", { body });
  const endsAt = performance.now() + DEADLINE_MS;
  for (let count = 0; count === 0; ) {
    const waiting = "select count(*)::int as n from pg_locks where not granted and locktype = 'transactionid'";
    count = (await db.asOwner<{ n: number }>(waiting)).rows[0]?.n ?? 0;
    assert.ok(performance.now() < endsAt, "nobody waits for the deletion");
  }
  release();
  await deletion;
  assert.deepEqual(codeOf(await making), [422, "TITLE_PARENT"]);
  const { rows } = await db.asOwner("select from title where name = $1", [name]);
  assert.equal(rows.length, 0);
});
