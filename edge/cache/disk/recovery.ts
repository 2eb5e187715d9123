/**
 * What a start makes of a folder: reads the journals, never the data.
 *
 * It keeps the newest slabs, back to the first one that is missing, damaged or not sealed although another follows: a
 * record there could have superseded one in an older slab, which must not come back. Of the newest slab it keeps what
 * its journal says as far as that is whole; the data after that is cut off and written again.
 */
import { randomBytes } from "node:crypto";
import path from "node:path";
import type { FileLayer, OpenFile } from "./files.ts";
import { ENTRY_KINDS, eachEntry, type ReadJournal, readJournal } from "./journal.ts";
import type { KeyHash } from "./key-hash.ts";
import type { ObjectIndex } from "./object-index.ts";
import { Slab, slabIdOf, slabPaths } from "./slab.ts";

/** What was found: slabs, oldest first. */
export interface Recovered {
  readonly slabs: readonly Slab[];
  readonly seed: KeyHash;
  /** The newest slab's journal when that slab can be appended to. */
  readonly journal: OpenFile | undefined;
}

interface Found {
  readonly slab: Slab;
  readonly journal: ReadJournal;
}

const readWhole = async (files: FileLayer, name: string): Promise<ArrayBuffer> => {
  const file = await files.open(name);
  try {
    const bytes = new ArrayBuffer(await file.sizeBytes());
    const gotBytes = await file.read(new Uint8Array(bytes), 0);
    return gotBytes === bytes.byteLength ? bytes : bytes.slice(0, gotBytes);
  } finally {
    await file.close();
  }
};

/** One slab; undefined when it can't be read or is not whole. */
const findSlab = async (files: FileLayer, folder: string, id: number): Promise<Found | undefined> => {
  const paths = slabPaths(folder, id);
  try {
    const journal = readJournal(await readWhole(files, paths.index), id);
    if (!journal) return undefined;
    const data = await files.open(paths.data);
    if ((await data.sizeBytes()) < journal.dataBytes) {
      await data.close();
      return undefined;
    }
    const { dataBytes, journalBytes, batches } = journal;
    return { slab: new Slab({ id, data, dataBytes, journalBytes, batchCount: batches.length }), journal };
  } catch {
    return undefined; // a file is missing, or the disk can't read it: the same as damage
  }
};

/** Whether an older slab continues the run of newer ones that was found so far. */
const continues = (older: Found, [newer]: readonly Found[]): boolean => {
  if (!newer) return true;
  const { low, high } = newer.journal.seed;
  const { seed, isSealed } = older.journal;
  return older.slab.id === newer.slab.id - 1 && isSealed && seed.low === low && seed.high === high;
};

const findRun = async (files: FileLayer, folder: string, ids: readonly number[]): Promise<Found[]> => {
  const run: Found[] = [];
  for (const id of ids.toSorted((a, b) => b - a)) {
    const found = await findSlab(files, folder, id);
    if (!found && run.length === 0) continue;
    if (!found || !continues(found, run)) {
      found?.slab.drop();
      break;
    }
    run.unshift(found);
  }
  return run;
};

/** `kept`: the slabs of the run; what a journal says of another one only supersedes. */
const fill = (index: ObjectIndex, { slab, journal }: Found, kept: ReadonlySet<number>): void => {
  for (const batch of journal.batches) {
    eachEntry(batch, slab.id, ({ hash, kind, slabId, offset, sizeBytes, headCrc }) => {
      const entry = index.find(hash);
      if (kind === ENTRY_KINDS.remove || !kept.has(slabId)) index.remove(hash);
      else if (kind === ENTRY_KINDS.metadata && entry) {
        const { bodySlabId } = index.placeOf(entry);
        index.set(hash, { slabId, offset, sizeBytes, headCrc, bodySlabId });
      } else if (kind === ENTRY_KINDS.put && (entry || !index.isFull)) {
        index.set(hash, { slabId, offset, sizeBytes, headCrc, bodySlabId: slabId });
      }
    });
  }
};

/** Opens the newest slab's journal to append to it, after cutting off what a crash left behind the whole part. */
const reopenJournal = async (files: FileLayer, folder: string, { slab }: Found): Promise<OpenFile> => {
  const journal = await files.open(slabPaths(folder, slab.id).index);
  try {
    await slab.data.truncate(slab.dataBytes);
    await slab.data.sync();
    await journal.truncate(slab.journalBytes);
    await journal.sync();
  } catch (error) {
    await journal.close();
    throw error;
  }
  return journal;
};

/** Opens a folder's slabs and fills the index. Rejects when the folder can't be made, listed or cleared. */
export const recover = async (files: FileLayer, folder: string, index: ObjectIndex): Promise<Recovered> => {
  await files.makeFolder(folder);
  const names = (await files.list(folder)).filter((name) => slabIdOf(name) !== undefined);
  const run = await findRun(files, folder, [...new Set(names.map((name) => slabIdOf(name) ?? 0))]);
  try {
    const kept = new Set(run.map(({ slab }) => slab.id));
    const left = names.filter((name) => !kept.has(slabIdOf(name) ?? 0));
    for (const name of left) await files.unlink(path.join(folder, name));
    if (left.length > 0) await files.syncFolder(folder);
    for (const found of run) fill(index, found, kept);
    const newest = run.at(-1);
    const random = randomBytes(8);
    return {
      slabs: run.map(({ slab }) => slab),
      seed: newest?.journal.seed ?? { low: random.readUInt32LE(0), high: random.readUInt32LE(4) },
      journal: newest && !newest.journal.isSealed ? await reopenJournal(files, folder, newest) : undefined,
    };
  } catch (error) {
    for (const { slab } of run) slab.drop();
    throw error;
  }
};
