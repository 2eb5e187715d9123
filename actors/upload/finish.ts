/** The job that makes a whole upload a source: its object, ffprobe's word, and the title that it belongs to. */
import { z } from "zod";
import { codeOf, ERRORS, messageOf } from "../../contracts/errors.ts";
import type { Database } from "../../lib/db/database.ts";
import type { JobHandler, JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import type { Judge } from "./media.ts";
import type { Staging } from "./staging.ts";
import { setDone, setEnded, slugOf, type UploadRow } from "./upload.store.ts";
import { type Holder, sourceOf, type Uploads } from "./uploads.ts";

const Payload = z.object({ uploadId: z.uuid() });
export type UploadJob = z.output<typeof Payload>;

export interface FinishDeps {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly staging: Staging;
  readonly uploads: Uploads;
  readonly judge: Judge;
  /** Gives the title that has the source from now on. Again with the same row it changes nothing. */
  readonly attach: (holder: Holder, row: UploadRow, path: string) => Promise<string>;
}

/** A title that is gone, or takes no source: trying again is of no use. */
const isFinal = (error: unknown): boolean => {
  const code = codeOf(error);
  return code !== undefined && !ERRORS[code].retry && ERRORS[code].fault === "client";
};

export const finishHandler = (deps: FinishDeps): JobHandler<UploadJob> => {
  const { db, objects, staging, uploads, judge, attach } = deps;

  const finish = async (row: UploadRow, { signal, progress }: JobRun<UploadJob>): Promise<JobOutcome> => {
    const place = { tenantId: row.tenantId, uploadId: row.id };
    const to = sourceOf(row);
    progress({ note: "moving" });
    await staging.finish({ place, to, sizeBytes: row.offset, signal });
    progress({ note: "checking" });
    const reason = await judge(await objects.input(to), signal);
    if (reason !== null) {
      // Nothing can be read of a store that went away meanwhile either: it says so here, and is waited for.
      await objects.head(to, { signal });
      await uploads.end(row, { state: "refused", error: `The upload is refused: ${reason}.` });
      return { result: { state: "refused", reason } };
    }
    const tenant = (await db.tenantTx(row.tenantId, (tx) => slugOf(tx, row.tenantId))) ?? "";
    const titleId = await attach({ tenantId: row.tenantId, tenant }, row, to.key);
    await staging.remove(place);
    return { result: { state: "done", titleId }, write: (tx) => setDone(tx, row.id, titleId) };
  };

  return {
    async run(job) {
      const { uploadId } = Payload.parse(job.payload);
      const row = await uploads.read(job.tenantId, uploadId);
      if (row.state !== "checking") return { result: { state: row.state } };
      try {
        return await finish(row, job);
      } catch (error) {
        if (!isFinal(error)) throw error;
        await uploads.end(row, { state: "failed", error: (error as Error).message });
        return { result: { state: "failed", reason: (error as Error).message } };
      }
    },
    async ended(tx, { payload, reason }) {
      const { uploadId } = Payload.parse(payload);
      await setEnded(tx, { id: uploadId, state: "failed", error: reason || messageOf("INTERNAL") });
    },
  };
};
