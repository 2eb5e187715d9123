/** `transcode.pictures`: pictures of a complete title. It plays without them, so that it does not fail with them. */
import { transcodePictures } from "../../contracts/transcoder.ts";
import { publishFact } from "../../lib/events/events.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import { enqueueSet, enqueueTidy, keyOf, type Payload } from "./kinds.ts";
import { makePictures, type PictureRung, type PictureTools } from "./pictures.ts";
import { durationOf, type Plan } from "./plan.ts";
import {
  findTranscode,
  type Key,
  listRungs,
  lockTranscode,
  nextSetSerial,
  type RungRow,
  setStoryboard,
} from "./transcoder.store.ts";
import { loadPlanned, type Work, withFolder } from "./work.ts";

const PROGRESS = ["-progress", "pipe:3"];

const pictureRungs = ({ rungs }: Plan, files: readonly RungRow[]): PictureRung[] =>
  rungs.flatMap(({ name, width, height, dynamicRange }) => {
    const file = files.find((one) => one.name === name);
    return file ? [{ path: file.path, width, height, dynamicRange }] : [];
  });

/** Nothing of it is published where another revision, or none, is the title's by now. */
const isStillWanted = async (work: Work, key: Key): Promise<boolean> => {
  const transcode = await work.db.tenantTx(key.tenantId, (tx) => findTranscode(tx, key));
  return transcode?.state === "complete";
};

export const picture = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const { plan } = await loadPlanned(work, key);
  if (!(await isStillWanted(work, key))) return {};
  const files = await work.db.tenantTx(key.tenantId, (tx) => listRungs(tx, key));
  const tools: Omit<PictureTools, "folder"> = {
    objects: work.objects,
    ffmpeg: (args, signal) => runTranscode(work.tools, { args: [...PROGRESS, ...args], signal }),
    label: `${run.jobId.slice(-12)}-${run.epoch}`,
    signal: run.signal,
    progress: (progress) => run.progress(progress),
  };
  const { titleId, revision } = key;
  const task = {
    ...{ contentId: titleId, revision, durationSeconds: durationOf(plan), hasAudio: plan.sound.length > 0 },
    rungs: pictureRungs(plan, files),
  };
  const pictures = await withFolder(work, run, (folder) => makePictures(task, { ...tools, folder }));
  const { posters, storyboardPath, previewPath, trailerPath } = pictures;
  return {
    result: { posters: posters.length, storyboardPath, previewPath, trailerPath },
    write: async (tx) => {
      const transcode = await lockTranscode(tx, key);
      if (transcode?.state !== "complete") return;
      await setStoryboard(tx, key, storyboardPath);
      await enqueueSet(tx, key, await nextSetSerial(tx, key, transcode.chunksTold));
      // Where the title was tidied before: what runs that were killed have left of these pictures.
      await enqueueTidy(tx, key, { what: "parts", runAtMs: work.clock.nowMs() + work.partsKeptMs });
      const made = { posters: [...posters], storyboardPath, previewPath, trailerPath };
      await publishFact(tx, transcodePictures, titleId, { ...key, ...made });
    },
  };
};
