/** Stores for tests, and objects whose bytes follow from key and version. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quietLog } from "../../../lib/log/log.ts";
import { seeded } from "../../../test/support/seeded.ts";
import { DiskStore, type DiskStoreOptions } from "./disk-store.ts";
import { systemFiles } from "./files.ts";

const MiB = 1024 * 1024;

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

/** A real folder that goes with the test. */
export const folderOf = (t: Cleaner): string => {
  const folder = mkdtempSync(join(tmpdir(), "castellan-disk-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
};

/** A store on real files unless told otherwise; tests flush when they mean to. */
export const openStore = (options: Partial<DiskStoreOptions> & { folder: string }): Promise<DiskStore> =>
  DiskStore.open({
    maxBytes: 72 * MiB,
    objectBytesMax: 16 * MiB,
    files: systemFiles,
    log: quietLog,
    nowMs: () => 0,
    flushMs: 2 ** 30,
    ...options,
  });

/** Bytes that only this seed gives. */
export const bytesOf = (seed: number, sizeBytes: number): Buffer => {
  const random = seeded(seed);
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at + 4 <= sizeBytes; at += 4) bytes.writeUInt32LE(random.int(2 ** 32), at);
  return bytes;
};

/** What a version of an object is made of. */
export const versionOf = (version: number, sizeBytes: number): { meta: Buffer; body: Buffer } => ({
  meta: Buffer.from(JSON.stringify({ version, sizeBytes })),
  body: bytesOf(version, sizeBytes),
});

/** A whole object; undefined when it is not there or can't be read. */
export const readAll = async (store: DiskStore, key: string): Promise<{ meta: Buffer; body: Buffer } | undefined> => {
  const object = await store.open(key);
  if (!object) return undefined;
  try {
    const body = Buffer.alloc(object.sizeBytes, 0xee);
    await object.read(0, body);
    return { meta: object.meta, body };
  } catch {
    return undefined;
  } finally {
    object.close();
  }
};

/** Puts a version, in parts of odd lengths. */
export const putVersion = (
  store: DiskStore,
  key: string,
  { version, sizeBytes }: { version: number; sizeBytes: number },
): Promise<boolean> => {
  const { meta, body } = versionOf(version, sizeBytes);
  const cut = Math.floor(sizeBytes / 3);
  return store.put(key, meta, [body.subarray(0, cut), body.subarray(cut, cut + 1), body.subarray(cut + 1)]);
};

/** The version that is there, after its bytes were compared with what was put; undefined for none. */
export const versionThere = async (store: DiskStore, key: string): Promise<number | undefined> => {
  const found = await readAll(store, key);
  if (!found) return undefined;
  const { version, sizeBytes } = JSON.parse(found.meta.toString()) as { version: number; sizeBytes: number };
  assert.ok(found.body.equals(bytesOf(version, sizeBytes)), `${key} is not what was put`);
  return version;
};
