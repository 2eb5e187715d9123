/** A database with tenants, and workers on it that end with the test. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import type { TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { type Clock, systemClock } from "../../lib/clock.ts";
import { type Database, openDatabase } from "../../lib/db/database.ts";
import { enqueueJob, type JobHandler, type JobSpec, type Jobs, openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { type TestDatabase, testDatabase } from "../support/database.ts";

export const DEADLINE_MS = 60_000;
const LOOK_EVERY_MS = 20;

/** What a condition gives as soon as it holds. */
export async function until<T>(what: string, look: () => Promise<T | undefined | false> | T | undefined | false) {
  const endsAtMs = performance.now() + DEADLINE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < endsAtMs, `${what} did not happen`);
    await pause(LOOK_EVERY_MS);
  }
}

export interface JobRecord {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly attempt: number;
  readonly epoch: number;
  readonly nodeId: string | null;
  readonly percent: number | null;
  readonly errorCode: string | null;
  readonly result: unknown;
}

export interface Scene {
  readonly db: TestDatabase;
  readonly tenants: readonly string[];
  readonly tenantId: string;
  enqueue(spec?: Partial<JobSpec>): Promise<string>;
  /** As stored, the queue's part of a live one included. */
  job(jobId: string): Promise<JobRecord>;
  jobs(): Promise<JobRecord[]>;
  untilState(jobId: string, state: string): Promise<JobRecord>;
}

const JOBS = `
  select j.id, j.kind, case when j.state <> 'live' then j.state when q.holder is null then 'queued' else 'running' end
      as state, coalesce(q.attempt, j.attempt) as attempt, coalesce(q.epoch, j.epoch)::int as epoch,
    coalesce(q.node_id, j.node_id) as "nodeId", percent, error_code as "errorCode", result
  from job j left join job_queue q on q.job_id = j.id`;

export async function scene(t: TestContext, tenantCount = 1): Promise<Scene> {
  const db = await testDatabase(t, { poolMax: 10 });
  const tenants = Array.from({ length: tenantCount }, () => randomUUID());
  for (const id of tenants)
    await db.asOwner("insert into tenant (id, slug, name) values ($1, $2, 'T')", [id, `t-${id}`]);
  const tenantId = tenants[0]!;
  const job = async (jobId: string) => (await db.asOwner<JobRecord>(`${JOBS} where j.id = $1`, [jobId])).rows[0]!;
  return {
    db,
    tenants,
    tenantId,
    job,
    enqueue: async (spec = {}) => {
      const whole = { kind: "test.job", tenantId, payload: {}, ...spec };
      return (await db.tenantTx(whole.tenantId, (tx) => enqueueJob(tx, whole))).jobId;
    },
    jobs: async () => (await db.asOwner<JobRecord>(`${JOBS} order by j.created_at, j.id`)).rows,
    untilState: (jobId, state) =>
      until(`${state} of a job`, async () => {
        const now = await job(jobId);
        return now.state === state && now;
      }),
  };
}

export interface WorkersOf {
  readonly kinds?: Readonly<Record<string, JobHandler<never>["run"] | JobHandler<never>>>;
  readonly slots?: number;
  readonly pool?: string;
  readonly nodeId?: string;
  readonly clock?: Clock;
  readonly leaseTtlMs?: number;
  readonly waitMaxMs?: number;
  /** Through a proxy, for one. */
  readonly url?: string;
}

/** A process's workers, within this one. They are started, and stopped with the test. */
export async function workers(t: TestContext, { db }: { readonly db: Database }, of: WorkersOf): Promise<Jobs> {
  const { kinds = {}, slots = 2, pool, nodeId = "node", clock = systemClock, leaseTtlMs, waitMaxMs, url } = of;
  const own: Database = openDatabase({ url: url ?? db.url, applicationName: nodeId });
  const jobs = openJobs({
    db: own,
    log: quietLog,
    clock,
    nodeId,
    ...(leaseTtlMs ? { leaseTtlMs } : {}),
    ...(waitMaxMs ? { waitMaxMs } : {}),
  });
  for (const [kind, given] of Object.entries(kinds)) {
    const handler = typeof given === "function" ? { run: given } : given;
    jobs.register(kind, { slots, handler, ...(pool ? { pool } : {}) });
  }
  await jobs.start();
  t.after(async () => {
    await jobs.stop();
    await own.close();
  });
  return jobs;
}

/** Resolves when the signal does; for handlers that run until they are told to end. */
export const untilAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const end = () => reject(signal.reason);
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
