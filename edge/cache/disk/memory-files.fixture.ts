/**
 * A file system in memory that knows what a power loss would leave: content page by page since the last sync of the
 * file, names since the last sync of their folder. It can be told to lose power at a given operation.
 */
import path from "node:path";
import type { Random } from "../../../test/support/seeded.ts";
import type { FileLayer, OpenFile } from "./files.ts";

const PAGE_BYTES = 4096;

interface Inode {
  now: Buffer;
  synced: Buffer;
  readonly dirtyPages: Set<number>;
  openCount: number;
}

const failure = (code: string): NodeJS.ErrnoException => Object.assign(new Error(`${code}: in memory`), { code });
const resized = (bytes: Buffer, sizeBytes: number): Buffer =>
  sizeBytes <= bytes.length
    ? bytes.subarray(0, sizeBytes)
    : Buffer.concat([bytes, Buffer.alloc(sizeBytes - bytes.length)]);

export class MemoryFiles implements FileLayer {
  readonly #random: Random;
  #names = new Map<string, Inode>();
  readonly #syncedNames = new Map<string, Inode>();
  readonly #inodes = new Set<Inode>();
  #operationCount = 0;
  /** The number of the operation at which the power goes; all later ones fail. */
  powerLossAt = Number.POSITIVE_INFINITY;
  /** The most that files took at any moment, in whole pages, removed but open ones included. */
  usedBytesMax = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  get operationCount(): number {
    return this.#operationCount;
  }
  /** The content of a file, to be damaged. */
  contentOf(name: string): Buffer {
    return this.#inode(name).now;
  }

  /**
   * What a machine finds after the power came back: of what was not synced nothing (`forgets: "all"`), or each page,
   * length and name by chance.
   */
  afterPowerLoss({ forgets }: { forgets: "all" | "some" }): MemoryFiles {
    const after = new MemoryFiles(this.#random);
    const isKept = (): boolean => forgets === "some" && this.#random.next() < 0.5;
    const kept = new Map<Inode, Inode>();
    const contentOf = (inode: Inode): Inode => {
      const { now, synced, dirtyPages } = inode;
      const content = Buffer.from(resized(synced, isKept() ? now.length : synced.length));
      for (const page of dirtyPages) {
        const [from, to] = [page * PAGE_BYTES, Math.min((page + 1) * PAGE_BYTES, now.length, content.length)];
        if (from < to && isKept()) now.copy(content, from, from, to);
      }
      return { now: content, synced: Buffer.from(content), dirtyPages: new Set(), openCount: 0 };
    };
    for (const name of new Set([...this.#names.keys(), ...this.#syncedNames.keys()])) {
      const inode = (isKept() ? this.#names : this.#syncedNames).get(name);
      if (!inode) continue;
      const copy = kept.get(inode) ?? contentOf(inode);
      kept.set(inode, copy);
      after.#names.set(name, copy);
      after.#syncedNames.set(name, copy);
      after.#inodes.add(copy);
    }
    return after;
  }

  async create(name: string): Promise<OpenFile> {
    this.#step();
    const inode: Inode = { now: Buffer.alloc(0), synced: Buffer.alloc(0), dirtyPages: new Set(), openCount: 0 };
    this.#names.set(name, inode);
    this.#inodes.add(inode);
    return this.#opened(inode);
  }
  async open(name: string): Promise<OpenFile> {
    this.#step();
    return this.#opened(this.#inode(name));
  }
  async unlink(name: string): Promise<void> {
    this.#step();
    this.#inode(name);
    this.#names.delete(name);
  }
  async rename(from: string, to: string): Promise<void> {
    this.#step();
    this.#names.set(to, this.#inode(from));
    this.#names.delete(from);
  }
  async list(folder: string): Promise<string[]> {
    this.#step();
    return [...this.#names.keys()].filter((name) => path.dirname(name) === folder).map((name) => path.basename(name));
  }
  async makeFolder(): Promise<void> {
    this.#step();
  }
  async syncFolder(folder: string): Promise<void> {
    this.#step();
    for (const name of [...this.#syncedNames.keys()]) {
      if (path.dirname(name) === folder && !this.#names.has(name)) this.#syncedNames.delete(name);
    }
    for (const [name, inode] of this.#names) if (path.dirname(name) === folder) this.#syncedNames.set(name, inode);
  }

  /** Whether the power is on after this operation began. */
  #step(): void {
    this.#operationCount += 1;
    if (this.#operationCount >= this.powerLossAt) throw failure("EIO");
  }
  #inode(name: string): Inode {
    const inode = this.#names.get(name);
    if (!inode) throw failure("ENOENT");
    return inode;
  }

  #measure(): void {
    const named = new Set(this.#names.values());
    let usedBytes = 0;
    for (const inode of this.#inodes) {
      if (named.has(inode) || inode.openCount > 0) usedBytes += Math.ceil(inode.now.length / PAGE_BYTES) * PAGE_BYTES;
      else this.#inodes.delete(inode);
    }
    this.usedBytesMax = Math.max(this.usedBytesMax, usedBytes);
  }

  /** A write that the power loss interrupts has changed any of its pages. */
  #write(inode: Inode, bytes: Uint8Array, position: number): void {
    const end = position + bytes.length;
    const isTorn = this.#operationCount + 1 >= this.powerLossAt;
    if (end > inode.now.length) inode.now = Buffer.from(resized(inode.now, end));
    for (let page = Math.floor(position / PAGE_BYTES); page * PAGE_BYTES < end; page += 1) {
      const [from, to] = [Math.max(position, page * PAGE_BYTES), Math.min(end, (page + 1) * PAGE_BYTES)];
      if (isTorn && this.#random.next() < 0.5) continue;
      inode.now.set(bytes.subarray(from - position, to - position), from);
      inode.dirtyPages.add(page);
    }
    this.#step();
    this.#measure();
  }

  #opened(inode: Inode): OpenFile {
    inode.openCount += 1;
    return {
      read: async (target, position) => {
        this.#step();
        const piece = inode.now.subarray(position, position + target.length);
        target.set(piece);
        return piece.length;
      },
      write: async (bytes, position) => this.#write(inode, bytes, position),
      sync: async () => {
        this.#step();
        inode.synced = Buffer.from(inode.now);
        inode.dirtyPages.clear();
      },
      truncate: async (sizeBytes) => {
        this.#step();
        inode.now = Buffer.from(resized(inode.now, sizeBytes));
      },
      sizeBytes: async () => inode.now.length,
      close: async () => {
        inode.openCount -= 1;
      },
    };
  }
}
