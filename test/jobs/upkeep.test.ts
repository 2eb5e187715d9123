import assert from "node:assert/strict";
import test from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { showQueue, trimJobs } from "../../lib/jobs/jobs.ts";
import { metricsText } from "../../lib/metrics/metrics.ts";
import { scene, workers } from "./jobs.fixture.ts";

test("jobs that ended are kept for a week, dead ones for a month, and live ones for good", async (t) => {
  const { db, enqueue, jobs } = await scene(t);
  const ages = [
    ["done", 6],
    ["done", 8],
    ["cancelled", 8],
    ["dead", 29],
    ["dead", 31],
    ["live", 99],
  ] as const;
  for (const [state, days] of ages) {
    const jobId = await enqueue({ payload: { days } });
    if (state !== "live") await db.asOwner("delete from job_queue where job_id = $1", [jobId]);
    await db.asOwner("update job set state = $2, ended_at = now() - $3 * interval '1 day' where id = $1", [
      jobId,
      state,
      days,
    ]);
  }
  assert.equal(await trimJobs(db), 3);
  assert.deepEqual(
    (await jobs()).map(({ state }) => state),
    ["done", "dead", "queued"],
  );
});

test("the metrics tell of live jobs, of runs, tries and deaths", async (t) => {
  const { db, enqueue, untilState } = await scene(t);
  const dead = async () => {
    throw new Fault("SOURCE_UNREADABLE", { reason: "so" });
  };
  await workers(t, { db }, { kinds: { "test.good": async () => ({}), "test.bad": dead } });
  await untilState(await enqueue({ kind: "test.good" }), "done");
  await untilState(await enqueue({ kind: "test.bad" }), "dead");
  await enqueue({ kind: "test.nobody" });
  await enqueue({ kind: "test.nobody", runAtMs: Date.now() + 3_600_000 });
  showQueue(db);
  const lines = (await metricsText()).split("\n");
  for (const line of [
    'castellan_job_queue{kind="test.nobody",state="waiting"} 1',
    'castellan_job_queue{kind="test.nobody",state="delayed"} 1',
    'castellan_job_seconds_count{kind="test.good",end="done"} 1',
    'castellan_job_seconds_count{kind="test.bad",end="dead"} 1',
    'castellan_job_wait_seconds_count{kind="test.good"} 1',
    'castellan_job_deaths_total{kind="test.bad",code="SOURCE_UNREADABLE"} 1',
  ]) {
    assert.ok(lines.includes(line), `${line}\n${lines.filter((each) => each.startsWith("castellan_job_")).join("\n")}`);
  }
});
