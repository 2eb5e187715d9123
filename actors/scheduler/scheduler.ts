import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import {
  type cancelJob as CancelJob,
  type Job,
  type jobStats,
  type listJobs,
  REPLAY_MAX,
  type SubjectProgress,
  type watchJobs,
} from "../../contracts/scheduler.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { cancelJob, replayJobs } from "../../lib/jobs/jobs.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import {
  type JobRow,
  type Sums,
  selectChanged,
  selectJob,
  selectJobs,
  selectStats,
  selectSums,
} from "./scheduler.store.ts";

const LIST = "jobs";
/** A page: 400 kB. */
const CHANGED_MAX = 500;
/** Under this share nothing can be told from it. */
const ETA_PERCENT_MIN = 1;

type JobView = z.input<typeof Job>;
type Result<A extends { readonly result: z.ZodType }> = Promise<z.input<A["result"]>>;

const isoOf = (date: Date | null): string | null => date?.toISOString() ?? null;

const viewOf = (row: JobRow): JobView => {
  const { subjectKind, subjectId, errorCode, errorMessage, waitingSince, waitCount } = row;
  const { createdAt, runAt, startedAt, endedAt, updatedAt } = row;
  const error = errorCode !== null ? { code: errorCode, message: errorMessage ?? "" } : null;
  const lookCount = waitCount ?? 0;
  return {
    ...row,
    subject: subjectKind !== null && subjectId !== null ? { kind: subjectKind, id: subjectId } : null,
    error,
    waiting:
      error && waitingSince
        ? { code: error.code, reason: error.message, since: waitingSince.toISOString(), lookCount }
        : null,
    createdAt: createdAt.toISOString(),
    runAt: isoOf(runAt),
    startedAt: isoOf(startedAt),
    endedAt: isoOf(endedAt),
    updatedAt: updatedAt.toISOString(),
  };
};

/** The worst that there is, then the liveliest. */
const stateOf = ({ jobCount, dead, running, queued, done }: Sums): z.output<typeof SubjectProgress>["state"] => {
  if (jobCount === 0) return "none";
  if (dead > 0) return "dead";
  if (running > 0) return "running";
  if (queued > 0) return "queued";
  return done > 0 ? "done" : "cancelled";
};

/** Of all jobs together: the rest takes as much work as what is done did, as many side by side as now. */
const progressOf = (sums: Sums): z.output<typeof SubjectProgress> => {
  const percent = Number(sums.percent ?? 0);
  const { busySeconds, jobCount, running, queued } = sums;
  const canTell = running > 0 && percent >= ETA_PERCENT_MIN;
  const etaSeconds = canTell ? Math.round((busySeconds * (100 - percent)) / percent / running) : null;
  return {
    percent: Math.round(percent * 10) / 10,
    state: stateOf(sums),
    etaSeconds,
    jobCount,
    liveCount: running + queued,
  };
};

/** Jobs of one tenant as people see and order them. */
export class Scheduler {
  readonly #db: Database;
  constructor(db: Database) {
    this.#db = db;
  }

  list(tenantId: string, input: z.output<typeof listJobs.input>): Result<typeof listJobs> {
    const beforeId = uuidAfter(LIST, input.cursor);
    return this.#db.tenantTx(tenantId, async (tx) => {
      const rows = await selectJobs(tx, { ...input, beforeId, rowCount: input.limit + 1 });
      const page = pageOf(LIST, rows, input.limit);
      return { data: page.rows.map(viewOf), nextCursor: page.nextCursor };
    });
  }

  async get(tenantId: string, jobId: string) {
    const row = await this.#db.tenantTx(tenantId, (tx) => found(tx, jobId));
    return { data: { ...viewOf(row), result: row.result } };
  }

  cancel(tenantId: string, jobId: string): Result<typeof CancelJob> {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const before = await found(tx, jobId);
      if (!(await cancelJob(tx, jobId))) fail("JOB_STATE", { state: before.state, reason: "it has ended" });
      return { data: viewOf(await found(tx, jobId)) };
    });
  }

  replay(tenantId: string, jobId: string): Result<typeof CancelJob> {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const { state } = await found(tx, jobId);
      if (state !== "dead") fail("JOB_STATE", { state, reason: "only a dead one can be replayed" });
      const count = await replayJobs(tx, { jobId, countMax: 1 });
      if (count === 0) fail("JOB_STATE", { state, reason: "another one has taken its place" });
      return { data: viewOf(await found(tx, jobId)) };
    });
  }

  async replayDead(tenantId: string, kind: string | undefined): Promise<{ data: { count: number } }> {
    const count = await this.#db.tenantTx(tenantId, (tx) => replayJobs(tx, { kind, countMax: REPLAY_MAX }));
    return { data: { count } };
  }

  async stats(tenantId: string): Result<typeof jobStats> {
    return { data: await this.#db.tenantTx(tenantId, selectStats) };
  }

  async subjectProgress(tenantId: string, titleId: string): Promise<{ data: z.output<typeof SubjectProgress> }> {
    const subject = { kind: "title", id: titleId };
    return { data: progressOf(await this.#db.tenantTx(tenantId, (tx) => selectSums(tx, { subject }))) };
  }

  watch(tenantId: string, { watched, after }: z.output<typeof watchJobs.input>): Result<typeof watchJobs> {
    return this.#db.tenantTx(tenantId, async (tx) => {
      // First: what is over when this is read is among the changes that are read then.
      const sums = await selectSums(tx, watched);
      const rows = await selectChanged(tx, { ...watched, after, rowCount: CHANGED_MAX + 1 });
      const page = rows.slice(0, CHANGED_MAX);
      const changes = page.map((row) => ({ job: viewOf(row), changed: row.changed }));
      return { changes, isMore: rows.length > page.length, progress: progressOf(sums), settled: sums.settled };
    });
  }
}

const found = async (tx: Tx, jobId: string): Promise<JobRow & { readonly result: unknown }> =>
  (await selectJob(tx, jobId)) ?? fail("JOB_NOT_FOUND", { jobId });
