import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { SourceObject } from "../../lib/source/port.ts";
import { cacheWorld, contentOf, diskBytes, filesBelow, foldersBelow, MiB, rowsOf, until } from "./caches.fixture.ts";

const readAll = async (object: SourceObject): Promise<Buffer> => {
  const bytes = Buffer.alloc(object.stat.sizeBytes);
  await object.readRange(0, bytes);
  return bytes;
};

const entryFiles = (dir: string): string[] => [...filesBelow(dir).keys()].filter((name) => !name.startsWith("=tmp"));

test("a file that is given whole only is fetched once for all who want it, and read in ranges", async (t) => {
  const { source, dir, open, database } = cacheWorld(t, { ranges: false });
  const content = contentOf(1, 3 * MiB + 5);
  source.put("a/b/movie.mp4", content);
  const cache = await open();
  assert.deepEqual(cache.capabilities, { ranges: true, list: false, strongVersion: true });
  const objects = await Promise.all(Array.from({ length: 20 }, () => cache.open("a/b/movie.mp4")));
  assert.equal(source.countOf("fetch"), 1);
  const part = Buffer.alloc(1000);
  await objects[7]?.readRange(2 * MiB - 500, part);
  assert.deepEqual(part, content.subarray(2 * MiB - 500, 2 * MiB + 500));
  assert.deepEqual(await readAll(objects[19]!), content);
  await assert.rejects(objects[0]!.readRange(content.length - 4, Buffer.alloc(5)), { code: "SOURCE_TRUNCATED" });
  const [name = "", ...others] = entryFiles(dir);
  assert.deepEqual(others, []);
  assert.match(name, /^a\/b\/movie\.mp4\/=[0-9a-f]{32}$/);
  assert.deepEqual(
    rowsOf(database, "inputfile").map((row) => row.filename),
    [name],
  );
});

test("who waits for a fetch that a purge ends, and who comes then, has the file fetched anew", async (t) => {
  const { source, open } = cacheWorld(t, { ranges: false });
  source.put("m.mp4", contentOf(2, MiB));
  const cache = await open();
  source.misbehave("m.mp4", { stallAfter: 0 });
  const stalled = source.stalled();
  const waiting = cache.open("m.mp4");
  await stalled;
  source.behave();
  cache.forget(() => true);
  const objects = await Promise.all([waiting, cache.open("m.mp4")]);
  for (const object of objects) assert.deepEqual(await readAll(object), contentOf(2, MiB));
  assert.equal(source.countOf("fetch"), 2, "the one that was given up, and another");
});

test("who waits too long is told to come again, and the fetch goes on without them", async (t) => {
  const { source, open } = cacheWorld(t, { ranges: false });
  source.put("slow.mp4", contentOf(2, MiB));
  source.misbehave("slow.mp4", { stallAfter: 300_000 });
  const cache = await open({ waitMs: 20 });
  await assert.rejects(cache.open("slow.mp4"), { code: "SOURCE_FETCHING" });
  await assert.rejects(cache.open("slow.mp4", { signal: AbortSignal.abort(new Error("gone")) }), /gone/);
  const leaving = new AbortController();
  const waiting = cache.open("slow.mp4", { signal: leaving.signal });
  leaving.abort(new Error("left"));
  await assert.rejects(waiting, /left/);
  source.behave();
  const { promise, resolve } = Promise.withResolvers<SourceObject>();
  const again = (): void => void cache.open("slow.mp4").then(resolve, again);
  again();
  assert.deepEqual(await readAll(await promise), contentOf(2, MiB));
  assert.equal(source.countOf("fetch"), 1);
});

test("a download that ends early, fails or stalls is never taken for the file, and leaves nothing", async (t) => {
  const { source, open, dir, database } = cacheWorld(t, { ranges: false });
  source.put("x.mp4", contentOf(3, MiB));
  const cache = await open({ stallMs: 50 });
  const cases = [
    [{ truncateAfter: 500_000 }, "SOURCE_TRUNCATED"],
    [{ failAfter: 500_000 }, "SOURCE_FAILED"],
    [{ failAfter: 500_000, code: "SOURCE_ARCHIVED" }, "SOURCE_ARCHIVED"],
    [{ stallAfter: 500_000 }, "SOURCE_TIMEOUT"],
  ] as const;
  for (const [how, code] of cases) {
    source.misbehave("x.mp4", how);
    await assert.rejects(cache.open("x.mp4"), { code });
    assert.deepEqual([...filesBelow(dir).keys()], [], code);
    assert.equal(cache.store.usage().bytes, 0, code);
  }
  assert.deepEqual(rowsOf(database, "inputfile"), []);
  source.behave();
  assert.deepEqual(await readAll(await cache.open("x.mp4")), contentOf(3, MiB));
});

test("what a killed process left half-done is removed, and what was whole is taken over", async (t) => {
  const { source, open, dir, index, database } = cacheWorld(t, { ranges: false });
  source.put("a/x.mp4", contentOf(4, MiB));
  source.put("b/y.mp4", contentOf(5, MiB));
  const before = await open();
  for (const path of ["a/x.mp4", "b/y.mp4"]) await (await before.open(path)).close();
  await before.close();
  const [x = "", y = ""] = entryFiles(dir).sort();
  writeFileSync(join(dir, "=tmp", "123-4"), "half of a file");
  writeFileSync(join(dir, y), readFileSync(join(dir, y)).subarray(0, MiB / 2));
  writeFileSync(join(dir, "a", "x.mp4", `=${"0".repeat(32)}`), readFileSync(join(dir, x)));
  writeFileSync(join(dir, "notes.txt"), "an operator's");
  mkdirSync(join(dir, "empty", "folder"), { recursive: true });
  index.inputs.add("never/was/there", 1_750_000_000_000);
  const cache = await open();
  assert.deepEqual([...filesBelow(dir).keys()].sort(), [x, "notes.txt"].sort());
  assert.deepEqual(foldersBelow(dir), ["a", "empty", "folder", "x.mp4"], "others' folders are left alone");
  assert.deepEqual(
    rowsOf(database, "inputfile").map((row) => row.filename),
    [x],
  );
  assert.deepEqual(await readAll(await cache.open("a/x.mp4")), contentOf(4, MiB));
  assert.equal(source.countOf("fetch a/x.mp4"), 1);
  assert.deepEqual(await readAll(await cache.open("b/y.mp4")), contentOf(5, MiB));
  assert.equal(source.countOf("fetch b/y.mp4"), 2);
});

for (const mode of ["whole", "ranges"] as const) {
  test(`a file that is replaced gets an entry of its own, never a mix (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    const cache = await open({ mode });
    source.put("m.mp4", contentOf(6, 2 * MiB));
    const old = await cache.open("m.mp4");
    await old.readRange(0, Buffer.alloc(10));
    source.put("m.mp4", contentOf(7, 2 * MiB));
    const next = await cache.open("m.mp4");
    assert.notEqual(next.stat.version, old.stat.version);
    assert.deepEqual(await readAll(next), contentOf(7, 2 * MiB));
    await assert.rejects(readAll(old), { code: "SOURCE_CHANGED" });
    await old.close();
    await cache.store.settled();
    assert.equal(entryFiles(dir).length, 1);
  });

  test(`who reads while their entry leaves gets all of it; who reads later has it fetched again (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    const content = contentOf(8, 3 * MiB);
    source.put("m.mp4", content);
    const cache = await open({ mode });
    const object = await cache.open("m.mp4");
    await readAll(object);
    const reading = readAll(object);
    assert.equal(cache.store.purge(() => true).entryCount, 1);
    assert.deepEqual(await reading, content);
    await until("the file is gone", () => filesBelow(dir).size === 0);
    assert.deepEqual(await readAll(object), content);
    assert.equal(entryFiles(dir).length, 1);
  });

  test(`another program that empties the folder costs a fetch, no error (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    const content = contentOf(9, 2 * MiB);
    source.put("m.mp4", content);
    const before = await open({ mode });
    await readAll(await before.open("m.mp4"));
    await before.close();
    const cache = await open({ mode });
    const object = await cache.open("m.mp4");
    rmSync(join(dir, "m.mp4"), { recursive: true });
    assert.deepEqual(await readAll(object), content);
    await cache.store.clean();
    assert.equal(cache.store.usage().entryCount, 1);
  });

  test(`a source that is away or restores from an archive does not take away what is kept (${mode})`, async (t) => {
    const { source, open } = cacheWorld(t);
    source.put("m.mp4", contentOf(10, MiB));
    const cache = await open({ mode });
    await readAll(await cache.open("m.mp4"));
    for (const code of ["SOURCE_FAILED", "SOURCE_TIMEOUT", "SOURCE_ARCHIVED"] as const) {
      source.away = code;
      assert.deepEqual(await readAll(await cache.open("m.mp4")), contentOf(10, MiB));
      await assert.rejects(cache.open("other.mp4"), { code });
    }
    source.away = "SOURCE_NOT_FOUND";
    await assert.rejects(cache.open("m.mp4"), { code: "SOURCE_NOT_FOUND" });
  });

  test(`a file larger than the cache is read through it, and is not kept (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    source.put("big.mp4", contentOf(11, 4 * MiB));
    const cache = await open({ mode, maxBytes: 4 * MiB });
    const object = await cache.open("big.mp4");
    assert.deepEqual(await readAll(object), contentOf(11, 4 * MiB));
    await object.close();
    assert.equal(source.openCount, 0);
    assert.deepEqual([...filesBelow(dir).keys()], []);
  });
}

test("a file larger than the cache is refused by name where it can be had whole only", async (t) => {
  const { source, open } = cacheWorld(t, { ranges: false });
  source.put("big.mp4", contentOf(12, 4 * MiB));
  const cache = await open({ maxBytes: 4 * MiB });
  await assert.rejects(cache.open("big.mp4"), { code: "MEDIA_UNSUPPORTED", message: /larger than the input cache/ });
});

test("blocks are fetched once, with their neighbours, and only those that are read", async (t) => {
  const { source, open, dir } = cacheWorld(t);
  const content = contentOf(13, 20 * MiB + 77);
  source.put("m.mp4", content);
  const cache = await open({ mode: "ranges" });
  const object = await cache.open("m.mp4");
  const read = async (offset: number, length: number): Promise<void> => {
    const bytes = Buffer.alloc(length);
    await object.readRange(offset, bytes);
    assert.deepEqual(bytes, content.subarray(offset, offset + length), `${offset}+${length}`);
  };
  const reads = (): string[] => source.calls.filter((call) => call.startsWith("read")).map((call) => call.slice(11));
  await read(0, 16);
  await read(MiB - 1, 2);
  await Promise.all(Array.from({ length: 20 }, () => read(5 * MiB + 3, 3 * MiB)));
  assert.deepEqual(reads(), ["0-131071", "131072-1048575", "1048576-2097151", "5242880-9437183"]);
  await read(4 * MiB, 7 * MiB);
  await read(content.length - 5, 5);
  assert.deepEqual(reads().slice(4).sort(), ["20971520-20971596", "4194304-5242879", "9437184-11534335"].sort());
  await read(4 * MiB, 7 * MiB);
  assert.equal(reads().length, 7);
  assert.ok(diskBytes(dir) < 11 * MiB, String(diskBytes(dir)));
});

test("blocks of an earlier life count when their bytes fit their checksums", async (t) => {
  const { source, open, dir } = cacheWorld(t);
  const content = contentOf(14, 6 * MiB);
  source.put("m.mp4", content);
  const before = await open({ mode: "ranges" });
  await readAll(await before.open("m.mp4"));
  await before.close();
  const [name = ""] = entryFiles(dir);
  const bytes = readFileSync(join(dir, name));
  bytes.fill(0, 2 * MiB + 100, 2 * MiB + 200); // as after a power cut
  writeFileSync(join(dir, name), bytes);
  source.calls.length = 0;
  const cache = await open({ mode: "ranges" });
  assert.deepEqual(await readAll(await cache.open("m.mp4")), content);
  assert.deepEqual(
    source.calls.filter((call) => call.startsWith("read")),
    ["read m.mp4 2097152-2228223", "read m.mp4 2228224-3145727"],
  );
});

test("a viewer who leaves a block that is on its way stops it for nobody", async (t) => {
  const { source, open } = cacheWorld(t);
  source.put("m.mp4", contentOf(15, 2 * MiB));
  source.misbehave("m.mp4", { stallAfter: 0 });
  const cache = await open({ mode: "ranges" });
  const object = await cache.open("m.mp4");
  const leaving = new AbortController();
  const target = Buffer.alloc(100);
  const stalled = source.stalled();
  const left = object.readRange(0, target, { signal: leaving.signal });
  const staying = object.readRange(0, Buffer.alloc(100));
  await stalled;
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  source.behave();
  await staying;
  assert.deepEqual(target, Buffer.alloc(100), "nothing is written for one who has left");
  assert.equal(source.countOf("read"), 2);
});

test("what a slow source sends goes on coming after its first reader was told that it takes too long", async (t) => {
  const { source, open } = cacheWorld(t);
  source.put("m.mp4", contentOf(17, 2 * MiB));
  source.misbehave("m.mp4", { everyMs: 25 });
  const cache = await open({ mode: "ranges", stallMs: 40 });
  const read = async (): Promise<Buffer> => {
    const object = await cache.open("m.mp4");
    return readAll(object).finally(() => object.close());
  };
  await assert.rejects(read(), { code: "SOURCE_TIMEOUT" });
  let bytes: Buffer | undefined;
  while (!bytes) {
    bytes = await read().catch(({ code }: { code: string }) => void assert.equal(code, "SOURCE_TIMEOUT"));
  }
  assert.deepEqual(bytes, contentOf(17, 2 * MiB));
  const reads = source.calls.filter((call) => call.startsWith("read"));
  assert.equal(new Set(reads).size, reads.length, "nothing is fetched twice");
});

test("a source that sends nothing is given up; the next reader begins anew", async (t) => {
  const { source, open } = cacheWorld(t);
  source.put("m.mp4", contentOf(16, 2 * MiB));
  source.misbehave("m.mp4", { stallAfter: MiB });
  const cache = await open({ mode: "ranges", stallMs: 30 });
  const object = await cache.open("m.mp4");
  await assert.rejects(readAll(object), { code: "SOURCE_TIMEOUT" });
  source.behave();
  assert.deepEqual(await readAll(object), contentOf(16, 2 * MiB));
});

for (const mode of ["whole", "ranges"] as const) {
  test(`a folder that is removed while the cache runs is made again (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    const contents = [1, 2, 3].map((seed) => contentOf(seed, MiB));
    for (const [index, bytes] of contents.entries()) source.put(`${index}.mp4`, bytes);
    const cache = await open({ mode });
    const first = await cache.open("0.mp4");
    rmSync(join(dir, "=tmp"), { recursive: true });
    assert.deepEqual(await readAll(await cache.open("1.mp4")), contents[1]);
    rmSync(dir, { recursive: true });
    assert.deepEqual(await readAll(await cache.open("2.mp4")), contents[2]);
    assert.deepEqual(await readAll(first), contents[0]);
    rmSync(dir, { recursive: true });
    await cache.store.clean();
    assert.equal(cache.store.usage().entryCount, 0);
    assert.deepEqual(await readAll(await cache.open("1.mp4")), contents[1]);
    assert.equal(entryFiles(dir).length, 1);
  });

  test(`a folder that can't be made again costs the cache, no file (${mode})`, async (t) => {
    const { source, open, dir } = cacheWorld(t);
    source.put("m.mp4", contentOf(4, MiB));
    const cache = await open({ mode });
    rmSync(dir, { recursive: true });
    writeFileSync(dir, "a file in its place");
    assert.deepEqual(await readAll(await cache.open("m.mp4")), contentOf(4, MiB));
    rmSync(dir);
  });
}

test("names of all kinds have entries of their own: a file and a folder of one name, ours, long ones, Unicode", async (t) => {
  const { source, open } = cacheWorld(t, { ranges: false });
  const long = "ü".repeat(127);
  const paths = ["a", "a/b", "=tmp/x", "==tmp/x", "a/=0", long, `${long}/x`, `${long.slice(1)}x`, "ä b/ç.mp4", "a%2fb"];
  for (const [index, path] of paths.entries()) source.put(path, contentOf(index, 5000));
  const before = await open();
  for (const path of paths) await before.open(path);
  await before.close();
  const cache = await open();
  assert.equal(cache.store.usage().entryCount, paths.length);
  for (const [index, path] of paths.entries())
    assert.deepEqual(await readAll(await cache.open(path)), contentOf(index, 5000));
  assert.equal(source.countOf("fetch"), paths.length);
});

test("an empty file is a file", async (t) => {
  const { source, open } = cacheWorld(t);
  source.put("empty", Buffer.alloc(0));
  for (const mode of ["whole", "ranges"] as const) {
    const cache = await open({ mode });
    assert.equal((await readAll(await cache.open("empty"))).length, 0);
    await cache.close();
  }
});
