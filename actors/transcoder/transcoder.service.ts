import { totalmem } from "node:os";
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Config } from "../../lib/config/config.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { findFfprobe } from "../../lib/ffmpeg/probe.ts";
import { missingAbilities } from "../../lib/ffmpeg/vod-abilities.ts";
import type { Jobs } from "../../lib/jobs/jobs.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { slotsFor } from "./slots.ts";
import { HEARD, hear, registerKinds } from "./transcoder.ts";
import { sweep, type Work } from "./work.ts";

export interface TranscoderDeps {
  readonly config: Pick<Config, "dataDir" | "ffmpegPath" | "transcodeSlots" | "transcodePreset" | "transcodeCodec">;
  readonly db: Database;
  readonly events: EventBus;
  readonly objects: ObjectStore;
  readonly jobs: Jobs;
  readonly clock: Clock;
  readonly log: Log;
  /** How long chunks stay once their title is complete; a quarter of an hour unless told. */
  readonly partsKeptMs?: number;
}

export interface Transcoder {
  stop(): Promise<void>;
}

const PARTS_KEPT_MS = 15 * 60_000;

/** Registers the kinds of jobs of a transcoder node; they run once `jobs` is started. */
export const startTranscoder = async (deps: TranscoderDeps): Promise<Transcoder> => {
  const { config, db, events, objects, jobs, clock, log } = deps;
  const dir = join(config.dataDir, "transcoder");
  const ffmpeg = await findFfmpeg(config.ffmpegPath);
  const pidFiles = new PidFiles(join(config.dataDir, "run", "transcoder-ffmpeg"));
  const reaped = await pidFiles.reap();
  if (reaped.length > 0) log.info({ pids: reaped }, "transcoder: what an earlier run left was killed");
  const missing = await missingAbilities(ffmpeg);
  if (missing.length > 0) log.warn({ missing }, "transcoder: this ffmpeg can't do all that titles may need");
  const work: Work = {
    ...{ db, objects, clock, log, dir },
    tools: { ffmpeg, pidFiles, log },
    probe: findFfprobe(ffmpeg),
    preset: config.transcodePreset,
    codec: config.transcodeCodec,
    partsKeptMs: deps.partsKeptMs ?? PARTS_KEPT_MS,
  };
  await sweep(work);
  const memory = { totalBytes: totalmem(), limitBytes: process.constrainedMemory() };
  const slots = slotsFor(config.transcodeSlots, memory);
  registerKinds(jobs, work, slots);
  await events.subscribe("transcoder", HEARD, (event) => hear(work, event));
  log.info({ slots }, "transcoder: ready");
  // Its children end with the jobs, which are stopped before it.
  return { stop: () => sweep(work) };
};
