/**
 * A dead job that somebody replays brings its transcode back, from the plan on: the other jobs have ended with it, and
 * what they made is gone, or soon will be.
 */
import type { Tx } from "../../lib/db/database.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import { dropSet } from "./content-set.ts";
import { enqueuePlan, keyOf, type Payload, PLAN } from "./kinds.ts";
import { findTranscode, lockSet, lockTranscode, restartTranscode, type Transcode } from "./transcoder.store.ts";
import type { Work } from "./work.ts";

/** Only the job that ended it: others that waited then find that it is over. */
const isItsEnd = (transcode: Transcode | null, { jobId }: Pick<JobRun, "jobId">): boolean =>
  transcode?.state === "failed" && transcode.failedJobId === jobId;

/** Behind both locks: who comes late must not take away what has been published since. False: it is not its end. */
const restart = async (work: Work, run: JobRun<Payload>, tx: Tx): Promise<boolean> => {
  const key = keyOf(run);
  await lockSet(tx, key.titleId);
  if (!isItsEnd(await lockTranscode(tx, key), run)) return false;
  run.signal.throwIfAborted();
  await dropSet(work.objects, key.titleId, key.revision);
  await restartTranscode(tx, key);
  return true;
};

/**
 * What comes of a replayed job that ended its transcode: the plan is made anew. Null: it goes on as any other does, as
 * a plan does in each case.
 */
export const revive = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome | null> => {
  const key = keyOf(run);
  const found = await work.db.tenantTx(key.tenantId, (tx) => findTranscode(tx, key));
  if (!isItsEnd(found, run)) return null;
  if (run.kind === PLAN) {
    await work.db.tenantTx(key.tenantId, (tx) => restart(work, run, tx));
    return null;
  }
  // With its end, or not at all: tried again, it would be the job of a transcode that is not planned yet, and end it.
  const write = async (tx: Tx): Promise<void> => {
    if (await restart(work, run, tx)) await enqueuePlan(tx, key);
  };
  return { result: { isRestarted: true }, write };
};
