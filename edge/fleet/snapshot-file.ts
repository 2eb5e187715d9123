/** The last snapshot on the edge's own disk: what it serves from when nothing else is there. */
import { randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Snapshot } from "../../contracts/fleet.ts";

export const snapshotPath = (dataDir: string): string => join(dataDir, "edge", "snapshot.json");

/** Undefined when there is none; rejects when the file is there and can't be used. */
export const readSnapshot = async (path: string): Promise<Snapshot | undefined> => {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return Snapshot.parse(JSON.parse(text));
};

/** Either the old file or the new one is there, whole, whatever happens meanwhile. */
export const writeSnapshot = async (path: string, snapshot: Snapshot): Promise<void> => {
  await mkdir(dirname(path), { recursive: true });
  const part = `${path}.${process.pid}-${randomBytes(3).toString("hex")}.part`;
  try {
    const file = await open(part, "w", 0o600);
    try {
      await file.writeFile(JSON.stringify(snapshot));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
};
