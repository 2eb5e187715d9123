/**
 * Pictures of a title, taken from its finished rungs: poster candidates in full size, a storyboard, a muted preview and
 * a trailer. The rungs are upright, of square pixels, and their key frames lie at equal distances.
 */
import { createReadStream } from "node:fs";
import { mkdir, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { GOP_SECONDS } from "../../contracts/content-set.ts";
import { clipTimes, type GreyFrame, posterTimes } from "../../domain/pictures/choice.ts";
import { planStoryboard, storyboardVtt } from "../../domain/pictures/storyboard.ts";
import type { DynamicRange } from "../../domain/transcode/colour.ts";
import {
  clipArguments,
  GREY_HEIGHT,
  GREY_WIDTH,
  greyArguments,
  posterArguments,
  sheetArguments,
} from "../../lib/ffmpeg/picture-arguments.ts";
import type { JobProgress } from "../../lib/jobs/jobs.ts";
import type { ObjectInput, ObjectStore } from "../../lib/objects/port.ts";

export interface PictureRung {
  /** In the bucket `segments`. */
  readonly path: string;
  readonly width: number;
  readonly height: number;
  readonly dynamicRange: DynamicRange;
}

export interface PictureTask {
  readonly contentId: string;
  readonly revision: number;
  readonly durationSeconds: number;
  readonly hasAudio: boolean;
  readonly rungs: readonly PictureRung[];
}

export interface PictureTools {
  readonly objects: ObjectStore;
  /** Runs ffmpeg to its end; rejects with TRANSCODE_FAILED, or when the signal is aborted. */
  readonly ffmpeg: (args: readonly string[], signal: AbortSignal) => Promise<void>;
  /** A folder of this run alone. */
  readonly folder: string;
  /** Ends the names of what is written: no other run has it. */
  readonly label: string;
  readonly signal: AbortSignal;
  readonly progress: (progress: JobProgress) => void;
}

/** Keys in the buckets `thumbnails` and `trailers`. */
export interface Pictures {
  readonly posters: readonly {
    readonly path: string;
    readonly width: number;
    readonly height: number;
    readonly atSeconds: number;
  }[];
  readonly storyboardPath: string;
  readonly previewPath: string;
  /** Null: the title is too short for one. */
  readonly trailerPath: string | null;
}

const POSTERS_MAX = 8;
const POSTER_HEIGHT_MAX = 1_080;
const PREVIEW_SECONDS = 6;
const PREVIEW_HEIGHT = 270;
const TRAILER_CLIPS = 6;
const TRAILER_CLIP_SECONDS = 5;
const TRAILER_HEIGHT = 720;
/** A trailer shows less than a quarter. */
const TRAILER_TITLE_SECONDS = 4 * TRAILER_CLIPS * TRAILER_CLIP_SECONDS;

interface Work {
  readonly task: PictureTask;
  readonly tools: PictureTools;
  readonly small: PictureRung & { readonly input: ObjectInput };
  readonly large: PictureRung & { readonly input: ObjectInput };
  readonly frames: readonly GreyFrame[];
}

/** What is not HDR needs no tone mapping, and looks as its maker saw it. */
const chosenRungs = (rungs: readonly PictureRung[]): { readonly small: PictureRung; readonly large: PictureRung } => {
  const plain = rungs.filter(({ dynamicRange }) => dynamicRange === "sdr");
  const sorted = [...(plain.length > 0 ? plain : rungs)].sort((a, b) => a.width * a.height - b.width * b.height);
  const [small] = sorted;
  if (!small) throw new Error("bug: a title without rungs");
  const fitting = sorted.filter(({ width, height }) => Math.min(width, height) <= POSTER_HEIGHT_MAX);
  return { small, large: fitting.at(-1) ?? small };
};

const greyFrames = async (input: ObjectInput, { ffmpeg, folder, signal }: PictureTools): Promise<GreyFrame[]> => {
  const file = join(folder, "grey");
  await ffmpeg(greyArguments(input, file), signal);
  const bytes = await readFile(file);
  const size = GREY_WIDTH * GREY_HEIGHT;
  return Array.from({ length: Math.floor(bytes.length / size) }, (_, i) => ({
    atSeconds: i * GOP_SECONDS,
    pixels: bytes.subarray(i * size, (i + 1) * size),
  }));
};

/** The folder of a title's pictures in either bucket. */
const home = ({ contentId, revision }: PictureTask): string => `${contentId}/r${revision}`;

const storyboard = async ({ task, tools, small }: Work): Promise<string> => {
  const { objects, ffmpeg, folder, label, signal } = tools;
  const plan = planStoryboard({ ...task, width: small.width, height: small.height, gopSeconds: GOP_SECONDS });
  const pattern = join(folder, "sheet-%d.jpg");
  await ffmpeg(
    sheetArguments(small.input, plan, { gopSeconds: GOP_SECONDS, dynamicRange: small.dynamicRange, pattern }),
    signal,
  );
  const sheets = (await readdir(folder)).filter((name) => /^sheet-\d+\.jpg$/.test(name));
  const sheetName = (sheet: number): string => `storyboard-${label}-${sheet}.jpg`;
  for (const name of sheets) {
    const key = `${home(task)}/${sheetName(Number(/\d+/.exec(name)?.[0]))}`;
    await objects.putFile({ bucket: "thumbnails", key }, join(folder, name), { contentType: "image/jpeg", signal });
  }
  const vtt = storyboardVtt({ ...plan, sheetCount: sheets.length }, task.durationSeconds, sheetName);
  const key = `${home(task)}/storyboard-${label}.vtt`;
  await objects.put({ bucket: "thumbnails", key }, Buffer.from(vtt), { contentType: "text/vtt", signal });
  return key;
};

const posters = async ({ task, tools, large, frames }: Work): Promise<Pictures["posters"]> => {
  const { objects, ffmpeg, folder, label, signal } = tools;
  const { durationSeconds } = task;
  const times = posterTimes(frames, { durationSeconds, count: POSTERS_MAX });
  const made: Pictures["posters"][number][] = [];
  for (const [index, atSeconds] of times.entries()) {
    const file = join(folder, `poster-${index}.jpg`);
    await ffmpeg(posterArguments(large.input, { atSeconds, dynamicRange: large.dynamicRange, file }), signal);
    // A frame that ends before its picture leaves no file: the very last one of a title.
    if (!(await stat(file).catch(() => null))) continue;
    const path = `${home(task)}/poster-${label}-${index}.jpg`;
    await objects.put({ bucket: "thumbnails", key: path }, createReadStream(file), {
      contentType: "image/jpeg",
      signal,
    });
    made.push({ path, width: large.width, height: large.height, atSeconds });
  }
  return made;
};

interface Clip {
  readonly name: string;
  readonly fromSeconds: readonly number[];
  readonly clipSeconds: number;
  readonly hasAudio: boolean;
  readonly heightMax: number;
}

const clip = async ({ task, tools, large }: Work, { name, ...options }: Clip): Promise<string> => {
  const { objects, ffmpeg, folder, label, signal } = tools;
  const file = join(folder, `${name}.mp4`);
  await ffmpeg(clipArguments(large.input, { ...options, dynamicRange: large.dynamicRange, file }), signal);
  const key = `${home(task)}/${name}-${label}.mp4`;
  await objects.putFile({ bucket: "trailers", key }, file, { contentType: "video/mp4", signal });
  return key;
};

const preview = (work: Work): Promise<string> => {
  const { durationSeconds } = work.task;
  const clipSeconds = Math.min(PREVIEW_SECONDS, durationSeconds);
  const fromSeconds = clipTimes(work.frames, { durationSeconds, clipSeconds, count: 1 });
  return clip(work, { name: "preview", fromSeconds, clipSeconds, hasAudio: false, heightMax: PREVIEW_HEIGHT });
};

const trailer = async (work: Work): Promise<string | null> => {
  const { durationSeconds, hasAudio } = work.task;
  if (durationSeconds < TRAILER_TITLE_SECONDS) return null;
  const clipSeconds = TRAILER_CLIP_SECONDS;
  const fromSeconds = clipTimes(work.frames, { durationSeconds, clipSeconds, count: TRAILER_CLIPS });
  return clip(work, { name: "trailer", fromSeconds, clipSeconds, hasAudio, heightMax: TRAILER_HEIGHT });
};

/** Makes all pictures of a title; nothing is left in the folder. */
export const makePictures = async (task: PictureTask, tools: PictureTools): Promise<Pictures> => {
  const { objects, folder, progress } = tools;
  await mkdir(folder, { recursive: true });
  try {
    const { small, large } = chosenRungs(task.rungs);
    const inputOf = async (rung: PictureRung) => ({
      ...rung,
      input: await objects.input({ bucket: "segments", key: rung.path }),
    });
    const inputs = { small: await inputOf(small), large: await inputOf(large) };
    const frames = await greyFrames(inputs.small.input, tools);
    const work = { task, tools, ...inputs, frames };
    progress({ percent: 20, note: "storyboard" });
    const storyboardPath = await storyboard(work);
    progress({ percent: 40, note: "posters" });
    const made = await posters(work);
    progress({ percent: 60, note: "preview" });
    const previewPath = await preview(work);
    progress({ percent: 75, note: "trailer" });
    return { posters: made, storyboardPath, previewPath, trailerPath: await trailer(work) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
