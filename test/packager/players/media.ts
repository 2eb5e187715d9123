/**
 * Films for players, which tell their own time: each picture carries its frame number, each language is a tone whose
 * pitch rises with the seconds, each subtitle says when it begins.
 */
import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { testPictureGraph } from "../../../lib/demo/frame-counter.ts";
import { findFfmpeg } from "../../../lib/ffmpeg/binary.ts";
import { tempDir } from "../../support/platform.ts";

export const FILM_SECONDS = 24;
export const FRAMES_PER_SECOND = 25;
/** Frames from a key frame to the next in the set that shares them. */
export const KEY_FRAME_EVERY = 50;
/** Heights of the set's pictures, ascending. */
export const HEIGHTS = [180, 270, 360] as const;
/** Pitch of each language at the beginning; it rises by as many Hz in a second. */
export const PITCHES = { en: 400, de: 4_000 } as const;
export const PITCH_STEP = 100;

/** Names of the sets below the packager's prefix. */
export const SETS = {
  /** Three pictures with key frames at the same places, two languages. */
  shared: "film_,low,mid,high,.mp4.csmil",
  /** The same, with key frames each 1, 2 and 3 s. */
  differing: "film_,odd1,low,odd3,.mp4.csmil",
  /** One file, with subtitles in it. */
  file: "film_text.mp4",
  /** No picture. */
  sound: "sound.m4a",
} as const;

const CUE_EVERY_SECONDS = 2;
/** How long a cue is shown. */
export const CUE_SECONDS = 1.5;

const clock = (seconds: number): string => `00:00:${seconds.toFixed(3).padStart(6, "0")}`;

/** Cues that say `<word> <second of their beginning>`. */
const subtitles = (word: string): string => {
  const cues: string[] = [];
  for (let at = 0; at < FILM_SECONDS; at += CUE_EVERY_SECONDS) {
    cues.push(`${clock(at)} --> ${clock(at + CUE_SECONDS)}\n${word} ${at}\n`);
  }
  return `WEBVTT\n\n${cues.join("\n")}`;
};

const tone = (pitch: number): string =>
  `aevalsrc=0.5*sin(2*PI*(${pitch}*t+${PITCH_STEP / 2}*t*t)):s=48000:d=${FILM_SECONDS}`;

interface Picture {
  readonly file: string;
  readonly height: number;
  readonly gopFrames: number;
  readonly kbps: number;
}

const PICTURES: readonly Picture[] = [
  { file: "film_low.mp4", height: 180, gopFrames: KEY_FRAME_EVERY, kbps: 150 },
  { file: "film_mid.mp4", height: 270, gopFrames: KEY_FRAME_EVERY, kbps: 300 },
  { file: "film_high.mp4", height: 360, gopFrames: KEY_FRAME_EVERY, kbps: 600 },
  { file: "film_odd1.mp4", height: 270, gopFrames: 25, kbps: 300 },
  { file: "film_odd3.mp4", height: 360, gopFrames: 75, kbps: 600 },
];

const encoding = ({ file, height, gopFrames, kbps }: Picture, index: number): string[] => [
  ...["-map", `[v${index}]`, "-map", "0:a", "-map", "1:a", "-c:v", "libx264", "-preset", "superfast", "-bf", "2"],
  ...["-s", `${(height * 16) / 9}x${height}`, "-b:v", `${kbps}k`, "-maxrate", `${kbps}k`, "-bufsize", `${kbps}k`],
  ...["-g", String(gopFrames), "-keyint_min", String(gopFrames), "-sc_threshold", "0"],
  ...["-c:a", "aac", "-b:a", "64k", "-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", file],
];

/** Makes all films; gives their folder. */
export const films = async (t: { after(clean: () => Promise<void>): void }): Promise<string> => {
  const folder = await tempDir(t);
  await writeFile(path.join(folder, "inside.vtt"), subtitles("inside"));
  for (const language of ["en", "de"]) {
    await writeFile(path.join(folder, `film_${language}.vtt`), subtitles(`beside ${language}`));
  }
  const { path: ffmpeg } = await findFfmpeg(null);
  const run = (args: readonly string[]) =>
    promisify(execFile)(ffmpeg, ["-v", "error", "-nostdin", ...args], { cwd: folder, timeout: 120_000 });
  const graph = testPictureGraph({ width: 640, height: 360, rate: String(FRAMES_PER_SECOND), seconds: FILM_SECONDS });
  const labels = PICTURES.map((_, index) => `[v${index}]`).join("");
  await run([
    ...Object.values(PITCHES).flatMap((pitch) => ["-f", "lavfi", "-i", tone(pitch)]),
    ...["-filter_complex", `${graph};[v]split=${PICTURES.length}${labels}`],
    ...PICTURES.flatMap(encoding),
  ]);
  await run(["-i", "film_high.mp4", "-map", "0:a:0", "-c", "copy", "sound.m4a"]);
  const text = ["-c:s", "mov_text", "-metadata:s:s:0", "language=eng"];
  await run(["-i", "film_mid.mp4", "-i", "inside.vtt", "-map", "0", "-map", "1", "-c", "copy", ...text, SETS.file]);
  return folder;
};
