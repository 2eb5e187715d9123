/** `transcode.plan`: looks at the source, decides what is made of it, and puts all its jobs on the list. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { codeOf, fail } from "../../contracts/errors.ts";
import { transcodeStarted } from "../../contracts/transcoder.ts";
import { isIndexed, rewrapArguments } from "../../domain/transcode/other-arguments.ts";
import { type Source, type SourceText, subtitleNote, subtitleOf } from "../../domain/transcode/source.ts";
import { publishFact } from "../../lib/events/events.ts";
import { lastPictureEnd, probeSource } from "../../lib/ffmpeg/probe.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { ObjectInput } from "../../lib/objects/port.ts";
import { enqueueAudio, enqueueAudioHead, enqueueChunk, enqueueSubtitles, keyOf, type Payload } from "./kinds.ts";
import { chunksOf, hasAudioHead, mediaFactsOf, type Plan, planOf } from "./plan.ts";
import { holdState, wantCaptions } from "./settle.ts";
import { insertChunks, setPlan } from "./transcoder.store.ts";
import { folderKey, loadTranscode, type Work, withFolder } from "./work.ts";

interface Looked {
  readonly source: Source;
  readonly input: ObjectInput;
  readonly inputPath: string | null;
}

const refuse = (reason: string): never => fail("SOURCE_UNREADABLE", { reason });

export const planTranscode = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const transcode = await loadTranscode(work, key);
  const { source, input, inputPath } = await look(work, run, transcode.sourcePath);
  const pictureEnd = await pictureEndOf(work, run, { source, input });
  const plan = planOf(source, transcode.codec ?? work.codec, pictureEnd) ?? refuse("nothing tells how long it is");
  return {
    result: { rungs: plan.rungs.map(({ name }) => name), frames: plan.frameCount, notes: source.notes },
    write: async (tx) => {
      await holdState(tx, key, "planning");
      await setPlan(tx, key, { plan, inputPath });
      const chunks = chunksOf(plan);
      await insertChunks(tx, key, chunks);
      for (const { index } of chunks) await enqueueChunk(tx, key, index);
      if (hasAudioHead(plan)) await enqueueAudioHead(tx, key);
      await enqueueAudio(tx, key);
      await enqueueSubtitles(tx, key);
      if (source.video.hasCaptions) await wantCaptions(tx, key);
      await publishFact(tx, transcodeStarted, key.titleId, { ...key, media: mediaFactsOf(plan) });
    },
  };
};

const look = async (work: Work, run: JobRun<Payload>, sourcePath: string): Promise<Looked> => {
  const name = { bucket: "sources", key: sourcePath } as const;
  // A store that is away says so here, and is waited for.
  if ((await work.objects.head(name, { signal: run.signal })) === null) refuse("it is no longer there");
  const input = await work.objects.input(name);
  const source = await probeSource(work.probe, input, { signal: run.signal });
  if (source !== null && isIndexed(source.container) && source.durationSeconds !== null) {
    return { source, input, inputPath: null };
  }
  run.progress({ note: "copying" });
  const { inputPath, seen } = await rewrap(work, run, { source, input });
  const copy = await work.objects.input({ bucket: "segments", key: inputPath });
  const looked = (await probeSource(work.probe, copy, { signal: run.signal })) ?? refuse("its copy can't be read");
  const left = (source?.texts.length ?? 0) > looked.texts.length ? ["left out: subtitles that can't be copied"] : [];
  const notes = [...(source?.notes ?? seen.flatMap((one) => subtitleNote(one) ?? [])), ...left, ...looked.notes];
  return { source: { ...looked, notes }, input: copy, inputPath };
};

/** What of a source is tried to be copied. Sound that Matroska can't hold is coded without loss. */
interface Copied {
  readonly sound: "copy" | "flac" | "none";
  readonly texts: Source["texts"];
}
const attemptsAt = (texts: Source["texts"]): Copied[] => [
  ...(texts.length > 0 ? (["copy", "flac"] as const).map((sound) => ({ sound, texts })) : []),
  ...(["copy", "flac", "none"] as const).map((sound) => ({ sound, texts: [] })),
];

const STREAMS_NOTED = 200;
interface Copy {
  readonly inputPath: string;
  /** Subtitles that ffmpeg saw in the source. */
  readonly seen: readonly Pick<SourceText, "codec" | "streamIndex">[];
}

/** A copy that can be sought; what nobody reads goes. `source`: null where ffprobe can't tell what is in it. */
const rewrap = (
  work: Work,
  run: JobRun<Payload>,
  { source, input }: { readonly source: Source | null; readonly input: ObjectInput },
): Promise<Copy> =>
  withFolder(work, run, async (folder) => {
    const file = join(folder, "source.mkv");
    const seen = new Map<number, Copy["seen"][number]>();
    const onLine = (line: string): void => {
      const subtitle = seen.size < STREAMS_NOTED ? subtitleOf(line) : undefined;
      if (subtitle) seen.set(subtitle.streamIndex, subtitle);
    };
    const attempts = attemptsAt(source?.texts ?? []);
    for (const attempt of attempts) {
      const args = rewrapArguments({ input, file, audio: source?.audio ?? null, ...attempt });
      try {
        await runTranscode(work.tools, { args, signal: run.signal, onLine });
        if ((await stat(file)).size === 0) refuse("nothing in it can be read");
        break;
      } catch (error) {
        if (codeOf(error) !== "TRANSCODE_FAILED") throw error;
        if (attempt === attempts.at(-1)) refuse(String((error as { data?: { reason?: unknown } }).data?.reason));
      }
    }
    const inputPath = `${folderKey(keyOf(run))}/source-${run.epoch}.mkv`;
    await work.objects.putFile({ bucket: "segments", key: inputPath }, file, { signal: run.signal });
    return { inputPath, seen: [...seen.values()] };
  });

/** A file may say more than it has: one that was cut off has nothing where its index points to. */
const CUT_OFF_SECONDS = 2;

const pictureEndOf = async (
  work: Work,
  run: JobRun<Payload>,
  { source, input }: Pick<Looked, "source" | "input">,
): Promise<number | null> => {
  const { video, originSeconds, durationSeconds } = source;
  const stated = video.endSeconds ?? originSeconds + (durationSeconds ?? 0);
  const asked = { streamIndex: video.streamIndex, seconds: stated, signal: run.signal };
  const found = await lastPictureEnd(work.probe, input, asked);
  if (video.endSeconds === null) return found;
  const endsAt = found ?? originSeconds;
  if (video.endSeconds - endsAt <= CUT_OFF_SECONDS) return found;
  const whole = (video.endSeconds - originSeconds).toFixed(1);
  const told =
    found === null ? "nothing is at its end" : `it breaks off after ${(endsAt - originSeconds).toFixed(1)} s`;
  return refuse(`${told}, and says to have ${whole} s`);
};

export type { Plan };
