/** Finds the ffmpeg to run: the configured one, else the one from npm, else the one in PATH. */
import { execFile } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";

export interface Ffmpeg {
  readonly path: string;
  /** As it prints it: `n7.0-7-gd38bf5e08e`, `5.1.9-0+deb12u1`. */
  readonly version: string;
  readonly major: number;
  readonly minor: number;
  /** Put before the command so that the kernel kills ffmpeg when this process dies; empty where that can't be had. */
  readonly launcher: readonly string[];
}

const ANSWER_DEADLINE_MS = 10_000;
const ANSWER_BYTES_MAX = 1024 * 1024;
/** util-linux; the parent-death signal follows the parent thread, so ffmpeg is always spawned from the main thread. */
const LAUNCHER = ["setpriv", "--pdeathsig", "KILL"];
const INSTALL = "install it (Debian: apt-get install ffmpeg, macOS: brew install ffmpeg) or set FFMPEG_PATH";

const output = (command: readonly string[], args: readonly string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    const [file = "", ...head] = command;
    const limits = { timeout: ANSWER_DEADLINE_MS, maxBuffer: ANSWER_BYTES_MAX };
    execFile(file, [...head, ...args], limits, (error, stdout) => (error ? reject(error) : resolve(stdout)));
  });

/**
 * The package has no entry that names the binary: its folder is resolved and `ffmpeg` appended. Null: no such package
 * here.
 */
const fromNpm = (): string | null => {
  const name = `@ffmpeg-binary/${process.platform}-${process.arch}`;
  try {
    const file = path.join(path.dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), "ffmpeg");
    accessSync(file, constants.X_OK);
    return file;
  } catch {
    return null;
  }
};

/** True when `setpriv --pdeathsig` can be used here; a busybox one, or none, can't. */
const launcherOf = async (ffmpegPath: string): Promise<readonly string[]> => {
  if (process.platform !== "linux") return [];
  return output([...LAUNCHER, ffmpegPath], ["-version"]).then(
    () => LAUNCHER,
    () => [],
  );
};

/** The version numbers in what `ffmpeg -version` prints; a build without a number (git) counts as new. */
export const parseVersion = (text: string): Pick<Ffmpeg, "version" | "major" | "minor"> => {
  const version = /^ffmpeg version (\S+)/.exec(text)?.[1] ?? "unknown";
  const [, major = "99", minor = "0"] = /^n?(\d{1,2})\.(\d{1,3})/.exec(version) ?? [];
  return { version, major: Number(major), minor: Number(minor) };
};

/** Rejects with one clear line when there is none, or one that can't encode H.264 and AAC. */
export const findFfmpeg = async (configuredPath: string | null): Promise<Ffmpeg> => {
  const file = configuredPath ?? fromNpm() ?? "ffmpeg";
  const [about, encoders, launcher] = await Promise.all([
    output([file], ["-hide_banner", "-version"]).catch(() => null),
    output([file], ["-hide_banner", "-encoders"]).catch(() => ""),
    launcherOf(file),
  ]);
  if (about === null) {
    throw new Error(
      configuredPath === null ? `no ffmpeg found: ${INSTALL}` : `FFMPEG_PATH: ${configuredPath} can't be run`,
    );
  }
  if (!/\blibx264\b/.test(encoders) || !/^ A\S+ aac\b/m.test(encoders)) {
    throw new Error(`${file} lacks the encoders libx264 or aac: ${INSTALL}`);
  }
  return { path: file, ...parseVersion(about), launcher };
};
