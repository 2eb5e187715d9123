/** An object of a server whose first bytes came with the opening, and whose other ranges are asked for. */
import { refuseRange } from "./faults.ts";
import type { ReadOptions, SourceObject, SourceStat } from "./port.ts";
import { checkRange } from "./versions.ts";

export interface Opened {
  readonly path: string;
  readonly stat: SourceStat;
  /** From its beginning; empty for one that is read whole only. */
  readonly held: Uint8Array;
  readonly wholeOnly?: true;
}

export type ReadPart = (opened: Opened, offset: number, target: Uint8Array, options: ReadOptions) => Promise<void>;

export class RangedObject implements SourceObject {
  readonly stat: SourceStat;
  readonly wholeOnly?: true;
  readonly #kind: string;
  readonly #opened: Opened;
  readonly #read: ReadPart;
  #held: Uint8Array;

  constructor(kind: string, opened: Opened, read: ReadPart) {
    this.stat = opened.stat;
    if (opened.wholeOnly) this.wholeOnly = true;
    this.#kind = kind;
    this.#opened = opened;
    this.#held = opened.held;
    this.#read = read;
  }

  async readRange(offset: number, target: Uint8Array, options: ReadOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    checkRange(this.#opened.path, this.stat, offset, target.length);
    if (this.wholeOnly) refuseRange(this.#kind, this.#opened.path);
    const end = offset + target.length;
    if (end <= this.#held.length) return target.set(this.#held.subarray(offset, end));
    if (target.length === 0) return;
    // A reader who goes past the first bytes has seen them; a file that is held whole never comes here.
    this.#held = new Uint8Array(0);
    await this.#read(this.#opened, offset, target, options);
  }

  async close(): Promise<void> {
    this.#held = new Uint8Array(0);
  }
}
