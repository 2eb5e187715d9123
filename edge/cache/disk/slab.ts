/**
 * One slab's data file.
 *
 *   live ── drop() ──► dropped ── cut() ──► cut
 *
 * A dropped slab has no name any more, yet those who had it open still read from it, and its bytes stay taken until the
 * last one leaves. A cut one gave them back: its readers meet the end of the file.
 */
import path from "node:path";
import type { OpenFile } from "./files.ts";

const NAME = /^slab-(\d{10})\.(data|index)$/;
const PAGE_BYTES = 4096;

/** Paths of a slab's two files. */
export const slabPaths = (folder: string, id: number): { data: string; index: string } => {
  const name = path.join(folder, `slab-${String(id).padStart(10, "0")}`);
  return { data: `${name}.data`, index: `${name}.index` };
};

/** The slab that a file's name belongs to; undefined for names that are not ours. */
export const slabIdOf = (name: string): number | undefined => {
  const digits = NAME.exec(name)?.[1];
  return digits === undefined ? undefined : Number(digits);
};

/** What a file of this length takes on the disk. */
export const wholePages = (sizeBytes: number): number => Math.ceil(sizeBytes / PAGE_BYTES) * PAGE_BYTES;

interface SlabFields {
  readonly id: number;
  readonly data: OpenFile;
  readonly dataBytes: number;
  readonly journalBytes: number;
  readonly batchCount: number;
}

export class Slab {
  readonly id: number;
  readonly data: OpenFile;
  /** Where the next record goes. */
  dataBytes: number;
  /** Where the journal's next batch goes, and its number. */
  journalBytes: number;
  batchCount: number;
  #users = 0;
  #state: "live" | "dropped" | "cut" = "live";

  constructor({ id, data, dataBytes, journalBytes, batchCount }: SlabFields) {
    this.id = id;
    this.data = data;
    this.dataBytes = dataBytes;
    this.journalBytes = journalBytes;
    this.batchCount = batchCount;
  }

  /** Bytes that it takes on the disk, both files. */
  get sizeBytes(): number {
    return wholePages(this.dataBytes) + wholePages(this.journalBytes);
  }
  get isLive(): boolean {
    return this.#state === "live";
  }
  /** Dropped, and still taking its bytes for the sake of its readers. */
  get isHeld(): boolean {
    return this.#state === "dropped" && this.#users > 0;
  }

  /** As long as somebody uses it, its descriptor stays open. */
  retain(): void {
    this.#users += 1;
  }
  release(): void {
    this.#users -= 1;
    if (!this.isLive && this.#users === 0) this.#close();
  }

  drop(): void {
    if (this.#state !== "live") throw new Error(`bug: a slab that is ${this.#state} is dropped`);
    this.#state = "dropped";
    if (this.#users === 0) this.#close();
  }

  /** Takes a dropped slab's bytes from its readers. */
  async cut(): Promise<void> {
    if (this.#state !== "dropped") throw new Error(`bug: a slab that is ${this.#state} is cut`);
    this.#state = "cut";
    this.retain();
    try {
      await this.data.truncate(0);
    } finally {
      this.release();
    }
  }

  #close(): void {
    // Nobody needs it and nothing is left to be written: an error has no one to tell and nothing to lose.
    this.data.close().catch(() => {});
  }
}
