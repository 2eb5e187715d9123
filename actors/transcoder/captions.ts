/**
 * `transcode.captions`: CEA-608 inside of the picture as WebVTT, a track for each channel that is used. The first
 * frames tell of them, or else the first chunk in which there are some: they may begin anywhere.
 */
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { codeOf } from "../../contracts/errors.ts";
import { type CaptionChannel, CaptionReader } from "../../domain/transcode/captions.ts";
import { captionArguments, captionTextArguments } from "../../domain/transcode/other-arguments.ts";
import type { Tx } from "../../lib/db/database.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import type { JobOutcome, JobRun } from "../../lib/jobs/jobs.ts";
import { keyOf, type Payload } from "./kinds.ts";
import { holdState, settleParts } from "./settle.ts";
import { keepText, type MadeText } from "./subtitles.ts";
import { addSubtitles, type Key, lockTranscode, setCaptions } from "./transcoder.store.ts";
import { inputOf, loadPlanned, type Work, withFolder } from "./work.ts";

const nameOf = (channel: CaptionChannel): string => (channel === "CC1" ? "Captions" : `Captions (${channel})`);

export const makeCaptions = async (work: Work, run: JobRun<Payload>): Promise<JobOutcome> => {
  const key = keyOf(run);
  const transcode = await loadPlanned(work, key);
  const input = await inputOf(work, transcode);
  return withFolder(work, run, async (folder) => {
    const raw = join(folder, "captions.rcwt");
    const { originSeconds } = transcode.plan.source;
    const isRead = await succeeds(work, run, captionArguments({ input, originSeconds, file: raw }));
    const channels = isRead ? await channelsOf(raw, folder) : [];
    const isMade = channels.length === 0 || (await succeeds(work, run, captionTextArguments(channels)));
    const texts: MadeText[] = [];
    for (const { channel, file } of isMade ? channels : []) {
      const about = { language: "und", name: nameOf(channel), isForced: false, isDefault: false, isSdh: true };
      const text = await keepText(work, run, { file, name: channel.toLowerCase(), about });
      if (text !== null) texts.push(text);
    }
    const left = texts.length === 0 ? ["left out: captions in the picture, in which nothing can be read"] : [];
    return {
      result: { tracks: texts.length, notes: left },
      write: async (tx) => {
        await holdState(tx, key, "encoding");
        await addSubtitles(tx, key, texts);
        await setCaptions(tx, key, "done");
        await settleParts(tx, key, { isNews: texts.length > 0 });
      },
    };
  });
};

/** Of a job that can't be done: the title is made without them. */
export const goWithoutCaptions = async (tx: Tx, key: Key): Promise<void> => {
  const transcode = await lockTranscode(tx, key);
  if (transcode?.state !== "encoding" || transcode.captions !== "wanted") return;
  await setCaptions(tx, key, "done");
  await settleParts(tx, key);
};

/** False: ffmpeg can't; a title is none the worse for it. */
const succeeds = async (work: Work, run: JobRun<Payload>, args: readonly string[]): Promise<boolean> => {
  try {
    await runTranscode(work.tools, { args, signal: run.signal });
    return true;
  } catch (error) {
    if (codeOf(error) === "TRANSCODE_FAILED") return false;
    throw error;
  }
};

interface ChannelFile {
  readonly channel: CaptionChannel;
  readonly scc: string;
  readonly file: string;
}
const channelsOf = async (raw: string, folder: string): Promise<ChannelFile[]> => {
  const reader = new CaptionReader();
  for await (const bytes of createReadStream(raw)) reader.push(bytes as Buffer);
  const made: ChannelFile[] = [];
  for (const [channel, text] of reader.files()) {
    const scc = join(folder, `${channel}.scc`);
    await writeFile(scc, text);
    made.push({ channel, scc, file: join(folder, `${channel}.vtt`) });
  }
  return made;
};
