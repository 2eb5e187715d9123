/** What nobody asks for: uploads that wait in vain, bytes that could not be removed, jobs that are not there. */
import type { Database } from "../../lib/db/database.ts";
import { enqueueJob } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { Staging } from "./staging.ts";
import { expired, readUpload, tenantIds, trimEnded, uncleaned, waiting } from "./upload.store.ts";
import { FINISH_JOB, jobOf, PULL_JOB, type Uploads } from "./uploads.ts";

const KEEP_DAYS = 30; // what became of an upload can be asked for so long

export interface SweepDeps {
  readonly db: Database;
  readonly uploads: Uploads;
  readonly staging: Pick<Staging, "idle" | "remove">;
  readonly expiresMs: number;
  readonly log: Log;
}

/** Every node may do it: the second finds nothing. Gives how many uploads expired. */
export const sweep = async (deps: SweepDeps): Promise<number> => {
  let count = 0;
  for (const tenantId of await deps.db.tenantTx(null, tenantIds)) count += await sweepTenant(deps, tenantId);
  await sweepRowless(deps);
  return count;
};

/** A place is made before its row: a kill between them leaves it to nobody. */
const sweepRowless = async ({ db, staging, expiresMs }: SweepDeps): Promise<void> => {
  for (const place of await staging.idle(expiresMs)) {
    const row = await db.tenantTx(place.tenantId, (tx) => readUpload(tx, place.uploadId));
    if (!row) await staging.remove(place);
  }
};

const sweepTenant = async ({ db, uploads, expiresMs, log }: SweepDeps, tenantId: string): Promise<number> => {
  let count = 0;
  // The bytes of one may take their time to be removed, while the client of the next one comes back.
  const ending = { state: "expired", error: "No byte came for too long.", idleMs: expiresMs } as const;
  for (const row of await db.tenantTx(tenantId, (tx) => expired(tx, expiresMs))) {
    if (await uploads.end(row, ending)) count += 1;
  }
  for (const row of await db.tenantTx(tenantId, uncleaned)) await uploads.clean(row);
  await db.tenantTx(tenantId, async (tx) => {
    for (const row of await waiting(tx)) {
      const { isNew } = await enqueueJob(tx, jobOf(row, row.state === "checking" ? FINISH_JOB : PULL_JOB));
      if (isNew) log.info({ upload: row.id }, "an upload that nobody was at goes on");
    }
    await trimEnded(tx, KEEP_DAYS);
  });
  return count;
};
