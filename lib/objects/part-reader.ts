/** Reads ranges of the parts of a stitched movie; only some of them are open at a time. */
import { fail } from "../../contracts/errors.ts";
import type { ContentSource, ReadOptions, SourceObject } from "../source/port.ts";
import type { Part } from "./parts.ts";

/** A read goes through neighbours, and players are at a few places: more files would be open for nothing. */
const OPEN_MAX = 8;

interface Opened {
  readonly object: Promise<SourceObject>;
  users: number;
}

export class PartReader {
  readonly #source: ContentSource;
  readonly #parts: readonly Part[];
  /** The least recently used one first. */
  readonly #open = new Map<number, Opened>();
  #isClosed = false;

  constructor(source: ContentSource, parts: readonly Part[]) {
    this.#source = source;
    this.#parts = parts;
  }

  /** SOURCE_CHANGED when the part is another one than the one whose boxes were read. */
  async read(part: number, offset: number, target: Uint8Array, options: ReadOptions = {}): Promise<void> {
    const opened = this.#take(part);
    opened.users += 1;
    try {
      await (await opened.object).readRange(offset, target, options);
    } finally {
      opened.users -= 1;
      this.#shrink();
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map(({ object }) => object.then((one) => one.close()).catch(() => {})));
  }

  #take(part: number): Opened {
    if (this.#isClosed) throw new Error("bug: a part is read after its movie was closed");
    const held = this.#open.get(part);
    const opened = held ?? { object: this.#openPart(part), users: 0 };
    this.#open.delete(part);
    this.#open.set(part, opened);
    // One that could not be opened is tried again by the next who asks.
    opened.object.catch(() => {
      if (this.#open.get(part) === opened) this.#open.delete(part);
    });
    return opened;
  }

  async #openPart(index: number): Promise<SourceObject> {
    const part = this.#parts[index];
    if (!part) throw new Error(`bug: there is no part ${index}`);
    const object = await this.#source.open(part.path);
    if (object.stat.version === part.stat.version) return object;
    await object.close();
    return fail("SOURCE_CHANGED", { path: part.path });
  }

  #shrink(): void {
    for (const [part, opened] of this.#open) {
      if (this.#open.size <= OPEN_MAX) return;
      if (opened.users > 0) continue;
      this.#open.delete(part);
      opened.object.then((object) => object.close()).catch(() => {});
    }
  }
}
