/** Reads jobs as people see them, in the transaction of their tenant; lib/jobs writes them. */
import type { Tx } from "../../lib/db/database.ts";

export interface JobRow {
  readonly id: string;
  readonly kind: string;
  readonly state: "queued" | "running" | "done" | "dead" | "cancelled";
  readonly cancelling: boolean;
  readonly subjectKind: string | null;
  readonly subjectId: string | null;
  readonly priority: number;
  readonly attempt: number;
  readonly attemptsMax: number;
  readonly percent: number | null;
  readonly fps: number | null;
  readonly etaSeconds: number | null;
  readonly note: string | null;
  readonly errorCode: string | null;
  readonly errorMessage: string | null;
  readonly waitCount: number | null;
  readonly waitingSince: Date | null;
  readonly nodeId: string | null;
  readonly createdAt: Date;
  readonly runAt: Date | null;
  readonly startedAt: Date | null;
  readonly endedAt: Date | null;
  readonly updatedAt: Date;
}

const STATE = "case when j.state <> 'live' then j.state when q.holder is null then 'queued' else 'running' end";
/** What an attempt came to that broke off is done again by the next one: while that waits there is nothing of it. */
const WORKED = (column: string) => `case when j.state <> 'live' or q.holder is not null then j.${column} end`;
const JOB = `
  j.id, j.kind, ${STATE} as state, coalesce(q.cancelled and not q.is_over, false) as cancelling,
  j.subject_kind as "subjectKind", j.subject_id as "subjectId", j.priority,
  coalesce(q.attempt, j.attempt) as attempt, j.attempts_max as "attemptsMax",
  ${WORKED("percent")} as percent, ${WORKED("fps")} as fps, ${WORKED("eta_seconds")} as "etaSeconds",
  j.note, j.error_code as "errorCode", j.error_message as "errorMessage",
  coalesce(q.node_id, j.node_id) as "nodeId", j.created_at as "createdAt",
  case when q.holder is null then q.wait_count end as "waitCount",
  case when q.holder is null and not q.is_over then q.waiting_since end as "waitingSince",
  case when not q.is_over then q.run_at end as "runAt", coalesce(q.claimed_at, j.started_at) as "startedAt",
  j.ended_at as "endedAt", greatest(j.updated_at, q.claimed_at) as "updatedAt"`;
const FROM = "from job j left join job_queue q on q.job_id = j.id";

export interface ListOf {
  readonly kind?: string | undefined;
  readonly state?: string | undefined;
  readonly subjectKind?: string | undefined;
  readonly subjectId?: string | undefined;
  /** Older than this one; null for the first page. */
  readonly beforeId: string | null;
  readonly rowCount: number;
}

export const selectJobs = async (tx: Tx, of: ListOf): Promise<JobRow[]> => {
  const { kind = null, state = null, subjectKind = null, subjectId = null, beforeId, rowCount } = of;
  const { rows } = await tx.query<JobRow>(
    `select ${JOB} ${FROM}
     where ($1::text is null or j.kind = $1) and ($2::text is null or ${STATE} = $2)
       and ($3::text is null or j.subject_kind = $3) and ($4::text is null or j.subject_id = $4)
       and ($5::uuid is null or j.id < $5)
     order by j.id desc limit $6`,
    [kind, state, subjectKind, subjectId, beforeId, rowCount],
  );
  return rows;
};

export const selectJob = async (
  tx: Tx,
  jobId: string,
): Promise<(JobRow & { readonly result: unknown }) | undefined> => {
  const { rows } = await tx.query<JobRow & { result: unknown }>(`select ${JOB}, j.result ${FROM} where j.id = $1`, [
    jobId,
  ]);
  return rows[0];
};

export interface WatchOf {
  readonly jobId?: string | undefined;
  readonly subject?: { readonly kind: string; readonly id: string } | undefined;
  readonly after: { readonly changed: string; readonly jobId: string };
  readonly rowCount: number;
}
const WATCHED = "($1::uuid is null or j.id = $1) and ($2::text is null or (j.subject_kind = $2 and j.subject_id = $3))";
const watchedOf = ({ jobId, subject }: Pick<WatchOf, "jobId" | "subject">) => [
  jobId ?? null,
  subject?.kind ?? null,
  subject?.id ?? null,
];

/** In the order of their changes. A transaction that is not yet there was named before the database was restored. */
export const selectChanged = async (tx: Tx, of: WatchOf): Promise<(JobRow & { readonly changed: string })[]> => {
  const { rows } = await tx.query<JobRow & { changed: string }>(
    `select * from (select ${JOB}, greatest(j.changed, q.changed) as at ${FROM} where ${WATCHED}) of
     cross join lateral (select at::text as changed) as told
     where $4::text::xid8 > pg_snapshot_xmax(pg_current_snapshot()) or (at, id) > ($4::text::xid8, $5::uuid)
     order by at, id limit $6`,
    [...watchedOf(of), of.after.changed, of.after.jobId, of.rowCount],
  );
  return rows;
};

export interface Sums {
  readonly jobCount: number;
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  readonly dead: number;
  /** Of all but cancelled ones: 0 to 100. */
  readonly percent: number | null;
  /** What all of them have worked, side by side or not. */
  readonly busySeconds: number;
  /** All transactions before this one are over. */
  readonly settled: string;
}

/** Jobs that follow within this time are one piece of work: each is enqueued by news of the last one. */
const CHAIN_GAP = "10 s";

/** Of the newest piece of work: what was done a month ago says nothing of a file that came now. */
export const selectSums = async (tx: Tx, of: Pick<WatchOf, "jobId" | "subject">): Promise<Sums> => {
  const { rows } = await tx.query<Sums>(
    `with of as (select ${JOB} ${FROM} where ${WATCHED}),
     chain as (
       select "createdAt", max(coalesce("endedAt", 'infinity'))
         over (order by "createdAt", id rows between unbounded preceding and 1 preceding) as "endedBefore" from of),
     newest as materialized (
       select max("createdAt") as began from chain
       where "endedBefore" is null or "createdAt" > "endedBefore" + interval '${CHAIN_GAP}')
     select count(*) as "jobCount", count(*) filter (where state = 'queued') as queued,
       count(*) filter (where state = 'running') as running, count(*) filter (where state = 'done') as done,
       count(*) filter (where state = 'dead') as dead,
       avg(case state when 'done' then 100 else coalesce(percent, 0) end)
         filter (where state <> 'cancelled') as percent,
       coalesce(extract(epoch from sum(coalesce("endedAt", now()) - "startedAt")), 0)::float8 as "busySeconds",
       pg_snapshot_xmin(pg_current_snapshot())::text as settled
     from of, newest where "createdAt" >= began`,
    watchedOf(of),
  );
  return rows[0]!;
};

export interface Stat {
  readonly kind: string;
  readonly state: JobRow["state"];
  readonly count: number;
  readonly oldestAgeSeconds: number;
}
export const selectStats = async (tx: Tx): Promise<Stat[]> => {
  const { rows } = await tx.query<Stat>(
    `select j.kind, ${STATE} as state, count(*),
       extract(epoch from now() - min(j.created_at))::float8 as "oldestAgeSeconds"
     ${FROM} group by 1, 2 order by 1, 2`,
  );
  return rows;
};
