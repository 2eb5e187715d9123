/** Claims of several jobs at once: what they lock, what becomes of those whose answer is lost, and how they end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { type TestContext } from "node:test";
import { type Database, openDatabase, type Tx } from "../../lib/db/database.ts";
import { finish, holdFence, JobStore } from "../../lib/jobs/job.store.ts";
import { type Scene, scene, until, untilAborted, workers } from "./jobs.fixture.ts";

const WAITS_FOR_LOCK = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
const untilLocked = ({ db }: Scene) =>
  until("a statement that waits", async () => (await db.asOwner(WAITS_FOR_LOCK)).rowCount > 0);

/** A transaction that stays open until `end`. */
const openTx = async (db: Database, tenantId: string | null, begin: (tx: Tx) => Promise<void>) => {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  let over: Promise<void> = Promise.resolve();
  await new Promise<void>((begun, failed) => {
    over = db.tenantTx(tenantId, async (tx) => {
      await begin(tx);
      begun();
      await ended;
    });
    over.catch(failed);
  });
  return async () => {
    end();
    await over;
  };
};

const claimAs = (store: JobStore, count: number) =>
  store.claim(randomUUID(), "node", { kinds: ["test.job"], count, nowMs: Date.now() });

/** Rows as the owner of the database writes them in a transaction of its own. */
const ownerOf = (t: TestContext, { db }: Scene): Database => {
  const owner = openDatabase({ url: db.ownerUrl, applicationName: "owner" });
  t.after(() => owner.close());
  return owner;
};

test("a claim locks what it takes and nothing else, so that another one at the same time finds the rest", async (t) => {
  const place = await scene(t, 3);
  const jobIds: string[] = [];
  for (const tenantId of place.tenants) jobIds.push(await place.enqueue({ tenantId }));
  let first: string[] = [];
  const end = await openTx(place.db, null, async (tx) => {
    const store = new JobStore({ ...place.db, query: tx.query });
    first = (await claimAs(store, 1)).map(({ jobId }) => jobId);
  });
  const others = (await claimAs(new JobStore(place.db), 8)).map(({ jobId }) => jobId);
  await end();
  assert.deepEqual([first.length, others.length], [1, 2]);
  assert.deepEqual([...first, ...others].sort(), jobIds.sort());
});

test("jobs that were claimed for a worker that never heard of it run all the same", async (t) => {
  const place = await scene(t);
  const { db, enqueue, untilState } = place;
  await workers(t, place, { kinds: { "test.job": async ({ epoch, attempt }) => ({ result: { epoch, attempt } }) } });
  await until("the lease", async () => (await db.asOwner("select from job_worker")).rowCount === 1);
  const jobId = await enqueue({ runAtMs: Date.now() + 3_600_000 });
  await db.asOwner(
    `update job_queue set holder = (select incarnation from job_worker), epoch = 1, attempt = 1,
       claimed_at = now() - interval '11 s'`,
  );
  assert.deepEqual((await untilState(jobId, "done")).result, { epoch: 2, attempt: 1 });
});

test("what runs for longer than any answer takes stays with its worker", async (t) => {
  const place = await scene(t);
  await workers(t, place, { kinds: { "test.job": ({ signal }) => untilAborted(signal) } });
  const jobId = await place.enqueue();
  await place.untilState(jobId, "running");
  await place.db.asOwner("update job_queue set claimed_at = now() - interval '1 hour'");
  await until("some looks of the sweep", async () => {
    const { rows } = await place.db.asOwner<{ is: boolean }>(
      "select renewed_at > (select created_at from job) + interval '3 s' as is from job_worker",
    );
    return rows[0]?.is;
  });
  const { state, epoch } = await place.job(jobId);
  assert.deepEqual([state, epoch], ["running", 1]);
});

test("workers that stop in the middle of a claim give back what it brings", async (t) => {
  const place = await scene(t);
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const jobs = await workers(t, place, {
    slots: 1,
    leaseTtlMs: 600_000,
    kinds: { "test.job": () => ended.then(() => ({})) },
  });
  const first = await place.enqueue();
  await place.untilState(first, "running");
  const second = await place.enqueue();
  // The claim of the next job has to spend this wake-up.
  const free = await openTx(ownerOf(t, place), null, async (tx) => {
    await tx.query("reset role");
    await tx.query("select from graphile_worker._private_jobs where key = $1 for update", [second]);
  });
  end();
  await untilLocked(place);
  const stopped = jobs.stop();
  await free();
  await stopped;
  const { rows } = await place.db.asOwner<Record<string, unknown>>(
    "select job_id, holder, lapse_count, attempt from job_queue",
  );
  assert.deepEqual(rows, [{ job_id: second, holder: null, lapse_count: 0, attempt: 0 }]);
});

test("a result that is too large ends its job as dead, and nothing of what it wrote is kept", async (t) => {
  const place = await scene(t);
  await workers(t, place, {
    kinds: {
      "test.job": async () => ({
        result: { text: "x".repeat(300_000) },
        write: async (tx) => void (await tx.query("update tenant set name = 'written'")),
      }),
    },
  });
  const jobId = await place.enqueue({ attemptsMax: 1 });
  assert.equal((await place.untilState(jobId, "dead")).errorCode, "INTERNAL");
  assert.equal((await place.db.asOwner<{ name: string }>("select name from tenant")).rows[0]?.name, "T");
});

test("progress that comes while a job ends changes nothing of its end", async (t) => {
  const place = await scene(t);
  const { db, tenantId } = place;
  const jobId = await place.enqueue();
  const store = new JobStore(db);
  const [claim] = await claimAs(store, 1);
  assert.ok(claim);
  const end = await openTx(db, tenantId, async (tx) => {
    await holdFence(tx, claim);
    await finish(tx, claim, { state: "done", result: {} });
  });
  const told = store.progress(claim, { percent: 60 });
  await untilLocked(place);
  await end();
  await told;
  assert.equal((await place.job(jobId)).percent, 100);
});

test("a kind with many jobs that nothing wakes for leaves another kind its wake-up", async (t) => {
  const { db, tenantId, enqueue } = await scene(t);
  for (let n = 0; n < 120; n += 1) await enqueue({ kind: "test.many", tenantId, priority: -1 });
  const last = await enqueue({ kind: "test.few" });
  await db.asOwner("delete from graphile_worker._private_jobs");
  await new JobStore(db).sweep(["test.many", "test.few"], Date.now());
  const { rowCount } = await db.asOwner("select from graphile_worker._private_jobs where key = $1", [last]);
  assert.equal(rowCount, 1);
});
