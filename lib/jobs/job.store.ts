/**
 * All SQL on the jobs' tables. Claims and leases are made outside of any tenant, everything else as the tenant of the
 * job. Every write of a worker carries the epoch of its claim (the fence).
 */
import { randomUUIDv7 } from "node:crypto";
import { fail, messageOf } from "../../contracts/errors.ts";
import type { Database, Tx } from "../db/database.ts";
import type { JobProgress, JobSpec } from "./port.ts";

/** Told to who listens when a job changed: `tenant job subjectKind subjectId`. */
export const JOB_CHANNEL = "castellan_job";

const ATTEMPTS_MAX = 5;
/** A worker that dies 10 times over one job is killed by that job. */
const LAPSES_MAX = 10;
const PAYLOAD_BYTES_MAX = 256 * 1024;
const PRIORITY_LIMIT = 32_767; // graphile-worker's priority is a smallint
const SWEEP_ROWS_MAX = 50; // of each kind; one wake-up fills all free slots of a process
const KEY_RACES_MAX = 5;

/** A job in the hands of one worker. */
export interface Claim {
  readonly jobId: string;
  readonly tenantId: string;
  readonly kind: string;
  readonly payload: never;
  readonly attempt: number;
  readonly attemptsMax: number;
  readonly epoch: number;
  /** How often in a row something that it needs was away, and since when (null: it was not). */
  readonly waitCount: number;
  readonly waitingSinceMs: number | null;
  /** Its time in the queue, for the figures. */
  readonly waitedMs: number;
  /** What is told to who listens when it changes. */
  readonly hint: string;
}
export type Fence = Pick<Claim, "jobId" | "tenantId" | "epoch">;

export interface Reason {
  readonly code: string;
  readonly message: string;
}

/** Tells who listens that a row of the queue changed. */
export const NOTIFY = (job: string): string =>
  `pg_notify('${JOB_CHANNEL}', concat_ws(' ', ${job}.owner_id, ${job}.job_id, ${job}.subject_kind, ${job}.subject_id))`;

/** Wakes a worker for a row of the queue. */
export const WAKE_UP = (job: string): string =>
  `graphile_worker.add_job(${job}.kind, '{}', job_key := ${job}.job_id::text, priority := ${job}.priority::int,
     flags := array[${job}.kind])`;

const textOf = (value: object, what: string): string => {
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > PAYLOAD_BYTES_MAX) throw new Error(`bug: ${what} is too large`);
  return text;
};

const ENQUEUE = `
with queued as (
  insert into job_queue (job_id, owner_id, kind, key, subject_kind, subject_id, priority, run_at, attempts_max, epoch,
    payload)
  values ($1, $2, $3, $4, $5, $6, $7, coalesce(to_timestamp($8::float8 / 1000), now()), $9, 0, $10::jsonb)
  on conflict (owner_id, kind, key) where key is not null and not cancelled do nothing
  returning *
), made as (
  insert into job (id, tenant_id, kind, payload, subject_kind, subject_id, key, priority, attempts_max)
  select job_id, owner_id, kind, payload, subject_kind, subject_id, key, priority, attempts_max from queued
)
select ${NOTIFY("queued")},
  graphile_worker.add_job(kind, '{}', run_at := run_at, job_key := job_id::text, priority := priority::int,
    flags := array[kind])
from queued`;

/** See jobs.ts. */
export async function enqueueJob(tx: Tx, spec: JobSpec): Promise<{ readonly jobId: string; readonly isNew: boolean }> {
  const { kind, tenantId, key = null, subject, runAtMs = null } = spec;
  const priority = Math.max(-PRIORITY_LIMIT, Math.min(PRIORITY_LIMIT, Math.round(spec.priority ?? 0)));
  const payload = textOf(spec.payload, `the payload of ${kind}`);
  const values = [tenantId, kind, key, subject?.kind ?? null, subject?.id ?? null, priority, runAtMs];
  for (let race = 0; race < KEY_RACES_MAX; race += 1) {
    const jobId = randomUUIDv7();
    const { rowCount } = await tx.query(ENQUEUE, [jobId, ...values, spec.attemptsMax ?? ATTEMPTS_MAX, payload]);
    if (rowCount === 1) return { jobId, isNew: true };
    const { rows } = await tx.query<{ jobId: string }>(
      `select job_id as "jobId" from job_queue where owner_id = $1 and kind = $2 and key = $3 and not cancelled`,
      [tenantId, kind, key],
    );
    // It may have ended between the two statements.
    if (rows[0]) return { jobId: rows[0].jobId, isNew: false };
  }
  throw new Error(`bug: the key ${key} of ${kind} is never free and never taken`);
}

const CANCELLED: Reason = { code: "JOB_CANCELLED", message: messageOf("JOB_CANCELLED") };
// What nobody holds has ended with it; its kind hears of it afterwards (claimEnding).
const CANCEL = (which: string, nth: number): string => `
with marked as (
  update job_queue set cancelled = true, is_over = holder is null, changed = default where ${which} returning *
), over as (
  update job set state = 'cancelled', ended_at = now(), updated_at = now(), changed = default, eta_seconds = null,
    attempt = m.attempt, epoch = m.epoch, node_id = m.node_id, started_at = m.claimed_at, error_code = $${nth},
    error_message = $${nth + 1}
  from marked m where m.is_over and job.id = m.job_id
)
select ${NOTIFY("marked")} from marked`;

/** See jobs.ts. Workers hear of what they run with their next renewal. */
export async function cancelJobs(
  tx: Tx,
  of: { readonly tenantId: string; readonly subject: { readonly kind: string; readonly id: string } },
): Promise<number> {
  const { rowCount } = await tx.query(
    CANCEL("owner_id = $1 and subject_kind = $2 and subject_id = $3 and not cancelled", 4),
    [of.tenantId, of.subject.kind, of.subject.id, CANCELLED.code, CANCELLED.message],
  );
  return rowCount;
}

/** False: it is not live. */
export async function cancelJob(tx: Tx, jobId: string): Promise<boolean> {
  const values = [jobId, CANCELLED.code, CANCELLED.message];
  const { rowCount } = await tx.query(CANCEL("job_id = $1 and not is_over", 2), values);
  return rowCount > 0;
}

const HINT = "concat_ws(' ', q.owner_id, q.job_id, q.subject_kind, q.subject_id)";
const CLAIMED = `
  q.job_id as "jobId", q.owner_id as "tenantId", q.kind, q.payload, q.attempt, q.attempts_max as "attemptsMax", q.epoch,
  q.wait_count as "waitCount", extract(epoch from q.waiting_since)::float8 * 1000 as "waitingSinceMs",
  extract(epoch from now() - q.run_at)::float8 * 1000 as "waitedMs", ${HINT} as hint`;

/** What other workers may be claiming at this moment: their rows are locked, and passed over. */
const LOOK_AHEAD = 32;
const WAITS = `q.holder is null and q.run_at <= greatest($3, now()) and q.kind = any ($2::text[]) and not q.cancelled
  and q.lapse_count < ${LAPSES_MAX}`;
// Of each tenant its first jobs by priority and age; of these the ones with the best priority, and among equals those
// of the tenant that would have the fewest running jobs, those that are claimed before them counted. Only what is
// taken is locked: who claims meanwhile finds the rest. Wake-ups that stood for them are spent.
const CLAIM = `
with recursive owners as (
  (select owner_id from job_queue order by owner_id limit 1)
  union all
  select (select q.owner_id from job_queue q where q.owner_id > o.owner_id order by q.owner_id limit 1)
  from owners o where o.owner_id is not null
), busy as (
  select owner_id, count(*) as n from job_queue where holder is not null group by owner_id
), heads as (
  select head.* from owners o cross join lateral (
    select q.job_id, q.owner_id, q.priority, q.created_at from job_queue q
    where q.owner_id = o.owner_id and ${WAITS}
    order by q.priority, q.created_at, q.job_id limit $5 + ${LOOK_AHEAD}) head
), loads as (
  select heads.*, coalesce(n, 0)
    + row_number() over (partition by owner_id order by priority, created_at, job_id) as load
  from heads left join busy using (owner_id)
), turns as (
  select job_id, row_number() over (order by priority, load, created_at, job_id) as turn
  from loads order by turn limit $5 + ${LOOK_AHEAD}
), next as (
  select q.job_id, turn from turns join job_queue q using (job_id) where ${WAITS}
  order by turn limit $5 for update of q skip locked
), spent as (
  delete from graphile_worker._private_jobs w using next where w.key = next.job_id::text and w.locked_at is null
), claimed as (
  update job_queue q set holder = $1, node_id = $4, epoch = epoch + 1, attempt = attempt + 1, claimed_at = now(),
    changed = default
  from next where q.job_id = next.job_id
  returning next.turn, ${CLAIMED}
)
select * from claimed order by turn`;

/** Twice what a statement of a worker may take, its answer included. */
const ANSWER_LATEST = "10 s";
// The try does not count.
const LAPSED = `holder = null, node_id = null, run_at = now(), attempt = greatest(attempt - 1, 0),
  lapse_count = lapse_count + 1, changed = default`;

/** What a worker writes. */
export class JobStore {
  readonly #db: Database;
  constructor(db: Database) {
    this.#db = db;
  }

  async openLease(incarnation: string, nodeId: string, ttlMs: number): Promise<void> {
    await this.#db.query(
      `insert into job_worker (incarnation, node_id, lease_until) values ($1, $2, now() + $3 * interval '1 ms')`,
      [incarnation, nodeId, ttlMs],
    );
  }

  /** False: it has ended. */
  async renewLease(incarnation: string, ttlMs: number): Promise<boolean> {
    const { rowCount } = await this.#db.query(
      `update job_worker set renewed_at = now(), lease_until = now() + $2 * interval '1 ms'
       where incarnation = $1 and lease_until > now()`,
      [incarnation, ttlMs],
    );
    return rowCount === 1;
  }

  async closeLease(incarnation: string): Promise<void> {
    await this.#db.query("delete from job_worker where incarnation = $1", [incarnation]);
  }

  /** Those of its jobs that were cancelled. */
  async cancelledOf(incarnation: string): Promise<Set<string>> {
    const { rows } = await this.#db.query<{ id: string }>(
      "select job_id as id from job_queue where holder = $1 and cancelled",
      [incarnation],
    );
    return new Set(rows.map(({ id }) => id));
  }

  /** Jobs of workers whose lease has ended wait again; the try does not count. Gives how many. */
  async reap(): Promise<number> {
    const { rowCount } = await this.#db.query(
      `with gone as (delete from job_worker where lease_until < now() returning incarnation),
       back as (
         update job_queue set ${LAPSED}
         where holder is not null and (holder in (select incarnation from gone)
           or not exists (select from job_worker w where w.incarnation = holder))
         returning *)
       select ${NOTIFY("back")}, ${WAKE_UP("back")} from back`,
    );
    return rowCount;
  }

  /**
   * Jobs that were claimed in a worker's name and that it does not have wait again: the answer to a claim was lost, or
   * an end that could not be written. Those of claims whose answer may still come stay.
   */
  async letGo(incarnation: string, kept: readonly string[]): Promise<void> {
    await this.#db.query(
      `with back as (
         update job_queue set ${LAPSED}
         where holder = $1 and not job_id = any ($2::uuid[])
           and coalesce(claimed_at, '-infinity') < now() - interval '${ANSWER_LATEST}'
         returning *)
       select ${NOTIFY("back")}, ${WAKE_UP("back")} from back`,
      [incarnation, kept],
    );
  }

  /** Ends jobs that were cancelled and that nobody holds any more, whether or not a worker of their kind lives. */
  async endCancelled(): Promise<void> {
    const { rows } = await this.#db.query<{ id: string }>(
      "select distinct owner_id as id from job_queue where holder is null and cancelled and not is_over",
    );
    for (const { id } of rows) {
      await this.#db.tenantTx(id, (tx) =>
        tx.query(CANCEL("owner_id = $1 and holder is null and cancelled and not is_over", 2), [
          id,
          CANCELLED.code,
          CANCELLED.message,
        ]),
      );
    }
  }

  /**
   * Wakes workers for jobs that are due and that no wake-up stands for: one was lost with a worker, or it was spent on
   * another job, or the clock has moved. Of each kind the first ones: the last of many is waited for by nobody.
   */
  async sweep(kinds: readonly string[], nowMs: number): Promise<void> {
    await this.#db.query(
      `select ${WAKE_UP("q")} from (
         select *, row_number() over (partition by kind order by priority, created_at, job_id) as nth
         from job_queue where holder is null and not cancelled
           and run_at <= greatest(to_timestamp($2::float8 / 1000), now()) and kind = any ($1::text[]) and not exists (
             select from graphile_worker._private_jobs w
             where w.key = job_id::text and w.locked_at is null and w.run_at <= now())
         order by priority, created_at, job_id) q
       where nth <= ${SWEEP_ROWS_MAX}`,
      [kinds, nowMs],
    );
  }

  /** Of these kinds the jobs whose turn it is, `count` at most, in their order. */
  async claim(
    incarnation: string,
    nodeId: string,
    of: { readonly kinds: readonly string[]; readonly count: number; readonly nowMs: number },
  ): Promise<Claim[]> {
    const values = [incarnation, of.kinds, new Date(of.nowMs), nodeId, of.count];
    return (await this.#db.query<Claim>(CLAIM, values)).rows;
  }

  /** One that is to end without being run: it was cancelled while it waited, or it has killed too many workers. */
  async claimEnding(
    incarnation: string,
    kinds: readonly string[],
  ): Promise<(Claim & { readonly cancelled: boolean }) | null> {
    const { rows } = await this.#db.query<Claim & { cancelled: boolean }>(
      `with next as (
         select job_id from job_queue where holder is null and kind = any ($2::text[])
           and (cancelled or lapse_count >= ${LAPSES_MAX}) limit 1 for update skip locked)
       update job_queue q set holder = $1, epoch = epoch + 1 from next where q.job_id = next.job_id
       returning q.cancelled, ${CLAIMED}`,
      [incarnation, kinds],
    );
    return rows[0] ?? null;
  }

  /** Written only while the job is still this worker's. */
  async progress({ jobId, tenantId, epoch }: Fence, progress: JobProgress): Promise<void> {
    const { percent = null, fps = null, etaSeconds = null, note = null } = progress;
    await this.#db.tenantTx(tenantId, (tx) =>
      tx.query(
        `update job set updated_at = now(), changed = default, percent = coalesce($3, percent), fps = coalesce($4, fps),
           eta_seconds = $5, note = coalesce($6, note)
         from job_queue q
         where job.id = $1 and job.state = 'live' and q.job_id = $1 and q.epoch = $2 and q.holder is not null`,
        [jobId, epoch, percent, fps, etaSeconds, note],
      ),
    );
  }
}

/** Locks the job for the rest of the transaction. JOB_FENCED unless it is still this worker's. */
export async function holdFence(tx: Tx, { jobId, epoch }: Fence): Promise<{ readonly cancelled: boolean }> {
  const { rows } = await tx.query<{ cancelled: boolean }>(
    "select cancelled from job_queue where job_id = $1 and epoch = $2 and holder is not null for update",
    [jobId, epoch],
  );
  return rows[0] ?? fail("JOB_FENCED", { jobId });
}

/** Whether this very claim has ended as done: the answer to a COMMIT may be lost. */
export async function isDone(tx: Tx, { jobId, epoch }: Fence): Promise<boolean> {
  const { rowCount } = await tx.query("select from job where id = $1 and epoch = $2 and state = 'done'", [
    jobId,
    epoch,
  ]);
  return rowCount === 1;
}

/** After `holdFence`. Its statement has left when this returns; throws at once if the result is too large. */
export function finish(
  tx: Tx,
  { jobId }: Fence,
  end: {
    readonly state: "done" | "dead" | "cancelled";
    readonly result?: object | undefined;
    readonly reason?: Reason;
  },
): Promise<unknown> {
  const result = end.result === undefined ? null : textOf(end.result, "the result of a job");
  return tx.query(
    `with q as (delete from job_queue where job_id = $1 returning *)
     update job set updated_at = now(), changed = default, state = $2, result = $3::jsonb, error_code = $4,
       error_message = $5, attempt = q.attempt, epoch = q.epoch, node_id = q.node_id, started_at = q.claimed_at,
       ended_at = coalesce(ended_at, now()), eta_seconds = null,
       percent = case when $2 = 'done' then 100 else percent end
     from q where job.id = q.job_id`,
    [jobId, end.state, result, end.reason?.code ?? null, end.reason?.message ?? null],
  );
}

/** After `holdFence`: the job waits again. */
export async function putBack(
  tx: Tx,
  { jobId }: Fence,
  back: {
    readonly runAtMs: number;
    readonly counts: boolean;
    readonly waitCount: number;
    readonly waitingSinceMs: number | null;
    readonly reason?: Reason;
  },
): Promise<void> {
  const { runAtMs, counts, waitCount, waitingSinceMs, reason } = back;
  await tx.query(
    `with q as (
       update job_queue set holder = null, node_id = null, run_at = to_timestamp($2::float8 / 1000),
         attempt = attempt - $3::int, wait_count = $4, waiting_since = to_timestamp($5::float8 / 1000),
         changed = default
       where job_id = $1 returning *)
     update job set updated_at = now(), changed = default, error_code = coalesce($6, error_code),
       error_message = coalesce($7, error_message), eta_seconds = null
     from q where job.id = q.job_id returning
       graphile_worker.add_job(q.kind, '{}', run_at := q.run_at, job_key := q.job_id::text,
         priority := q.priority::int, flags := array[q.kind])`,
    [jobId, runAtMs, counts ? 0 : 1, waitCount, waitingSinceMs, reason?.code ?? null, reason?.message ?? null],
  );
}
