/** `transcode.subtitles`: text tracks as WebVTT. A title is none the worse for one that can't be read. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "../../contracts/errors.ts";
import { withEnds } from "../../domain/transcode/cues.ts";
import { textArguments } from "../../domain/transcode/other-arguments.ts";
import type { SourceText } from "../../domain/transcode/source.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import type { ObjectInput } from "../../lib/objects/port.ts";
import { keyOf, type Payload } from "./kinds.ts";
import { holdState, settleParts } from "./settle.ts";
import { addSubtitles, setSubtitlesDone, type Transcode } from "./transcoder.store.ts";
import { folderKey, inputOf, loadPlanned, type Work, withFolder } from "./work.ts";

/** A track of the set, before it has an address. */
export type MadeText = Omit<Transcode["subtitles"][number], "id">;

/** Puts a WebVTT file among the title's objects; null: there is no cue in it. `name`: no other track's. */
export const keepText = async (
  work: Work,
  run: JobRun<Payload>,
  { file, name, about }: { readonly file: string; readonly name: string; readonly about: Omit<MadeText, "path"> },
): Promise<MadeText | null> => {
  const text = withEnds(await readFile(file, "utf8").catch(() => ""));
  if (!text.includes("-->")) return null;
  const path = `${folderKey(keyOf(run))}/subtitles/${name}-${run.epoch}.vtt`;
  const options = { contentType: "text/vtt", signal: run.signal };
  await work.objects.put({ bucket: "segments", key: path }, Buffer.from(text), options);
  return { ...about, path };
};

interface Track {
  readonly text: SourceText;
  readonly file: string;
}
interface Job {
  readonly work: Work;
  readonly run: JobRun<Payload>;
  readonly input: ObjectInput;
  readonly originSeconds: number;
}

export const makeSubtitles = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const transcode = await loadPlanned(work, key);
  const outcome = (texts: readonly MadeText[], notes: readonly string[]): JobOutcome => ({
    result: { tracks: texts.length, notes },
    write: async (tx) => {
      await holdState(tx, key, "encoding");
      await addSubtitles(tx, key, texts);
      await setSubtitlesDone(tx, key);
      await settleParts(tx, key, { isNews: texts.length > 0 });
    },
  });
  const { source } = transcode.plan;
  if (source.texts.length === 0) return outcome([], []);
  const input = await inputOf(work, transcode);
  return withFolder(work, run, async (folder) => {
    const tracks = source.texts.map((text) => ({ text, file: join(folder, `${text.streamIndex}.vtt`) }));
    const notes = await extract({ work, run, input, originSeconds: source.originSeconds }, tracks);
    const texts: MadeText[] = [];
    for (const { text, file } of tracks) {
      const { language, title, isForced, isDefault, isSdh } = text;
      const about = { language, name: title || language, isForced, isDefault, isSdh };
      const made = await keepText(work, run, { file, name: String(text.streamIndex), about });
      if (made !== null) texts.push(made);
    }
    return outcome(texts, notes);
  });
};

/** All in one reading of the source; each by itself where that fails. Gives what was left out. */
const extract = async (job: Job, tracks: readonly Track[]): Promise<string[]> => {
  if (await extracted(job, tracks)) return [];
  const notes: string[] = [];
  for (const track of tracks) {
    if (tracks.length > 1 && (await extracted(job, [track]))) continue;
    notes.push(`left out: subtitles that can't be read, ${track.text.codec} (stream ${track.text.streamIndex})`);
  }
  return notes;
};

/** Between two cues the whole film may lie, of which ffmpeg says nothing: 30 GB at 25 MB/s. */
const STALL_MS = 20 * 60_000;

const extracted = async ({ work, run, input, originSeconds }: Job, outputs: readonly Track[]): Promise<boolean> => {
  try {
    const args = textArguments({ input, originSeconds, outputs });
    await runTranscode(work.tools, { args, signal: run.signal, stallMs: STALL_MS });
    return true;
  } catch (error) {
    if (codeOf(error) === "TRANSCODE_FAILED") return false;
    throw error;
  }
};
