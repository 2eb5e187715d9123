/** What both ways of keeping input files have in common: whole (`input-whole.ts`), in ranges (`input-ranges.ts`). */
import { statfs } from "node:fs/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import type { ContentSource, ReadOptions, SourceStat } from "../../lib/source/port.ts";
import type { CacheEntry } from "./cache-entry.ts";
import type { CacheHead } from "./cache-file.ts";
import type { CacheStore } from "./cache-store.ts";

/** Fetches that wait for their turn. */
export const FETCHES_WAITING_MAX = 64;
const COMPLAINT_MS = 60_000;

export interface KeeperOptions {
  readonly source: ContentSource;
  readonly store: CacheStore;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a reader waits for what is being fetched. */
  readonly waitMs: number;
  /** How long a source may send nothing. */
  readonly stallMs: number;
  /** Fetches at a time. */
  readonly fetchesMax: number;
}

export interface Wanted {
  readonly path: string;
  readonly stat: SourceStat;
}

/** A way of keeping input files. */
export interface Keeper {
  /** The file's entry, held by the caller; null: it can't be kept, and is to be read from the source. */
  acquire(wanted: Wanted, options: ReadOptions): Promise<CacheEntry | null>;
  /** Fills `target` from a held entry. */
  read(entry: CacheEntry, range: Range, options: ReadOptions): Promise<void>;
  /** Nobody has the entry open any more. */
  closed(entry: CacheEntry): void;
  /** Fetches under way of these files are begun anew by whoever wants them next. */
  forget(isMeant: (path: string) => boolean): void;
  stop(): Promise<void>;
}

export interface Range {
  readonly offset: number;
  readonly target: Uint8Array;
}

export const headOf = ({ path, stat }: Wanted, kind: "whole" | "ranges", detail: string): CacheHead => ({
  kind,
  path,
  version: stat.version,
  detail,
  sizeBytes: stat.sizeBytes,
  modifiedMs: stat.modifiedMs,
  etag: stat.etag,
});

export const statOfEntry = ({ head: { sizeBytes, modifiedMs, etag, version } }: CacheEntry): SourceStat => ({
  sizeBytes,
  modifiedMs,
  etag,
  version,
});

/** What a wait is given up for. */
export interface Patience extends ReadOptions {
  readonly waitMs: number;
  /** Raises what the caller is told then. */
  readonly late: () => never;
}

/** Waits for work that goes on whether or not its result is still waited for. */
export const waitFor = async <T>(work: Promise<T>, { waitMs, late, signal }: Patience): Promise<T> => {
  signal?.throwIfAborted();
  let timer: NodeJS.Timeout | undefined;
  let leave: (() => void) | undefined;
  const givenUp = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      try {
        late();
      } catch (error) {
        reject(error);
      }
    }, waitMs);
    leave = () => reject(signal?.reason);
    signal?.addEventListener("abort", leave, { once: true });
  });
  try {
    return await Promise.race([work, givenUp]);
  } finally {
    clearTimeout(timer);
    if (leave) signal?.removeEventListener("abort", leave);
  }
};

/** Notices a disk that is full or fails, and says so once a minute. */
export class DiskSpace {
  readonly #dir: string;
  readonly #clock: Clock;
  readonly #log: Log;
  #saidAtMs = Number.NEGATIVE_INFINITY;

  constructor({ store, clock, log }: Pick<KeeperOptions, "store" | "clock" | "log">) {
    this.#dir = store.options.dir;
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether the disk has room for so many bytes; sources hide why a copy failed. */
  async has(bytes: number): Promise<boolean> {
    const { bavail, bsize } = await statfs(this.#dir).catch(() => ({ bavail: Number.MAX_SAFE_INTEGER, bsize: 1 }));
    if (bavail * bsize >= bytes) return true;
    this.say();
    return false;
  }

  /** Whether an error is one of the file system: the folder may even be gone, with what was being written there. */
  isFault(error: unknown): boolean {
    const { syscall } = error as NodeJS.ErrnoException;
    if (syscall === undefined) return false;
    this.say(error);
    return true;
  }

  say(error?: unknown): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#saidAtMs < COMPLAINT_MS) return;
    this.#saidAtMs = nowMs;
    const what = "the disk of the input cache is full or fails: files are served without being kept";
    this.#log.error({ dir: this.#dir, err: error }, what);
  }
}
