import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { CacheCleaner } from "./cache-cleaner.ts";
import { CacheIndex } from "./cache-index.store.ts";
import { cacheWorld, contentOf, filesBelow, MiB, TestClock, tempFolder, until } from "./caches.fixture.ts";
import { openSegmentCache } from "./segment-cache.ts";

const has = (program: string): boolean => spawnSync(program, ["-version"]).error === undefined;

/** A disk of its own of 8 MiB; null where that may not be made. */
const smallDisk = (t: TestContext): string | null => {
  const dir = mkdtempSync(join(tmpdir(), "castellan-disk-"));
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", dir]).status === 0;
  t.after(() => {
    if (isMounted) spawnSync("umount", ["-l", dir]);
    rmdirSync(dir);
  });
  return isMounted ? dir : null;
};

test("a full disk fails nobody: files are read through, segments are not kept, and both go on when there is room", async (t) => {
  const disk = smallDisk(t);
  if (disk === null) return t.skip("skipped: needs to mount a tmpfs");
  for (const mode of ["ranges", "whole"] as const) {
    const { open, source } = cacheWorld(t);
    const cache = await open({ mode, dir: join(disk, mode), maxBytes: 100 * MiB });
    const contents = [contentOf(1, 6 * MiB), contentOf(2, 6 * MiB)];
    for (const [file, content] of contents.entries()) source.put(`f${file}`, content);
    for (const [file, content] of [...contents.entries(), ...contents.entries()]) {
      const object = await cache.open(`f${file}`);
      const bytes = Buffer.alloc(content.length);
      await object.readRange(0, bytes);
      assert.ok(bytes.equals(content), `${mode} f${file}`);
      await object.close();
    }
    cache.store.purge(() => true);
    await until("there is room", () => filesBelow(join(disk, mode)).size === 0);
    const object = await cache.open("f1");
    await object.readRange(0, Buffer.alloc(contents[1]!.length));
    await object.close();
    source.calls.length = 0;
    await (await cache.open("f1")).readRange(0, Buffer.alloc(100));
    assert.equal(source.countOf("read") + source.countOf("fetch"), 0, "it is kept again");
    await cache.close();
    spawnSync("rm", ["-rf", join(disk, mode)]);
  }
  const clock = new TestClock();
  const index = new CacheIndex({ file: join(tempFolder(t), "cacheDB.db"), clock, log: quietLog });
  t.after(() => index.close());
  const limits = { maxBytes: 100 * MiB, limitPercent: 85, ageMs: 60_000 };
  const segments = await openSegmentCache({ ...limits, index, dir: join(disk, "segments"), clock, log: quietLog });
  const kept: boolean[] = [];
  for (let leaf = 0; leaf < 4; leaf += 1) {
    kept.push(await segments.put({ path: "a", version: "1", leaf: `${leaf}.ts` }, contentOf(leaf, 3 * MiB)));
  }
  assert.deepEqual(kept, [true, true, false, false]);
  assert.equal(segments.store.usage().entryCount, 2);
  await segments.close();
});

test("the sqlite3 program invalidates both caches with the seed's line while they are used", async (t) => {
  if (!has("sqlite3")) return t.skip("skipped: needs sqlite3");
  const clock = new TestClock();
  const root = tempFolder(t);
  const file = join(root, "cacheDB.db");
  const index = new CacheIndex({ file, clock, log: quietLog, flushMs: 10 });
  t.after(() => index.close());
  const limits = { maxBytes: 100 * MiB, limitPercent: 85, ageMs: 60_000 };
  const segments = await openSegmentCache({ ...limits, index, dir: join(root, "segments"), clock, log: quietLog });
  t.after(() => segments.close());
  const cleaner = new CacheCleaner({
    ...{ stores: [segments.store], index, intervalMs: 300_000, cron: null, clock, log: quietLog },
  });
  cleaner.start();
  t.after(() => cleaner.stop());
  const segment = { path: "a", version: "1", leaf: "1.ts" };
  await segments.put(segment, contentOf(1, 1000));
  const line = "UPDATE segmentfile SET timestamp = 0; UPDATE inputfile SET timestamp = 0;";
  const { status, stderr } = spawnSync("sqlite3", [file, line], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
  let isThere = true;
  while (isThere) isThere = (await segments.get(segment)) !== null; // each use is a touch
  await until("the folder is empty", () => filesBelow(join(root, "segments")).size === 0);
});
