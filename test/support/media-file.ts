/** Media files made by ffmpeg for one test, and what it says of bytes that are shown to it. */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import type { Movie } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";

const DEADLINE_MS = 60_000;
const OUTPUT_BYTES_MAX = 256 * 2 ** 20;

/** What ffmpeg wrote to its two outputs. */
export interface FfmpegOutput {
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** Runs ffmpeg in a folder of its own, where `in` holds the input and `out` may be written; rejects when it fails. */
export const runFfmpeg = async (
  args: string,
  input?: Buffer,
): Promise<FfmpegOutput & { readonly out: Buffer | null }> => {
  const folder = await mkdtemp(path.join(tmpdir(), "media-file-"));
  try {
    if (input) await writeFile(path.join(folder, "in"), input);
    const { path: ffmpeg } = await findFfmpeg(null);
    const options = { cwd: folder, timeout: DEADLINE_MS, maxBuffer: OUTPUT_BYTES_MAX, encoding: "buffer" as const };
    const words = ["-hide_banner", "-nostdin", ...args.split(" ").filter((word) => word !== "")];
    const { stdout, stderr } = await promisify(execFile)(ffmpeg, words, options);
    return { stdout, stderr: stderr.toString(), out: await readFile(path.join(folder, "out")).catch(() => null) };
  } finally {
    await rm(folder, { recursive: true });
  }
};

const made = new Map<string, Promise<Buffer>>();

/** The file that these arguments make, without its name; once per test process. */
export const mediaFile = (args: string): Promise<Buffer> => {
  const file =
    made.get(args) ??
    runFfmpeg(`-v error ${args} out`).then(({ out }) => {
      if (!out) throw new Error(`no file: ${args}`);
      return out;
    });
  made.set(args, file);
  return file;
};

/** Opens a file that is in memory. */
export const openBytes = (bytes: Buffer): Promise<Movie> =>
  openMovie({ sizeBytes: bytes.length, read: async (offset, length) => bytes.subarray(offset, offset + length) });

/** The packets of a file that `framemd5` or `framecrc` tells, without headers; ffmpeg must not complain. */
export const frameLines = async (args: string, input: Buffer): Promise<string[]> => {
  const { stdout, stderr } = await runFfmpeg(`-v warning -xerror ${args}`, input);
  if (stderr !== "") throw new Error(stderr);
  return stdout
    .toString()
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
};
