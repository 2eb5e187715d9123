/** One ffmpeg child: pipes for its outputs, its stderr as limited log lines, and an end that always comes. */
import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import type { Log } from "../log/log.ts";
import type { Ffmpeg } from "./binary.ts";
import type { PidFiles } from "./pid-files.ts";
import { LineLimiter, LineSplitter, withoutSecrets } from "./stderr.ts";

export interface RunOptions {
  readonly ffmpeg: Ffmpeg;
  readonly args: readonly string[];
  /** How many outputs it writes: to `pipe:3`, `pipe:4` … */
  readonly outputCount: number;
  readonly log: Log;
  /** Where children are noted when the kernel can't kill them with us. */
  readonly pidFiles: PidFiles;
  /** Variables besides PATH and the like; nothing else of our environment reaches the child. */
  readonly env?: Readonly<Record<string, string>>;
  /** Every line of stderr, unlimited. */
  readonly onLine?: (line: string) => void;
}
export interface Ended {
  /** Null: killed by a signal, or never started. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The last lines of stderr, secrets cut out. */
  readonly lastLines: readonly string[];
}

const FIRST_OUTPUT_FD = 3;
const TERM_GRACE_MS = 1_000; // an ffmpeg that waits in a UDP read ignores SIGTERM (> 8 s)
const LAST_LINES = 5;
const KEPT_VARIABLES = ["PATH", "HOME", "TMPDIR", "LANG", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR"];

const childEnv = (more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv => {
  const kept = KEPT_VARIABLES.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  return { ...Object.fromEntries(kept), ...more };
};

const quietLine = (line: string): boolean => /^\s*(?:frame=|size=|Press \[q\])/.test(line);
/** What a decoder says until the first key frame of a stream that it joined midway. */
const JOINING_LATE =
  /non-existing PPS|decode_slice_header error|no frame!|Error submitting packet|sps_id \d+ out of range/;
const isJoining = (line: string): boolean => JOINING_LATE.test(line);
/** ffmpeg's `-loglevel level+info` prefixes: `[h264 @ 0x55d1] [warning] …`. Lines without one are information. */
const isTrouble = (line: string): boolean => /\[(?:error|fatal|panic)\]/.test(line) && !isJoining(line);

export class FfmpegProcess {
  readonly pid: number | undefined;
  /** Output i of the arguments, which name it `pipe:${3 + i}`. */
  readonly outputs: readonly Readable[];
  /** Resolves when the child is gone and its pipes are closed; never rejects. */
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #lastLines: string[] = [];
  /** Set once it is being stopped. */
  #killTimer: NodeJS.Timeout | undefined;

  constructor(options: RunOptions) {
    const { ffmpeg, args, outputCount, pidFiles } = options;
    const [file = ffmpeg.path, ...rest] = [...ffmpeg.launcher, ffmpeg.path, ...args];
    const child = spawn(file, rest, {
      stdio: ["ignore", "ignore", "pipe", ...Array.from({ length: outputCount }, () => "pipe" as const)],
      env: childEnv(options.env),
    });
    this.#child = child;
    this.pid = child.pid;
    if (child.pid !== undefined && ffmpeg.launcher.length === 0) pidFiles.add(child.pid, [ffmpeg.path, ...args]);
    // The pipes exist even when the spawn failed; they end at once then.
    this.outputs = child.stdio.slice(FIRST_OUTPUT_FD) as Readable[];
    for (const output of this.outputs) output.on("error", () => {});
    this.#readLines(options);
    this.ended = new Promise((resolve) => {
      const end = (code: number | null, signal: NodeJS.Signals | null): void => {
        clearTimeout(this.#killTimer);
        if (child.pid !== undefined && ffmpeg.launcher.length === 0) pidFiles.remove(child.pid);
        resolve({ code, signal, lastLines: [...this.#lastLines] });
      };
      child.once("close", end);
      child.once("error", (error) => {
        this.#lastLines.push(error.message);
        if (child.pid === undefined) end(null, null);
      });
    });
  }

  #readLines({ log, onLine }: RunOptions): void {
    const limiter = new LineLimiter();
    const splitter = new LineSplitter((line) => {
      onLine?.(line);
      // What it says about being stopped is no news.
      if (quietLine(line) || this.#killTimer !== undefined) return;
      const trouble = isTrouble(line);
      if (!trouble && !log.isLevelEnabled("debug")) return;
      const shown = withoutSecrets(line);
      if (trouble) {
        this.#lastLines.push(shown.slice(0, 300));
        if (this.#lastLines.length > LAST_LINES) this.#lastLines.shift();
      }
      const taken = limiter.take(performance.now());
      if (taken) log[trouble ? "warn" : "debug"]({ ffmpeg: this.pid, leftOut: taken.left || undefined }, shown);
    });
    this.#child.stderr?.setEncoding("utf8").on("data", (text: string) => splitter.push(text));
  }

  /** SIGTERM, and SIGKILL when that did not help within a second. Resolves when it is gone. */
  stop(): Promise<Ended> {
    if (this.#killTimer === undefined && this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
      this.#killTimer = setTimeout(() => this.kill(), TERM_GRACE_MS);
    }
    return this.ended;
  }
  /** At once. */
  kill(): void {
    this.#child.kill("SIGKILL");
  }
}

/** Runs one to its end. Rejects when it fails or takes longer than `deadlineMs`. */
export const runFfmpeg = async (options: Omit<RunOptions, "outputCount"> & { deadlineMs: number }): Promise<void> => {
  await collectOutput({ ...options, outputCount: 0, onData: () => {} });
};

/** Runs one to its end and hands over what it writes to `pipe:3`. Rejects like `runFfmpeg`. */
export const collectOutput = async (
  options: RunOptions & { readonly deadlineMs: number; readonly onData: (bytes: Buffer) => void },
): Promise<void> => {
  const child = new FfmpegProcess(options);
  for (const output of child.outputs) output.on("data", options.onData);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    child.kill();
  }, options.deadlineMs);
  const { code, lastLines } = await child.ended;
  clearTimeout(timer);
  if (late) throw new Error(`ffmpeg took longer than ${options.deadlineMs} ms`);
  if (code !== 0) throw new Error(`ffmpeg failed: ${lastLines.join(" | ") || `code ${code}`}`);
};
