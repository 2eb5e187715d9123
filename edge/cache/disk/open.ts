/** Opens the disk tier of a thread. */
import type { Log } from "../../../lib/log/log.ts";
import { DiskStore } from "./disk-store.ts";
import { systemFiles } from "./files.ts";

/** Larger objects are not kept on disk. */
const OBJECT_BYTES_MAX = 64 * 1024 * 1024;
/** Less is not worth its files. */
const DISK_BYTES_MIN = 64 * 1024 * 1024;

export interface OpenDiskOptions {
  readonly folder: string;
  readonly maxBytes: number;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
}

/** What was kept there is served again; undefined where no disk is to be used, or it can't be, which is logged. */
export const openDisk = async ({ folder, maxBytes, log, nowMs }: OpenDiskOptions): Promise<DiskStore | undefined> => {
  if (maxBytes < DISK_BYTES_MIN) return undefined;
  const options = { folder, maxBytes, objectBytesMax: OBJECT_BYTES_MAX, files: systemFiles, log, nowMs };
  return DiskStore.open(options).catch((error: unknown) => {
    log.error({ err: error, folder }, "the cache on disk can't be used; going on without it");
    return undefined;
  });
};
