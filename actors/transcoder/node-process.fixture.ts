/** A transcoder node of its own that a test may freeze. Settings: JSON in argv. */
import { systemClock } from "../../lib/clock.ts";
import { openDatabase } from "../../lib/db/database.ts";
import { pgEvents } from "../../lib/events/events.ts";
import { openJobs } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import { startTranscoder } from "./transcoder.service.ts";

export interface NodeSettings {
  readonly url: string;
  readonly root: string;
  readonly dataDir: string;
  readonly nodeId: string;
  readonly leaseTtlMs: number;
}

const { url, root, dataDir, nodeId, leaseTtlMs } = JSON.parse(process.argv[2] ?? "") as NodeSettings;
const log = quietLog;
const db = openDatabase({ url, applicationName: nodeId });
const events = pgEvents({ db, log });
const objects = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log });
const jobs = openJobs({ db, log, clock: systemClock, nodeId, leaseTtlMs });
const config = {
  ...{ dataDir, ffmpegPath: null, transcodeSlots: 1 },
  ...({ transcodePreset: "superfast", transcodeCodec: "h264" } as const),
};
const transcoder = await startTranscoder({ config, db, events, objects, jobs, clock: systemClock, log });
await jobs.start();
process.once("SIGTERM", async () => {
  await jobs.stop();
  await events.stop();
  await transcoder.stop();
  await objects.close();
  await db.close();
});
process.stdout.write("ready\n");
