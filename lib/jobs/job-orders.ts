/** What people order besides a cancel: dead jobs are replayed. In the transaction of the tenant. */
import type { Tx } from "../db/database.ts";
import { NOTIFY, WAKE_UP } from "./job.store.ts";

/** Gives how many were queued; one whose key another live job has by now stays dead. */
export async function replayJobs(
  tx: Tx,
  of: { readonly jobId?: string | undefined; readonly kind?: string | undefined; readonly countMax: number },
): Promise<number> {
  const { rowCount } = await tx.query(
    `with queued as (
       insert into job_queue (job_id, owner_id, kind, key, subject_kind, subject_id, priority, run_at, attempts_max,
         epoch, created_at, payload)
       select id, tenant_id, kind, key, subject_kind, subject_id, priority, now(), attempts_max, epoch, created_at,
         payload
       from job where state = 'dead' and ($1::uuid is null or id = $1) and ($2::text is null or kind = $2)
       order by ended_at limit $3
       on conflict do nothing returning *
     ), back as (
       update job set state = 'live', updated_at = now(), changed = default, ended_at = null, percent = null, fps = null
       from queued where id = job_id
     )
     select ${NOTIFY("queued")}, ${WAKE_UP("queued")} from queued`,
    [of.jobId ?? null, of.kind ?? null, of.countMax],
  );
  return rowCount;
}
