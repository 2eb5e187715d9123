/** Runs ffmpeg over a stored source: progress, an eye on stalls, an end at once when it is no longer wanted. */
import type { Readable } from "node:stream";
import { fail } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import type { Ffmpeg } from "./binary.ts";
import type { PidFiles } from "./pid-files.ts";
import { type Ended, FfmpegProcess } from "./process.ts";
import { LineSplitter } from "./stderr.ts";

export interface TranscodeTools {
  readonly ffmpeg: Ffmpeg;
  readonly pidFiles: PidFiles;
  readonly log: Log;
  /** Without progress for so long it is killed. 60 s unless told. */
  readonly stallMs?: number;
}
export interface TranscodeProgress {
  readonly frame: number | null;
  readonly fps: number | null;
  readonly outSeconds: number | null;
}
export interface TranscodeRun {
  /** `-progress pipe:3` is among them. */
  readonly args: readonly string[];
  readonly signal: AbortSignal;
  readonly onProgress?: (progress: TranscodeProgress) => void;
  /** Every line that it says. */
  readonly onLine?: (line: string) => void;
  /** Instead of the tools' own: of work that may say nothing for long. */
  readonly stallMs?: number;
}

const STALL_MS = 60_000;
const REASON_CHARACTERS_MAX = 190; // of the 200 that an error's value may have

const numberIn = (text: string | undefined): number | null => {
  const value = Number(text);
  return text !== undefined && text !== "" && Number.isFinite(value) ? value : null;
};

/** Blocks of `key=value` lines that end with `progress=…`. */
const readProgress = (output: Readable | undefined, onProgress: (progress: TranscodeProgress) => void): void => {
  let block = new Map<string, string>();
  const splitter = new LineSplitter((line) => {
    const at = line.indexOf("=");
    block.set(line.slice(0, at).trim(), line.slice(at + 1).trim());
    if (!line.startsWith("progress=")) return;
    const microseconds = numberIn(block.get("out_time_us"));
    onProgress({
      frame: numberIn(block.get("frame")),
      fps: numberIn(block.get("fps")),
      outSeconds: microseconds === null ? null : microseconds / 1e6,
    });
    block = new Map();
  });
  output?.setEncoding("utf8").on("data", (text: string) => splitter.push(text));
};

/** Resolves when it has done its work. Rejects with TRANSCODE_FAILED and its last words, or the signal's reason. */
export const runTranscode = async (tools: TranscodeTools, run: TranscodeRun): Promise<void> => {
  const { ffmpeg, pidFiles, log } = tools;
  const { args, signal, onProgress, onLine, stallMs = tools.stallMs ?? STALL_MS } = run;
  signal.throwIfAborted();
  const child = new FfmpegProcess({ ffmpeg, args, outputCount: 1, log, pidFiles, ...(onLine ? { onLine } : {}) });
  const kill = () => child.kill();
  signal.addEventListener("abort", kill, { once: true });
  let isStalled = false;
  let last = "";
  const timer = setTimeout(() => {
    isStalled = true;
    kill();
  }, stallMs);
  readProgress(child.outputs[0], (progress) => {
    const now = `${progress.frame} ${progress.outSeconds}`;
    if (now !== last) timer.refresh(); // it says something twice a second, also when nothing goes on
    last = now;
    onProgress?.(progress);
  });
  const ended = await child.ended;
  clearTimeout(timer);
  signal.removeEventListener("abort", kill);
  signal.throwIfAborted();
  if (isStalled) fail("TRANSCODE_FAILED", { reason: `it did nothing for ${Math.round(stallMs / 1000)} s` });
  // It takes a source that breaks off for one that has ended, and is content.
  if (ended.code !== 0 || CUT_OFF.test(ended.lastLines.join())) failOf(ended);
};

const NO_ROOM = /No space left on device|Disk quota exceeded/;
/** What ffmpeg says of a connection to the object store that was cut; it may well go on as if the file had ended. */
export const CUT_OFF = new RegExp(
  "Connection (?:refused|reset|timed out)|Network is unreachable|Failed to resolve|Server returned 5|HTTP error 5" +
    "|Stream ends prematurely",
);
/** Also of a folder; the source was there a moment ago. */
const UNPLUGGED = /No such file or directory|Stale file handle|Transport endpoint is not connected/;
export const isStoreAway = (words: string): boolean => CUT_OFF.test(words) || UNPLUGGED.test(words);

/** What is none of the source's fault is waited for. */
const failOf = (ended: Ended): never => {
  const reason = lastWords(ended);
  if (NO_ROOM.test(reason)) return fail("OBJECT_STORE_FULL");
  if (isStoreAway(ended.lastLines.join())) return fail("OBJECT_STORE_DOWN");
  return fail("TRANSCODE_FAILED", { reason });
};

/** Prefixes hold addresses in memory, which tell nobody anything. */
const lastWords = ({ code, signal, lastLines }: Ended): string => {
  const lines = lastLines.map((line) =>
    line.replace(/\[[^\]]*@ 0x[0-9a-f]+\] /g, "").replace(/\[(?:error|fatal)\] /g, ""),
  );
  const text = [...new Set(lines)].join(" | ");
  return text === "" ? `it ended with ${signal ?? `code ${code}`}` : text.slice(-REASON_CHARACTERS_MAX);
};
