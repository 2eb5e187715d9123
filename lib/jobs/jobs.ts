/** The door of this folder. */
import type { Clock } from "../clock.ts";
import type { Database } from "../db/database.ts";
import type { Log } from "../log/log.ts";
import type { Jobs } from "./port.ts";
import { Workers } from "./workers.ts";

/**
 * `enqueueJob`: in the transaction of the state that the job belongs to, which is the tenant's. `isNew`: no live job
 * had its key.
 *
 * `cancelJobs`: every live job of a subject ends as cancelled: those that wait at once, those that run hear of it
 * within 2 s, those of a worker that is gone when its lease has ended. Gives how many. Their keys are free at once.
 */
export { showQueue } from "./figures.ts";
export { cancelJob, cancelJobs, enqueueJob } from "./job.store.ts";
export { type JobChange, jobFeed } from "./job-feed.ts";
export { replayJobs } from "./job-orders.ts";
export type { JobHandler, JobKind, JobOutcome, JobProgress, JobRun, JobSpec, JobState, Jobs } from "./port.ts";

export { keepQueue, trimJobs } from "./upkeep.ts";

export interface JobsDeps {
  readonly db: Database;
  readonly log: Log;
  readonly clock: Clock;
  readonly nodeId: string;
  /** How long a process that died is missed. */
  readonly leaseTtlMs?: number;
  /** How long a job waits for something that is away until it is dead. */
  readonly waitMaxMs?: number;
}

/** Nothing runs until `start`. */
export const openJobs = (deps: JobsDeps): Jobs => new Workers(deps);
