import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Makes a directory and the ones above it that are missing. One by one, because `mkdirSync(…, { recursive: true })`
 * never returns where a file system answers ENOENT to a mkdir in a directory that exists (`/proc`).
 */
export const ensureDir = (dir: string): void => {
  const missing: string[] = [];
  for (let at = dir; !existsSync(at) && at !== dirname(at); at = dirname(at)) missing.unshift(at);
  for (const at of missing) {
    try {
      mkdirSync(at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
  }
};
