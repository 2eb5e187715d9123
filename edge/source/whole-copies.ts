/** Files of sources that give no ranges (scp, rsync, servers that ignore Range): copied, read, and gone again. */
import { type FileHandle, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ContentSource, SourceObject, SourceStat } from "../../lib/source/port.ts";
import { mustBeSame } from "../../lib/source/versions.ts";
import { UpstreamError } from "../origin/upstream.ts";

/** At once, of one source: each may be as big as a film. */
const COPIES_MAX = 4;

interface Wanted {
  readonly path: string;
  /** What was opened: another version is SOURCE_CHANGED. */
  readonly stat: SourceStat;
  readonly signal: AbortSignal;
}

export class WholeCopies {
  readonly #source: ContentSource;
  readonly #dir: string;
  readonly #waiting: (() => void)[] = [];
  #count = 0;

  constructor(source: ContentSource, dir: string = tmpdir()) {
    this.#source = source;
    this.#dir = dir;
  }

  /** Runs `work` on a copy; afterwards, however that went, the copy is gone. */
  async use<T>(
    { path, stat, signal }: Wanted,
    work: (copy: Pick<SourceObject, "readRange">) => Promise<T>,
  ): Promise<T> {
    await this.#turn(signal);
    try {
      const folder = await mkdtemp(join(this.#dir, "edge-copy-"));
      let handle: FileHandle | undefined;
      try {
        const file = join(folder, "whole");
        mustBeSame(path, stat, await this.#source.fetchTo(path, file, { signal }));
        handle = await open(file);
        // The name is not needed any more: a crash from here on leaves nothing behind.
        await rm(folder, { recursive: true, force: true });
        return await work(rangesOf(handle));
      } finally {
        await handle?.close();
        await rm(folder, { recursive: true, force: true });
      }
    } finally {
      this.#leave();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#count < COPIES_MAX) {
      this.#count += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal.reason);
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#waiting.push(go);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next) next();
    else this.#count -= 1;
  }
}

const rangesOf = (handle: FileHandle): Pick<SourceObject, "readRange"> => ({
  readRange: async (offset, target, { signal } = {}) => {
    for (let done = 0; done < target.length; ) {
      signal?.throwIfAborted();
      const { bytesRead } = await handle.read(target, done, target.length - done, offset + done);
      if (bytesRead === 0) throw new UpstreamError("reset", new Error("the copy is shorter than it was"));
      done += bytesRead;
    }
  },
});
