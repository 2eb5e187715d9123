/** Opens what a thread keeps on disk: its objects, and the purges that count for them. */
import { join } from "node:path";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { DiskStore } from "./disk/disk-store.ts";
import { systemFiles } from "./disk/files.ts";
import { Purges } from "./purges/purges.ts";

/** Larger objects are not kept on disk. */
const OBJECT_BYTES_MAX = 64 * 1024 * 1024;
/** Less is not worth its files. */
const DISK_BYTES_MIN = 64 * 1024 * 1024;

export interface OpenStoresOptions {
  readonly folder: string;
  /** 0: nothing is kept but purges. */
  readonly maxBytes: number;
  readonly log: Log;
  /** Monotonic. */
  readonly nowMs: () => number;
  readonly clock: Clock;
}

export interface Stores {
  /** Undefined where no disk is to be used, or it can't be, which is logged. */
  readonly disk: DiskStore | undefined;
  readonly purges: Purges;
}

const openDisk = async ({ folder, maxBytes, log, nowMs }: OpenStoresOptions): Promise<DiskStore | undefined> => {
  if (maxBytes < DISK_BYTES_MIN) return undefined;
  const options = { folder, maxBytes, objectBytesMax: OBJECT_BYTES_MAX, files: systemFiles, log, nowMs };
  return DiskStore.open(options).catch((error: unknown) => {
    log.error({ err: error, folder }, "the cache on disk can't be used; going on without it");
    return undefined;
  });
};

/** What was kept there is served again. Rejects when purges can't be kept there: they must not be forgotten. */
export const openStores = async (options: OpenStoresOptions): Promise<Stores> => {
  const { folder, log, clock } = options;
  const purges = await Purges.open({ folder: join(folder, "purges"), files: systemFiles, log, clock });
  return { disk: await openDisk(options), purges };
};
