/** Objects of a server: one whose ranges are asked for, and one that is fetched whole. */
import { refuseRange } from "./faults.ts";
import type { ReadOptions, SourceObject, SourceStat } from "./port.ts";
import { checkRange } from "./versions.ts";

export interface Opened {
  readonly path: string;
  readonly stat: SourceStat;
  /** Bytes from its beginning that came with the opening. */
  readonly held: Uint8Array;
}

interface Ways {
  /** Reads a range that is not held. */
  readonly read: (opened: Opened, offset: number, target: Uint8Array, options: ReadOptions) => Promise<void>;
  /** Called once. */
  readonly close?: (opened: Opened) => void;
}

export class RangedObject implements SourceObject {
  readonly stat: SourceStat;
  readonly #opened: Opened;
  readonly #ways: Ways;
  #held: Uint8Array;
  #isClosed = false;

  constructor(opened: Opened, ways: Ways) {
    this.stat = opened.stat;
    this.#opened = opened;
    this.#held = opened.held;
    this.#ways = ways;
  }

  async readRange(offset: number, target: Uint8Array, options: ReadOptions = {}): Promise<void> {
    if (this.#isClosed) throw new Error(`bug: ${this.#opened.path} is read after it was closed`);
    options.signal?.throwIfAborted();
    checkRange(this.#opened.path, this.stat, offset, target.length);
    const end = offset + target.length;
    if (end <= this.#held.length) return target.set(this.#held.subarray(offset, end));
    if (target.length === 0) return;
    // A reader who goes past the first bytes has seen them; a file that is held whole never comes here.
    this.#held = new Uint8Array(0);
    await this.#ways.read(this.#opened, offset, target, options);
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#held = new Uint8Array(0);
    this.#ways.close?.(this.#opened);
  }
}

/** Its ranges can't be had: `fetchTo` of its source is the way. */
export class WholeObject implements SourceObject {
  readonly wholeOnly = true;
  readonly stat: SourceStat;
  readonly #kind: string;
  readonly #path: string;

  constructor(kind: string, path: string, stat: SourceStat) {
    this.#kind = kind;
    this.#path = path;
    this.stat = stat;
  }

  async readRange(offset: number, target: Uint8Array, { signal }: ReadOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    checkRange(this.#path, this.stat, offset, target.length);
    refuseRange(this.#kind, this.#path);
  }

  async close(): Promise<void> {}
}
