/** What titles may need of an ffmpeg. The one file that knows fluent-ffmpeg: it reads ffmpeg's lists of what it can. */
import fluent from "fluent-ffmpeg";
import type { Ffmpeg } from "./binary.ts";

const ENCODERS = ["libx264", "libx265", "aac", "webvtt"] as const;
const FILTERS = ["bwdif", "fps", "tpad", "zscale", "tonemap", "sidedata", "showinfo"] as const;
/** Captions in pictures are read through them; `rcwt` is there since 7.0. */
const FORMATS = ["rcwt", "scc"] as const;
const DEADLINE_MS = 10_000;

type Lists = Readonly<Record<string, unknown>>;
type Ask = (told: (error: Error | null, list: Lists) => void) => void;

/** A list that doesn't come is taken for an empty one: what is missing then shows in a warning. */
const listOf = (ask: Ask): Promise<Lists> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve({}), DEADLINE_MS);
    ask((error, list) => {
      clearTimeout(timer);
      resolve(error ? {} : list);
    });
  });

/** Names of what it lacks: HEVC rungs need libx265, HDR zscale and tonemap, captions in pictures rcwt and scc. */
export const missingAbilities = async ({ path }: Ffmpeg): Promise<string[]> => {
  const command = fluent().setFfmpegPath(path);
  const encoders = await listOf((told) => command.getAvailableEncoders(told));
  const filters = await listOf((told) => command.getAvailableFilters(told));
  const formats = await listOf((told) => command.getAvailableFormats(told));
  return [
    ...ENCODERS.filter((name) => !(name in encoders)),
    ...FILTERS.filter((name) => !(name in filters)),
    ...FORMATS.filter((name) => !(name in formats)),
  ];
};
