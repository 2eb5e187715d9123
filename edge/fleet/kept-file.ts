/** Small texts on the edge's own disk that must be there, whole, whatever happens meanwhile. */
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** Undefined when there is none; rejects when it can't be read. */
export const readKept = async (path: string): Promise<string | undefined> => {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
};

const syncFolder = async (dir: string): Promise<void> => {
  const folder = await open(dir, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
};

/**
 * Either the old text or the new one is there, whole, also after a loss of power; nobody else can read it. One write of
 * a path at a time.
 */
export const writeKept = async (path: string, text: string): Promise<void> => {
  const dir = dirname(path);
  await mkdir(dir, { recursive: true });
  const part = `${path}.part`; // what a killed process left of it is written over
  try {
    const file = await open(part, "w", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
    await syncFolder(dir);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
};
