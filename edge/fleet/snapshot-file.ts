/** The last snapshot on the edge's own disk: what it serves from when nothing else is there. */
import { join } from "node:path";
import { Snapshot } from "../../contracts/fleet.ts";
import { readKept, writeKept } from "./kept-file.ts";

export const snapshotPath = (dataDir: string): string => join(dataDir, "edge", "snapshot.json");

/** Undefined when there is none; rejects when the file is there and can't be used. */
export const readSnapshot = async (path: string): Promise<Snapshot | undefined> => {
  const text = await readKept(path);
  return text === undefined ? undefined : Snapshot.parse(JSON.parse(text));
};

/** Either the old file or the new one is there, whole, whatever happens meanwhile. */
export const writeSnapshot = (path: string, snapshot: Snapshot): Promise<void> =>
  writeKept(path, JSON.stringify(snapshot));
