/**
 * The media of the packager's benchmarks: a clip of a minute, looped to ten and to a hundred without encoding again.
 */
import { execFile } from "node:child_process";
import { mkdir, open, rename, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";

const FOLDER = path.resolve(import.meta.dirname, "../node_modules/.cache/castellan-bench");

// 1080p at 24/s, a key frame each 2 s, noise so that 5 Mbit/s are needed; AAC.
const CLIP =
  "-f lavfi -i testsrc2=s=1920x1080:r=24:d=60 -f lavfi -i sine=440:r=48000:d=60 -filter:v noise=alls=18:allf=t " +
  "-c:v libx264 -preset veryfast -profile:v high -b:v 5000k -maxrate 5500k -bufsize 10000k -bf 2 -g 48 " +
  "-keyint_min 48 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -b:a 128k -ac 2";
const FASTSTART = "-movflags +faststart";

export interface BenchMedia {
  readonly folder: string;
  /** 60 s, 600 s and 6,000 s; names in the folder. */
  readonly clip: string;
  readonly movie: string;
  readonly big: string;
  /** 10 MB. */
  readonly short: string;
}

const make = async (name: string, options: string): Promise<void> => {
  const file = path.join(FOLDER, name);
  if ((await stat(file).catch(() => null)) !== null) return;
  const { path: ffmpeg } = await findFfmpeg(null);
  const args = `-hide_banner -nostdin -v error -y ${options} ${FASTSTART}`.split(" ");
  await promisify(execFile)(ffmpeg, [...args, `${file}.new.mp4`], { timeout: 600_000 });
  await rename(`${file}.new.mp4`, file);
};

/** Made once: a minute of CPU and 4.3 GB of disk. */
export const benchMedia = async (): Promise<BenchMedia> => {
  await mkdir(FOLDER, { recursive: true });
  const clip = path.join(FOLDER, "clip.mp4");
  await make("clip.mp4", CLIP);
  await make("movie.mp4", `-stream_loop 9 -i ${clip} -c copy`);
  await make("big.mp4", `-stream_loop 99 -i ${clip} -c copy`);
  await make("short.mp4", `-i ${clip} -t 16 -c copy`);
  return { folder: FOLDER, clip: "clip.mp4", movie: "movie.mp4", big: "big.mp4", short: "short.mp4" };
};

/** Brings a file into the page cache: its first and last parts, where boxes are, are enough for playlists. */
export const warmed = async (file: string): Promise<void> => {
  const handle = await open(file);
  const { size } = await handle.stat();
  const buffer = Buffer.alloc(8 * 2 ** 20);
  await handle.read(buffer, 0, buffer.length, 0);
  await handle.read(buffer, 0, buffer.length, Math.max(0, size - buffer.length));
  await handle.close();
};

/** All of it. */
export const readWhole = async (file: string): Promise<void> => {
  const handle = await open(file);
  const buffer = Buffer.alloc(8 * 2 ** 20);
  for (let at = 0; ; at += buffer.length) if ((await handle.read(buffer, 0, buffer.length, at)).bytesRead === 0) break;
  await handle.close();
};
