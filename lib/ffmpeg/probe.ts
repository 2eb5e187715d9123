/**
 * ffprobe: what a stored source is. A probe has a deadline, reads a limited amount, opens only what its input allows,
 * and never believes the file's name.
 */
import { execFile } from "node:child_process";
import { accessSync, chmodSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fail } from "../../contracts/errors.ts";
import { numberOf, type Probed, type ProbedPacket } from "../../domain/transcode/probed.ts";
import { readSource, type Source } from "../../domain/transcode/source.ts";
import { confinement, READ_LIMITS } from "../../domain/transcode/video-arguments.ts";
import type { ObjectInput } from "../objects/port.ts";
import type { Ffmpeg } from "./binary.ts";
import { withoutSecrets } from "./stderr.ts";
import { CUT_OFF, isStoreAway } from "./transcode.ts";

export interface ProbeTools {
  readonly ffprobe: string;
  /** Put before the command, as it is for ffmpeg. */
  readonly launcher: readonly string[];
}
export interface ProbeOptions {
  readonly signal?: AbortSignal;
  readonly deadlineMs?: number;
}

const DEADLINE_MS = 60_000;
const OUTPUT_BYTES_MAX = 64 * 2 ** 20; // packets of five minutes at 60 frames/s are 4 MB
/** Enough to see fields, HDR metadata and captions. */
const FIRST_FRAMES = 32;

const runnable = (file: string): string | null => {
  try {
    accessSync(file, constants.X_OK);
    return file;
  } catch {
    return null;
  }
};

/** The package's own installer would set the mode, but scripts of packages are not run. */
const fromNpm = (): string | null => {
  try {
    const name = `@ffprobe-installer/${process.platform}-${process.arch}/package.json`;
    const file = path.join(path.dirname(createRequire(import.meta.url).resolve(name)), "ffprobe");
    if (runnable(file) === null) chmodSync(file, 0o755);
    return runnable(file);
  } catch {
    return null;
  }
};

/** The one beside ffmpeg, else the one from npm, else the one in PATH. */
export const findFfprobe = (ffmpeg: Ffmpeg): ProbeTools => {
  const beside = path.isAbsolute(ffmpeg.path) ? runnable(path.join(path.dirname(ffmpeg.path), "ffprobe")) : null;
  return { ffprobe: beside ?? fromNpm() ?? "ffprobe", launcher: ffmpeg.launcher };
};

interface Failure {
  readonly stderr: string;
  readonly isLate: boolean;
  /** It died of a signal: a program of 2023 does so over some transport streams. */
  readonly isCrash: boolean;
}

const run = (tools: ProbeTools, args: readonly string[], options: ProbeOptions): Promise<Probed | Failure> =>
  new Promise((resolve, reject) => {
    const [file = tools.ffprobe, ...rest] = [...tools.launcher, tools.ffprobe, ...args];
    const limits = {
      timeout: options.deadlineMs ?? DEADLINE_MS,
      killSignal: "SIGKILL" as const,
      maxBuffer: OUTPUT_BYTES_MAX,
      ...(options.signal ? { signal: options.signal } : {}),
    };
    execFile(file, rest, limits, (error, stdout, stderr) => {
      // A source that breaks off is one that has ended to it.
      if (error === null && CUT_OFF.test(stderr)) return resolve({ stderr, isLate: false, isCrash: false });
      if (error === null) return resolve(parsed(stdout, stderr));
      if (options.signal?.aborted || ["ENOENT", "EACCES"].includes(String(error.code))) return reject(error);
      resolve({
        stderr,
        isLate: error.killed === true,
        isCrash: error.killed !== true && typeof error.signal === "string",
      });
    });
  });

const parsed = (stdout: string, stderr: string): Probed | Failure => {
  try {
    return JSON.parse(stdout) as Probed;
  } catch {
    return { stderr, isLate: false, isCrash: false };
  }
};
/** Fails with OBJECT_STORE_DOWN where what it says is not the source's fault. */
const isFailure = (answer: Probed | Failure): answer is Failure => {
  if (!("isLate" in answer)) return false;
  return isStoreAway(answer.stderr) ? fail("OBJECT_STORE_DOWN") : true;
};

/** `-v error` lines without the address of the file and of memory. */
const complaint = ({ stderr, isLate }: Failure): string => {
  if (isLate) return "reading it takes too long";
  const lines = stderr.split(/[\r\n]+/).map((line) => line.replace(/^\[[^\]]*@ 0x[0-9a-f]+\] /, "").trim());
  const last = lines.filter((line) => line !== "").at(-1) ?? "nothing in it can be read";
  return withoutSecrets(last.replace(/^.*: (?=Invalid data|End of file|Protocol|Input\/output)/, "")).slice(0, 200);
};

const base = (input: ObjectInput): string[] => ["-v", "error", ...READ_LIMITS, ...confinement(input), "-of", "json"];

/**
 * Rejects with SOURCE_UNREADABLE and a reason for people where it can't be transcoded. Null: ffprobe crashed over it,
 * which says nothing of what ffmpeg makes of it.
 */
export const probeSource = async (
  tools: ProbeTools,
  input: ObjectInput,
  options: ProbeOptions = {},
): Promise<Source | null> => {
  const about = await run(tools, [...base(input), "-show_format", "-show_streams", input.url], options);
  if (isFailure(about) && about.isCrash) return null;
  if (isFailure(about)) return fail("SOURCE_UNREADABLE", { reason: complaint(about) });
  const frames = await firstFrames(tools, input, options);
  const reading = readSource(about, frames);
  if ("refused" in reading) return fail("SOURCE_UNREADABLE", { reason: reading.refused });
  return reading.source;
};

/** Of the first picture; none where they can't be decoded, which the transcode will tell in its own words. */
const firstFrames = async (tools: ProbeTools, input: ObjectInput, options: ProbeOptions) => {
  const shown = ["-select_streams", "V:0", "-show_frames", "-read_intervals", `%+#${FIRST_FRAMES}`];
  const answer = await run(tools, [...base(input), ...shown, input.url], options);
  return isFailure(answer) ? [] : (answer.frames ?? []);
};

const packets = async (
  tools: ProbeTools,
  input: ObjectInput,
  { streamIndex, interval, ...options }: ProbeOptions & { readonly streamIndex: number; readonly interval: string },
): Promise<readonly ProbedPacket[]> => {
  const shown = ["-select_streams", String(streamIndex), "-show_entries", "packet=pts_time,duration_time,flags"];
  const answer = await run(tools, [...base(input), ...shown, "-read_intervals", interval, input.url], options);
  return isFailure(answer) ? [] : (answer.packets ?? []);
};

const LOOK_BACK_SECONDS = [15, 60, 300] as const;

/**
 * When the last key frame at or before a time of the source is shown; null: there is none within five minutes, so that
 * decoding has to begin at the beginning.
 */
export const keyFrameBefore = async (
  tools: ProbeTools,
  input: ObjectInput,
  { streamIndex, seconds, ...options }: ProbeOptions & { readonly streamIndex: number; readonly seconds: number },
): Promise<number | null> => {
  for (const back of LOOK_BACK_SECONDS) {
    const interval = `${(seconds - back).toFixed(3)}%${(seconds + 0.1).toFixed(3)}`;
    const found = await packets(tools, input, { ...options, streamIndex, interval });
    const keys = found.filter(({ flags }) => flags?.startsWith("K")).map(({ pts_time }) => numberOf(pts_time));
    const before = keys.filter((at): at is number => at !== null && at <= seconds);
    if (before.length > 0) return Math.max(...before);
    if (seconds - back <= 0) return null;
  }
  return null;
};

/** When the last picture before a time ends; null: none is found within its last minute. */
export const lastPictureEnd = async (
  tools: ProbeTools,
  input: ObjectInput,
  { streamIndex, seconds, ...options }: ProbeOptions & { readonly streamIndex: number; readonly seconds: number },
): Promise<number | null> => {
  for (const back of [10, 60]) {
    const found = await packets(tools, input, { ...options, streamIndex, interval: `${(seconds - back).toFixed(3)}%` });
    const ends = found.flatMap(({ pts_time, duration_time }) => {
      const at = numberOf(pts_time);
      return at === null ? [] : [at + (numberOf(duration_time) ?? 0)];
    });
    if (ends.length > 0) return Math.max(...ends);
    if (seconds - back <= 0) return null;
  }
  return null;
};
