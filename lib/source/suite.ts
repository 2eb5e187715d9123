/** What every source has to hold, run on each kind over real servers. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { SourceObject } from "./port.ts";
import { failureStatements } from "./suite-failures.ts";
import { listStatements } from "./suite-lists.ts";
import type { Subject } from "./suite-place.ts";
import { bytesOf, type It, ODD_NAMES, readAll, statements, tempDir } from "./suite-stage.ts";

/** Registers the statements for one kind of source and server. */
export function contentSourceSuite(title: string, subject: Subject): void {
  const { it, finish } = statements(title, subject);
  wholeStatements(it);
  if (subject.capabilities.ranges) rangeStatements(it);
  versionStatements(it, subject);
  listStatements(it, subject);
  failureStatements(it, subject);
  finish();
}

function wholeStatements(it: It): void {
  it("it says what it can do", async ({ source, subject }) => {
    const { ranges, list, strongVersion } = source.capabilities;
    assert.deepEqual({ ranges, list, strongVersion }, subject.capabilities);
  });

  it("a file's stat is the same from stat, open and fetchTo, and stays the same", async (stage) => {
    const { source, place, t } = stage;
    await place.put("dir/a.bin", bytesOf(1, 70_001));
    const stat = await source.stat("dir/a.bin");
    assert.equal(stat.sizeBytes, 70_001);
    assert.match(stat.version, /^[\w-]{16}$/);
    const object = await source.open("dir/a.bin");
    assert.deepEqual(object.stat, stat);
    await object.close();
    assert.deepEqual(await source.fetchTo("dir/a.bin", join(await tempDir(t), "a")), stat);
    assert.deepEqual(await source.stat("dir/a.bin"), stat);
  });

  it("a file is fetched whole, byte for byte", async ({ source, place, t }) => {
    const dir = await tempDir(t);
    for (const sizeBytes of [1, 65_536, 9_000_001]) {
      const bytes = bytesOf(sizeBytes, sizeBytes);
      await place.put("whole.bin", bytes);
      const file = join(dir, String(sizeBytes));
      assert.equal((await source.fetchTo("whole.bin", file)).sizeBytes, sizeBytes);
      assert.ok((await readFile(file)).equals(bytes), `${sizeBytes} bytes`);
    }
  });

  it("odd names are names like any other", async ({ source, place, t, subject }) => {
    const dir = await tempDir(t);
    const check = async (name: string, index: number): Promise<void> => {
      const bytes = bytesOf(index, 100 + index);
      const path = `odd ü/${name}/${name}`;
      await place.put(path, bytes);
      assert.equal((await source.stat(path)).sizeBytes, bytes.length, path);
      if (subject.capabilities.ranges) {
        const object = await source.open(path);
        assert.deepEqual(await readAll(object), bytes, path);
        await object.close();
      }
      await source.fetchTo(path, join(dir, String(index)));
      assert.ok((await readFile(join(dir, String(index)))).equals(bytes), path);
    };
    await Promise.all(ODD_NAMES.map(check));
  });

  it("what is not there is not found", async ({ source, place, t }) => {
    await place.put("here.bin", bytesOf(1, 10));
    const file = join(await tempDir(t), "f");
    for (const path of ["no.bin", "no/such/folder/a.bin", "here", "HERE.bin"]) {
      await assert.rejects(source.stat(path), { code: "SOURCE_NOT_FOUND" }, path);
      await assert.rejects(source.open(path), { code: "SOURCE_NOT_FOUND" }, path);
      await assert.rejects(source.fetchTo(path, file), { code: "SOURCE_NOT_FOUND" }, path);
    }
    await assert.rejects(readFile(file), { code: "ENOENT" });
  });

  it("what would lie below a file is not found", async ({ source, place, t }) => {
    await place.put("here.bin", bytesOf(1, 10));
    const file = join(await tempDir(t), "f");
    await assert.rejects(source.stat("here.bin/below"), { code: "SOURCE_NOT_FOUND" });
    await assert.rejects(source.open("here.bin/below"), { code: "SOURCE_NOT_FOUND" });
    await assert.rejects(source.fetchTo("here.bin/below", file), { code: "SOURCE_NOT_FOUND" });
  });

  it("a folder is not a file", async ({ source, place, t }) => {
    await place.makeFolder("folder");
    await place.put("full/a.bin", bytesOf(1, 10));
    const file = join(await tempDir(t), "f");
    for (const path of ["folder", "full"]) {
      await assert.rejects(source.stat(path), { code: "SOURCE_NOT_FOUND" }, path);
      await assert.rejects(source.open(path), { code: "SOURCE_NOT_FOUND" }, path);
      await assert.rejects(source.fetchTo(path, file), { code: "SOURCE_NOT_FOUND" }, path);
    }
  });

  it("an empty file is a file", async ({ source, place, t }) => {
    await place.put("empty", new Uint8Array(0));
    assert.equal((await source.stat("empty")).sizeBytes, 0);
    const object = await source.open("empty");
    assert.equal(object.stat.sizeBytes, 0);
    if (!object.wholeOnly) await object.readRange(0, new Uint8Array(0));
    await assert.rejects(object.readRange(0, new Uint8Array(1)), { code: "SOURCE_TRUNCATED" });
    await object.close();
    const file = join(await tempDir(t), "f");
    await source.fetchTo("empty", file);
    assert.equal((await readFile(file)).length, 0);
  });

  it("a path that leaves the root is refused before anything is asked", async ({ source, place, t }) => {
    place.gate?.freeze();
    const file = join(await tempDir(t), "f");
    for (const path of ["../a", "a/../../b", "/etc/passwd", "a\0b", "a\r\nDELE b", "a//b", ""]) {
      await assert.rejects(source.stat(path), { code: "PATH_REFUSED" }, path);
      await assert.rejects(source.open(path), { code: "PATH_REFUSED" }, path);
      await assert.rejects(source.fetchTo(path, file), { code: "PATH_REFUSED" }, path);
    }
  });

  it("a fetch never writes over a file that is there", async ({ source, place, t }) => {
    await place.put("a.bin", bytesOf(1, 1000));
    const file = join(await tempDir(t), "f");
    await source.fetchTo("a.bin", file);
    await place.put("a.bin", bytesOf(2, 1000));
    await assert.rejects(source.fetchTo("a.bin", file), { code: "EEXIST" });
    assert.ok((await readFile(file)).equals(bytesOf(1, 1000)));
  });
}

function rangeStatements(it: It): void {
  const SIZE = 2_500_003;

  it("any range is read exactly, and nothing beside it is touched", async ({ source, place }) => {
    const bytes = bytesOf(7, SIZE);
    await place.put("r.bin", bytes);
    const object = await source.open("r.bin");
    const ranges = [
      [0, 16],
      [0, 65_536],
      [SIZE - 1, 1],
      [65_535, 2],
      [1_000_000, 300_000],
      [32_767, 32_770],
      [0, SIZE],
      [SIZE, 0],
      [5, 0],
    ] as const;
    for (const [offset, length] of ranges) {
      const around = new Uint8Array(length + 16).fill(0xaa);
      await object.readRange(offset, around.subarray(8, 8 + length));
      const wanted = Buffer.concat([
        Buffer.alloc(8, 0xaa),
        bytes.subarray(offset, offset + length),
        Buffer.alloc(8, 0xaa),
      ]);
      assert.ok(wanted.equals(around), `${length} bytes from ${offset} on`);
    }
    await object.close();
  });

  it("many ranges of several files are read at once over few connections", async (stage) => {
    const { place } = stage;
    const source = await stage.open({ connectionsMax: 2 });
    const files = [bytesOf(11, 400_000), bytesOf(12, 400_000)];
    for (const [index, bytes] of files.entries()) await place.put(`${index}.bin`, bytes);
    const objects = await Promise.all(files.map((_, index) => source.open(`${index}.bin`)));
    const reads = Array.from({ length: 24 }, async (_, n) => {
      const [offset, target] = [n * 12_345, new Uint8Array(100_000)];
      await objects[n % 2]?.readRange(offset, target);
      assert.ok(files[n % 2]?.subarray(offset, offset + target.length).equals(target), `read ${n}`);
    });
    await Promise.all(reads);
    if (place.gate) assert.ok(place.gate.count.most <= 2, `${place.gate.count.most} connections at once`);
    await Promise.all(objects.map((object) => object.close()));
  });

  it("a range past the end is truncated, and nothing is written", async ({ source, place }) => {
    await place.put("r.bin", bytesOf(7, 1000));
    const object = await source.open("r.bin");
    const target = new Uint8Array(100).fill(0xaa);
    await assert.rejects(object.readRange(901, target), { code: "SOURCE_TRUNCATED" });
    await assert.rejects(object.readRange(1e12, target), { code: "SOURCE_TRUNCATED" });
    assert.ok(target.every((byte) => byte === 0xaa));
    await object.close();
  });

  it("an object that is closed twice is closed", async ({ source, place }) => {
    await place.put("r.bin", bytesOf(7, 1000));
    const object = await source.open("r.bin");
    await object.close();
    await object.close();
  });
}

function versionStatements(it: It, { capabilities }: Subject): void {
  it("a file put in the place of another has another version", async ({ source, place }) => {
    await place.put("v.bin", bytesOf(1, 1000));
    const before = await source.stat("v.bin");
    await place.put("v.bin", bytesOf(2, 1000));
    assert.notEqual((await source.stat("v.bin")).version, before.version);
  });

  it("a file that is gone is not found any more", async ({ source, place }) => {
    await place.put("v.bin", bytesOf(1, 1000));
    await source.stat("v.bin");
    await place.remove("v.bin");
    await assert.rejects(source.stat("v.bin"), { code: "SOURCE_NOT_FOUND" });
    await assert.rejects(source.open("v.bin"), { code: "SOURCE_NOT_FOUND" });
  });

  if (!capabilities.ranges) return;

  it("a file replaced between open and read gives its old bytes or SOURCE_CHANGED", async ({ source, place }) => {
    const [old, next] = [bytesOf(1, 300_000), bytesOf(2, 300_000)];
    await place.put("v.bin", old);
    const object = await source.open("v.bin");
    await place.put("v.bin", next);
    assert.equal(await oldOrChanged(object, old), true);
    await object.close();
    const again = await source.open("v.bin");
    assert.ok(next.equals(await readAll(again)));
    assert.notEqual(again.stat.version, object.stat.version);
    await again.close();
  });

  it("a file cut off between open and read is changed or truncated", async ({ source, place }) => {
    await place.put("v.bin", bytesOf(1, 300_000));
    const object = await source.open("v.bin");
    await place.truncate("v.bin", bytesOf(1, 150_000));
    await assert.rejects(object.readRange(100_000, new Uint8Array(150_000)), (error: { code?: string }) =>
      ["SOURCE_CHANGED", "SOURCE_TRUNCATED"].includes(error.code ?? ""),
    );
    await object.close();
  });

  it("whatever is read while a file is replaced again and again is of one version", async (stage) => {
    const { source, place } = stage;
    const SIZE = 400_000;
    await place.put("v.bin", Buffer.alloc(SIZE, 0));
    let isOver = false;
    const writer = (async () => {
      for (let n = 1; n <= 25; n++) await place.put("v.bin", Buffer.alloc(SIZE, n));
      isOver = true;
    })();
    let whole = 0;
    while (!isOver || whole === 0) {
      const object = await source.open("v.bin").catch(changed);
      if (!object) continue;
      const target = new Uint8Array(SIZE);
      const wasRead = await object
        .readRange(0, target.subarray(0, SIZE / 2))
        .then(() => object.readRange(SIZE / 2, target.subarray(SIZE / 2)).then(() => true, changed), changed);
      if (wasRead) {
        assert.ok(
          target.every((byte) => byte === target[0]),
          "two versions in one reading",
        );
        whole += 1;
      }
      await object.close();
    }
    await writer;
  });
}

/** Swallows SOURCE_CHANGED and the like, which a reader answers by opening again; all else goes on. */
const changed = (error: { code?: string }): undefined => {
  if (error.code === "SOURCE_CHANGED" || error.code === "SOURCE_TRUNCATED") return undefined;
  throw error;
};

const oldOrChanged = async (object: SourceObject, old: Buffer): Promise<boolean> => {
  const target = new Uint8Array(old.length);
  try {
    await object.readRange(0, target);
    return old.equals(target);
  } catch (error) {
    return (error as { code?: string }).code === "SOURCE_CHANGED";
  }
};
