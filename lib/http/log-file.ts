/**
 * A file that lines are appended to, with a bound: when it is full it becomes `<path>.1`, in place of the former one,
 * and another begins. Several threads may append to one path; who finds that the file was moved, by another thread or
 * by logrotate, goes on in the new one.
 */
import { type FileHandle, open, rename, stat } from "node:fs/promises";

export class LogFile {
  readonly #path: string;
  readonly #bytesMax: number;
  #file: FileHandle;
  #inode: number;

  private constructor(path: string, bytesMax: number, opened: Opened) {
    this.#path = path;
    this.#bytesMax = bytesMax;
    this.#file = opened.file;
    this.#inode = opened.inode;
  }

  /** Rejects when the file can't be opened. */
  static async open(path: string, bytesMax: number): Promise<LogFile> {
    return new LogFile(path, bytesMax, await opened(path));
  }

  /** Appends whole lines. */
  async write(text: string): Promise<void> {
    await this.#file.writeFile(text);
    const there = await stat(this.#path).catch(() => undefined);
    if (there?.ino === this.#inode) {
      if (there.size < this.#bytesMax) return;
      await rename(this.#path, `${this.#path}.1`);
    }
    const next = await opened(this.#path);
    await this.#file.close();
    this.#file = next.file;
    this.#inode = next.inode;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

interface Opened {
  readonly file: FileHandle;
  readonly inode: number;
}

const opened = async (path: string): Promise<Opened> => {
  const file = await open(path, "a");
  const { ino } = await file.stat();
  return { file, inode: ino };
};
