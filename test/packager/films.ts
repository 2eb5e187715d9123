/** Films for rounds of load: of the same length, layout and tables, each stamped so that a mix of two is told. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { readerOf } from "../media/reader.ts";
import { tempDir } from "../support/platform.ts";
import { made } from "./media.ts";
import { type Content, contentOf } from "./origin.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const SECONDS = 4;
const STAMP_EVERY_BYTES = 1024;
/** In front are the lengths and headers of NAL units, and of frames of audio. */
const STAMP_FROM = 200;

/** Four seconds at 6 Mbit/s with a key frame in each: 3 MB. */
const film = async (t: Cleaner): Promise<Buffer> => {
  const file = join(await tempDir(t), "film.mp4");
  await made(
    file,
    `-f lavfi -i testsrc2=s=640x360:r=25:d=${SECONDS} -f lavfi -i sine=440:r=48000:d=${SECONDS}:b=4
    -vf noise=alls=40:allf=t -c:v libx264 -preset ultrafast -threads 1 -pix_fmt yuv420p -sc_threshold 0 -slices 1
    -g 25 -keyint_min 25 -b:v 6M -maxrate 6M -bufsize 2M -c:a aac -b:a 48k`,
  );
  return readFile(file);
};

/** So many of them: whatever is read of one, in pieces of a kilobyte, tells which one it is. */
export const stampedFilms = async (t: Cleaner, count: number): Promise<readonly Content[]> => {
  const bytes = await film(t);
  const { video } = await openMovie(readerOf(bytes));
  const [track] = video;
  if (!track) throw new Error("a film without a picture");
  const { offset, size, count: frames } = track.table.samples(0, track.table.sampleCount);
  return Array.from({ length: count }, (_, index) => {
    const stamped = Buffer.from(bytes);
    for (let frame = 0; frame < frames; frame += 1) {
      const start = offset[frame] ?? 0;
      const end = start + (size[frame] ?? 0);
      for (let at = start + STAMP_FROM; at + 4 < end; at += STAMP_EVERY_BYTES)
        stamped.writeUInt32BE(0x80808080 + index, at);
    }
    return contentOf(stamped);
  });
};
