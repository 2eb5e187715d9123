/**
 * Records on disk, a line each: eight hexadecimal digits of CRC-32, a space, JSON. A line that is damaged or was not
 * finished is left out, alone. When it has grown, it is replaced by one that begins with the whole state; the one
 * before is kept, so that a damaged beginning is not the end of all counts.
 */
import { type FileHandle, mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import type { JournalRecord, StateRecord } from "../../domain/accounting/ledger-state.ts";

export type OpenFile = (path: string, flags: string) => Promise<FileHandle>;

export interface Replay {
  readonly records: readonly JournalRecord[];
  /** Lines that were left out. */
  readonly damagedCount: number;
}

const LF = 0x0a;
const lineOf = (record: JournalRecord): Buffer => {
  const text = JSON.stringify(record);
  return Buffer.from(`${crc32(text).toString(16).padStart(8, "0")} ${text}\n`);
};

const recordOf = (line: Buffer): JournalRecord | undefined => {
  const text = line.subarray(9);
  if (line.length < 10 || line.subarray(0, 9).toString("latin1") !== `${crc32(text).toString(16).padStart(8, "0")} `) {
    return undefined;
  }
  return JSON.parse(text.toString()) as JournalRecord; // its checksum says that we wrote it
};

const readRecords = async (path: string): Promise<Replay | undefined> => {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const records: JournalRecord[] = [];
  let damagedCount = 0;
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LF, start);
    const record = end < 0 ? undefined : recordOf(bytes.subarray(start, end));
    if (record) records.push(record);
    else damagedCount += 1;
    start = end < 0 ? bytes.length : end + 1;
  }
  return { records, damagedCount };
};

const writeAll = async (file: FileHandle, bytes: Buffer, position: number): Promise<void> => {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
};

export class Journal {
  readonly #dir: string;
  readonly #open: OpenFile;
  #file: FileHandle | undefined;
  /** Where the next line begins: behind it there may be what is left of a write that failed, a line at most. */
  #sizeBytes = 0;
  #stateBytes = 0;

  constructor(dir: string, openFile: OpenFile = open) {
    this.#dir = dir;
    this.#open = openFile;
  }

  /** False before the first `replace`. */
  get isOpen(): boolean {
    return this.#file !== undefined;
  }
  get sizeBytes(): number {
    return this.#sizeBytes;
  }
  /** Of the record that the file begins with. */
  get stateBytes(): number {
    return this.#stateBytes;
  }

  /** What is there; a damaged beginning is made good from the file before. */
  async replay(): Promise<Replay> {
    const [now, before] = [await readRecords(this.#path("journal")), await readRecords(this.#path("journal.previous"))];
    if (!now) return before ?? { records: [], damagedCount: 0 };
    if (now.records[0]?.kind === "state" || !before) return now;
    return {
      records: [...before.records, ...now.records],
      damagedCount: before.damagedCount + now.damagedCount,
    };
  }

  /** Resolves when the record would survive a power cut. Rejects when it is not written: it may be tried again. */
  async append(record: JournalRecord): Promise<void> {
    const file = this.#file;
    if (!file) throw new Error("bug: the journal has no beginning yet");
    const bytes = lineOf(record);
    await writeAll(file, bytes, this.#sizeBytes);
    await file.datasync();
    this.#sizeBytes += bytes.length;
  }

  /** A new file that begins with the whole state. When this rejects, the old one is still in use. */
  async replace(state: StateRecord): Promise<void> {
    const bytes = lineOf(state);
    const part = this.#path("journal.part");
    await mkdir(this.#dir, { recursive: true, mode: 0o700 });
    const file = await this.#open(part, "w");
    try {
      await writeAll(file, bytes, 0);
      await file.sync();
      await rename(this.#path("journal"), this.#path("journal.previous")).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error;
      });
      await rename(part, this.#path("journal"));
    } catch (error) {
      await file.close().catch(() => {});
      await rm(part, { force: true }).catch(() => {});
      throw error;
    }
    const old = this.#file;
    this.#file = file;
    this.#sizeBytes = bytes.length;
    this.#stateBytes = bytes.length;
    await old?.close().catch(() => {});
    await this.#syncDirectory();
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  #path(name: string): string {
    return join(this.#dir, name);
  }

  /** Names are as durable as their directory. */
  async #syncDirectory(): Promise<void> {
    const directory = await this.#open(this.#dir, "r");
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
