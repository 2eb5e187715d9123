/**
 * Where objects of a filesystem store are written before they have their names: a folder beside the buckets, on the
 * same file system, so that a name is given by rename(2) or link(2) alone. A kill leaves a file there that nobody
 * reads; the sweep takes it once no writer can be at it any more.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { copyFile, type FileHandle, link, lstat, mkdir, open, readdir, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Readable } from "node:stream";
import { writeAll } from "../source/copy.ts";
import { asForeign, errnoOf } from "./faults.ts";

export const STAGING = ".staging";
/** A writer that has not written for so long is dead: each write renews the file's time. */
const LEFT_MS = 24 * 3_600_000;
const COPY_BYTES = 4 * 1024 * 1024;

interface LocalFile {
  readonly file: string;
  /** Nothing is written to it any more. */
  readonly isFinal: boolean;
}

export type Body = Uint8Array | Readable | LocalFile;

/** Makes what is in a folder last: without it a power loss may take a new name away again. */
export const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
};

/**
 * Of all that an ETag is made of, only the time is ours to choose. The kernel's moves in steps of some ms, in which an
 * inode may be freed and used again: this one moves between any two files.
 */
const nowSeconds = (): number => (performance.timeOrigin + performance.now()) / 1000;

const stream = async (handle: FileHandle, body: Readable, signal: AbortSignal | undefined): Promise<void> => {
  const abort = () => void body.destroy(signal?.reason);
  signal?.addEventListener("abort", abort, { once: true });
  try {
    if (signal?.aborted) abort();
    const chunks = body[Symbol.asyncIterator]();
    for (let position = 0; ; ) {
      const next: IteratorResult<Uint8Array | string> = await chunks.next().catch(asForeign);
      if (next.done) return;
      const bytes = typeof next.value === "string" ? Buffer.from(next.value) : next.value;
      await writeAll(handle, bytes, position);
      position += bytes.length;
    }
  } finally {
    signal?.removeEventListener("abort", abort);
    body.destroy();
  }
};

const copyInto = async (handle: FileHandle, file: string, signal: AbortSignal | undefined): Promise<void> => {
  const from = await open(file, "r").catch(asForeign);
  try {
    const window = Buffer.allocUnsafe(COPY_BYTES);
    for (let position = 0; ; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await from.read(window, 0, window.length, position).catch(asForeign);
      if (bytesRead === 0) return;
      await writeAll(handle, window.subarray(0, bytesRead), position);
      position += bytesRead;
    }
  } finally {
    await from.close();
  }
};

/** False: on another file system, or on one without links, or no file (a link to a link would be one). */
const linked = async (file: string, to: string): Promise<boolean> => {
  try {
    if (!(await lstat(file)).isFile()) return false;
    await link(file, to);
    return true;
  } catch {
    return false;
  }
};

/** Shares the blocks of a file where the file system can do that (Btrfs, XFS, ZFS); false: it has to be copied. */
const cloned = async ({ file, isFinal }: LocalFile, to: string): Promise<boolean> => {
  try {
    if (isFinal && (await linked(file, to))) return true;
    await copyFile(file, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    await unlink(to).catch(() => {});
    if (errnoOf(error) === "ENOENT") await lstat(file).catch(asForeign);
    return false;
  }
};

/** Writes a body to a new file of the staging folder, synced; the file is gone again when that fails. */
export const stage = async (root: string, body: Body, signal: AbortSignal | undefined): Promise<string> => {
  const folder = join(root, STAGING);
  await mkdir(folder, { mode: 0o700 }).catch((error: unknown) => {
    if (errnoOf(error) !== "EEXIST") throw error;
  });
  const file = join(folder, randomBytes(16).toString("hex"));
  const source = "file" in body ? body : null;
  try {
    const isCloned = source !== null && (await cloned(source, file));
    const handle = await open(file, isCloned ? "r+" : "wx", 0o644);
    try {
      if (!isCloned && source !== null) await copyInto(handle, source.file, signal);
      else if (body instanceof Uint8Array) await writeAll(handle, body, 0);
      else if (source === null) await stream(handle, body as Readable, signal); // the third of three
      signal?.throwIfAborted();
      await handle.chmod(0o644);
      await handle.utimes(nowSeconds(), nowSeconds());
      await handle.sync();
    } finally {
      await handle.close();
    }
    return file;
  } catch (error) {
    await unlink(file).catch(() => {});
    throw error;
  }
};

/**
 * Makes the folders of a path below `root` and makes them last; `folder` is `root` or within it. From the top, so that
 * none is made behind a symbolic link.
 */
export const makeFolders = async (root: string, folder: string): Promise<void> => {
  if (folder === root) return;
  const parent = dirname(folder);
  await makeFolders(root, parent);
  const isNew = await mkdir(folder).then(
    () => true,
    (error: unknown) => existing(folder, error),
  );
  if (isNew) await syncFolder(parent);
};

/** A folder that is there is no new one; anything else in its place is an error. */
const existing = async (folder: string, error: unknown): Promise<false> => {
  if (errnoOf(error) !== "EEXIST") throw error;
  const stat = await lstat(folder);
  if (stat.isDirectory()) return false;
  throw Object.assign(new Error("a part of the key is no folder"), { code: stat.isFile() ? "EISDIR" : "ELOOP" });
};

/** Removes what kills have left; gives their number. */
export const sweepStaging = async (root: string, nowMs: number): Promise<number> => {
  const folder = join(root, STAGING);
  const names = await readdir(folder).catch((): string[] => []);
  let removed = 0;
  for (const name of names) {
    const stat = await lstat(join(folder, name)).catch(() => null);
    if (!stat?.isFile() || nowMs - stat.mtimeMs < LEFT_MS) continue;
    await unlink(join(folder, name)).catch(() => {});
    removed += 1;
  }
  return removed;
};
