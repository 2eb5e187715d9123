/** What is said of files that can't be read as they have to be. */
import { fail } from "../../contracts/errors.ts";
import { MovieError } from "../../domain/mp4/movie.ts";

/** Throws MEDIA_DAMAGED or MEDIA_UNSUPPORTED for a MovieError of a file, and every other error as it is. */
export const refuseMedia = (error: unknown, path: string): never => {
  if (!(error instanceof MovieError)) throw error;
  return fail(error.problem === "damaged" ? "MEDIA_DAMAGED" : "MEDIA_UNSUPPORTED", { path, reason: error.message });
};
