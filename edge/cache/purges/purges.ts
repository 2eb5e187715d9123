/**
 * The purges of an edge: what counts (purge-table.ts) and the journal that keeps it.
 *
 * A purge counts from the moment it is asked for, and is acknowledged once it is synced. Purges that come while one is
 * being synced are synced together. The journal is written anew, beside the old one and then renamed, at each start,
 * when it has grown well beyond what counts, and after a write that failed: nobody knows then what its end holds.
 *
 * It errs towards purging. Without a journal all that was stored before is gone; so it is when the journal is damaged
 * where something was acknowledged. When only its last frame is not whole, which a power loss may leave before the
 * acknowledgement, all counts as stale once.
 */
import path from "node:path";
import type { Clock } from "../../../lib/clock.ts";
import type { Log } from "../../../lib/log/log.ts";
import type { FileLayer, OpenFile } from "../disk/files.ts";
import { purgesFrame, type ReadPurges, readPurges, startFrame } from "./purge-journal.ts";
import {
  type NumberedPurge,
  nameOf,
  type Purge,
  type Purgeable,
  PurgeTable,
  type PurgeTarget,
  type Verdict,
} from "./purge-table.ts";

const MiB = 1024 * 1024;
/** × some 300 bytes in memory and 120 in the journal. */
const PURGES_MAX = 100_000;
const WAITING_MAX = 10_000;
const NAME_LENGTH_MAX = 8_192; // as long as a request line may be
/** What the journal may grow by before it is written anew. */
const GROWTH_BYTES_MAX = 4 * MiB;
const PURGES_PER_FRAME = 1_000;
const EPOCH_MARGIN = 1_000_000; // a second, as the clock counts: no edge starts so often that it runs ahead of it

export interface PurgesOptions {
  /** Made when it is not there. */
  readonly folder: string;
  readonly files: FileLayer;
  readonly log: Log;
  /** Only for a first number that is beyond all that were given before. */
  readonly clock: Clock;
  /** More are folded into purges of whole sites, the oldest first. 100,000 unless told. */
  readonly purgesMax?: number;
}

interface Waiting {
  readonly purge: NumberedPurge;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

const readFile = async (files: FileLayer, name: string): Promise<Buffer | undefined> => {
  let file: OpenFile;
  try {
    file = await files.open(name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined; // errors of files are system errors
    throw error;
  }
  try {
    const bytes = Buffer.alloc(await file.sizeBytes());
    return bytes.subarray(0, await file.read(bytes, 0));
  } finally {
    await file.close();
  }
};

/** The table that a journal says, and that errs towards purging where the journal says too little. */
const tableOf = (read: ReadPurges | undefined, { clock, log, purgesMax = PURGES_MAX }: PurgesOptions): PurgeTable => {
  const known = read?.start?.epoch ?? 0;
  const last = read?.purges.reduce((most, { seq }) => Math.max(most, seq), known) ?? 0;
  const everything = { soft: 0, hard: 0, ...read?.start?.everything };
  // Beyond any number that an object on the disk may carry: the last ones may never have been kept. Microseconds since
  // 1970 are, as no edge purges a million times a second; the margin is for a clock that was set back.
  const epoch = Math.max(last + EPOCH_MARGIN, clock.nowMs() * 1_000) + 1;
  if (read?.damage !== "none") {
    everything[read?.damage === "tail" ? "soft" : "hard"] = epoch;
    if (read) log.warn({ damage: read.damage }, "purges: the journal is damaged, all that is stored counts as purged");
  }
  const table = new PurgeTable({ purgesMax, epoch, everything });
  for (const purge of read?.purges ?? []) table.restore(purge);
  return table;
};

/** Why a target is none; undefined when it is one. */
const fault = (target: PurgeTarget): string | undefined => {
  if (target.kind === "site") return undefined;
  const name = nameOf(target);
  if (name.length === 0) return `a ${target.kind} to purge is empty`;
  if (name.length > NAME_LENGTH_MAX) return `a ${target.kind} to purge is longer than ${NAME_LENGTH_MAX} characters`;
  if (target.kind === "prefix" && !name.startsWith("/")) return "a prefix to purge begins with a slash";
  return undefined;
};

export class Purges {
  readonly #options: PurgesOptions;
  readonly #table: PurgeTable;
  #file: OpenFile | undefined;
  #endBytes = 0;
  #rewriteAtBytes = 0;
  /** After a write that failed: what the end of the file holds is unknown. */
  #isEndUnsure = false;
  #isClosed = false;
  readonly #waiting: Waiting[] = [];
  #work: Promise<void> = Promise.resolve();

  private constructor(options: PurgesOptions, table: PurgeTable) {
    this.#options = options;
    this.#table = table;
  }

  /** Reads the journal and writes it anew. Rejects with the system's error. */
  static async open(options: PurgesOptions): Promise<Purges> {
    await options.files.makeFolder(options.folder);
    const bytes = await readFile(options.files, path.join(options.folder, "purges.journal"));
    const purges = new Purges(options, tableOf(bytes && readPurges(bytes), options));
    await purges.#rewrite();
    return purges;
  }

  /**
   * What an object carries that is asked of an origin, or validated, from now on: to be taken before the request is
   * sent, so that a purge during the transfer purges what is still on its way.
   */
  get seq(): number {
    return this.#table.epoch;
  }
  get purgeCount(): number {
    return this.#table.purgeCount;
  }

  /** What purges mean for an object: one comparison, unless something was purged since it was last found valid. */
  verdict(object: Purgeable): Verdict {
    return this.#table.verdict(object);
  }

  /**
   * Purges at once; resolves when a power loss can't undo it. Rejects with a RangeError for a target that is none, and
   * with the system's error when it could not be kept: then it counts until the process ends.
   */
  async purge(purge: Purge): Promise<void> {
    const wrong = fault(purge.target);
    if (wrong) throw new RangeError(wrong);
    if (this.#isClosed) throw new Error("purges: closed");
    if (this.#waiting.length >= WAITING_MAX) throw new Error(`purges: ${WAITING_MAX} wait to be kept already`);
    const numbered = this.#table.add(purge);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ purge: numbered, resolve, reject });
      this.#work = this.#work.then(() => this.#commit());
    });
  }

  /** Waits for what is being kept, and closes the journal. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work;
    await this.#file?.close();
    this.#file = undefined;
  }

  /** Keeps all that waits. Never rejects: those who wait are told. */
  async #commit(): Promise<void> {
    const batch = this.#waiting.splice(0);
    if (batch.length === 0) return; // an earlier one took them along
    try {
      if (this.#isEndUnsure) await this.#rewrite();
      else await this.#append(batch.map(({ purge }) => purge));
      for (const { resolve } of batch) resolve();
    } catch (error) {
      this.#isEndUnsure = true;
      for (const { reject } of batch) reject(error);
      return;
    }
    if (this.#endBytes < this.#rewriteAtBytes) return;
    await this.#rewrite().catch((error: unknown) => {
      this.#rewriteAtBytes = this.#endBytes + GROWTH_BYTES_MAX;
      this.#options.log.warn({ err: error }, "purges: the journal could not be written anew, it grows on");
    });
  }

  async #append(purges: readonly NumberedPurge[]): Promise<void> {
    if (!this.#file) throw new Error("bug: purges are kept without a journal");
    const frame = purgesFrame(purges);
    await this.#file.write(frame, this.#endBytes);
    await this.#file.sync();
    this.#endBytes += frame.length;
  }

  async #rewrite(): Promise<void> {
    const { folder, files } = this.#options;
    const name = path.join(folder, "purges.journal");
    const { epoch, everything, purges } = this.#table;
    const start = startFrame({ epoch, everything });
    const kept = [...purges]; // those that are added while it is written wait for their own turn
    const file = await files.create(`${name}.new`);
    let endBytes = start.length;
    try {
      await file.write(start, 0);
      for (let at = 0; at < kept.length; at += PURGES_PER_FRAME) {
        const frame = purgesFrame(kept.slice(at, at + PURGES_PER_FRAME));
        await file.write(frame, endBytes);
        endBytes += frame.length;
      }
      await file.sync();
      await files.rename(`${name}.new`, name);
      await files.syncFolder(folder);
    } catch (error) {
      await file.close();
      this.#isEndUnsure = true; // the renamed one may be the one that counts: the next write is a whole one again
      throw error;
    }
    await this.#file?.close();
    this.#file = file;
    this.#endBytes = endBytes;
    this.#rewriteAtBytes = endBytes * 2 + GROWTH_BYTES_MAX;
    this.#isEndUnsure = false;
  }
}
