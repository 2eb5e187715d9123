import assert from "node:assert/strict";
import test from "node:test";
import { Fault, fail } from "../../contracts/errors.ts";
import { cancelJobs, enqueueJob } from "../../lib/jobs/jobs.ts";
import { scene, until, untilAborted, workers } from "./jobs.fixture.ts";

test("a job runs once, with what it was given, and leaves its result", async (t) => {
  const { db, enqueue, untilState, tenantId } = await scene(t);
  const runs: unknown[] = [];
  await workers(
    t,
    { db },
    {
      nodeId: "n1",
      kinds: {
        "test.job": async ({ jobId, payload, attempt, epoch, kind, tenantId }) => {
          runs.push({ jobId, payload, attempt, epoch, kind, tenantId });
          return { result: { frames: 5 } };
        },
      },
    },
  );
  const jobId = await enqueue({ payload: { part: 3 } });
  const { id: _, ...job } = await untilState(jobId, "done");
  assert.deepEqual(runs, [{ jobId, payload: { part: 3 }, attempt: 1, epoch: 1, kind: "test.job", tenantId }]);
  assert.deepEqual(job, {
    kind: "test.job",
    state: "done",
    attempt: 1,
    epoch: 1,
    nodeId: "n1",
    percent: 100,
    errorCode: null,
    result: { frames: 5 },
  });
});

test("a job of a transaction that is rolled back never runs", async (t) => {
  const { db, enqueue, untilState, tenantId, jobs } = await scene(t);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  const spec = { kind: "test.job", tenantId, payload: {} };
  await assert.rejects(
    db.tenantTx(tenantId, async (tx) => {
      await enqueueJob(tx, spec);
      throw new Error("undo");
    }),
    /undo/,
  );
  await untilState(await enqueue(), "done");
  assert.equal((await jobs()).length, 1);
});

test("of live jobs with one key there is one; the key is free again when it has ended", async (t) => {
  const { db, tenantId, untilState } = await scene(t);
  const spec = { kind: "test.job", tenantId, payload: {}, key: "title-1" };
  const enqueue = () => db.tenantTx(tenantId, (tx) => enqueueJob(tx, spec));
  const [one, two] = [await enqueue(), await enqueue()];
  assert.deepEqual([one.isNew, two], [true, { jobId: one.jobId, isNew: false }]);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  await untilState(one.jobId, "done");
  const three = await enqueue();
  assert.ok(three.isNew);
  assert.notEqual(three.jobId, one.jobId);
});

test("lower priorities come first, and among equals the older one", async (t) => {
  const { db, enqueue, untilState } = await scene(t);
  const order: string[] = [];
  for (const [name, priority] of [
    ["c", 5],
    ["a", -1],
    ["d", 5],
    ["b", 0],
  ] as const) {
    await enqueue({ payload: { name }, priority });
  }
  const last = await enqueue({ payload: { name: "e" }, priority: 9 });
  const run = async ({ payload }: { payload: { name: string } }) => {
    order.push(payload.name);
    return {};
  };
  await workers(t, { db }, { slots: 1, kinds: { "test.job": run } });
  await untilState(last, "done");
  assert.deepEqual(order, ["a", "b", "c", "d", "e"]);
});

test("a tenant with a thousand jobs does not hold up another one's", async (t) => {
  const { db, tenants, enqueue, untilState } = await scene(t, 2);
  const [big = "", small = ""] = tenants;
  await db.tenantTx(big, async (tx) => {
    for (let n = 0; n < 1_000; n += 1) await enqueueJob(tx, { kind: "test.job", tenantId: big, payload: {} });
  });
  const order: string[] = [];
  const ends: (() => void)[] = [];
  const run = ({ tenantId }: { tenantId: string }) => {
    order.push(tenantId);
    return new Promise<object>((resolve) => ends.push(() => resolve({})));
  };
  await workers(t, { db }, { slots: 4, kinds: { "test.job": run } });
  await until("four runs", () => ends.length === 4);
  const jobIds = [await enqueue({ tenantId: small }), await enqueue({ tenantId: small })];
  for (const end of ends.splice(0, 2)) end();
  await until("two more", () => order.length === 6);
  assert.deepEqual(order.slice(4), [small, small]);
  for (const end of ends.splice(0)) end();
  for (const jobId of jobIds) await untilState(jobId, "done");
  const ending = setInterval(() => {
    for (const end of ends.splice(0)) end();
  }, 5);
  t.after(() => clearInterval(ending));
});

test("what a job writes is there if and only if the job is done", async (t) => {
  const { db, enqueue, untilState, tenantId } = await scene(t);
  const rename = (name: string) => ({
    write: async (tx: { query(text: string, values: unknown[]): Promise<unknown> }) => {
      await tx.query("update tenant set name = $1 where id = $2", [name, tenantId]);
      if (name === "Bad") fail("SOURCE_UNREADABLE", { reason: "so" });
    },
  });
  const nameNow = async () => (await db.asOwner<{ name: string }>("select name from tenant")).rows[0]?.name;
  const run = async ({ payload }: { payload: { name: string } }) => rename(payload.name);
  await workers(t, { db }, { kinds: { "test.job": run } });
  const bad = await untilState(await enqueue({ payload: { name: "Bad" } }), "dead");
  assert.deepEqual([await nameNow(), bad.errorCode], ["T", "SOURCE_UNREADABLE"]);
  await untilState(await enqueue({ payload: { name: "Good" } }), "done");
  assert.equal(await nameNow(), "Good");
});

test("what waits and what runs is cancelled together, and its kind is told in the same transaction", async (t) => {
  const { db, enqueue, untilState, tenantId } = await scene(t);
  const told: unknown[] = [];
  const handler = {
    run: ({ signal }: { signal: AbortSignal }) => untilAborted(signal),
    ended: async (tx: { query(text: string): Promise<unknown> }, job: { jobId: string; state: string }) => {
      told.push([job.jobId, job.state]);
      await tx.query("update tenant set name = name || '!'");
    },
  };
  await workers(t, { db }, { slots: 1, kinds: { "test.job": handler } });
  const subject = { kind: "title", id: "t1" };
  const running = await enqueue({ subject, key: "k1" });
  await untilState(running, "running");
  const waiting = await enqueue({ subject, key: "k2" });
  const other = await enqueue({ subject: { kind: "title", id: "t2" } });
  assert.equal(await db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject })), 2);
  const again = await db.tenantTx(tenantId, (tx) =>
    enqueueJob(tx, { kind: "test.later", tenantId, payload: {}, key: "k1" }),
  );
  assert.ok(again.isNew);
  for (const jobId of [running, waiting]) await untilState(jobId, "cancelled");
  await until("both to be told", () => told.length === 2);
  assert.deepEqual(
    new Map(told as [string, string][]),
    new Map([
      [running, "cancelled"],
      [waiting, "cancelled"],
    ]),
  );
  await until("what the kind wrote", async () => {
    const { rows } = await db.asOwner<{ name: string }>("select name from tenant");
    return rows[0]?.name === "T!!";
  });
  await untilState(other, "running");
});

test("a kind that has no worker hears of a cancelled job as soon as it has one", async (t) => {
  const { db, enqueue, job, tenantId } = await scene(t);
  const subject = { kind: "title", id: "t1" };
  const jobId = await enqueue({ subject });
  await db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject }));
  assert.equal((await job(jobId)).state, "cancelled");
  const told: unknown[] = [];
  const ended = async (_: unknown, { jobId: id, state }: { jobId: string; state: string }) =>
    void told.push([id, state]);
  await workers(t, { db }, { kinds: { "test.job": { run: async () => ({}), ended } } });
  await until("the kind to be told", () => told.length > 0);
  await until("nothing left in the queue", async () => {
    const { rows } = await db.asOwner("select from job_queue");
    return rows.length === 0;
  });
  assert.deepEqual([told, (await job(jobId)).state], [[[jobId, "cancelled"]], "cancelled"]);
});

test("workers that stop give their job back at once, and it costs no try", async (t) => {
  const { db, enqueue, untilState } = await scene(t);
  const first = await workers(
    t,
    { db },
    {
      nodeId: "one",
      leaseTtlMs: 600_000, // or its end would free the job as well
      kinds: { "test.job": ({ signal }) => untilAborted(signal) },
    },
  );
  const jobId = await enqueue();
  await untilState(jobId, "running");
  await workers(t, { db }, { nodeId: "two", kinds: { "test.job": async ({ attempt }) => ({ result: { attempt } }) } });
  await first.stop();
  const { epoch, nodeId, result } = await untilState(jobId, "done");
  assert.deepEqual({ epoch, nodeId, result }, { epoch: 2, nodeId: "two", result: { attempt: 1 } });
});

test("progress is kept and told at most twice a second", async (t) => {
  const { db, enqueue, job, untilState } = await scene(t);
  let end = () => {};
  await workers(
    t,
    { db },
    {
      kinds: {
        "test.job": async ({ progress }) => {
          for (let percent = 0; percent <= 50; percent += 1) progress({ percent, fps: 30, note: "encoding" });
          await new Promise<void>((resolve) => {
            end = resolve;
          });
          throw new Fault("SOURCE_UNREADABLE", { reason: "so" });
        },
      },
    },
  );
  const jobId = await enqueue();
  await until("progress", async () => (await job(jobId)).percent === 50);
  const { rows } = await db.asOwner("select fps, note, (select count(*) from job) as n from job where id = $1", [
    jobId,
  ]);
  assert.deepEqual(rows, [{ fps: 30, note: "encoding", n: "1" }]);
  end();
  assert.equal((await untilState(jobId, "dead")).percent, 50);
});
