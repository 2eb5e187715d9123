/** What the jobs of a transcoder share: its tools, a folder for each run, and the rows that a run begins with. */
import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setPath } from "../../contracts/content-set.ts";
import { codeOf, Fault, fail } from "../../contracts/errors.ts";
import type { ChunkOptions } from "../../domain/transcode/video-arguments.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import type { ProbeTools } from "../../lib/ffmpeg/probe.ts";
import type { TranscodeTools } from "../../lib/ffmpeg/transcode.ts";
import type { JobHandler, JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectInput, ObjectName, ObjectStore } from "../../lib/objects/port.ts";
import { failTranscode, hasEnded, keyOf, type Payload, PLAN } from "./kinds.ts";
import type { Plan } from "./plan.ts";
import { revive } from "./revival.ts";
import { findTranscode, type Key, lockTranscode, type Transcode } from "./transcoder.store.ts";

export interface Work {
  readonly db: Database;
  readonly objects: ObjectStore;
  readonly clock: Clock;
  readonly log: Log;
  readonly tools: TranscodeTools;
  readonly probe: ProbeTools;
  /** A folder of this process alone. */
  readonly dir: string;
  readonly preset: ChunkOptions["preset"];
  /** Codec of titles that name none. */
  readonly codec: "h264" | "hevc" | "all";
  /** Players that began while a title grew read its chunks for so long after it is complete. */
  readonly partsKeptMs: number;
}

/** What a killed process left. The folder is this process's alone. */
export const sweep = async ({ dir }: Pick<Work, "dir">): Promise<void> => {
  await mkdir(dir, { recursive: true });
  for (const name of await readdir(dir)) await rm(join(dir, name), { recursive: true, force: true });
};

const NO_ROOM = new Set(["ENOSPC", "EDQUOT"]);

/** A folder for one run of a job; gone with it. Full disks are tried again without end, like a full object store. */
export const withFolder = async <T>(
  work: Work,
  run: Pick<JobRun, "jobId" | "epoch">,
  use: (folder: string) => Promise<T>,
): Promise<T> => {
  const folder = join(work.dir, `${run.jobId}-${run.epoch}`);
  try {
    await mkdir(folder, { recursive: true });
    return await use(folder);
  } catch (error) {
    const errno = (error as { code?: unknown } | null)?.code;
    if (typeof errno === "string" && NO_ROOM.has(errno)) fail("OBJECT_STORE_FULL", { key: "transcoder" });
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};

/** The row of a run; JOB_STATE where it is no longer wanted. */
export const loadTranscode = async (work: Work, key: Key): Promise<Transcode> => {
  const transcode = await work.db.tenantTx(key.tenantId, (tx) => findTranscode(tx, key));
  return transcode ?? fail("JOB_STATE", { state: "over", reason: "its title is gone" });
};
export const loadPlanned = async (work: Work, key: Key): Promise<Transcode & { readonly plan: Plan }> => {
  const transcode = await loadTranscode(work, key);
  const { plan } = transcode;
  return plan === null
    ? fail("JOB_STATE", { state: transcode.state, reason: "nothing is planned" })
    : { ...transcode, plan };
};

/** How ffmpeg reads the source: in its place, or the copy of it that can be sought. */
export const inputOf = (work: Work, { sourcePath, inputPath }: Transcode): Promise<ObjectInput> =>
  work.objects.input(
    inputPath === null ? { bucket: "sources", key: sourcePath } : { bucket: "segments", key: inputPath },
  );

/**
 * Reads objects that rows name. What such a source says of a store that is away (it is not found, it failed) is told as
 * the store's fault, which is waited for; an object that is gone for good stays an error.
 */
export const readingOwn = async <T>(work: Work, names: readonly ObjectName[], use: () => Promise<T>): Promise<T> => {
  try {
    return await use();
  } catch (error) {
    if (!codeOf(error)?.startsWith("SOURCE_")) throw error;
    for (const name of names) if ((await work.objects.head(name)) === null) throw error;
    return fail("OBJECT_STORE_DOWN");
  }
};

/** Keys of everything that one run writes have its epoch. */
export const folderKey = ({ titleId, revision }: Key): string => `${titleId}/r${revision}`;

/** How soon a job that runs hears that its transcode has ended otherwise. */
const LOOK_EVERY_MS = 1_500;

/** Runs while the transcode goes on; null: it has ended, so that there is nothing to do. */
const whileWanted = async <P extends Payload>(
  work: Work,
  run: JobRun<P>,
  make: JobHandler<P>["run"],
): Promise<JobOutcome | null> => {
  const key = keyOf(run);
  const find = () => work.db.tenantTx(key.tenantId, (tx) => findTranscode(tx, key));
  const look = async () => hasEnded(await find());
  const found = await find();
  if (hasEnded(found)) return null;
  // Replayed together with the job that ended it: this one waits for the plan, which relies on it if it needs it.
  if (run.kind !== PLAN && found?.plan === null) fail("DEADLINE_PASSED", { what: "The plan" });
  const over = new AbortController();
  const timer = setInterval(() => {
    // A database that is away says nothing; the job's own lease ends it then.
    look().then(
      (isOver) => isOver && over.abort(new Fault("JOB_STATE", { state: "over", reason: "its transcode has ended" })),
      () => {},
    );
  }, LOOK_EVERY_MS);
  try {
    return await make({
      ...run,
      progress: (told) => run.progress(told),
      signal: AbortSignal.any([run.signal, over.signal]),
    });
  } catch (error) {
    if (over.signal.aborted && !run.signal.aborted) return null;
    // ffmpeg has many words for a store that went away under it, "End of file" among them: the store itself has one.
    const code = codeOf(error);
    const isBlamed = code === "SOURCE_UNREADABLE" || code === "TRANSCODE_FAILED";
    if (isBlamed) await work.objects.head({ bucket: "segments", key: setPath(key.titleId) });
    throw error;
  } finally {
    clearInterval(timer);
  }
};

/**
 * A job whose end is that of its transcode, also where somebody cancelled it: nothing would come of the others. A fault
 * that is the source's is told by its own code, everything else as TRANSCODE_FAILED with what ffmpeg said last.
 */
export const partOfTranscode = <P extends Payload>(work: Work, make: JobHandler<P>["run"]): JobHandler<P> => ({
  run: async (run) => {
    const revived = await revive(work, run);
    if (revived !== null) return revived;
    const outcome = await whileWanted(work, run, make);
    if (outcome === null) return { result: { isOver: true } };
    const { write } = outcome;
    if (write === undefined) return outcome;
    return {
      ...outcome,
      write: async (tx) => {
        if (hasEnded(await lockTranscode(tx, keyOf(run)))) return;
        try {
          await write(tx);
        } catch (error) {
          // One of an earlier failure that was replayed after its transcode went on without it: nobody needs it.
          if (codeOf(error) !== "JOB_STATE") throw error;
        }
      },
    };
  },
  ended: async (tx: Tx, job) => {
    const isSource = job.reason.startsWith(SOURCE_WORDS);
    const code = isSource ? "SOURCE_UNREADABLE" : "TRANSCODE_FAILED";
    const why = { code, reason: job.reason, jobId: job.jobId, nowMs: work.clock.nowMs() };
    await failTranscode(tx, await endedKey(tx, job), why);
  },
});
/** What a job that has ended for good was about: its tenant is that of the transaction. */
export const endedKey = async (tx: Tx, { payload }: { readonly payload: Payload }): Promise<Key> => {
  const { rows } = await tx.query<{ tenantId: string }>("select current_setting('app.tenant_id') as \"tenantId\"");
  return { tenantId: rows[0]?.tenantId ?? "", titleId: payload.titleId, revision: payload.revision };
};

/** How the catalogue's sentence begins: the reason of a job is all that is kept of its error. */
const SOURCE_WORDS = new Fault("SOURCE_UNREADABLE", { reason: "" }).message.split(":")[0] ?? "";
