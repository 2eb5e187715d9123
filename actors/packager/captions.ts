/**
 * Whether a video carries CEA-608/708 captions (ANSI/SCTE 128-1 §8.1): masters have to tell players (RFC 8216
 * §4.3.4.2).
 */
import type { Title } from "./library.ts";

/** user_data_registered_itu_t_t35 of the ATSC, with user_identifier GA94. */
const ATSC_CAPTIONS = Buffer.from([0xb5, 0x00, 0x31, 0x47, 0x41, 0x39, 0x34]);
/** Captions are sent with each picture, so the first ones tell. */
const SAMPLES = 32;
const BYTES_MAX = 512 * 2 ** 10;

const look = async ({ object, movie }: Title): Promise<boolean> => {
  const [video] = movie.video;
  if (!video) return false;
  const { count, offset, size } = video.table.samples(0, Math.min(SAMPLES, video.table.sampleCount));
  let bytesLeft = BYTES_MAX;
  for (let index = 0; index < count && bytesLeft > 0; index += 1) {
    const sample = Buffer.alloc(Math.min(size[index] ?? 0, bytesLeft));
    bytesLeft -= sample.length;
    if (sample.length > 0) await object.readRange(offset[index] ?? 0, sample);
    if (sample.includes(ATSC_CAPTIONS)) return true;
  }
  return false;
};

/** Looks once; what was found stays with the title. */
export const lookForCaptions = async (title: Title): Promise<void> => {
  title.closedCaptions ??= await look(title);
};
