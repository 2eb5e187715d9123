/** Writes a local copy of an object: whole, or not there at all. */
import { type FileHandle, open, unlink } from "node:fs/promises";
import type { ReadOptions, SourceObject, SourceStat } from "./port.ts";

const WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Runs `write` on a new file, which is removed again when that fails. An existing file is an error and stays as it is.
 */
export const intoNewFile = async <T>(file: string, write: (handle: FileHandle) => Promise<T>): Promise<T> => {
  const handle = await open(file, "wx");
  try {
    const result = await write(handle);
    await handle.close();
    return result;
  } catch (error) {
    await handle.close().catch(() => {});
    await unlink(file).catch(() => {});
    throw error;
  }
};

/** Writes all of `bytes`; a disk that is nearly full may take less than it was given. */
export const writeAll = async (handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> => {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done).catch(ourFault);
    done += bytesWritten;
  }
};

const own = new WeakSet<object>();

const ourFault = (error: object): never => {
  own.add(error);
  throw error;
};

/** Whether an error is of the disk here (full, broken): that is not the source's. */
export const isOfOurDisk = (error: unknown): boolean => typeof error === "object" && error !== null && own.has(error);

interface Copy extends ReadOptions {
  /** Ranges that are under way at once: more than one where each has to wait for a network. */
  readonly windows: number;
}

/** Copies an opened object by its ranges; at most `windows` × 4 MiB are in memory. */
export const copyRanges = (object: SourceObject, file: string, { windows, signal }: Copy): Promise<SourceStat> =>
  intoNewFile(file, async (handle) => {
    const { sizeBytes } = object.stat;
    const stop = new AbortController();
    const read = { signal: signal ? AbortSignal.any([signal, stop.signal]) : stop.signal };
    let next = 0;
    const work = async (): Promise<void> => {
      const window = new Uint8Array(Math.min(WINDOW_BYTES, sizeBytes));
      while (next < sizeBytes && !stop.signal.aborted) {
        const at = next;
        const target = window.subarray(0, Math.min(window.length, sizeBytes - at));
        next += target.length;
        await object.readRange(at, target, read);
        await writeAll(handle, target, at);
      }
    };
    const workers = Array.from({ length: windows }, work);
    try {
      await Promise.all(workers);
    } catch (error) {
      stop.abort(error);
      await Promise.allSettled(workers); // none may still write when the file is closed
      throw error;
    }
    return object.stat;
  });
