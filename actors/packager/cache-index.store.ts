/**
 * Which cached file was last used when: `cacheDB.db`, one per node, of the caches of made segments and of input files.
 *
 * The tables are an interface: CasterPak's operators empty both caches with
 * `sqlite3 cacheDB.db "UPDATE segmentfile SET timestamp = 0; UPDATE inputfile SET timestamp = 0;"`. So a timestamp of 0
 * is an order that stands until the file is gone: what was used since is written only over timestamps above 0.
 *
 * Uses are collected and written every few seconds. The database can always be made again from the folders, so no
 * write waits for the disk, one that finds the database locked is kept for later, a broken one is set aside, and one
 * that somebody has removed is made anew.
 */
import { renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import type { Clock } from "../../lib/clock.ts";
import { ensureDir } from "../../lib/config/ensure-dir.ts";
import type { Log } from "../../lib/log/log.ts";

const FLUSH_MS = 2000;
const ROWS_PER_TURN = 250; // about 3 ms
const OPEN_WAIT_MS = 5000; // somebody else may just be writing
const BUSY_WAIT_MS = 50; // the event loop stands still for so long at most; then the next flush tries again
const BROKEN = new Set([11, 26]); // SQLITE_CORRUPT, SQLITE_NOTADB

const CACHE_TABLES = ["segmentfile", "inputfile"] as const;
export type CacheTableName = (typeof CACHE_TABLES)[number];

export interface CacheRow {
  /** Path below the cache's folder. */
  readonly filename: string;
  /** Seconds since 1970 of the last use; 0 or less: to be removed. */
  readonly timestamp: number;
}

export interface CacheTable {
  /** A file that is there from now on. */
  add(filename: string, usedMs: number): void;
  addAll(files: readonly { readonly name: string; readonly usedMs: number }[]): void;
  touch(filename: string): void;
  /** Written with the next flush: a row without its file does no harm. */
  remove(filename: string): void;
  /** Says that files are to be removed, as the SQL above does; false: it can't be written now. */
  invalidate(filenames: readonly string[]): boolean;
  /** Rows last used before an instant, the oldest first. */
  olderThan(ms: number): CacheRow[];
  rows(): CacheRow[];
  /** How many rows there are. */
  count(): number;
  /** Writes what is pending now. */
  flush(): void;
}

export interface CacheIndexOptions {
  readonly file: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly flushMs?: number;
}

type Pending = { readonly kind: "add" | "touch"; readonly timestamp: number } | { readonly kind: "remove" };

const errorCodeOf = (error: unknown): number => (error as { errcode?: number }).errcode ?? 0;

/** Statements of one table. */
const prepared = (db: DatabaseSync, table: CacheTableName) => ({
  add: db.prepare(
    `insert into ${table} (filename, timestamp) values (?, ?)
     on conflict (filename) do update set timestamp = excluded.timestamp`,
  ),
  touch: db.prepare(`update ${table} set timestamp = ? where filename = ? and timestamp > 0`),
  remove: db.prepare(`delete from ${table} where filename = ?`),
  invalidate: db.prepare(`update ${table} set timestamp = 0 where filename = ?`),
  count: db.prepare(`select count(*) as count from ${table}`),
  olderThan: db.prepare(
    `select filename, coalesce(timestamp, 0) as timestamp from ${table}
     where coalesce(timestamp, 0) < ? order by 2, 1`,
  ),
});

type Statements = Readonly<Record<keyof ReturnType<typeof prepared>, StatementSync>>;

interface Opened {
  readonly db: DatabaseSync;
  /** Of its file. */
  readonly inode: number;
  readonly tables: Readonly<Record<CacheTableName, Statements>>;
}

const opened = (file: string): Opened => {
  const db = new DatabaseSync(file, { timeout: OPEN_WAIT_MS });
  try {
    // Not even a power cut loses more than this index, which the folders give back.
    db.exec("pragma journal_mode = wal; pragma synchronous = off");
    const [check] = db.prepare("pragma quick_check(1)").all() as { quick_check: string }[];
    if (check?.quick_check !== "ok") throw Object.assign(new Error(check?.quick_check), { errcode: 11 });
    for (const table of CACHE_TABLES) {
      db.exec(`create table if not exists ${table} (filename text primary key, timestamp integer) without rowid`);
      db.exec(`create index if not exists ${table}_by_timestamp on ${table} (timestamp)`);
    }
    const tables = { segmentfile: prepared(db, "segmentfile"), inputfile: prepared(db, "inputfile") };
    db.exec(`pragma busy_timeout = ${BUSY_WAIT_MS}`);
    return { db, inode: statSync(file).ino, tables };
  } catch (error) {
    db.close();
    throw error;
  }
};

export class CacheIndex {
  readonly segments: CacheTable;
  readonly inputs: CacheTable;
  readonly #options: CacheIndexOptions;
  readonly #pending: Readonly<Record<CacheTableName, Map<string, Pending>>>;
  readonly #timer: NodeJS.Timeout;
  readonly #changed = new Set<() => void>();
  #opened: Opened;
  #dataVersion = 0;
  #complaint: number | null = null;
  #closed = false;

  /** Opens the database, or a new one where there is none or an unreadable one. Throws where none can be made. */
  constructor(options: CacheIndexOptions) {
    this.#options = options;
    this.#pending = { segmentfile: new Map(), inputfile: new Map() };
    this.#opened = this.#openOrReplace();
    this.#dataVersion = this.#readDataVersion();
    this.segments = this.#table("segmentfile");
    this.inputs = this.#table("inputfile");
    this.#timer = setInterval(() => this.#tick(), options.flushMs ?? FLUSH_MS).unref();
  }

  /** Called within seconds after another program has changed the database, or removed it. */
  onOutsideChange(listener: () => void): void {
    this.#changed.add(listener);
  }

  /** Writes what is pending; what can't be written now stays pending. */
  flush(): void {
    for (const table of CACHE_TABLES) this.#write(table);
  }

  close(): void {
    if (this.#closed) return;
    clearInterval(this.#timer);
    this.flush();
    this.#closed = true;
    this.#opened.db.close();
  }

  #table(table: CacheTableName): CacheTable {
    const { clock } = this.#options;
    const pending = this.#pending[table];
    const secondsOf = (ms: number): number => Math.max(1, Math.floor(ms / 1000));
    const add = (filename: string, usedMs: number): void => {
      pending.set(filename, { kind: "add", timestamp: secondsOf(usedMs) });
    };
    return {
      add: (filename, usedMs) => {
        add(filename, usedMs);
        this.#write(table);
      },
      addAll: (files) => {
        for (const { name, usedMs } of files) add(name, usedMs);
        this.#write(table);
      },
      touch: (filename) => {
        const kind = pending.get(filename)?.kind ?? "touch";
        if (kind !== "remove") pending.set(filename, { kind, timestamp: secondsOf(clock.nowMs()) });
      },
      remove: (filename) => void pending.set(filename, { kind: "remove" }),
      invalidate: (filenames) => {
        this.#write(table);
        const done = this.#transaction(({ tables }) => {
          for (const filename of filenames) tables[table].invalidate.run(filename);
          return true;
        });
        return done === true;
      },
      olderThan: (ms) => this.#select(table, Math.floor(ms / 1000)),
      rows: () => this.#select(table, Number.MAX_SAFE_INTEGER),
      flush: () => this.#write(table),
      count: () => {
        this.#write(table);
        return this.#attempt(({ tables }) => Number(tables[table].count.get()?.count)) ?? 0;
      },
    };
  }

  #select(table: CacheTableName, seconds: number): CacheRow[] {
    this.#write(table);
    const rows = this.#attempt(({ tables }) => tables[table].olderThan.all(seconds)) ?? [];
    return rows.map((row) => ({ filename: String(row.filename), timestamp: Number(row.timestamp) }));
  }

  #write(table: CacheTableName, rowsMax = Number.POSITIVE_INFINITY): void {
    const pending = this.#pending[table];
    if (pending.size === 0) return;
    const rows = [...pending].slice(0, rowsMax);
    const written = this.#transaction(({ tables }) => {
      const { add, touch, remove } = tables[table];
      for (const [filename, todo] of rows) {
        if (todo.kind === "remove") remove.run(filename);
        else if (todo.kind === "add") add.run(filename, todo.timestamp);
        else touch.run(todo.timestamp, filename);
      }
      return true;
    });
    if (written) for (const [filename] of rows) pending.delete(filename);
  }

  /** Writes what is pending, a little in each turn: those who are served come between. */
  #writeByAndBy(): void {
    const pendingCount = (): number => CACHE_TABLES.reduce((sum, table) => sum + this.#pending[table].size, 0);
    const before = pendingCount();
    for (const table of CACHE_TABLES) this.#write(table, ROWS_PER_TURN);
    const left = pendingCount();
    if (left > 0 && left < before) setImmediate(() => this.#writeByAndBy()).unref();
  }

  #transaction<T>(act: (opened: Opened) => T): T | undefined {
    return this.#attempt((opened) => {
      opened.db.exec("begin immediate");
      try {
        const result = act(opened);
        opened.db.exec("commit");
        return result;
      } catch (error) {
        if (opened.db.isTransaction) opened.db.exec("rollback");
        throw error;
      }
    });
  }

  /** Serving never depends on the index: what fails is said once, and a broken file is replaced. */
  #attempt<T>(act: (opened: Opened) => T): T | undefined {
    if (this.#closed) return undefined;
    try {
      if (!this.#opened.db.isOpen) this.#opened = this.#openOrReplace();
      const result = act(this.#opened);
      this.#complaint = null;
      return result;
    } catch (error) {
      const code = errorCodeOf(error);
      if (this.#complaint !== code)
        this.#options.log.warn({ err: error }, "cache index not written: it is tried again");
      this.#complaint = code;
      if (BROKEN.has(code & 0xff)) this.#replace();
      return undefined;
    }
  }

  #tick(): void {
    if (this.#isRemoved()) {
      this.#options.log.warn({ file: this.#options.file }, "cache index removed: made anew from the folders");
      this.#replace();
    }
    this.#writeByAndBy();
    const version = this.#readDataVersion();
    if (version === this.#dataVersion) return;
    this.#dataVersion = version;
    for (const listener of this.#changed) listener();
  }

  /** Whether what is written to the database goes nowhere. */
  #isRemoved(): boolean {
    const { db, inode } = this.#opened;
    return db.isOpen && statSync(this.#options.file, { throwIfNoEntry: false })?.ino !== inode;
  }

  /** Stays the same while this connection alone writes (sqlite.org/pragma.html#pragma_data_version). */
  #readDataVersion(): number {
    const read = ({ db }: Opened): number => Number(db.prepare("pragma data_version").get()?.data_version);
    return this.#attempt(read) ?? this.#dataVersion;
  }

  #openOrReplace(): Opened {
    const { file, log } = this.#options;
    ensureDir(dirname(file));
    this.#dataVersion = Number.NaN; // whatever is in it now, another one than we know
    try {
      return opened(file);
    } catch (error) {
      if (!BROKEN.has(errorCodeOf(error) & 0xff) && errorCodeOf(error) !== 1) throw error;
      log.error({ err: error, file }, "cache index unreadable: set aside, and made anew from the folders");
      renameSync(file, `${file}.unreadable`);
      for (const suffix of ["-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
      return opened(file);
    }
  }

  /** The rows come back with the next cleaning, which compares the folders with the index; it is asked for. */
  #replace(): void {
    try {
      this.#opened.db.close();
      this.#opened = this.#openOrReplace();
    } catch (error) {
      this.#options.log.error({ err: error }, "cache index can't be made anew");
    }
  }
}
