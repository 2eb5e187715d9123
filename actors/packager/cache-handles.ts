/** Files of a cache that are open: each once, and not more than a process may have besides its viewers. */
import { type FileHandle, open } from "node:fs/promises";
import type { CacheEntry } from "./cache-entry.ts";

const HANDLES_MAX = 128; // of 1024 that a process usually has

export class CacheHandles {
  /** The least recently used first. */
  readonly #open = new Set<CacheEntry>();

  /** The entry's file, opened once; only while it is held. */
  of(entry: CacheEntry): Promise<FileHandle> {
    this.#open.delete(entry);
    this.#open.add(entry);
    this.#closeSpare();
    entry.handle ??= open(entry.file, "r+").catch((error: unknown) => {
      entry.handle = null;
      throw error;
    });
    return entry.handle;
  }

  /** Closes the file of an entry that leaves. */
  async end(entry: CacheEntry): Promise<void> {
    this.#open.delete(entry);
    const handle = await entry.handle?.catch(() => null);
    await handle?.close().catch(() => {});
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((entry) => this.end(entry)));
  }

  #closeSpare(): void {
    if (this.#open.size <= HANDLES_MAX) return;
    for (const entry of this.#open) {
      if (entry.holds > 0) continue;
      this.#open.delete(entry);
      entry.handle?.then((handle) => handle.close()).catch(() => {});
      entry.handle = null;
      if (this.#open.size <= HANDLES_MAX) return;
    }
  }
}
