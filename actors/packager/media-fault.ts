/** What is said of files that can't be read as they have to be. */
import { fail } from "../../contracts/errors.ts";
import { MovieError } from "../../domain/mp4/movie.ts";

/**
 * Throws MEDIA_DAMAGED or MEDIA_UNSUPPORTED for a MovieError of a file, and every other error as it is. The version is
 * for the log.
 */
export const refuseMedia = (error: unknown, path: string, version?: string): never => {
  if (!(error instanceof MovieError)) throw error;
  const code = error.problem === "damaged" ? "MEDIA_DAMAGED" : "MEDIA_UNSUPPORTED";
  return fail(code, { path, reason: error.message, version });
};
