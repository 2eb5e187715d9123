/** `transcode.audio`: every sound track, whole, in one MP4; before it the beginning of them, with the same frames. */
import { join } from "node:path";
import { soundArguments } from "../../domain/transcode/other-arguments.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { ObjectInput } from "../../lib/objects/port.ts";
import { keyOf, type Payload } from "./kinds.ts";
import { durationOf, HEAD_SECONDS, type Plan } from "./plan.ts";
import { holdState, settleParts } from "./settle.ts";
import { setAudio, setAudioHead } from "./transcoder.store.ts";
import { folderKey, inputOf, loadPlanned, type Work, withFolder } from "./work.ts";

export const makeSound = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const transcode = await loadPlanned(work, key);
  const { plan } = transcode;
  const durationSeconds = durationOf(plan);
  const outcome = (audioPath: string | null): JobOutcome => ({
    result: { tracks: plan.sound.length },
    write: async (tx) => {
      await holdState(tx, key, "encoding");
      await setAudio(tx, key, audioPath);
      await settleParts(tx, key, { isNews: true });
    },
  });
  if (plan.sound.length === 0) return outcome(null);
  const input = await inputOf(work, transcode);
  return outcome(await encoded(work, run, { plan, input, seconds: durationSeconds, name: "audio" }));
};

/** The encoder looks ahead less than a second: what lies before the end of this is what the whole has there. */
const AHEAD_SECONDS = 5;

/** `transcode.audioHead` */
export const makeSoundHead = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const transcode = await loadPlanned(work, key);
  const { plan } = transcode;
  const input = await inputOf(work, transcode);
  const path = await encoded(work, run, { plan, input, seconds: HEAD_SECONDS + AHEAD_SECONDS, name: "audio-head" });
  return {
    write: async (tx) => {
      await holdState(tx, key, "encoding");
      await setAudioHead(tx, key, path);
      await settleParts(tx, key);
    },
  };
};

interface Wanted {
  readonly plan: Plan;
  readonly input: ObjectInput;
  readonly seconds: number;
  readonly name: string;
}

/** Key of the first so many seconds of every track. */
const encoded = (work: Work, run: JobRun<Payload>, { plan, input, seconds, name }: Wanted): Promise<string> =>
  withFolder(work, run, async (folder) => {
    const file = join(folder, "audio.mp4");
    const { originSeconds } = plan.source;
    await runTranscode(work.tools, {
      args: soundArguments({ input, originSeconds, durationSeconds: seconds, tracks: plan.sound, file }),
      signal: run.signal,
      onProgress: ({ outSeconds }) => {
        run.progress({ percent: Math.min(100, (100 * (outSeconds ?? 0)) / seconds), note: "encoding" });
      },
    });
    const key = `${folderKey(keyOf(run))}/${name}-${run.epoch}.mp4`;
    const options = { contentType: "audio/mp4", signal: run.signal };
    await work.objects.putFile({ bucket: "segments", key }, file, options);
    return key;
  });
