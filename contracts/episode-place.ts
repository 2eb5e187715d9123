/** Where an episode belongs, and what its place is made of. */
import { z } from "zod";

/** Characters of a title's name. */
export const NAME_MAX = 500;
/** Of a season in its series, of an episode in its season. */
export const NUMBER_MAX = 100_000;
export const Year = z.int().min(1850).max(2200);

/** The series and the season are made, unless they are there. */
export const EpisodePlace = z.strictObject({
  series: z.string().trim().min(1).max(NAME_MAX),
  seriesYear: Year.optional(),
  /** 0: specials. */
  season: z.int().min(0).max(NUMBER_MAX),
  number: z.int().min(0).max(NUMBER_MAX),
});
export type EpisodePlace = z.output<typeof EpisodePlace>;
