/** What any process may do for the jobs of all: nothing here needs a worker of their kinds. */
import type { Database, Tx } from "../db/database.ts";
import { reaped } from "./figures.ts";
import { JobStore } from "./job.store.ts";

const KEEP_DONE_DAYS = 7;
const KEEP_DEAD_DAYS = 30;
const TRIM_ROWS = 2_000; // short transactions: nobody waits for this
const TRIM_LOCK = 4_202_611_220_330;
/** A wake-up that a dead process held; the library would look at it after 4 hours, and it is worth nothing by then. */
const KEEP_WAKE_UPS_HOURS = 1;

/** Takes jobs back from workers that are gone, and ends cancelled ones that nobody holds. */
export async function keepQueue(db: Database): Promise<void> {
  const store = new JobStore(db);
  reaped.inc(await store.reap());
  await store.endCancelled();
}

/** Removes jobs that ended long ago; of several nodes one does it. Gives how many went. */
export async function trimJobs(db: Database): Promise<number> {
  const { rows } = await db.query<{ id: string }>("select id from tenant order by id");
  let total = 0;
  for (const { id } of rows) {
    for (;;) {
      const count = await db.tenantTx(id, trimTenant);
      total += count;
      if (count < TRIM_ROWS) break;
    }
  }
  await db.query("delete from graphile_worker._private_jobs where locked_at < now() - $1 * interval '1 hour'", [
    KEEP_WAKE_UPS_HOURS,
  ]);
  return total;
}

async function trimTenant(tx: Tx): Promise<number> {
  const { rows } = await tx.query<{ ok: boolean }>("select pg_try_advisory_xact_lock($1) as ok", [TRIM_LOCK]);
  if (!rows[0]?.ok) return 0;
  const { rowCount } = await tx.query(
    `delete from job where id in (
       select id from job where state <> 'live'
         and ended_at < now() - case state when 'dead' then $2::int else $1::int end * interval '1 day' limit $3)`,
    [KEEP_DONE_DAYS, KEEP_DEAD_DAYS, TRIM_ROWS],
  );
  return rowCount;
}
