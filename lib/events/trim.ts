/** Removes events that everybody has handled, and consumers that are no more. */
import cron from "node-cron";
import type { Database } from "../db/database.ts";
import type { Log } from "../log/log.ts";

const HOURLY = "17 * * * *";
const KEEP_HOURS = 24; // handled events, for whoever looks into a fault
const KEEP_DEAD_DAYS = 30;
const FORGET_CONSUMER_DAYS = 7;
const BATCH_ROWS = 5_000; // short transactions: nobody waits for this
const TRIM_LOCK = 4_202_611_211_002;

/** Deletes what is older than its time; of several nodes one does it. Returns the number of events that went. */
export async function trimEvents(db: Database): Promise<number> {
  let total = 0;
  for (;;) {
    const deleted = await db.tenantTx(null, async (tx) => {
      const { rows } = await tx.query<{ ok: boolean }>("select pg_try_advisory_xact_lock($1) as ok", [TRIM_LOCK]);
      if (!rows[0]?.ok) return 0;
      await tx.query(FORGET_CONSUMERS, [FORGET_CONSUMER_DAYS]);
      await tx.query(FORGET_DEAD, [KEEP_DEAD_DAYS]);
      return (await tx.query(DELETE_HANDLED, [KEEP_HOURS, BATCH_ROWS])).rowCount;
    });
    total += deleted;
    if (deleted < BATCH_ROWS) return total;
  }
}

// Without its consumer rows nobody is left to handle a todo row.
const FORGET_CONSUMERS = `
with gone as (
  delete from event_consumer where seen_at < now() - $1 * interval '1 day' returning consumer)
delete from event_todo where consumer in (select consumer from gone)`;

const FORGET_DEAD = `
delete from event_todo using event
where event.id = event_todo.event_id and dead and event.created_at < now() - $1 * interval '1 day'`;

const DELETE_HANDLED = `
delete from event where id in (
  select id from event where created_at < now() - $1 * interval '1 hour'
    and not exists (select from event_todo where event_id = event.id)
  order by created_at limit $2)`;

/** Trims every hour until `stop`. */
export function startTrimming({ db, log }: { db: Database; log: Log }): { stop(): Promise<void> } {
  let running: Promise<void> = Promise.resolve();
  const trim = async () => {
    try {
      const count = await trimEvents(db);
      if (count > 0) log.debug({ count }, "handled events were removed");
    } catch (error) {
      log.warn({ err: error }, "handled events could not be removed; tried again in an hour");
    }
  };
  const task = cron.schedule(
    HOURLY,
    () => {
      running = trim();
      return running;
    },
    { name: "trim events", noOverlap: true },
  );
  return {
    stop: async () => {
      await task.destroy();
      await running;
    },
  };
}
