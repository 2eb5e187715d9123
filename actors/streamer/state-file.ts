/**
 * What a streamer remembers over a restart: the streams that it was told to run, what it has learnt about their
 * sources, and the highest lease epoch of every stream that it ever ran. One JSON file, replaced as a whole.
 */
import { mkdir, open, readFile, rename } from "node:fs/promises";
import path from "node:path";
import { z } from "zod";
import { Anchor, StreamSpec } from "../../contracts/streamer.ts";
import type { Log } from "../../lib/log/log.ts";

/** What ffmpeg told about a source: the next start uses it right away. */
export const Learned = z.object({
  frameRate: z.object({ num: z.int().positive(), den: z.int().positive() }).nullable(),
  width: z.int().positive().nullable(),
  height: z.int().positive().nullable(),
  hasAudio: z.boolean(),
  interlaced: z.boolean(),
});
export type Learned = z.output<typeof Learned>;

export const KeptStream = z.object({
  spec: StreamSpec,
  leaseEpoch: z.int().min(0),
  /** The body of the castis API's POST; null: commanded over the bus. */
  posted: z.record(z.string(), z.unknown()).nullable(),
  learned: Learned.nullable(),
  /** The anchor in use: the channel's, or one of its own where the source's time line differs from the channel's. */
  anchor: Anchor.nullable(),
  ownAnchor: Anchor.nullable(),
});
export type KeptStream = z.output<typeof KeptStream>;

const Kept = z.object({
  version: z.literal(1),
  streams: z.array(KeptStream),
  /** `tenant/streamId` → highest lease epoch; of streams that are gone too. Oldest first. */
  leaseEpochs: z.array(z.tuple([z.string(), z.int().min(0)])),
});
export type Kept = z.output<typeof Kept>;

export const EMPTY: Kept = { version: 1, streams: [], leaseEpochs: [] };

export class StateFile {
  readonly #file: string;
  readonly #log: Log;
  /** The write that runs; the next one waits for it, and all that is asked for meanwhile is one write. */
  #running: Promise<void> = Promise.resolve();
  #next: { text: string; done: Promise<void> } | null = null;

  constructor(file: string, log: Log) {
    this.#file = file;
    this.#log = log;
  }

  /** What the last run left; a missing or unreadable file is an empty state (and said in the log). */
  async read(): Promise<Kept> {
    let text: string;
    try {
      text = await readFile(this.#file, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT")
        this.#log.error({ err: error }, "streamer state not read");
      return EMPTY;
    }
    try {
      return Kept.parse(JSON.parse(text));
    } catch (error) {
      this.#log.error({ err: error, file: this.#file }, "streamer state is not readable: starting without streams");
      await rename(this.#file, `${this.#file}.unreadable`).catch(() => {});
      return EMPTY;
    }
  }

  /**
   * Resolves when this state, or a later one, is on disk. A disk that takes nothing is said in the log; streams run on.
   */
  write(state: Kept): Promise<void> {
    const text = JSON.stringify(state);
    if (this.#next) {
      this.#next.text = text;
      return this.#next.done;
    }
    const next = { text, done: Promise.resolve() };
    this.#next = next;
    next.done = this.#running.then(async () => {
      this.#next = null;
      await this.#replace(next.text);
    });
    this.#running = next.done;
    return next.done;
  }

  /** Resolves when nothing is being written any more. */
  flushed(): Promise<void> {
    return this.#next?.done ?? this.#running;
  }

  async #replace(text: string): Promise<void> {
    const unfinished = `${this.#file}.tmp`;
    try {
      await mkdir(path.dirname(this.#file), { recursive: true });
      const handle = await open(unfinished, "w");
      try {
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(unfinished, this.#file);
    } catch (error) {
      this.#log.error({ err: error }, "streamer state not saved");
    }
  }
}
