/**
 * Jobs through lib/jobs (a claim by fairness, a lease, an end in a fenced transaction) against graphile-worker alone,
 * in turns in the same run: one process with 8 slots, jobs that do nothing, all of them waiting when the clock starts.
 * And the time from a commit to the start of a job. On a PostgreSQL of its own.
 */
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { Logger, makeWorkerUtils, runTaskList } from "graphile-worker";
import pg from "pg";
import { insertTenant } from "../actors/tenant/tenant.store.ts";
import { systemClock } from "../lib/clock.ts";
import { connectionConfig, type Database, openDatabase } from "../lib/db/database.ts";
import { migrate } from "../lib/db/migrate.ts";
import { enqueueJob, openJobs } from "../lib/jobs/jobs.ts";
import { quietLog } from "../lib/log/log.ts";
import { startEmbeddedPostgres } from "../lib/postgres/embedded.ts";
import { median, quantile, report } from "./report.ts";

const JOBS = 1_000;
const SLOTS = 8;
const ROUNDS = 3;
const LATENCY_JOBS = 100;
const TENANTS = ["019a0000-0000-7000-8000-000000000001", "019a0000-0000-7000-8000-000000000002"];
const quiet = new Logger(() => () => {});

/** Counts runs, and tells when there were `count`. */
const counting = (count: number) => {
  const done = new EventTarget();
  const all = once(done, "all");
  let runs = 0;
  return {
    all,
    one: () => {
      runs += 1;
      if (runs === count) done.dispatchEvent(new Event("all"));
    },
  };
};

const enqueue = (db: Database, kind: string, tenantId: string, payload = {}) =>
  db.tenantTx(tenantId, (tx) => enqueueJob(tx, { kind, tenantId, payload }));

async function ours(db: Database, round: number): Promise<number> {
  const kind = `bench.${round}`;
  const { all, one } = counting(JOBS);
  for (const tenantId of TENANTS) {
    await db.tenantTx(tenantId, async (tx) => {
      for (let n = 0; n < JOBS / TENANTS.length; n += 1) await enqueueJob(tx, { kind, tenantId, payload: { n } });
    });
  }
  const jobs = openJobs({ db, log: quietLog, clock: systemClock, nodeId: "bench" });
  const run = async () => ({ write: async () => one() });
  jobs.register(kind, { slots: SLOTS, handler: { run } });
  const startedAt = performance.now();
  await jobs.start();
  await all;
  const perSecond = JOBS / ((performance.now() - startedAt) / 1e3);
  await jobs.stop();
  return perSecond;
}

async function bare(db: Database, round: number): Promise<number> {
  const task = `bare.${round}`;
  const { all, one } = counting(JOBS);
  const pgPool = new pg.Pool({ ...connectionConfig({ url: db.url, applicationName: "bench" }), max: SLOTS + 2 });
  pgPool.on("error", () => {});
  pgPool.on("connect", (client) => client.on("error", () => {}));
  const utils = await makeWorkerUtils({ pgPool, logger: quiet });
  await utils.addJobs(Array.from({ length: JOBS }, (_, n) => ({ identifier: task, payload: { n } })));
  const startedAt = performance.now();
  const options = { concurrency: SLOTS, noHandleSignals: true, logger: quiet };
  const working = runTaskList(options, { [task]: async () => one() }, pgPool);
  await all;
  const perSecond = JOBS / ((performance.now() - startedAt) / 1e3);
  await working.gracefulShutdown();
  await utils.release();
  await pgPool.end();
  return perSecond;
}

/** From the commit of an idle queue's only job to its start. */
async function latencies(db: Database): Promise<number[]> {
  const jobs = openJobs({ db, log: quietLog, clock: systemClock, nodeId: "bench" });
  let started = (): void => {};
  const run = async () => {
    started();
    return {};
  };
  jobs.register("bench.latency", { slots: SLOTS, handler: { run } });
  await jobs.start();
  const found: number[] = [];
  for (let n = 0; n < LATENCY_JOBS; n += 1) {
    const starting = new Promise<void>((resolve) => {
      started = resolve;
    });
    await enqueue(db, "bench.latency", TENANTS[0]!);
    const committedAt = performance.now();
    await starting;
    found.push(performance.now() - committedAt);
  }
  await jobs.stop();
  return found;
}

const main = async (): Promise<void> => {
  const dataDir = mkdtempSync(path.join(tmpdir(), "castellan-bench-"));
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog });
  await migrate({ url: server.url });
  const db = openDatabase({ url: server.url, applicationName: "bench", poolMax: SLOTS + 2 });
  for (const id of TENANTS) {
    await db.tenantTx(null, (tx) => insertTenant(tx, { id, slug: `t-${id}`, name: "T" }));
  }
  const found: { ours: number; bare: number }[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    found.push({ bare: await bare(db, round), ours: await ours(db, round) });
  }
  const waits = await latencies(db);
  const ratio = median(found.map((each) => each.ours / each.bare));
  const perSecond = (side: "ours" | "bare") => `${Math.round(median(found.map((each) => each[side])))}/s`;
  const ms = (q: number) => `${quantile(waits, q).toFixed(1)} ms`;
  report("Jobs through the port against graphile-worker alone", [
    { what: `${JOBS} jobs, ${SLOTS} slots`, value: perSecond("ours"), against: `graphile-worker ${perSecond("bare")}` },
    { what: "ratio", value: ratio.toFixed(2), goal: "≥ 0.15" },
    { what: "commit → start, p50 / p99", value: `${ms(0.5)} / ${ms(0.99)}` },
  ]);
  await db.close();
  await server.stop();
  rmSync(dataDir, { recursive: true, force: true });
};

await main();
