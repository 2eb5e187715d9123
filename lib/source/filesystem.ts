/**
 * A folder of this machine, read in place. Symbolic links are followed as long as they stay in it. An opened file is
 * its inode: one that is put in its place does not touch it; one that is written to while it is open is SOURCE_CHANGED.
 */
import * as fs from "node:fs";
import { opendir, readlink } from "node:fs/promises";
import { join, sep } from "node:path";
import { promisify } from "node:util";
import { type ErrorCode, fail } from "../../contracts/errors.ts";
import type { Log } from "../log/log.ts";
import { copyRanges } from "./copy.ts";
import { asFault } from "./faults.ts";
import { checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import type { FilesystemSettings, SourceTools } from "./settings.ts";
import { checkRange, mustBeSame, versionOf } from "./versions.ts";

const openFile = promisify(fs.open);
const closeFile = promisify(fs.close);
const statfs = promisify(fs.statfs);
const realpath = promisify(fs.realpath.native);
const statFile = (file: string): Promise<fs.BigIntStats> => promisify(fs.stat)(file, { bigint: true });
const statOpen = (fd: number): Promise<fs.BigIntStats> => promisify(fs.fstat)(fd, { bigint: true });

const READ_BYTES_MAX = 8 * 1024 * 1024; // between two of them a caller who has left is noticed
const ENTRIES_MAX = 200_000; // of one folder: names and paths of 200 bytes are 80 MB
const STATS_AT_ONCE = 16;
// Neither waits for the other end of a FIFO nor becomes a terminal's; the last part is no link that was just put there.
const READ_ONLY = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK | fs.constants.O_NOFOLLOW | fs.constants.O_NOCTTY;

const CAN_SEE_DESCRIPTORS = fs.existsSync("/proc/self/fd");

/** statfs(2): those whose attributes are in this machine's memory: ext4, XFS, Btrfs, F2FS, ZFS, tmpfs, overlay. */
const LOCAL = new Set([0xef53, 0x58465342, 0x9123683e, 0xf2f52010, 0x2fc12fc1, 0x01021994, 0x794c7630]);

const CODES: Readonly<Record<string, ErrorCode>> = {
  ENOENT: "SOURCE_NOT_FOUND",
  ENOTDIR: "SOURCE_NOT_FOUND",
  ELOOP: "SOURCE_NOT_FOUND",
  ENAMETOOLONG: "SOURCE_NOT_FOUND",
  ENXIO: "SOURCE_NOT_FOUND",
  EACCES: "SOURCE_DENIED",
  EPERM: "SOURCE_DENIED",
  ESTALE: "SOURCE_CHANGED",
};
const codeOfErrno = (error: unknown): ErrorCode | undefined => CODES[(error as NodeJS.ErrnoException).code ?? ""];

/**
 * The number of a file that is gone is soon another one's, and copies keep the time: when it was made tells them
 * apart.
 */
const sourceStat = (stat: fs.BigIntStats): SourceStat => ({
  sizeBytes: Number(stat.size),
  modifiedMs: Number(stat.mtimeMs),
  etag: null,
  version: versionOf(stat.size, stat.mtimeNs, stat.ino, stat.birthtimeNs),
});

const isWithin = (root: string, file: string): boolean =>
  file === root || file.startsWith(root.endsWith(sep) ? root : root + sep);

interface Opened {
  readonly path: string;
  readonly fd: number;
  readonly stat: SourceStat;
  /** Attributes are asked for where they lie: in memory, or on a server that may hang. */
  readonly isLocal: boolean;
  readonly log: Log;
  readonly closed: () => void;
}

class FileObject implements SourceObject {
  readonly stat: SourceStat;
  readonly #file: Opened;
  readonly #idle = Promise.withResolvers<void>();
  #reads = 0;
  #isClosed = false;

  constructor(file: Opened) {
    this.#file = file;
    this.stat = file.stat;
  }

  async readRange(offset: number, target: Uint8Array, { signal }: ReadOptions = {}): Promise<void> {
    const { path, log, stat } = this.#file;
    if (this.#isClosed) throw new Error(`bug: ${path} is read after it was closed`);
    checkRange(path, stat, offset, target.length);
    this.#reads += 1;
    try {
      // A read that has begun is waited for: the kernel writes into the caller's memory until it ends.
      for (let done = 0; done < target.length; ) {
        signal?.throwIfAborted();
        const got = await this.#read(target, done, offset + done);
        if (got === 0) {
          await this.#check();
          fail("SOURCE_TRUNCATED", { path });
        }
        done += got;
      }
      await this.#check();
    } catch (error) {
      throw asFault(error, { kind: "filesystem", path, log, signal }, codeOfErrno);
    } finally {
      this.#reads -= 1;
      this.#settle();
    }
  }

  /** The callback form: FileHandle.read costs a fifth more CPU on small reads, and nothing less on big ones. */
  #read(target: Uint8Array, done: number, position: number): Promise<number> {
    const { fd } = this.#file;
    const length = Math.min(target.length - done, READ_BYTES_MAX);
    return new Promise((resolve, reject) => {
      fs.read(fd, target, done, length, position, (error, got) => (error ? reject(error) : resolve(got)));
    });
  }

  /** After the bytes, so that none that came before it are of another content: 1.4 µs in memory, 40 µs by a thread. */
  async #check(): Promise<void> {
    const { fd, path, stat, isLocal } = this.#file;
    const now = isLocal ? fs.fstatSync(fd, { bigint: true }) : await statOpen(fd);
    mustBeSame(path, stat, sourceStat(now));
  }

  /** Waits for the reads under way: the number of a closed descriptor is another file's at once. */
  async close(): Promise<void> {
    if (this.#isClosed) return this.#idle.promise;
    this.#isClosed = true;
    this.#settle();
    await this.#idle.promise;
    this.#file.closed();
    await closeFile(this.#file.fd);
  }

  #settle(): void {
    if (this.#isClosed && this.#reads === 0) this.#idle.resolve();
  }
}

export class FilesystemSource implements ContentSource {
  readonly kind = "filesystem";
  readonly capabilities = { ranges: true, list: true, strongVersion: false };
  readonly #folder: string;
  readonly #log: Log;
  readonly #open = new Set<FileObject>();
  readonly #localDevices = new Map<bigint, boolean>();
  #root: string | undefined;

  constructor({ root }: FilesystemSettings, { log }: SourceTools) {
    this.#folder = root;
    this.#log = log;
  }

  async stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt(path, signal, async () => {
      const stat = await statFile(await this.#locate(checkedSourcePath(path)));
      if (!stat.isFile()) fail("SOURCE_NOT_FOUND", { path });
      return sourceStat(stat);
    });
  }

  async open(path: string, { signal }: ReadOptions = {}): Promise<SourceObject> {
    return this.#attempt(path, signal, async () => {
      const file = await this.#locate(checkedSourcePath(path));
      // Looked at before it is opened: opening a device can set it going.
      if (!(await statFile(file)).isFile()) fail("SOURCE_NOT_FOUND", { path });
      const fd = await openFile(file, READ_ONLY);
      try {
        const stat = await statOpen(fd);
        if (!stat.isFile() || !(await this.#isAt(fd, file))) fail("SOURCE_NOT_FOUND", { path });
        const isLocal = await this.#isLocal(stat.dev, file);
        signal?.throwIfAborted();
        const closed = () => void this.#open.delete(object);
        const object = new FileObject({ path, fd, stat: sourceStat(stat), isLocal, log: this.#log, closed });
        this.#open.add(object);
        return object;
      } catch (error) {
        await closeFile(fd);
        throw error;
      }
    });
  }

  async *list(path: string, { signal }: ReadOptions = {}): AsyncIterable<SourceEntry> {
    const names = await this.#attempt(path, signal, () => this.#names(checkedFolderPath(path)));
    const entries: SourceEntry[] = [];
    for (let at = 0; at < names.length; at += STATS_AT_ONCE) {
      signal?.throwIfAborted();
      const some = names.slice(at, at + STATS_AT_ONCE).map((name) => this.#entry(childPath(path, name)));
      for (const entry of await Promise.all(some)) if (entry) entries.push(entry);
    }
    yield* inListOrder(entries);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const object = await this.open(path, options);
    try {
      return await copyRanges(object, file, { ...options, windows: 1 });
    } finally {
      await object.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open].map((object) => object.close()));
  }

  async #attempt<T>(path: string, signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    try {
      signal?.throwIfAborted();
      return await work();
    } catch (error) {
      throw asFault(error, { kind: this.kind, path, log: this.#log, signal }, codeOfErrno);
    }
  }

  /** Where a path leads; SOURCE_NOT_FOUND when that is outside of the folder. */
  async #locate(path: string): Promise<string> {
    this.#root ??= await this.#realRoot();
    const file = await realpath(join(this.#folder, path)).catch(async (error: unknown) => {
      await this.#realRoot(); // a disk that is not mounted is a failure, not a file that is not there
      throw error;
    });
    if (isWithin(this.#root, file)) return file;
    this.#root = await this.#realRoot(); // it may be a link that leads elsewhere now
    if (isWithin(this.#root, file)) return file;
    this.#log.warn({ path }, "filesystem source: a symbolic link leaves the folder; the path is refused");
    return fail("SOURCE_NOT_FOUND", { path });
  }

  async #realRoot(): Promise<string> {
    try {
      return await realpath(this.#folder);
    } catch (error) {
      throw new Error(`the folder of the source can't be used: ${(error as Error).message}`, { cause: error });
    }
  }

  /** Whether an opened file is where it was looked for, and no folder above it was swapped meanwhile (Linux). */
  async #isAt(fd: number, file: string): Promise<boolean> {
    if (!CAN_SEE_DESCRIPTORS) return true;
    const at = await readlink(`/proc/self/fd/${fd}`);
    return at === file || at === `${file} (deleted)`; // the latter: replaced in this moment
  }

  async #isLocal(device: bigint, file: string): Promise<boolean> {
    const known = this.#localDevices.get(device);
    if (known !== undefined) return known;
    const isLocal = LOCAL.has((await statfs(file)).type);
    this.#localDevices.set(device, isLocal);
    return isLocal;
  }

  async #names(path: string): Promise<string[]> {
    const names: string[] = [];
    for await (const { name } of await opendir(await this.#locate(path))) {
      if (isSourcePath(name)) names.push(name);
      if (names.length > ENTRIES_MAX) throw new Error(`the folder has more than ${ENTRIES_MAX} entries`);
    }
    return names;
  }

  /** undefined: nothing that could be opened or listed. */
  async #entry(path: string): Promise<SourceEntry | undefined> {
    try {
      const stat = await statFile(await this.#locate(path));
      if (stat.isDirectory()) return { path, kind: "folder", sizeBytes: null };
      return stat.isFile() ? { path, kind: "file", sizeBytes: Number(stat.size) } : undefined;
    } catch {
      return undefined; // gone meanwhile, or a link that leads nowhere or out of the folder
    }
  }
}
