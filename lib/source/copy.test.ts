import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { quietLog } from "../log/log.ts";
import { copyRanges, intoNewFile, writeAll } from "./copy.ts";
import { asFault } from "./faults.ts";
import type { SourceObject } from "./port.ts";
import { bytesOf, tempDir } from "./suite-stage.ts";
import { statOf } from "./versions.ts";

const BYTES = bytesOf(1, 11_000_000);

/** An object in memory; `fail` is called with the offset of each range. */
const objectOf = (before: (offset: number) => Promise<void>): SourceObject => ({
  stat: statOf(BYTES.length, null),
  async readRange(offset, target, { signal } = {}) {
    await before(offset);
    signal?.throwIfAborted();
    target.set(BYTES.subarray(offset, offset + target.length));
  },
  close: async () => {},
});

test("a copy by several ranges at once has every byte in its place", async (t) => {
  const file = join(await tempDir(t), "f");
  const stat = await copyRanges(
    objectOf(async () => {}),
    file,
    { windows: 3 },
  );
  assert.equal(stat.sizeBytes, BYTES.length);
  assert.ok(BYTES.equals(await readFile(file)));
});

test("a range that fails ends the others, and the copy is gone", async (t) => {
  const dir = await tempDir(t);
  const asked: number[] = [];
  const object = objectOf(async (offset) => {
    asked.push(offset);
    if (offset > 0) throw new Error("no more");
  });
  await assert.rejects(copyRanges(object, join(dir, "f"), { windows: 2 }), /no more/);
  assert.deepEqual([asked.length, await readdir(dir)], [2, []]);
});

test("a file that is there is neither written nor removed", async (t) => {
  const file = join(await tempDir(t), "f");
  await writeFile(file, "mine");
  await assert.rejects(
    intoNewFile(file, async () => {}),
    { code: "EEXIST" },
  );
  assert.equal(await readFile(file, "utf8"), "mine");
});

test("a disk that is full is told as it is, and not as the source's fault", async (t) => {
  if (!existsSync("/dev/full")) return t.skip("skipped: needs /dev/full");
  const handle = await open("/dev/full", "r+");
  const failed = writeAll(handle, Buffer.alloc(10), 0).catch((error: unknown) => error);
  const error = asFault(await failed, { kind: "http", path: "a", log: quietLog, signal: undefined });
  await handle.close();
  assert.equal((error as NodeJS.ErrnoException).code, "ENOSPC");
});
