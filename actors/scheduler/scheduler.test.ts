import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { type TestContext } from "node:test";
import { cancelJob, cancelJobs, enqueueJob, type JobSpec, keepQueue } from "../../lib/jobs/jobs.ts";
import { testDatabase } from "../../test/support/database.ts";
import { Scheduler } from "./scheduler.ts";

const titleId = "019a0000-0000-7000-8000-0000000000aa";
const subject = { kind: "title", id: titleId };

async function scene(t: TestContext) {
  const db = await testDatabase(t);
  const tenantId = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, 't', 'T')", [tenantId]);
  const enqueue = async (spec: Partial<JobSpec> = {}) => {
    const whole = { kind: "test.job", tenantId, payload: {}, ...spec };
    return (await db.tenantTx(tenantId, (tx) => enqueueJob(tx, whole))).jobId;
  };
  /** As if a worker had ended it. */
  const ended = async (jobId: string, state: "done" | "dead") => {
    await db.asOwner("delete from job_queue where job_id = $1", [jobId]);
    await db.asOwner("update job set state = $2, ended_at = now(), updated_at = now() where id = $1", [jobId, state]);
  };
  return { db, tenantId, enqueue, ended, scheduler: new Scheduler(db) };
}

test("a title's progress weighs each of its jobs the same, and tells the time that is left", async (t) => {
  const { db, tenantId, enqueue, ended, scheduler } = await scene(t);
  const [done, running, , cancelled] = [
    await enqueue({ subject }),
    await enqueue({ subject }),
    await enqueue({ subject }),
    await enqueue({ subject }),
  ];
  await ended(done, "done");
  await db.asOwner("update job set percent = 20 where id = $1", [running]);
  await db.asOwner(
    "update job_queue set holder = gen_random_uuid(), claimed_at = now() - interval '60 s' where job_id = $1",
    [running],
  );
  await db.asOwner("delete from job_queue where job_id = $1", [cancelled]);
  await db.asOwner("update job set state = 'cancelled' where id = $1", [cancelled]);
  // (100 + 20 + 0) / 3 = 40 % in 60 s: the other 60 % take 90 s.
  assert.deepEqual((await scheduler.subjectProgress(tenantId, titleId)).data, {
    percent: 40,
    state: "running",
    etaSeconds: 90,
    jobCount: 4,
    liveCount: 2,
  });
});

test("a title's progress is that of its newest piece of work", async (t) => {
  const { db, tenantId, enqueue, ended, scheduler } = await scene(t);
  const [dead, old] = [await enqueue({ subject }), await enqueue({ subject })];
  await ended(dead, "dead");
  await ended(old, "done");
  const past = "created_at = now() - interval '1 day', started_at = now() - interval '1 day'";
  await db.asOwner(`update job set ${past}, ended_at = now() - interval '23 h'`);
  const running = await enqueue({ subject });
  await enqueue({ subject });
  await db.asOwner("update job set percent = 80 where id = $1", [running]);
  await db.asOwner(
    "update job_queue set holder = gen_random_uuid(), claimed_at = now() - interval '20 s' where job_id = $1",
    [running],
  );
  // 40 % of these two in 20 s.
  assert.deepEqual((await scheduler.subjectProgress(tenantId, titleId)).data, {
    percent: 40,
    state: "running",
    etaSeconds: 30,
    jobCount: 2,
    liveCount: 2,
  });
});

test("the time that is left is shared by those that run side by side, and none is lost to what waited", async (t) => {
  const { db, tenantId, enqueue, ended, scheduler } = await scene(t);
  const [done, ...others] = [
    await enqueue({ subject }),
    await enqueue({ subject }),
    await enqueue({ subject }),
    await enqueue({ subject }),
  ];
  await ended(done, "done");
  await db.asOwner(
    "update job set created_at = now() - interval '1 h', started_at = ended_at - interval '30 s' where id = $1",
    [done],
  );
  await db.asOwner("update job set created_at = now() - interval '1 h' where id = any ($1)", [others]);
  await db.asOwner(
    "update job_queue set holder = gen_random_uuid(), claimed_at = now() - interval '5 s' where job_id = any ($1)",
    [others.slice(0, 2)],
  );
  // A quarter took 40 s of work; two slots share the other 120 s.
  assert.equal((await scheduler.subjectProgress(tenantId, titleId)).data.etaSeconds, 60);
});

test("what an attempt came to that broke off is not counted while the next one waits", async (t) => {
  const { db, tenantId, enqueue, scheduler } = await scene(t);
  const jobId = await enqueue({ subject });
  await db.asOwner("update job set percent = 84, fps = 25, eta_seconds = 9 where id = $1", [jobId]);
  const { state, percent, fps, etaSeconds } = (await scheduler.get(tenantId, jobId)).data;
  assert.deepEqual(
    { state, percent, fps, etaSeconds },
    { state: "queued", percent: null, fps: null, etaSeconds: null },
  );
  assert.equal((await scheduler.subjectProgress(tenantId, titleId)).data.percent, 0);
});

test("a dead job says so for its title, whatever else there is", async (t) => {
  const { tenantId, enqueue, ended, scheduler } = await scene(t);
  const [dead] = [await enqueue({ subject }), await enqueue({ subject })];
  await ended(dead, "dead");
  const { state, liveCount } = (await scheduler.subjectProgress(tenantId, titleId)).data;
  assert.deepEqual([state, liveCount], ["dead", 1]);
});

test("a dead job whose place another one has taken is not replayed", async (t) => {
  const { tenantId, enqueue, ended, scheduler } = await scene(t);
  const dead = await enqueue({ key: "k" });
  await ended(dead, "dead");
  await enqueue({ key: "k" });
  await assert.rejects(scheduler.replay(tenantId, dead), { code: "JOB_STATE" });
  assert.deepEqual(await scheduler.replayDead(tenantId, undefined), { data: { count: 0 } });
  assert.equal((await scheduler.get(tenantId, dead)).data.state, "dead");
});

const START = { changed: "0", jobId: "00000000-0000-0000-0000-000000000000" };

test("who watches hears only of what changed behind a place, and from the start if that is none", async (t) => {
  const { db, tenantId, enqueue, scheduler } = await scene(t);
  const [one, two] = [await enqueue({ subject }), await enqueue({ subject })];
  await enqueue();
  const idsBehind = async (after: typeof START) => {
    const { changes } = await scheduler.watch(tenantId, { watched: { subject }, after });
    return changes.map(({ job }) => job.id);
  };
  const first = await scheduler.watch(tenantId, { watched: { subject }, after: START });
  assert.deepEqual(
    first.changes.map(({ job }) => job.id),
    [one, two],
  );
  const { changed } = first.changes[1]!;
  assert.deepEqual(await idsBehind({ changed, jobId: two }), []);
  await db.tenantTx(tenantId, (tx) => cancelJob(tx, one));
  assert.deepEqual(await idsBehind({ changed, jobId: two }), [one]);
  // Of another database, or of this one before it was restored.
  assert.deepEqual(await idsBehind({ changed: "9".repeat(19), jobId: two }), [two, one]);
});

test("what a long transaction changed is heard of behind the place that was settled before its end", async (t) => {
  const { db, tenantId, enqueue, scheduler } = await scene(t);
  const changes = async (after: typeof START) => scheduler.watch(tenantId, { watched: { subject }, after });
  let late = "";
  const settled = await db.tenantTx(tenantId, async (tx) => {
    late = (await enqueueJob(tx, { kind: "test.late", tenantId, payload: {}, subject })).jobId;
    const early = await enqueue({ subject });
    const page = await changes(START);
    assert.deepEqual(
      page.changes.map(({ job }) => job.id),
      [early],
    );
    return page.settled;
  });
  const next = await changes({ ...START, changed: settled });
  assert.ok(next.changes.some(({ job }) => job.id === late));
});

test("a job that nobody holds is cancelled at once, whether or not there is a worker", async (t) => {
  const { db, tenantId, enqueue, scheduler } = await scene(t);
  const [one, two] = [await enqueue({ key: "k" }), await enqueue({ subject })];
  const { data } = await scheduler.cancel(tenantId, one);
  assert.deepEqual([data.state, data.cancelling, data.error?.code], ["cancelled", false, "JOB_CANCELLED"]);
  assert.ok(data.endedAt !== null && data.runAt === null);
  await assert.rejects(scheduler.cancel(tenantId, one), { code: "JOB_STATE" });
  assert.equal(await db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject })), 1);
  assert.equal(await db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject })), 0);
  assert.equal((await scheduler.get(tenantId, two)).data.state, "cancelled");
  assert.equal((await scheduler.subjectProgress(tenantId, titleId)).data.state, "cancelled");
});

test("a cancelled job whose worker is gone ends without any worker of its kind", async (t) => {
  const { db, tenantId, enqueue, scheduler } = await scene(t);
  const jobId = await enqueue();
  await db.asOwner("update job_queue set holder = gen_random_uuid(), node_id = 'gone' where job_id = $1", [jobId]);
  const { data } = await scheduler.cancel(tenantId, jobId);
  assert.deepEqual([data.state, data.cancelling], ["running", true]);
  await keepQueue(db);
  const { state, cancelling } = (await scheduler.get(tenantId, jobId)).data;
  assert.deepEqual([state, cancelling], ["cancelled", false]);
});
