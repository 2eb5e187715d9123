import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { jobApi } from "./api.fixture.ts";
import { untilAborted, workers } from "./jobs.fixture.ts";

type Row = Record<string, unknown>;
const dead = async () => {
  throw new Fault("SOURCE_UNREADABLE", { reason: "it is a text" });
};

test("jobs are listed by kind, state and subject, the newest first and in pages", async (t) => {
  const { call, enqueue, db, untilState } = await jobApi(t);
  const subject = { kind: "title", id: "t 1" };
  const failed = await enqueue({ kind: "test.bad", subject });
  const others = [await enqueue({ subject }), await enqueue(), await enqueue({ runAtMs: Date.now() + 3_600_000 })];
  await workers(t, { db }, { nodeId: "n1", kinds: { "test.bad": dead } });
  await untilState(failed, "dead");
  const idsAt = async (path: string) => {
    const { status, body } = await call("GET", path);
    assert.equal(status, 200, JSON.stringify(body));
    return (body.data as Row[]).map(({ id }) => id);
  };
  const newest = [...others].reverse();
  assert.deepEqual(await idsAt("/jobs"), [...newest, failed]);
  assert.deepEqual(await idsAt("/jobs?kind=test.bad"), [failed]);
  assert.deepEqual(await idsAt("/jobs?state=dead"), [failed]);
  assert.deepEqual(await idsAt("/jobs?state=queued"), newest);
  assert.deepEqual(await idsAt("/jobs?subjectKind=title&subjectId=t%201"), [others[0], failed]);
  const first = await call("GET", "/jobs?limit=3");
  assert.deepEqual(await idsAt(`/jobs?limit=3&cursor=${first.body.nextCursor}`), [failed]);

  const { body } = await call("GET", `/jobs/${failed}`);
  const { createdAt, startedAt, endedAt, updatedAt, ...job } = body.data as Row;
  for (const instant of [createdAt, startedAt, endedAt, updatedAt]) assert.match(String(instant), /^20.*Z$/);
  assert.deepEqual(job, {
    id: failed,
    kind: "test.bad",
    state: "dead",
    cancelling: false,
    subject,
    priority: 0,
    attempt: 1,
    attemptsMax: 5,
    percent: null,
    fps: null,
    etaSeconds: null,
    note: null,
    error: { code: "SOURCE_UNREADABLE", message: "The file can't be transcoded: it is a text." },
    waiting: null,
    nodeId: "n1",
    runAt: null,
    result: null,
  });
  const stats = (await call("GET", "/jobs/stats")).body.data as Row[];
  assert.deepEqual(
    stats.map(({ kind, state, count }) => [kind, state, count]),
    [
      ["test.bad", "dead", 1],
      ["test.job", "queued", 3],
    ],
  );
});

test("dead jobs are replayed, one or all, with all their tries and a higher epoch", async (t) => {
  const { call, enqueue, db, untilState } = await jobApi(t);
  let isMended = false;
  const run = async (run: { attempt: number; epoch: number }) =>
    isMended ? { result: { attempt: run.attempt, epoch: run.epoch } } : dead();
  await workers(t, { db }, { kinds: { "test.job": run } });
  const ids = [await enqueue(), await enqueue(), await enqueue()];
  for (const id of ids) await untilState(id, "dead");
  isMended = true;
  const one = await call("POST", `/jobs/${ids[0]}/replay`);
  assert.deepEqual([one.status, (one.body.data as Row).id], [202, ids[0]]);
  const { result } = await untilState(ids[0]!, "done");
  assert.deepEqual(result, { attempt: 1, epoch: 2 });
  const again = await call("POST", `/jobs/${ids[0]}/replay`);
  assert.deepEqual([again.status, again.body.code], [409, "JOB_STATE"]);
  const all = await call("POST", "/jobs/replay", { kind: "test.job" });
  assert.deepEqual([all.status, all.body.data], [202, { count: 2 }]);
  for (const id of ids) await untilState(id, "done");
});

test("a job is cancelled while it waits and while it runs; one that ended is not", async (t) => {
  const { call, enqueue, db, untilState } = await jobApi(t);
  const kinds = { "test.job": ({ signal }: { signal: AbortSignal }) => untilAborted(signal) };
  await workers(t, { db }, { slots: 1, kinds });
  const running = await enqueue();
  await untilState(running, "running");
  const waiting = await enqueue();
  for (const [id, state, cancelling] of [
    [waiting, "cancelled", false],
    [running, "running", true],
  ] as const) {
    const { status, body } = await call("POST", `/jobs/${id}/cancel`);
    const job = body.data as Row;
    assert.deepEqual([status, job.state, job.cancelling], [202, state, cancelling]);
    await untilState(id, "cancelled");
  }
  const late = await call("POST", `/jobs/${running}/cancel`);
  assert.deepEqual([late.status, late.body.code], [409, "JOB_STATE"]);
  const unknown = await call("POST", `/jobs/${randomUUID()}/cancel`);
  assert.deepEqual([unknown.status, unknown.body.code], [404, "JOB_NOT_FOUND"]);
});

test("the jobs of a title are one progress", async (t) => {
  const { call, enqueue, db, untilState } = await jobApi(t);
  const titleId = randomUUID();
  const path = `/titles/${titleId}/progress`;
  const none = { percent: 0, state: "none", etaSeconds: null, jobCount: 0, liveCount: 0 };
  assert.deepEqual((await call("GET", path)).body.data, none);
  const subject = { kind: "title", id: titleId };
  const [done] = [await enqueue({ subject }), await enqueue({ subject, kind: "test.later" })];
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  await untilState(done, "done");
  const half = { percent: 50, state: "queued", etaSeconds: null, jobCount: 2, liveCount: 1 };
  assert.deepEqual((await call("GET", path)).body.data, half);
});

test("another tenant's jobs are not there", async (t) => {
  const { call, enqueue, db, gateway } = await jobApi(t);
  const other = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, 'other', 'O')", [other]);
  const jobId = await enqueue({ tenantId: other, subject: { kind: "title", id: "t1" } });
  assert.deepEqual((await call("GET", "/jobs")).body.data, []);
  assert.deepEqual((await call("GET", "/jobs/stats")).body.data, []);
  for (const [method, path] of [
    ["GET", ""],
    ["GET", "/events"],
    ["POST", "/cancel"],
    ["POST", "/replay"],
  ] as const) {
    const { status, body } = await call(method, `/jobs/${jobId}${path}`);
    assert.deepEqual([status, body.code], [404, "JOB_NOT_FOUND"], path);
  }
  const { rows } = await db.asOwner("select cancelled from job_queue");
  assert.deepEqual(rows, [{ cancelled: false }]);
  await assert.rejects(
    db.tenantTx(other, (tx) =>
      tx.query("select from job_worker").then(({ rows: seen }) => assert.equal(seen.length, 1)),
    ),
  );
  assert.equal((await gateway.call("GET", `/api/v1/jobs/${jobId}/events`, { key: null })).status, 401);
});
