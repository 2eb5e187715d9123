/**
 * Files over SFTP: one connection, many reads of 32 KiB under way at once, so that a range costs its bytes and not its
 * round trips. An opened object keeps its handle, and with it the file that was opened, while the connection stands.
 */
import { LRUCache } from "lru-cache";
import type { FileEntryWithStats } from "ssh2";
import { fail } from "../../contracts/errors.ts";
import { copyRanges } from "./copy.ts";
import { Exchanges } from "./exchanges.ts";
import { belowRoot, checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { type Opened, RangedObject } from "./ranged-object.ts";
import type { SftpSettings, SourceTools } from "./settings.ts";
import { codeOfSftp, type SftpSession, sftpOf } from "./sftp-session.ts";
import { SharedSsh } from "./ssh.ts";
import { mustBeSame } from "./versions.ts";
import { limitsOf, type Watch, type Watched } from "./watch.ts";

const CHUNK_BYTES = 32 * 1024; // what every server gives in one answer
const READS_MAX = 64; // of one range: 2 MiB, the window of the channel
const SPARE_CHUNKS_MAX = 128;
const HANDLES_MAX = 256; // servers have as many as a process may open files
const LIST_BYTES = 64 * 1024 * 1024;
const COPY_WINDOWS = 2;

interface Handle {
  readonly session: SftpSession;
  readonly handle: Buffer;
  reads: number;
}

interface Range {
  readonly opened: Opened;
  readonly offset: number;
  readonly target: Uint8Array;
  readonly watch: Watch;
}

export class SftpSource implements ContentSource {
  readonly kind = "sftp";
  readonly capabilities = { ranges: true, list: true, strongVersion: false };
  readonly #root: string;
  readonly #exchanges: Exchanges;
  readonly #ssh: SharedSsh;
  readonly #chunks: Buffer[] = [];
  /** Handles of opened objects; the one that was used longest ago goes, and is opened again when it is wanted. */
  readonly #handles = new LRUCache<Opened, Handle>({
    max: HANDLES_MAX,
    dispose: ({ session, handle, reads }) => {
      if (reads === 0) session.closeHandle(handle);
    },
  });

  constructor(settings: SftpSettings, tools: SourceTools) {
    const limits = limitsOf(tools, 1);
    this.#root = settings.path;
    this.#exchanges = new Exchanges({ kind: this.kind, log: tools.log, limits, known: codeOfSftp });
    this.#ssh = new SharedSsh(settings, limits);
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt({ path, signal, bytes: 0 }, async (sftp) => {
      return (await sftp.stat(this.#at(path))) ?? fail("SOURCE_NOT_FOUND", { path });
    });
  }

  open(path: string, { signal }: ReadOptions = {}): Promise<SourceObject> {
    return this.#attempt({ path, signal, bytes: 0 }, async (sftp, watch) => {
      // A FIFO would hold the server up: it is not opened.
      if (!(await sftp.stat(this.#at(path)))) fail("SOURCE_NOT_FOUND", { path });
      const handle = await sftp.open(this.#at(path));
      const stat = await sftp.statHandle(handle);
      if (!stat || watch.signal.aborted) {
        sftp.closeHandle(handle);
        return fail("SOURCE_NOT_FOUND", { path });
      }
      const opened: Opened = { path, stat, held: new Uint8Array(0) };
      this.#handles.set(opened, { session: sftp, handle, reads: 0 });
      const close = () => void this.#handles.delete(opened);
      return new RangedObject(opened, { read: (...part) => this.#readPart(...part), close });
    });
  }

  async *list(path: string, { signal }: ReadOptions = {}): AsyncIterable<SourceEntry> {
    checkedFolderPath(path);
    const entries = await this.#run({ path, signal, bytes: LIST_BYTES }, async (sftp, watch) => {
      const found: SourceEntry[] = [];
      for (const named of await sftp.list(this.#at(path), watch)) {
        watch.progress();
        const entry = isSourcePath(named.filename) ? await this.#entry(sftp, path, named) : undefined;
        if (entry) found.push(entry);
      }
      return found;
    });
    yield* inListOrder(entries);
  }

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const object = await this.open(path, options);
    try {
      return await copyRanges(object, file, { ...options, windows: COPY_WINDOWS });
    } finally {
      await object.close();
    }
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    this.#handles.clear();
    this.#ssh.close();
  }

  #at(path: string): string {
    return belowRoot(this.#root, path) || ".";
  }

  #readPart(opened: Opened, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    const { path } = opened;
    return this.#attempt({ path, signal, bytes: target.length }, async (sftp, watch) => {
      const held = await this.#handleOf(opened, sftp);
      held.reads += 1;
      try {
        await this.#readAll(held, { opened, offset, target, watch });
        const now = await sftp.statHandle(held.handle);
        if (!now) return fail("SOURCE_CHANGED", { path });
        mustBeSame(path, opened.stat, now);
      } finally {
        held.reads -= 1;
        // It was pushed out, or its object closed, while it was read.
        if (held.reads === 0 && this.#handles.peek(opened) !== held) sftp.closeHandle(held.handle);
      }
    });
  }

  /** The handle of the present connection; a new one is of the same version or SOURCE_CHANGED. */
  async #handleOf(opened: Opened, sftp: SftpSession): Promise<Handle> {
    const known = this.#handles.get(opened);
    if (known?.session === sftp) return known;
    const { path, stat } = opened;
    const handle = await sftp.open(this.#at(path));
    const now = await sftp.statHandle(handle);
    if (now?.version !== stat.version) {
      sftp.closeHandle(handle);
      return fail("SOURCE_CHANGED", { path });
    }
    const made: Handle = { session: sftp, handle, reads: 0 };
    this.#handles.set(opened, made);
    return made;
  }

  async #readAll({ session, handle }: Handle, { opened, offset, target, watch }: Range): Promise<void> {
    let next = 0;
    let isOver = false;
    const work = async (): Promise<void> => {
      // Answers that come too late are written into a chunk of ours, never into the caller's memory.
      const chunk = this.#chunks.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
      while (next < target.length && !isOver) {
        const from = next;
        const end = Math.min(from + CHUNK_BYTES, target.length);
        next = end;
        for (let at = from; at < end; ) {
          const got = await session.read(handle, chunk, end - at, offset + at);
          if (isOver || watch.signal.aborted) return;
          if (got === 0) return fail("SOURCE_TRUNCATED", { path: opened.path });
          target.set(chunk.subarray(0, got), at);
          at += got;
          watch.progress();
        }
      }
      if (this.#chunks.length < SPARE_CHUNKS_MAX) this.#chunks.push(chunk);
    };
    try {
      await Promise.all(Array.from({ length: Math.min(READS_MAX, Math.ceil(target.length / CHUNK_BYTES)) }, work));
    } finally {
      isOver = true;
    }
  }

  /** undefined: a link that leads nowhere, a device. A link is what it leads to. */
  async #entry(sftp: SftpSession, folder: string, named: FileEntryWithStats): Promise<SourceEntry | undefined> {
    const path = childPath(folder, named.filename);
    const stats = named.attrs.isSymbolicLink() ? await sftp.follow(this.#at(path)) : named.attrs;
    if (stats?.isDirectory()) return { path, kind: "folder", sizeBytes: null };
    return stats?.isFile() ? { path, kind: "file", sizeBytes: stats.size } : undefined;
  }

  async #attempt<T>(ask: Watched, work: (sftp: SftpSession, watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#run(ask, work);
  }

  #run<T>(ask: Watched, work: (sftp: SftpSession, watch: Watch) => Promise<T>): Promise<T> {
    return this.#exchanges.run(ask, (watch) => this.#ssh.use(watch, async (link) => work(await sftpOf(link), watch)));
  }
}
