import assert from "node:assert/strict";
import { existsSync, rmSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { seeded } from "../../test/support/seeded.ts";
import { CacheCleaner, cronOf } from "./cache-cleaner.ts";
import { CacheIndex } from "./cache-index.store.ts";
import {
  cacheWorld,
  contentOf,
  diskBytes,
  filesBelow,
  foldersBelow,
  MiB,
  rowsOf,
  TestClock,
  tempFolder,
  until,
} from "./caches.fixture.ts";
import { versionOf } from "./fake-source.fixture.ts";
import { openSegmentCache, type SegmentCacheOptions } from "./segment-cache.ts";

const INVALIDATE = "UPDATE segmentfile SET timestamp = 0; UPDATE inputfile SET timestamp = 0;";
const segment = (leaf: string, path = "a/b/movie.mp4") => ({ path, version: "v1", leaf });

const segmentWorld = async (t: Parameters<typeof tempFolder>[0], options: Partial<SegmentCacheOptions> = {}) => {
  const root = tempFolder(t);
  const dir = join(root, "segments");
  const database = join(root, "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file: database, clock, log: quietLog, flushMs: 10 });
  t.after(() => index.close());
  const open = async () => {
    const common = { index, dir, maxBytes: 10 * MiB, limitPercent: 80, ageMs: 60_000, clock, log: quietLog };
    const cache = await openSegmentCache({ ...common, ...options });
    t.after(() => cache.close());
    return cache;
  };
  return { dir, database, clock, index, open, cache: await open() };
};

test("a segment that was put is given back whole; another version, leaf or path is another segment", async (t) => {
  const { cache, dir } = await segmentWorld(t);
  const bytes = contentOf(1, 100_000);
  const given = Buffer.from(bytes);
  const putting = cache.put(segment("segment1_0_av.ts"), given);
  given.fill(0); // the caller's buffer is the caller's again
  assert.equal(await putting, true);
  assert.deepEqual(await cache.get(segment("segment1_0_av.ts")), bytes);
  assert.equal(await cache.put(segment("segment1_0_av.ts"), bytes), false, "it is there");
  assert.equal(await cache.get(segment("segment1_0_av.m4s")), null);
  assert.equal(await cache.get({ ...segment("segment1_0_av.ts"), version: "v2" }), null);
  assert.equal(await cache.get(segment("segment1_0_av.ts", "a/b/movie2.mp4")), null);
  assert.match([...filesBelow(dir).keys()].join(), /^a\/b\/movie\.mp4\/=[0-9a-f]{32}$/);
});

test("a torn segment of an earlier life is not served, and leaves", async (t) => {
  const world = await segmentWorld(t);
  for (const leaf of ["1.ts", "2.ts", "3.ts"]) await world.cache.put(segment(leaf), contentOf(2, 50_000));
  await world.cache.close();
  const { readFileSync, truncateSync, writeFileSync } = await import("node:fs");
  const [first = "", second = "", third = ""] = [...filesBelow(world.dir).keys()];
  const bytes = readFileSync(join(world.dir, first));
  bytes.fill(0, 4096, 8192);
  writeFileSync(join(world.dir, first), bytes);
  truncateSync(join(world.dir, second), 20_000);
  const cache = await world.open();
  const got = await Promise.all(["1.ts", "2.ts", "3.ts"].map((leaf) => cache.get(segment(leaf))));
  assert.deepEqual(got.map((one) => one?.length ?? null).sort(), [50_000, null, null]);
  await cache.store.settled();
  assert.deepEqual([...filesBelow(world.dir).keys()], [third]);
});

test("an index that is removed while the cache runs comes back with its rows, and orders count again", async (t) => {
  const { cache, clock, index, database } = await segmentWorld(t);
  const stores = [cache.store];
  const common = { stores, index, intervalMs: 3_600_000, cron: null, clock, log: quietLog };
  const cleaner = new CacheCleaner(common);
  t.after(() => cleaner.stop());
  cleaner.start();
  await cache.put(segment("1.ts"), contentOf(1, 5000));
  for (const suffixes of [[""], ["", "-wal", "-shm"]]) {
    for (const suffix of suffixes) rmSync(database + suffix);
    const rowCount = () => (existsSync(database) ? rowsOf(database, "segmentfile").length : 0);
    await until("the index is made anew", () => rowCount() === 1);
  }
  const outside = new DatabaseSync(database);
  outside.exec(INVALIDATE);
  outside.close();
  await until("what was invalidated has left", () => cache.store.usage().entryCount === 0);
});

test("a segment that is being written when its file is purged is not kept", async (t) => {
  const { cache, dir } = await segmentWorld(t);
  const putting = cache.put(segment("1.ts"), contentOf(1, 5000));
  cache.purge(({ path }) => path === segment("1.ts").path);
  assert.equal(await putting, false);
  assert.equal(await cache.get(segment("1.ts")), null);
  assert.deepEqual([cache.store.usage().bytes, filesBelow(dir).size], [0, 0]);
  assert.equal(await cache.put(segment("1.ts"), contentOf(1, 5000)), true);
});

test("a segment folder that is removed while the cache runs is made again, by the next segment or cleaning", async (t) => {
  const { cache, dir } = await segmentWorld(t);
  await cache.put(segment("1.ts"), contentOf(1, 5000));
  rmSync(dir, { recursive: true });
  assert.equal((await cache.store.clean()).entryCount, 0);
  assert.equal(cache.store.usage().entryCount, 0);
  assert.ok(existsSync(dir));
  rmSync(dir, { recursive: true });
  assert.equal(await cache.put(segment("1.ts"), contentOf(1, 5000)), true);
  assert.deepEqual(await cache.get(segment("1.ts")), contentOf(1, 5000));
  assert.equal(filesBelow(dir).size, 1);
});

test("what was not used for the set time leaves at the next cleaning, with its empty folders up to the root", async (t) => {
  const { cache, clock, dir, database } = await segmentWorld(t);
  await cache.put(segment("1.ts", "old/deep/a.mp4"), contentOf(1, 5000));
  await cache.put(segment("1.ts", "used/b.mp4"), contentOf(2, 5000));
  clock.ms += 50_000;
  await cache.get(segment("1.ts", "used/b.mp4"));
  clock.ms += 20_000;
  assert.equal((await cache.store.clean()).entryCount, 1);
  assert.deepEqual(foldersBelow(dir), ["b.mp4", "used"]);
  assert.equal(rowsOf(database, "segmentfile").length, 1);
});

test("above its limit a cache loses what was used least recently, however young, and stops when it is below", async (t) => {
  const { cache } = await segmentWorld(t);
  const leaves = Array.from({ length: 8 }, (_, index) => `${index}.ts`);
  for (const leaf of leaves) await cache.put(segment(leaf), contentOf(3, MiB - 20_000));
  await cache.get(segment("0.ts"));
  await cache.put(segment("8.ts"), contentOf(3, MiB - 20_000));
  await cache.put(segment("9.ts"), contentOf(3, MiB - 20_000));
  const kept = await Promise.all(
    [...leaves, "8.ts", "9.ts"].map(async (leaf) => (await cache.get(segment(leaf))) !== null),
  );
  assert.deepEqual(kept, [true, false, false, true, true, true, true, true, true, true]);
  assert.ok(cache.store.usage().bytes <= 8 * MiB);
});

test("cleaning an empty cache, and one that is over its limit with everything in use, ends", async (t) => {
  const { cache } = await segmentWorld(t);
  assert.deepEqual(await cache.store.clean(), { entryCount: 0, bytes: 0 });
  await cache.put(segment("1.ts"), contentOf(1, 7 * MiB));
  const [entry] = cache.store.entries();
  cache.store.hold(entry!);
  assert.equal(await cache.put(segment("2.ts"), contentOf(1, 4 * MiB)), false, "nobody who is in use leaves for it");
  assert.ok(await cache.get(segment("1.ts")));
  cache.store.letGo(entry!);
  assert.equal(await cache.put(segment("2.ts"), contentOf(1, 4 * MiB)), true);
  assert.equal(await cache.put(segment("3.ts"), contentOf(1, 9 * MiB)), false, "larger than the cache's limit");
});

test("the seed's SQL empties both caches at the next cleaning, also what is used meanwhile", async (t) => {
  const { open, source, dir, index, database, clock } = cacheWorld(t);
  source.put("m.mp4", contentOf(1, MiB));
  const input = await open({ mode: "ranges" });
  const object = await input.open("m.mp4");
  const target = Buffer.alloc(1000);
  await object.readRange(0, target);
  const segments = await openSegmentCache({
    ...{ index, dir: `${dir}-segments`, maxBytes: MiB, limitPercent: 85, ageMs: 60_000, clock, log: quietLog },
  });
  t.after(() => segments.close());
  await segments.put(segment("1.ts"), contentOf(2, 1000));
  const stores = [input.store, segments.store];
  const cleaner = new CacheCleaner({ stores, index, intervalMs: 300_000, cron: null, clock, log: quietLog });
  const other = new DatabaseSync(database);
  other.exec(INVALIDATE);
  other.close();
  await object.readRange(500, target);
  await segments.get(segment("1.ts"));
  const cleaned = await cleaner.runOnce();
  assert.deepEqual(
    cleaned.map(({ cache, removed, usage }) => [cache, removed.entryCount, usage.entryCount]),
    [
      ["input", 1, 0],
      ["segment", 1, 0],
    ],
  );
  await object.readRange(0, target);
  assert.deepEqual(target, contentOf(1, MiB).subarray(0, 1000));
  assert.equal(source.countOf("read"), 3); // the first in two pieces
});

test("a cleaner notices the seed's SQL by itself, and cleans again after an error", async (t) => {
  const { cache, index, database, clock } = await segmentWorld(t);
  await cache.put(segment("1.ts"), contentOf(2, 1000));
  let failures = 1;
  const { store } = cache;
  const flaky = new Proxy(store, {
    get: (target, property) => {
      if (property === "clean" && failures-- > 0) return () => Promise.reject(new Error("disk on fire"));
      const value = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  const cleaner = new CacheCleaner({
    ...{ stores: [flaky], index, intervalMs: 300_000, cron: null, clock, log: quietLog, retryMs: 10 },
  });
  cleaner.start();
  t.after(() => cleaner.stop());
  const other = new DatabaseSync(database);
  other.exec(INVALIDATE);
  other.close();
  await until("the cache is empty", () => store.usage().entryCount === 0);
});

test("a cleaner runs by its cron line, and not before its interval has passed", async (t) => {
  const { cache, index, clock } = await segmentWorld(t, { ageMs: 1000 });
  const options = { stores: [cache.store], index, clock, log: quietLog, jitterMs: 0 };
  const cleaner = new CacheCleaner({ ...options, intervalMs: 1000, cron: "* * * * * *" });
  await cache.put(segment("1.ts"), contentOf(2, 1000));
  clock.ms += 5000;
  cleaner.start();
  await until("it has been cleaned", () => cache.store.usage().entryCount === 0);
  await cleaner.stop();
  assert.throws(() => new CacheCleaner({ ...options, intervalMs: 1000, cron: "61 * * * *" }).start(), /no cron line/);
});

test("intervals become cron lines", () => {
  const cases: [seconds: number, line: string][] = [
    [1, "*/1 * * * * *"],
    [7, "* * * * * *"],
    [30, "*/30 * * * * *"],
    [60, "*/1 * * * *"],
    [300, "*/5 * * * *"],
    [420, "* * * * *"],
    [3600, "0 */1 * * *"],
    [86_400, "* * * * *"],
  ];
  for (const [seconds, line] of cases) assert.equal(cronOf(seconds * 1000), line, String(seconds));
});

test("an index that was lost is made again from the folders, with the times that the disk knows", async (t) => {
  const world = await segmentWorld(t);
  for (const leaf of ["1.ts", "2.ts"]) await world.cache.put(segment(leaf), contentOf(2, 1000));
  await world.cache.close();
  world.index.close();
  const [first = ""] = rowsOf(world.database, "segmentfile").map((row) => String(row.filename));
  utimesSync(join(world.dir, first), 1_000_000, 1_000_000);
  rmSync(world.database);
  const index = new CacheIndex({ file: world.database, clock: world.clock, log: quietLog });
  t.after(() => index.close());
  const { dir, clock } = world;
  const cache = await openSegmentCache({
    ...{ index, dir, maxBytes: MiB, limitPercent: 85, ageMs: 60_000, clock, log: quietLog },
  });
  assert.equal(cache.store.usage().entryCount, 1, "the one that was not used for years has left");
  assert.notEqual(rowsOf(world.database, "segmentfile")[0]?.filename, first);
});

for (const seed of [1, 2, 3, 4]) {
  test(`whatever is asked for in whatever order, the disk never takes more than the size, and bytes are right (${seed})`, async (t) => {
    const { int } = seeded(seed);
    const { open, source, dir, clock } = cacheWorld(t);
    const maxBytes = 9 * MiB;
    const contents = Array.from({ length: 8 }, (_, file) => contentOf(file + seed, 1 + int(5 * MiB)));
    const versions = new Map<string, Buffer>();
    const put = (file: number, content: Buffer): void => {
      contents[file] = content;
      versions.set(versionOf(content), content);
      source.put(`d${file % 3}/f${file}`, content);
    };
    for (const [file, content] of contents.entries()) put(file, content);
    const mode = seed % 2 === 0 ? "whole" : "ranges";
    const cache = await open({ mode, maxBytes, waitMs: 60_000 });
    let most = 0;
    const measure = (): void => {
      most = Math.max(most, diskBytes(dir));
    };
    const step = async (): Promise<void> => {
      const file = int(8);
      const choice = int(20);
      if (choice === 0) cache.store.purge(({ path }) => path === `d${file % 3}/f${file}`);
      else if (choice === 1) await cache.store.clean();
      else if (choice === 2) clock.ms += int(30_000);
      else if (choice === 3) {
        put(file, contentOf(int(1000), 1 + int(5 * MiB)));
      } else {
        const content = contents[file]!;
        const object = await cache.open(`d${file % 3}/f${file}`);
        const offset = int(object.stat.sizeBytes);
        const target = Buffer.alloc(Math.min(object.stat.sizeBytes - offset, 1 + int(2 * MiB)));
        const read = object.readRange(offset, target);
        measure();
        await read;
        const opened = versions.get(object.stat.version) ?? assert.fail("a version that never was");
        assert.ok(target.equals(opened.subarray(offset, offset + target.length)), "bytes of that version");
        assert.ok(contents[file] !== content || opened === content, "the version that was there all the time");
        await object.close();
      }
    };
    const worker = async (): Promise<void> => {
      for (let count = 0; count < 40; count += 1) {
        await step().catch((error: { code?: string }) => {
          if (error.code !== "SOURCE_CHANGED" && error.code !== "PACKAGER_BUSY") throw error;
        });
        measure();
      }
    };
    await Promise.all([worker(), worker(), worker()]);
    assert.ok(most <= maxBytes, `${most} B of ${maxBytes} B`);
    assert.ok(most > maxBytes / 2, `the bound was near: ${most} B`);
    await cache.store.clean();
    assert.ok(diskBytes(dir) <= cache.store.limitBytes);
  });
}
