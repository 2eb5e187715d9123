/** Files that only tests of the packager's answers need: large ones, and sets of renditions. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";

const DEADLINE_MS = 60_000;

/** Makes a file by a command of ffmpeg. */
export const made = async (file: string, command: string): Promise<string> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const words = command.split(/\s+/).filter((word) => word !== "");
  const args = ["-nostdin", "-v", "error", "-y", ...words, file];
  await promisify(execFile)(ffmpeg, args, { timeout: DEADLINE_MS });
  return file;
};

const tone = (seconds: number): string => `-f lavfi -i sine=440:r=48000:d=${seconds}:b=4 -c:a aac -b:a 48k`;
const encoder = (gop: number): string =>
  `-c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -bf 2 -b_strategy 0 -sc_threshold 0 -g ${gop} -keyint_min ${gop}`;

/** Four seconds of noise at 20 Mbit/s: 5 MB in two seconds. */
export const large = (file: string, { gop }: { readonly gop: number }): Promise<string> =>
  made(
    file,
    `-f lavfi -i testsrc2=s=640x360:r=25:d=4 ${tone(4)} -vf noise=alls=60:allf=t ${encoder(gop)}
    -b:v 20M -maxrate 20M -bufsize 4M`,
  );
