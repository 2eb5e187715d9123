/** A source in memory that can be told to misbehave. */
import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { type ErrorCode, Fault, fail } from "../../contracts/errors.ts";
import type { ContentSource, ReadOptions, SourceEntry, SourceObject, SourceStat } from "../../lib/source/port.ts";

const PIECE_BYTES = 64 * 1024;

interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

const gate = (): Gate => {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
};

export interface Misbehaviour {
  /** Reads and copies stop after so many bytes until `release`. */
  readonly stallAfter?: number;
  /** Each read takes so long. */
  readonly everyMs?: number;
  /** A copy ends after so many bytes as if that were all. */
  readonly truncateAfter?: number;
  /** A copy fails after so many bytes. */
  readonly failAfter?: number;
  readonly code?: ErrorCode;
}

/** The version that a file of these bytes has. */
export const versionOf = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("base64url").slice(0, 16);

export class FakeSource implements ContentSource {
  readonly kind = "fake";
  readonly capabilities;
  /** What was asked of it: `stat a`, `open a`, `read a 0-1048575`, `fetch a`. */
  readonly calls: string[] = [];
  openCount = 0;
  /** Every stat fails with this. */
  away: ErrorCode | null = null;
  readonly #files = new Map<string, Buffer>();
  readonly #faults = new Map<string, Misbehaviour>();
  #gate = gate();
  #arrivals: (() => void)[] = [];

  constructor({ ranges = true } = {}) {
    this.capabilities = { ranges, list: false, strongVersion: true };
  }

  put(path: string, bytes: Buffer): void {
    this.#files.set(path, bytes);
  }

  remove(path: string): void {
    this.#files.delete(path);
  }

  misbehave(path: string, how: Misbehaviour): void {
    this.#faults.set(path, how);
  }

  behave(): void {
    this.#faults.clear();
    this.release();
  }

  /** Lets go on what stalls. */
  release(): void {
    this.#gate.open();
    this.#gate = gate();
  }

  /** Resolves when something has come to a stall. */
  stalled(): Promise<void> {
    return new Promise((resolve) => this.#arrivals.push(resolve));
  }

  countOf(call: string): number {
    return this.calls.filter((one) => one.startsWith(call)).length;
  }

  async stat(path: string): Promise<SourceStat> {
    this.calls.push(`stat ${path}`);
    if (this.away) fail(this.away, { path });
    const bytes = this.#files.get(path) ?? fail("SOURCE_NOT_FOUND", { path });
    const version = versionOf(bytes);
    return { sizeBytes: bytes.length, modifiedMs: 1_700_000_000_000, etag: `"${version}"`, version };
  }

  async open(path: string): Promise<SourceObject> {
    const stat = await this.stat(path);
    this.calls.pop();
    this.calls.push(`open ${path}`);
    this.openCount += 1;
    return {
      stat,
      readRange: async (offset, target, options) => {
        this.calls.push(`read ${path} ${offset}-${offset + target.length - 1}`);
        await this.#mayStall(path, offset + target.length, options);
        if ((await this.stat(path)).version !== stat.version) fail("SOURCE_CHANGED", { path });
        this.calls.pop();
        const fault = this.#faults.get(path);
        if (fault?.failAfter !== undefined && offset + target.length > fault.failAfter) {
          fail(fault.code ?? "SOURCE_FAILED", { path });
        }
        const bytes = this.#files.get(path) ?? Buffer.alloc(0);
        if (bytes.copy(target, 0, offset, offset + target.length) < target.length) fail("SOURCE_TRUNCATED", { path });
      },
      close: async () => {
        this.openCount -= 1;
      },
    };
  }

  async *list(): AsyncIterable<SourceEntry> {}

  async fetchTo(path: string, file: string, options: ReadOptions = {}): Promise<SourceStat> {
    const stat = await this.stat(path);
    this.calls.pop();
    this.calls.push(`fetch ${path}`);
    const bytes = this.#files.get(path) ?? Buffer.alloc(0);
    const handle = await open(file, "wx");
    try {
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const fault = this.#faults.get(path);
        const end = Math.min(bytes.length, at + PIECE_BYTES);
        if (fault?.truncateAfter !== undefined && end > fault.truncateAfter) break;
        if (fault?.failAfter !== undefined && end > fault.failAfter)
          throw new Fault(fault.code ?? "SOURCE_FAILED", { path });
        await this.#mayStall(path, end, options);
        await handle.write(bytes, at, end - at, at);
      }
    } finally {
      await handle.close();
    }
    return stat;
  }

  async close(): Promise<void> {}

  async #mayStall(path: string, reached: number, { signal }: ReadOptions = {}): Promise<void> {
    const { stallAfter, everyMs = 0 } = this.#faults.get(path) ?? {};
    if (everyMs > 0) await new Promise((resolve) => setTimeout(resolve, everyMs));
    if (stallAfter === undefined || reached <= stallAfter) return;
    for (const arrived of this.#arrivals.splice(0)) arrived();
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    await Promise.race([this.#gate.opened, aborted]);
  }
}
