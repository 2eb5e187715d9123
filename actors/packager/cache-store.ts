/**
 * One cache's folder: which files are in it, how much they take, and who leaves when it gets full.
 *
 * An entry's life:
 *
 *     reserved space → temporary file → published (renamed, known, in the index)
 *                    → detached (no longer known; renamed away) → removed, once nobody holds it
 *
 * Space is reserved before a byte is written and given back when its file is gone from the disk, so that what the
 * folder takes, temporary and leaving files included, stays below the size. Held entries (being read or written) stay;
 * opened ones leave only when there is no other. All that decides runs in one turn of the event loop.
 */
import { mkdirSync, renameSync } from "node:fs";
import { type FileHandle, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { CacheEntry, ENTRY_BYTES, type RemovalReason, type Removed, removedOf } from "./cache-entry.ts";
import { type CacheHead, cacheNameOf } from "./cache-file.ts";
import { type FoundFile, lookThrough, makeFolder, pruneUpwards, temporaryIn } from "./cache-folder.ts";
import { CacheHandles } from "./cache-handles.ts";
import type { CacheTable } from "./cache-index.store.ts";
import { cacheBytes, cacheEntries, cacheRemovals } from "./cache-metrics.ts";

const SLICE = 64; // files that are renamed in one turn: about 3 ms
const ENTRIES_MAX = 100_000; // about 40 MiB of memory; segments of 160 kB fill 16 GB with them

export interface CacheStoreOptions {
  readonly name: "input" | "segment";
  readonly dir: string;
  readonly table: CacheTable;
  readonly maxBytes: number;
  /** Above this part of it the oldest entries leave. */
  readonly limitPercent: number;
  /** After so long without use they leave. */
  readonly ageMs: number;
  readonly clock: Clock;
  readonly log: Log;
}

export interface CacheUsage extends Removed {
  readonly maxBytes: number;
  readonly limitBytes: number;
}

export class CacheStore {
  readonly options: CacheStoreOptions;
  readonly limitBytes: number;
  /** What left when the folder was opened: it had been invalidated, was too old or too much. */
  expiredAtOpen: Removed = { entryCount: 0, bytes: 0 };
  /** The least recently used first. */
  readonly #entries = new Map<string, CacheEntry>();
  readonly #temporaries = new Set<string>();
  readonly #handles = new CacheHandles();
  /** Forgotten entries whose files are still where they were, by their names. */
  readonly #inPlace = new Map<string, CacheEntry>();
  /** Removals under way; those that failed are tried again by the next cleaning. */
  readonly #leaving = new Set<Promise<void>>();
  #stuck: CacheEntry[] = [];
  #usedBytes = 0;
  #leavingBytes = 0;
  #temporaryCount = 0;

  /** Reads the folder: what is whole is taken over with the time of its last use, what is not is removed. */
  static async open(options: CacheStoreOptions): Promise<CacheStore> {
    const store = new CacheStore(options);
    await store.#compareWithFolder();
    store.expiredAtOpen = removedOf(await store.#expire());
    const { name, log, dir } = options;
    log.info({ cache: name, dir, ...store.usage() }, "cache opened");
    return store;
  }

  private constructor(options: CacheStoreOptions) {
    this.options = options;
    this.limitBytes = Math.floor((options.maxBytes * options.limitPercent) / 100);
    makeFolder(options.dir);
  }

  usage(): CacheUsage {
    const { maxBytes } = this.options;
    return { entryCount: this.#entries.size, bytes: this.#usedBytes, maxBytes, limitBytes: this.limitBytes };
  }

  get(name: string): CacheEntry | undefined {
    return this.#entries.get(name);
  }

  entries(): IterableIterator<CacheEntry> {
    return this.#entries.values();
  }

  /** Notes a use. */
  touch(entry: CacheEntry): void {
    if (entry.isGone) return;
    this.#entries.delete(entry.name);
    this.#entries.set(entry.name, entry);
    entry.usedMs = this.options.clock.nowMs();
    this.options.table.touch(entry.name);
  }

  /** Keeps an entry on the disk until it is let go. */
  hold(entry: CacheEntry): void {
    entry.holds += 1;
  }

  letGo(entry: CacheEntry): void {
    entry.holds -= 1;
    if (entry.isGone && entry.holds === 0 && !this.#inPlace.has(entry.name)) this.#remove(entry);
  }

  /** Keeps an entry until those who wait for it have had their turn to hold it themselves. */
  holdForNow(entry: CacheEntry): void {
    this.hold(entry);
    void setImmediate().then(() => this.letGo(entry));
  }

  /** The entry's file, opened once; only while it is held. */
  async handleOf(entry: CacheEntry): Promise<FileHandle> {
    try {
      return await this.#handles.of(entry);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") this.drop(entry, "lost");
      throw error;
    }
  }

  /** Takes space, whoever has to leave for it; false when it can't be had. */
  async reserve(bytes: number): Promise<boolean> {
    if (bytes > this.limitBytes) return false;
    for (;;) {
      if (this.#usedBytes + bytes <= this.limitBytes) break;
      const willBeUsed = this.#usedBytes - this.#leavingBytes + bytes;
      const victim = willBeUsed > this.limitBytes ? this.#victim() : undefined;
      if (victim) this.drop(victim, "space");
      else if (this.#leaving.size > 0) await Promise.race(this.#leaving);
      else if (this.#usedBytes + bytes <= this.options.maxBytes) break;
      else return false;
    }
    this.#usedBytes += bytes;
    return true;
  }

  /** Gives reserved space back that no file takes. */
  release(bytes: number): void {
    this.#usedBytes -= bytes;
  }

  /** A name for a new file, which `publish` or `discard` ends. */
  temporary(): string {
    const file = temporaryIn(this.options.dir, ++this.#temporaryCount);
    this.#temporaries.add(file);
    return file;
  }

  /** Makes a finished temporary file an entry: renamed at once, over an older one of its name. */
  publish(temporary: string, head: CacheHead, chargedBytes: number): CacheEntry {
    const name = cacheNameOf(head);
    const old = this.#entries.get(name);
    if (old) this.drop(old, "replaced");
    const forgotten = this.#inPlace.get(name);
    if (forgotten) this.#putAside(forgotten);
    const file = join(this.options.dir, name);
    mkdirSync(dirname(file), { recursive: true });
    renameSync(temporary, file);
    this.#temporaries.delete(temporary);
    const usedMs = this.options.clock.nowMs();
    const entry = new CacheEntry({ name, head, chargedBytes, usedMs, isTrusted: true, file });
    this.#entries.set(name, entry);
    this.options.table.add(name, usedMs);
    const victim = this.#entries.size > ENTRIES_MAX ? this.#victim() : undefined;
    if (victim) this.drop(victim, "space");
    this.#show();
    return entry;
  }

  /** Removes a temporary file and gives its space back. */
  async discard(temporary: string, reservedBytes: number): Promise<void> {
    await unlink(temporary).catch(() => {});
    this.#temporaries.delete(temporary);
    this.release(reservedBytes);
  }

  /** The entry is no longer known; its file goes when nobody holds it. */
  drop(entry: CacheEntry, reason: RemovalReason): void {
    if (entry.isGone) return;
    this.#forget(entry, reason);
    this.#putAside(entry);
  }

  /** Drops the entries of other versions of a file: they are not asked for any more. */
  dropOthers({ name, head }: CacheEntry): void {
    for (const entry of this.#entries.values()) {
      if (entry.head.path === head.path && entry.name !== name) this.drop(entry, "replaced");
    }
  }

  /** Drops all entries that are meant, also those in use: who reads goes on reading. */
  purge(isMeant: (head: CacheHead) => boolean): Removed {
    const meant = this.#meant(isMeant);
    // Noted first: a kill before their files are gone doesn't bring them back.
    this.options.table.invalidate(meant.map(({ name }) => name));
    for (const entry of meant) {
      this.#forget(entry, "purged");
      this.#inPlace.set(entry.name, entry);
    }
    const clearing = this.#clear().finally(() => this.#leaving.delete(clearing));
    this.#leaving.add(clearing);
    return removedOf(meant);
  }

  /** What `purge` would drop. */
  count(isMeant: (head: CacheHead) => boolean): Removed {
    return removedOf(this.#meant(isMeant));
  }

  /** Removes what was invalidated or not used for too long, and the oldest entries above the limit. */
  async clean(): Promise<Removed> {
    await this.#compareWithFolder();
    const removed = removedOf(await this.#expire());
    for (const entry of this.#stuck.splice(0)) this.#remove(entry);
    await this.settled();
    return removed;
  }

  /** Resolves when all that has left is gone from the disk. */
  async settled(): Promise<void> {
    while (this.#leaving.size > 0) await Promise.all(this.#leaving);
  }

  /** Files stay; their handles are closed. */
  async close(): Promise<void> {
    await this.settled();
    await this.#handles.close();
  }

  #meant(isMeant: (head: CacheHead) => boolean): CacheEntry[] {
    return [...this.#entries.values()].filter(({ head }) => isMeant(head));
  }

  async #expire(): Promise<CacheEntry[]> {
    const { clock, ageMs, table } = this.options;
    const oldestMs = clock.nowMs() - ageMs;
    const expired: CacheEntry[] = [];
    const leave = async (entry: CacheEntry, reason: RemovalReason): Promise<void> => {
      this.drop(entry, reason);
      if (expired.push(entry) % SLICE > 0) return;
      table.flush();
      await setImmediate();
    };
    // Looked up before the first turn ends: an entry that is made later under a name is another one.
    const rows = table.olderThan(oldestMs).map((row) => ({ ...row, entry: this.#entries.get(row.filename) }));
    for (const { filename, timestamp, entry } of rows) {
      if (!entry) table.remove(filename);
      else if (entry.isGone) continue;
      else if (timestamp <= 0) await leave(entry, "invalidated");
      else if (entry.holds === 0 && entry.usedMs < oldestMs) await leave(entry, "age");
    }
    while (this.#usedBytes - this.#leavingBytes > this.limitBytes || this.#entries.size > ENTRIES_MAX) {
      const victim = this.#victim();
      if (!victim) break;
      await leave(victim, "space");
    }
    table.flush();
    return expired;
  }

  #forget(entry: CacheEntry, reason: RemovalReason): void {
    const { name, table, log } = this.options;
    entry.isGone = true;
    this.#entries.delete(entry.name);
    table.remove(entry.name);
    cacheRemovals.inc({ cache: name, reason });
    log.debug({ cache: name, path: entry.head.path, file: entry.name, reason }, "left the cache");
  }

  /** Takes the file of a forgotten entry out of its place, which may be another's from now on. */
  #putAside(entry: CacheEntry): void {
    const { dir, log } = this.options;
    this.#inPlace.delete(entry.name);
    const aside = this.temporary();
    try {
      renameSync(entry.file, aside);
      entry.file = aside;
    } catch (error) {
      // Left alone; the next cleaning finds it if it is there.
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") log.warn({ err: error }, "cached file not put aside");
      this.#temporaries.delete(aside);
      entry.file = "";
    }
    pruneUpwards(dir, entry.name);
    if (entry.holds === 0) this.#remove(entry);
  }

  async #clear(): Promise<void> {
    let count = 0;
    for (const entry of this.#inPlace.values()) {
      this.#putAside(entry);
      if (++count % SLICE > 0) continue;
      this.options.table.flush();
      await setImmediate();
    }
  }

  /** The least recently used entry that nobody reads or writes; of those, one that nobody has open. */
  #victim(): CacheEntry | undefined {
    let opened: CacheEntry | undefined;
    for (const entry of this.#entries.values()) {
      if (entry.holds > 0) continue;
      if (entry.opens === 0) return entry;
      opened ??= entry;
    }
    return opened;
  }

  #remove(entry: CacheEntry): void {
    this.#leavingBytes += entry.chargedBytes;
    const removal = this.#removed(entry).finally(() => {
      this.#leaving.delete(removal);
      this.#leavingBytes -= entry.chargedBytes;
      this.#show();
    });
    this.#leaving.add(removal);
  }

  async #removed(entry: CacheEntry): Promise<void> {
    entry.onGone?.();
    await this.#handles.end(entry);
    try {
      if (entry.file !== "") await unlink(entry.file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") {
        this.options.log.warn({ err: error }, "cached file not removed: the next cleaning tries again");
        this.#stuck.push(entry);
        return;
      }
    }
    this.#temporaries.delete(entry.file);
    this.#usedBytes -= entry.chargedBytes;
  }

  /** The folder is the truth: entries of ours that it has and we don't know are taken over, those without file go. */
  async #compareWithFolder(): Promise<void> {
    const { dir, table, log, name, clock } = this.options;
    const known = new Set(this.#entries.keys());
    const isOurs = (relative: string): boolean =>
      this.#entries.has(relative) || this.#inPlace.has(relative) || this.#temporaries.has(join(dir, relative));
    const { found, seen, ignoredCount } = await lookThrough(dir, isOurs);
    if (ignoredCount > 0) log.debug({ cache: name, dir, ignoredCount }, "files that are not the cache's own");
    for (const relative of known) {
      const entry = this.#entries.get(relative);
      if (entry && !seen.has(relative) && entry.holds === 0) this.drop(entry, "lost");
    }
    if (found.length === 0 && table.count() === this.#entries.size) return;
    const rows = new Map(table.rows().map(({ filename, timestamp }) => [filename, timestamp]));
    const usedMs = (file: FoundFile): number => {
      const seconds = rows.get(file.name);
      return Math.min(clock.nowMs(), seconds === undefined ? file.usedMs : seconds * 1000);
    };
    for (const file of found.sort((a, b) => usedMs(a) - usedMs(b))) this.#adopt(file, usedMs(file));
    for (const filename of rows.keys()) if (!this.#entries.has(filename)) table.remove(filename);
    table.addAll([...this.#entries.values()].filter((entry) => !rows.has(entry.name)));
    this.#show();
  }

  #adopt({ name, head, sizeBytes }: FoundFile, usedMs: number): void {
    if (this.#entries.has(name)) return;
    const chargedBytes = sizeBytes + ENTRY_BYTES;
    const file = join(this.options.dir, name);
    this.#entries.set(name, new CacheEntry({ name, head, chargedBytes, usedMs, isTrusted: false, file }));
    this.#usedBytes += chargedBytes;
  }

  #show(): void {
    const { name } = this.options;
    cacheBytes.set({ cache: name }, this.#usedBytes);
    cacheEntries.set({ cache: name }, this.#entries.size);
  }
}
