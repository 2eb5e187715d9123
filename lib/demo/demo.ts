/** The clip behind `pl:///demo`: a moving picture with its time and frame counter drawn in, and a tone. */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import path from "node:path";
import type { Ffmpeg } from "../ffmpeg/binary.ts";
import { PidFiles } from "../ffmpeg/pid-files.ts";
import { runFfmpeg } from "../ffmpeg/process.ts";
import type { Log } from "../log/log.ts";
import { type TestPicture, testPictureGraph, testTone } from "./frame-counter.ts";

export interface DemoClip {
  readonly ffmpeg: Ffmpeg;
  readonly dataDir: string;
  /** Slug of the tenant that it is for. */
  readonly tenant: string;
  /** `pl:///{name}`; the folder's name. */
  readonly name: string;
  readonly log: Log;
  /** Tests make smaller ones. */
  readonly picture?: TestPicture & { readonly seconds: number };
}

const PICTURE = { width: 640, height: 360, rate: "25", seconds: 16 }; // 0.9 s of work for 12 s on two cores
const DEADLINE_MS = 120_000;

/** Arguments that write the clip to a file: closed GOPs of one second. */
export const demoClipArguments = (file: string, picture: TestPicture & { readonly seconds: number }): string[] => [
  ...["-hide_banner", "-nostats", "-nostdin", "-loglevel", "level+warning", "-y"],
  ...["-f", "lavfi", "-i", testTone(picture.seconds), "-filter_complex", testPictureGraph(picture)],
  ...["-map", "[v]", "-map", "0:a", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-bf", "0"],
  ...["-g", String(Math.round(Number(picture.rate) || 30)), "-sc_threshold", "0"],
  ...["-c:a", "aac", "-b:a", "128k", "-ac", "2", "-movflags", "+faststart", "-f", "mp4", file],
];

const visible = async (folder: string): Promise<string[]> =>
  (await readdir(folder)).filter((name) => !name.startsWith("."));

/** Makes the clip unless the folder has something already; answers the folder. Safe to be called twice, and cut off. */
export const ensureDemoClip = async ({ ffmpeg, dataDir, tenant, name, log, picture }: DemoClip): Promise<string> => {
  const folder = path.join(dataDir, "objects", "media", tenant, name);
  await mkdir(folder, { recursive: true });
  if ((await visible(folder)).length > 0) return folder;
  const unfinished = path.join(folder, `.${name}-${process.pid}.mp4`);
  try {
    const pidFiles = new PidFiles(path.join(dataDir, "run", "ffmpeg"));
    const args = demoClipArguments(unfinished, picture ?? PICTURE);
    await runFfmpeg({ ffmpeg, args, log, pidFiles, deadlineMs: DEADLINE_MS });
    await rename(unfinished, path.join(folder, `${name}.mp4`));
  } finally {
    await rm(unfinished, { force: true });
  }
  return folder;
};
