/**
 * Files of an FTP server: each range is a REST and RETR on a kept connection, cut off when the range is there. The
 * protocol has no validators: size and time are looked at after each range, on the same connection.
 */
import { type FileHandle, readFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { type FileInfo, FileType } from "basic-ftp";
import { fail } from "../../contracts/errors.ts";
import { intoNewFile, writeAll } from "./copy.ts";
import { Exchanges } from "./exchanges.ts";
import { codeOfReply, FtpConnection } from "./ftp-client.ts";
import { belowRoot, checkedFolderPath, checkedSourcePath, childPath, inListOrder, isSourcePath } from "./paths.ts";
import { ConnectionPool } from "./pool.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "./port.ts";
import { type Opened, RangedObject } from "./ranged-object.ts";
import type { FtpSettings, SourceTools } from "./settings.ts";
import { mustBeSame } from "./versions.ts";
import { limitsOf, type Watch, type Watched } from "./watch.ts";

const CONNECTIONS_MAX = 4; // servers allow few from one address
const IDLE_MS = 60_000; // servers hang up after minutes
const LIST_BYTES = 16 * 1024 * 1024;

/** Writes what it is given from the file's beginning on. */
const fileSink = (handle: FileHandle, watch: Watch): Writable => {
  let at = 0;
  return new Writable({
    write(chunk: Buffer, _, done) {
      watch.progress();
      const position = at;
      at += chunk.length;
      writeAll(handle, chunk, position).then(() => done(), done);
    },
  });
};

class FtpSource implements ContentSource {
  readonly kind = "ftp";
  readonly capabilities = { ranges: true, list: true, strongVersion: false };
  readonly #root: string;
  readonly #exchanges: Exchanges;
  readonly #pool: ConnectionPool<FtpConnection>;

  constructor(settings: FtpSettings, tools: SourceTools, ca?: string) {
    const limits = limitsOf(tools, CONNECTIONS_MAX);
    this.#root = settings.path;
    this.#exchanges = new Exchanges({ kind: this.kind, log: tools.log, limits, known: codeOfReply });
    const connect = (watch: Watch) => FtpConnection.open(settings, ca, limits, watch);
    this.#pool = new ConnectionPool({ connectionsMax: limits.connectionsMax, idleMs: IDLE_MS, connect });
  }

  stat(path: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    return this.#attempt({ path, signal, bytes: 0 }, (ftp) => ftp.stat(this.#at(path)));
  }

  async open(path: string, options: ReadOptions = {}): Promise<SourceObject> {
    const opened = { path, stat: await this.stat(path, options), held: new Uint8Array(0) };
    return new RangedObject(opened, { read: (...part) => this.#readPart(...part) });
  }

  async *list(path: string, { signal }: ReadOptions = {}): AsyncIterable<SourceEntry> {
    checkedFolderPath(path);
    const entries = await this.#run({ path, signal, bytes: LIST_BYTES }, async (ftp) => {
      const found: SourceEntry[] = [];
      for (const info of await ftp.list(this.#at(path))) {
        const entry = await this.#entry(ftp, childPath(path, info.name), info);
        if (entry && isSourcePath(info.name)) found.push(entry);
      }
      return found;
    });
    yield* inListOrder(entries);
  }

  async fetchTo(path: string, file: string, { signal }: ReadOptions = {}): Promise<SourceStat> {
    checkedSourcePath(path);
    return intoNewFile(file, (handle) =>
      this.#attempt({ path, signal, bytes: null }, async (ftp, watch) => {
        const stat = await ftp.stat(this.#at(path));
        await ftp.download(this.#at(path), fileSink(handle, watch));
        mustBeSame(path, stat, await ftp.stat(this.#at(path)));
        if ((await handle.stat()).size !== stat.sizeBytes) fail("SOURCE_TRUNCATED", { path });
        return stat;
      }),
    );
  }

  async close(): Promise<void> {
    this.#exchanges.close();
    this.#pool.close();
  }

  /** A name that begins with a space would lose it behind a command. */
  #at(path: string): string {
    const at = belowRoot(this.#root, path);
    return /^[ -]/.test(at) ? `./${at}` : at || ".";
  }

  #readPart({ path, stat }: Opened, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    return this.#attempt({ path, signal, bytes: target.length }, async (ftp, watch) => {
      let done = 0;
      const take = (chunk: Buffer): boolean => {
        const some = chunk.subarray(0, target.length - done);
        target.set(some, done);
        done += some.length;
        return done < target.length;
      };
      await ftp.retrieve(this.#at(path), offset, { take, watch });
      mustBeSame(path, stat, await ftp.stat(this.#at(path)));
      if (done < target.length) fail("SOURCE_TRUNCATED", { path });
    });
  }

  /** undefined: a link that leads nowhere, a device. A link is what it leads to. */
  async #entry(ftp: FtpConnection, path: string, info: FileInfo): Promise<SourceEntry | undefined> {
    if (info.type === FileType.File) return { path, kind: "file", sizeBytes: info.size };
    if (info.type === FileType.Directory) return { path, kind: "folder", sizeBytes: null };
    if (info.type !== FileType.SymbolicLink) return undefined;
    if (await ftp.isFolder(this.#at(path))) return { path, kind: "folder", sizeBytes: null };
    const stat = await ftp.stat(this.#at(path)).catch(() => null);
    return stat ? { path, kind: "file", sizeBytes: stat.sizeBytes } : undefined;
  }

  async #attempt<T>(ask: Watched, work: (ftp: FtpConnection, watch: Watch) => Promise<T>): Promise<T> {
    checkedSourcePath(ask.path);
    return this.#run(ask, work);
  }

  /** Work on a connection of the pool. One that was kept and says nothing at all any more is tried once more, anew. */
  #run<T>(ask: Watched, work: (ftp: FtpConnection, watch: Watch) => Promise<T>): Promise<T> {
    return this.#exchanges.run(ask, async (watch) => {
      for (let isFresh = false; ; isFresh = true) {
        const { connection, isKept } = await this.#pool.take(watch, { isFresh });
        watch.connected();
        const { received } = connection;
        const hangUp = () => connection.close();
        watch.signal.addEventListener("abort", hangUp, { once: true });
        try {
          return await watch.race(work(connection, watch));
        } catch (error) {
          const isUntouched = isKept && connection.isBroken && connection.received === received;
          if (!isUntouched || watch.signal.aborted) throw error;
          watch.connecting();
        } finally {
          watch.signal.removeEventListener("abort", hangUp);
          this.#pool.give(connection);
        }
      }
    });
  }
}

/** The source, with its authorities' file read. */
export const openFtp = async (settings: FtpSettings, tools: SourceTools): Promise<FtpSource> => {
  const { caFile } = settings;
  return new FtpSource(settings, tools, caFile ? await readFile(caFile, "utf8") : undefined);
};
