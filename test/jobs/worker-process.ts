/**
 * A process with workers that a test may kill or freeze. Settings: JSON in argv. A job waits for `ms` and heeds no
 * signal, as a bad handler would, and writes a row into the table `effect` when it ends.
 */
import { setTimeout as pause } from "node:timers/promises";
import { systemClock } from "../../lib/clock.ts";
import { openDatabase } from "../../lib/db/database.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";

export interface WorkerSettings {
  readonly url: string;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
  readonly slots: number;
}

const { url, nodeId, leaseTtlMs, slots } = JSON.parse(process.argv[2] ?? "") as WorkerSettings;
const say = (...words: readonly unknown[]) => process.stdout.write(`${words.join(" ")}\n`);
const db = openDatabase({ url, applicationName: nodeId });
const jobs = openJobs({ db, log: quietLog, clock: systemClock, nodeId, leaseTtlMs });
jobs.register("test.job", {
  slots,
  handler: {
    run: async ({ jobId, epoch, payload }: { jobId: string; epoch: number; payload: { ms: number } }) => {
      say("started", jobId, epoch);
      await pause(payload.ms);
      say("returns", jobId, epoch);
      return {
        write: async (tx) =>
          void (await tx.query("insert into effect (job_id, epoch, node_id) values ($1, $2, $3)", [
            jobId,
            epoch,
            nodeId,
          ])),
      };
    },
  },
});
process.once("SIGTERM", async () => {
  await jobs.stop();
  await db.close();
  process.exit(0);
});
await jobs.start();
say("ready");
