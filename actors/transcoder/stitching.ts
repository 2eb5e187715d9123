/** The end of a transcode: a rung's chunks become one file, the set is told, and what is no longer needed goes. */
import type { ContentSet } from "../../contracts/content-set.ts";
import { fail } from "../../contracts/errors.ts";
import { transcodeComplete, transcodePlayable } from "../../contracts/transcoder.ts";
import { stitch } from "../../domain/mp4/stitch.ts";
import { SEGMENT_SECONDS } from "../../domain/transcode/timing.ts";
import { publishFact } from "../../lib/events/events.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import { openParts } from "../../lib/objects/parts.ts";
import type { Bucket } from "../../lib/objects/port.ts";
import { stitchedStream } from "../../lib/objects/stitched-stream.ts";
import { composeSet, dropSet, putSet } from "./content-set.ts";
import {
  enqueuePictures,
  enqueueTidy,
  hasEnded,
  keyOf,
  type Payload,
  type RungPayload,
  type TidyPayload,
} from "./kinds.ts";
import { durationOf } from "./plan.ts";
import { holdState, settleRungs } from "./settle.ts";
import {
  enterState,
  findTranscode,
  type Key,
  listChunks,
  listRungs,
  lockSet,
  setPlayable,
  setRung,
} from "./transcoder.store.ts";
import { folderKey, loadPlanned, readingOwn, type Work } from "./work.ts";

export const stitchRung = async (work: Work, run: JobRun<RungPayload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const name = run.payload.rung;
  const { audioPath } = await loadPlanned(work, key);
  const rows = await work.db.tenantTx(key.tenantId, (tx) => listChunks(tx, key));
  const chunks = rows.map(
    ({ paths }) => paths?.[name] ?? fail("JOB_STATE", { state: "encoding", reason: "a chunk is missing" }),
  );
  const source = work.objects.source("segments");
  const path = `${folderKey(key)}/${name}-${run.epoch}.mp4`;
  const options = { contentType: "video/mp4", signal: run.signal };
  const parts = [...chunks, ...(audioPath === null ? [] : [audioPath])];
  const names = parts.map((part) => ({ bucket: "segments", key: part }) as const);
  const { sizeBytes } = await readingOwn(work, names, async () => {
    const { movies, all } = await openParts(source, { chunks, audio: audioPath }, { signal: run.signal });
    const stitched = stitch(movies, { layout: "final", segmentSeconds: SEGMENT_SECONDS });
    return work.objects.put({ bucket: "segments", key: path }, stitchedStream(source, all, stitched), options);
  });
  return {
    result: { path, sizeBytes },
    write: async (tx) => {
      await holdState(tx, key, "stitching");
      await setRung(tx, key, { name, path, sizeBytes });
      await settleRungs(tx, key);
    },
  };
};

/** As the rows are now, behind the lock of the title's writers. */
const publishSet = (work: Work, key: Key): Promise<ContentSet | null> =>
  work.db.tenantTx(key.tenantId, async (tx) => {
    await lockSet(tx, key.titleId);
    const transcode = await findTranscode(tx, key);
    if (transcode?.plan == null || transcode.state === "failed" || transcode.state === "cancelled") return null;
    const [chunks, rungs] = [await listChunks(tx, key), await listRungs(tx, key)];
    const set = composeSet({ transcode, plan: transcode.plan, chunks, rungs });
    if (set !== null) await putSet(work.objects, set);
    return set;
  });

/** `transcode.set`: there is more to play. */
export const writeSet = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const set = await publishSet(work, key);
  return {
    write: async (tx) => {
      if (set !== null && (await setPlayable(tx, key))) await publishFact(tx, transcodePlayable, key.titleId, key);
    },
  };
};

/** `transcode.finish` */
export const finish = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const { plan } = await loadPlanned(work, key);
  const set = await publishSet(work, key);
  if (set?.state !== "complete") return fail("JOB_STATE", { state: "stitching", reason: "a rung is missing" });
  const files = await work.db.tenantTx(key.tenantId, (tx) => listRungs(tx, key));
  const seconds = durationOf(plan);
  const rungs = plan.rungs.map(({ name, width, height }) => {
    const sizeBytes = files.find((file) => file.name === name)?.sizeBytes ?? 0;
    return { name, width, height, bitsPerSecond: Math.round((8 * sizeBytes) / seconds) };
  });
  return {
    result: { rungs },
    write: async (tx) => {
      await holdState(tx, key, "stitching");
      await enterState(tx, key, "complete");
      if (await setPlayable(tx, key)) await publishFact(tx, transcodePlayable, key.titleId, key);
      await publishFact(tx, transcodeComplete, key.titleId, { ...key, rungs });
      await enqueuePictures(tx, key);
      await enqueueTidy(tx, key, { what: "parts", runAtMs: work.clock.nowMs() + work.partsKeptMs });
    },
  };
};

const REVISION = /^[^/]+\/r(\d+)\//;
const BATCH = 500;

const deleteWhere = async (
  work: Work,
  {
    bucket,
    prefix,
    isGone,
  }: { readonly bucket: Bucket; readonly prefix: string; readonly isGone: (key: string) => boolean },
): Promise<number> => {
  let gone: string[] = [];
  let count = 0;
  const flush = async (): Promise<void> => {
    if (gone.length > 0) await work.objects.delete(bucket, gone);
    count += gone.length;
    gone = [];
  };
  for await (const { key } of work.objects.list(bucket, { prefix })) {
    if (isGone(key)) gone.push(key);
    if (gone.length >= BATCH) await flush();
  }
  await flush();
  return count;
};

/** Tells the pictures that a killed run has left from those that the one that was published made: by their label. */
const brokenPictures = (storyboardPath: string): ((path: string) => boolean) => {
  const [, folder, label] = /^(.*\/)storyboard-(.+)\.vtt$/.exec(storyboardPath) ?? [];
  if (folder === undefined || label === undefined) throw new Error(`bug: a storyboard called ${storyboardPath}`);
  return (path) => path.startsWith(folder) && !path.slice(folder.length).includes(`-${label}`);
};

/**
 * `transcode.tidy`: of a complete revision chunks, copies and what failed attempts left, and older revisions whole;
 * their pictures stay until this one has its own.
 */
export const tidy = async (work: Work, run: JobRun<TidyPayload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const { titleId, revision } = key;
  if (run.payload.what === "all") {
    const transcode = await work.db.tenantTx(key.tenantId, (tx) => findTranscode(tx, key));
    if (!hasEnded(transcode)) return { result: { objects: 0 } }; // somebody had its job replayed
    await dropSet(work.objects, titleId, revision);
    let objects = 0;
    for (const bucket of ["segments", "thumbnails", "trailers"] as const) {
      objects += await deleteWhere(work, { bucket, prefix: `${folderKey(key)}/`, isGone: () => true });
    }
    return { result: { objects } };
  }
  const kept = await work.db.tenantTx(key.tenantId, async (tx) => {
    const transcode = await findTranscode(tx, key);
    if (transcode?.state !== "complete") return null;
    const rungs = await listRungs(tx, key);
    const paths = new Set([...rungs.map(({ path }) => path), ...transcode.subtitles.map(({ path }) => path)]);
    return { paths, storyboardPath: transcode.storyboardPath };
  });
  if (kept === null) return { result: { objects: 0 } }; // what is left of it goes with the title
  const revisionOf = (path: string): number => Number(REVISION.exec(path)?.[1] ?? Number.POSITIVE_INFINITY);
  const isOld = (path: string): boolean => revisionOf(path) < revision;
  const isPart = (path: string): boolean => revisionOf(path) === revision && !kept.paths.has(path);
  let objects = await deleteWhere(work, {
    bucket: "segments",
    prefix: `${titleId}/r`,
    isGone: (path) => isOld(path) || isPart(path),
  });
  // Pictures may have failed, or be on their way still; once they are there, this is done again.
  if (kept.storyboardPath === null) return { result: { objects } };
  const isBroken = brokenPictures(kept.storyboardPath);
  for (const bucket of ["thumbnails", "trailers"] as const) {
    objects += await deleteWhere(work, {
      bucket,
      prefix: `${titleId}/r`,
      isGone: (path) => isOld(path) || isBroken(path),
    });
  }
  return { result: { objects } };
};
