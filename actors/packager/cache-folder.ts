/** A cache's folder on the disk. Files whose names are not ours are never touched: the folder may be a mistaken one. */
import { closeSync, type Dirent, fstatSync, openSync, rmdirSync } from "node:fs";
import { readdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ensureDir } from "../../lib/config/ensure-dir.ts";
import { type CacheHead, cacheNameOf, readTailSync } from "./cache-file.ts";

/** Files that are being written or removed; what a life before left there is removed. */
const TEMPORARY_FOLDER = "=tmp";

const ENTRY = /^=[0-9a-f]{32}$/;
const DEPTH_MAX = 600; // parts of a source path, which has 1 KiB at most
const DISK_UNIT_BYTES = 512; // of `blocks` in stat(2)

export interface FoundFile {
  /** Path below the folder. */
  readonly name: string;
  readonly head: CacheHead;
  /** On the disk: what is not written of a sparse file doesn't count. */
  readonly sizeBytes: number;
  /** Of the last read or write that the file system knows. */
  readonly usedMs: number;
}

export interface Folder {
  /** Whole entries that the caller doesn't know. */
  readonly found: FoundFile[];
  /** Names of all entries, known ones too. */
  readonly seen: ReadonlySet<string>;
  readonly ignoredCount: number;
}

const inspected = (dir: string, name: string): FoundFile | null => {
  let fd: number | undefined;
  try {
    fd = openSync(join(dir, name), "r");
    const { size, blocks, atimeMs, mtimeMs } = fstatSync(fd); // before our own reading counts as a use
    const tail = readTailSync(fd, size);
    if (!tail || cacheNameOf(tail.head) !== name) return null;
    const usedMs = Math.max(atimeMs, mtimeMs);
    return { name, head: tail.head, sizeBytes: blocks * DISK_UNIT_BYTES, usedMs };
  } catch {
    return null; // unreadable is as good as torn
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
};

/** What another program does not let us see is none of ours. */
const childrenOf = async (root: string, below: string): Promise<Dirent[]> => {
  try {
    return await readdir(join(root, below), { withFileTypes: true });
  } catch (error) {
    if (below === "") throw error;
    return [];
  }
};

/** In the same turn as whoever makes a folder and puts a file into it, so that neither is in the other's way. */
const removedIfEmpty = (dir: string): boolean => {
  try {
    rmdirSync(dir);
    return true;
  } catch {
    return false;
  }
};

/** Makes the folder, and again where another program has removed it. */
export const makeFolder = (dir: string): void => ensureDir(join(dir, TEMPORARY_FOLDER));

/** A place for a new file. Where the folder can't be made, opening the file says so. */
export const temporaryIn = (dir: string, number: number): string => {
  try {
    makeFolder(dir);
  } catch {}
  return join(dir, TEMPORARY_FOLDER, `${process.pid}-${number}`);
};

/**
 * All entries of a folder, which is made where it is missing. What the caller doesn't know is removed where it is torn
 * or temporary.
 */
export const lookThrough = async (dir: string, isKnown: (name: string) => boolean): Promise<Folder> => {
  const found: FoundFile[] = [];
  const seen = new Set<string>();
  let ignoredCount = 0;
  const remove = (name: string): Promise<boolean> =>
    unlink(join(dir, name)).then(
      () => true,
      () => false,
    );
  /** True when it is removed. */
  const look = async (name: string, leaf: string): Promise<boolean> => {
    if (isKnown(name)) {
      seen.add(name);
      return false;
    }
    if (name.startsWith(`${TEMPORARY_FOLDER}/`)) return remove(name);
    if (!ENTRY.test(leaf)) {
      ignoredCount += 1;
      return false;
    }
    const file = inspected(dir, name);
    if (file) found.push(file);
    return file === null && remove(name);
  };
  /** True when it is gone: folders that get empty are removed, but those that were are not ours to remove. */
  const walk = async (below: string, depth: number): Promise<boolean> => {
    const children = await childrenOf(dir, below);
    let isEmpty = children.length > 0;
    for (const child of children) {
      const name = below === "" ? child.name : `${below}/${child.name}`;
      let isGone = false;
      if (child.isDirectory() && depth < DEPTH_MAX) isGone = await walk(name, depth + 1);
      else if (child.isFile()) isGone = await look(name, child.name);
      else ignoredCount += 1;
      isEmpty = isEmpty && isGone;
    }
    return isEmpty && below !== "" && below !== TEMPORARY_FOLDER && removedIfEmpty(join(dir, below));
  };
  makeFolder(dir);
  await walk("", 0);
  return { found, seen, ignoredCount };
};

/** Removes the folders that an entry was in, as far as they are empty, never the root. */
export const pruneUpwards = (root: string, name: string): void => {
  for (let at = dirname(name); at !== "." && at !== ""; at = dirname(at)) if (!removedIfEmpty(join(root, at))) return;
};
