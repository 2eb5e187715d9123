import type { ServiceBroker, ServiceSchema } from "moleculer";
import { schedule } from "node-cron";
import {
  cancelJob,
  getJob,
  jobChanged,
  jobStats,
  listJobs,
  replayJob,
  replayJobs,
  subjectProgress,
  watchJobs,
} from "../../contracts/scheduler.ts";
import { announce, answer, type Call, tenantOf } from "../../lib/actor/contract.ts";
import type { Database } from "../../lib/db/database.ts";
import { jobFeed, keepQueue, showQueue, trimJobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import { Scheduler } from "./scheduler.ts";

export interface SchedulerDeps {
  readonly broker: ServiceBroker;
  readonly db: Database;
  readonly log: Log;
}

/** Every worker does the same each second; where none lives, somebody still has to end what is cancelled. */
const KEEP_EVERY_MS = 5_000;
const TRIM_AT = "47 * * * *"; // hourly; of several nodes one does it

/** Wiring of the actor: contract ↔ behaviour, the feed of changes and the removal of old jobs. */
export const schedulerServices = ({ broker, db, log }: SchedulerDeps): ServiceSchema[] => {
  const scheduler = new Scheduler(db);
  const own = (call: Call): string => tenantOf(call).tenantId;
  const feed = jobFeed(db.url, (change) => announce(broker, jobChanged, change));
  const trim = async () => {
    try {
      const count = await trimJobs(db);
      if (count > 0) log.info({ count }, "old jobs were removed");
    } catch (error) {
      log.warn({ err: error }, "old jobs could not be removed; tried again in an hour");
    }
  };
  let keeping: Promise<void> | undefined;
  const keep = () => {
    // A database that is away is asked again.
    keeping ??= keepQueue(db)
      .catch((error: unknown) => log.debug({ err: error }, "the queue of jobs can't be looked after"))
      .finally(() => {
        keeping = undefined;
      });
  };
  let stop = async (): Promise<void> => {};

  return [
    {
      name: "scheduler",
      actions: {
        list: answer(listJobs, (input, call) => scheduler.list(own(call), input)),
        get: answer(getJob, ({ jobId }, call) => scheduler.get(own(call), jobId)),
        cancel: answer(cancelJob, ({ jobId }, call) => scheduler.cancel(own(call), jobId)),
        replay: answer(replayJob, ({ jobId }, call) => scheduler.replay(own(call), jobId)),
        replayDead: answer(replayJobs, ({ kind }, call) => scheduler.replayDead(own(call), kind)),
        stats: answer(jobStats, (_, call) => scheduler.stats(own(call))),
        subjectProgress: answer(subjectProgress, ({ titleId }, call) => scheduler.subjectProgress(own(call), titleId)),
        watch: answer(watchJobs, (input, call) => scheduler.watch(own(call), input)),
      },
      async started() {
        showQueue(db);
        const trimming = schedule(TRIM_AT, trim, { name: "job-trim", noOverlap: true, unref: true });
        const keeper = setInterval(keep, KEEP_EVERY_MS);
        await feed.start();
        stop = async () => {
          clearInterval(keeper);
          await Promise.all([trimming.destroy(), feed.stop(), keeping]);
        };
      },
      stopped: () => stop(),
    },
  ];
};
