/** What tests of the caches share: a folder, an index, a clock, and what really lies on the disk. */
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { TestContext } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { CacheIndex } from "./cache-index.store.ts";
import { FakeSource } from "./fake-source.fixture.ts";
import { type InputCacheOptions, openInputCache } from "./input-cache.ts";

export const MiB = 1024 * 1024;

export class TestClock {
  ms = 1_750_000_000_000;
  nowMs(): number {
    return this.ms;
  }
}

export const tempFolder = (t: TestContext): string => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-cache-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

/** Bytes that tell where in which file they are. */
export const contentOf = (seed: number, lengthBytes: number): Buffer => {
  const bytes = Buffer.alloc(lengthBytes);
  for (let at = 0; at + 4 <= lengthBytes; at += 4)
    bytes.writeUInt32LE((Math.imul(at + 1, 2_654_435_761) ^ seed) >>> 0, at);
  return bytes;
};

/** Every file below a folder with what it takes on the disk. */
export const filesBelow = (dir: string): Map<string, number> => {
  const files = new Map<string, number>();
  const walk = (below: string): void => {
    for (const child of readdirSync(join(dir, below), { withFileTypes: true })) {
      const name = join(below, child.name);
      if (child.isDirectory()) walk(name);
      else {
        const stat = statSync(join(dir, name), { throwIfNoEntry: false }); // it may just have left
        if (stat) files.set(name, stat.blocks * 512);
      }
    }
  };
  walk("");
  return files;
};

/** Folders below one, without the temporary one. */
export const foldersBelow = (dir: string): string[] =>
  readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((child) => child.isDirectory() && child.name !== "=tmp")
    .map((child) => child.name)
    .sort();

export const diskBytes = (dir: string): number => [...filesBelow(dir).values()].reduce((sum, bytes) => sum + bytes, 0);

/** Waits for what happens by itself. */
export const until = async (what: string, holds: () => boolean): Promise<void> => {
  const end = performance.now() + 30_000;
  while (!holds()) {
    if (performance.now() > end) throw new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
};

/** The rows of a table as another program sees them. */
export const rowsOf = (file: string, table: "inputfile" | "segmentfile"): Record<string, unknown>[] => {
  const db = new DatabaseSync(file, { readOnly: true });
  try {
    const rows = db.prepare(`select filename, timestamp from ${table} order by filename`).all();
    return rows.map((row) => ({ ...row }));
  } finally {
    db.close();
  }
};

export interface World {
  readonly dir: string;
  readonly database: string;
  readonly clock: TestClock;
  readonly source: FakeSource;
  readonly index: CacheIndex;
  /** A cache over the same folder; the one before has to be closed. */
  open(options?: Partial<InputCacheOptions>): ReturnType<typeof openInputCache>;
}

export const cacheWorld = (t: TestContext, { ranges = true } = {}): World => {
  const root = tempFolder(t);
  const dir = join(root, "input");
  const database = join(root, "cacheDB.db");
  const clock = new TestClock();
  const source = new FakeSource({ ranges });
  const index = new CacheIndex({ file: database, clock, log: quietLog });
  t.after(() => index.close());
  const usual = {
    source,
    index,
    dir,
    maxBytes: 100 * MiB,
    limitPercent: 85,
    ageMs: 60_000,
    clock,
    log: quietLog,
    freshMs: 0,
  };
  const open: World["open"] = async (options) => {
    const cache = await openInputCache({ ...usual, mode: "whole", ...options });
    t.after(() => cache.close());
    return cache;
  };
  return { dir, database, clock, source, index, open };
};
