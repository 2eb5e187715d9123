import assert from "node:assert/strict";
import test from "node:test";
import { Scheduler } from "../../actors/scheduler/scheduler.ts";
import { Fault, messageOf } from "../../contracts/errors.ts";
import { verdictOn } from "../../lib/jobs/retry.ts";
import { scene, until, workers } from "./jobs.fixture.ts";

const job = (attempt: number, waitCount = 0) => ({ attempt, attemptsMax: 5, waitCount });
const again = (pauseMs: number, counts: boolean) => ({ next: "again", pauseMs, counts, waits: !counts });

test("pauses double up to a minute, and no two jobs have the same ones", () => {
  const failed = (attempt: number, random = 0.5) =>
    verdictOn(new Error("bug"), { attempt, attemptsMax: 50, waitCount: 0 }, random);
  assert.deepEqual(
    [1, 2, 3, 4].map((attempt) => failed(attempt)),
    [again(1_000, true), again(2_000, true), again(4_000, true), again(8_000, true)],
  );
  assert.deepEqual([failed(1, 0), failed(1, 1)], [again(750, true), again(1_250, true)]);
  assert.deepEqual(failed(40, 1), again(60_000, true));
});

test("an error that says that trying again is of no use ends a job at once, any other one after its tries", () => {
  assert.deepEqual(verdictOn(new Fault("SOURCE_UNREADABLE"), job(1), 0.5), { next: "dead" });
  assert.deepEqual(verdictOn(new Error("bug"), job(5), 0.5), { next: "dead" });
  assert.deepEqual(verdictOn(new Fault("TRANSCODE_FAILED"), job(4), 0.5), again(8_000, true));
  assert.deepEqual(verdictOn(new Fault("TRANSCODE_FAILED"), job(5), 0.5), { next: "dead" });
});

test("what is away costs no try, and nobody waits longer than 30 s for it", () => {
  for (const code of ["DATABASE_DOWN", "OBJECT_STORE_DOWN", "OBJECT_STORE_FULL", "BUS_DOWN"] as const) {
    assert.deepEqual(verdictOn(new Fault(code), job(5), 0.5), again(500, false), code);
    assert.deepEqual(verdictOn(new Fault(code), job(5, 3), 0.5), again(4_000, false), code);
    assert.deepEqual(verdictOn(new Fault(code), job(5, 90), 1), again(30_000, false), code);
  }
});

test("what has been away for as long as a job may wait ends it, what failed of something else does not", () => {
  const late = { ...job(1, 400), isLate: true };
  assert.deepEqual(verdictOn(new Fault("OBJECT_STORE_DOWN"), late, 0.5), { next: "dead" });
  assert.deepEqual(verdictOn(new Error("bug"), late, 0.5), again(1_000, true));
});

test("a job says what it waits for and since when, is dead after that long, and goes on when replayed", async (t) => {
  const { db, tenantId, enqueue, untilState } = await scene(t);
  let aheadMs = 0;
  let isAway = true;
  const clock = { nowMs: () => Date.now() + aheadMs };
  const run = async () => {
    if (isAway) throw new Fault("OBJECT_STORE_DOWN");
    return {};
  };
  const hourMs = 3_600_000;
  await workers(t, { db }, { clock, waitMaxMs: hourMs, kinds: { "test.job": run } });
  const scheduler = new Scheduler(db);
  const startedAtMs = Date.now();
  const jobId = await enqueue();
  const waiting = await until("its waiting", async () => {
    const { data } = await scheduler.get(tenantId, jobId);
    return data.waiting !== null && data.waiting.lookCount > 1 && data.waiting;
  });
  const { code, reason, since } = waiting;
  assert.deepEqual([code, reason], ["OBJECT_STORE_DOWN", messageOf("OBJECT_STORE_DOWN")]);
  const sinceMs = Date.parse(since);
  assert.ok(sinceMs >= startedAtMs && sinceMs <= Date.now(), since);
  aheadMs = hourMs + 1_000;
  assert.equal((await untilState(jobId, "dead")).errorCode, "JOB_WAITED");
  const { data } = await scheduler.get(tenantId, jobId);
  assert.deepEqual([data.waiting, data.attempt], [null, 1]);
  const words = messageOf("JOB_WAITED", { hours: 1, reason: messageOf("OBJECT_STORE_DOWN") });
  assert.equal(data.error?.message, words);
  isAway = false;
  await scheduler.replay(tenantId, jobId);
  await untilState(jobId, "done");
});

test("a job that fails comes back when its pause is over, and is dead when its tries are used up", async (t) => {
  const { db, enqueue, untilState, job: jobNow } = await scene(t);
  let aheadMs = 0;
  const clock = { nowMs: () => Date.now() + aheadMs };
  const attempts: number[] = [];
  const told: unknown[] = [];
  const handler = {
    run: async ({ attempt }: { attempt: number }) => {
      attempts.push(attempt);
      throw new Fault("TRANSCODE_FAILED", { reason: `no. ${attempt}` });
    },
    ended: async (_: unknown, { state, reason }: { state: string; reason: string }) => void told.push([state, reason]),
  };
  await workers(t, { db }, { clock, kinds: { "test.job": handler } });
  const jobId = await enqueue({ attemptsMax: 3 });
  for (const [index, pauseMs] of [1_000, 2_000].entries()) {
    const row = await until("the pause", async () => {
      const { rows } = await db.asOwner<{ ms: number; attempt: number }>(
        "select extract(epoch from run_at)::float8 * 1000 as ms, attempt from job_queue where holder is null",
      );
      return rows[0]?.attempt === index + 1 && rows[0];
    });
    const leftMs = Number(row.ms) - clock.nowMs();
    assert.ok(leftMs > pauseMs * 0.75 - 500 && leftMs <= pauseMs * 1.25, `${leftMs} ms of ${pauseMs}`);
    const before = attempts.length;
    aheadMs += pauseMs * 1.25;
    await until("the next try", () => attempts.length > before);
  }
  await untilState(jobId, "dead");
  assert.deepEqual(attempts, [1, 2, 3]);
  assert.deepEqual(told, [["dead", "ffmpeg failed: no. 3."]]);
  assert.equal((await jobNow(jobId)).errorCode, "TRANSCODE_FAILED");
});

test("a job outlives an object store that is away, with a single try", async (t) => {
  const { db, enqueue, untilState } = await scene(t);
  let nowMs = Date.now();
  // Every look at the clock is a minute later than the one before.
  const clock = { nowMs: () => (nowMs += 60_000) };
  let runs = 0;
  const run = async ({ attempt }: { attempt: number }) => {
    runs += 1;
    if (runs <= 3) throw new Fault("OBJECT_STORE_DOWN");
    return { result: { attempt } };
  };
  await workers(t, { db }, { clock, kinds: { "test.job": run } });
  const { result, errorCode } = await untilState(await enqueue({ attemptsMax: 1 }), "done");
  assert.deepEqual([result, errorCode, runs], [{ attempt: 1 }, null, 4]);
});
