/** Files that only tests of the packager's answers need: large ones, and sets of renditions. */
import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { edit } from "../media/boxes.ts";

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

/** Two seconds in which each picture is a key frame of more than 512 KiB. */
export const manyPictures = (file: string): Promise<string> =>
  made(file, `-f lavfi -i testsrc2=s=1280x720:r=8:d=2 ${tone(2)} -vf noise=alls=100:allf=t ${encoder(1)} -qp 8`);

/** One of a set: so many seconds with a key frame every `gop` of 25 frames a second. */
export const rendition = (
  file: string,
  { width, gop, seconds = 12 }: { readonly width: number; readonly gop: number; readonly seconds?: number },
): Promise<string> =>
  made(file, `-f lavfi -i testsrc2=s=${width}x${(width * 9) / 16}:r=25:d=${seconds} ${tone(seconds)} ${encoder(gop)}`);

const MOVIE_TIMESCALE = 1000; // ffmpeg's

/** Shown from so many seconds on: edit lists (ISO/IEC 14496-12 §8.6.6) of all tracks cut off what is before. */
export const trim = async (file: string, seconds: number): Promise<void> => {
  const trimmed = edit(await readFile(file), "moov/trak", (trak) => {
    const timescale = trak.readUInt32BE(trak.indexOf("mdhd") + 16);
    return edit(trak, "trak/edts/elst", (elst) => {
      elst.writeUInt32BE(elst.readUInt32BE(16) - seconds * MOVIE_TIMESCALE, 16);
      elst.writeInt32BE(elst.readInt32BE(20) + seconds * timescale, 20);
      return elst;
    });
  });
  await writeFile(file, trimmed);
};

export const sound = (file: string, { seconds }: { readonly seconds: number }): Promise<string> =>
  made(file, tone(seconds));
