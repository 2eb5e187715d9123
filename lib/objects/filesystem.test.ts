import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import {
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import test, { type TestContext } from "node:test";
import { promisify } from "node:util";
import { killRounds } from "../../test/support/object-kills.ts";
import { quietLog } from "../log/log.ts";
import { bytesOf } from "../source/suite-stage.ts";
import { openObjects } from "./open.ts";
import type { ObjectName, ObjectStore } from "./port.ts";
import { STAGING } from "./staging.ts";

const at = (key: string): ObjectName => ({ bucket: "segments", key });
const LIMIT = { bytesMax: 2 ** 24 };

const tempFolder = async (t: TestContext): Promise<string> => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-store-"));
  t.after(() => rm(folder, { recursive: true }));
  return folder;
};

const openIn = async (t: TestContext, root: string): Promise<ObjectStore> => {
  const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
  t.after(() => store.close());
  return store;
};

interface Stage {
  readonly store: ObjectStore;
  readonly root: string;
  /** Folder of the bucket. */
  readonly segments: string;
}

const begin = async (t: TestContext): Promise<Stage> => {
  const root = join(await tempFolder(t), "objects");
  return { root, segments: join(root, "test-segments"), store: await openIn(t, root) };
};

const keysOf = async (store: ObjectStore): Promise<string[]> => {
  const keys: string[] = [];
  for await (const { key } of store.list("segments")) keys.push(key);
  return keys;
};

test("a symbolic link on the way to a key is refused, and nothing is read, written or removed behind it", async (t) => {
  const { store, segments, root } = await begin(t);
  const outside = join(root, "..", "outside");
  await mkdir(outside);
  await writeFile(join(outside, "secret"), "secret");
  await mkdir(join(segments, "deep"));
  await symlink(outside, join(segments, "deep", "link"));
  const code = { code: "PATH_REFUSED" };
  for (const key of ["deep/link/secret", "deep/link/new", "deep/link/below/new"]) {
    await assert.rejects(store.put(at(key), Buffer.from("x")), code, key);
    await assert.rejects(store.put(at(key), Buffer.from("x"), { ifAbsent: true }), code);
  }
  await assert.rejects(store.getBytes(at("deep/link/secret"), LIMIT), code);
  await assert.rejects(store.head(at("deep/link/secret")), code);
  await assert.rejects(store.delete("segments", ["deep/link/secret"]), code);
  await assert.rejects(store.input(at("deep/link/secret")), code);
  assert.deepEqual(await readdir(outside), ["secret"]);
  assert.deepEqual(await keysOf(store), []);
  assert.deepEqual(await readdir(join(root, STAGING)), []);
});

test("a symbolic link in the place of an object is none, and a put takes its place", async (t) => {
  const { store, segments, root } = await begin(t);
  const target = join(root, "..", "target");
  await writeFile(target, "secret");
  await symlink(target, join(segments, "link"));
  await assert.rejects(store.getBytes(at("link"), LIMIT), { code: "OBJECT_NOT_FOUND" });
  assert.equal(await store.head(at("link")), null);
  await store.put(at("link"), Buffer.from("mine"));
  assert.equal(await readFile(target, "utf8"), "secret");
  assert.ok((await lstat(join(segments, "link"))).isFile());
});

test("an object can't lie below another one, nor in the place of a folder of others", async (t) => {
  const { store } = await begin(t);
  await store.put(at("a"), Buffer.from("x"));
  await assert.rejects(store.put(at("a/b"), Buffer.from("x")), { code: "PATH_REFUSED" });
  await assert.rejects(store.put(at("a/b/c"), Buffer.from("x"), { ifAbsent: true }), { code: "PATH_REFUSED" });
  await store.put(at("f/b"), Buffer.from("x"));
  await assert.rejects(store.put(at("f"), Buffer.from("x")), { code: "PATH_REFUSED" });
  assert.deepEqual(await keysOf(store), ["a", "f/b"]);
});

test("folders that a delete leaves empty go with it, the bucket stays", async (t) => {
  const { store, segments } = await begin(t);
  await store.put(at("a/b/c/one"), Buffer.from("x"));
  await store.put(at("a/two"), Buffer.from("x"));
  await store.delete("segments", ["a/b/c/one"]);
  assert.deepEqual(await readdir(join(segments, "a")), ["two"]);
  await store.delete("segments", ["a/two"]);
  assert.deepEqual(await readdir(segments), []);
  await mkdir(join(segments, "empty"));
  await store.put(at("empty"), Buffer.from("in the place of a folder that was left"));
  assert.deepEqual(await keysOf(store), ["empty"]);
});

test("a local file that is final becomes the object without a copy, and may go afterwards", async (t) => {
  const { store, segments, root } = await begin(t);
  const file = join(root, "..", "upload");
  await writeFile(file, bytesOf(1, 100_000));
  const { ino } = await lstat(file);
  const stat = await store.putFile(at("film"), file, { isFinal: true });
  assert.equal((await lstat(join(segments, "film"))).ino, ino);
  await rm(file);
  assert.deepEqual(await store.head(at("film")), stat);
  assert.ok((await store.getBytes(at("film"), LIMIT)).bytes.equals(bytesOf(1, 100_000)));
  assert.deepEqual(await readdir(join(root, STAGING)), []);
});

test("a final file is put again by who does not know that it was, and stays whole", async (t) => {
  const { store, root } = await begin(t);
  const file = join(root, "..", "upload");
  await writeFile(file, bytesOf(1, 100_000));
  await store.putFile(at("film"), file, { isFinal: true });
  const again = await store.putFile(at("film"), file, { isFinal: true });
  assert.deepEqual(await store.head(at("film")), again);
  assert.ok((await store.getBytes(at("film"), LIMIT)).bytes.equals(bytesOf(1, 100_000)));
  assert.deepEqual(await readdir(join(root, STAGING)), []);
});

test("puts into folders that deletes prune at the same time all end well", async (t) => {
  const { store } = await begin(t);
  const rounds = Array.from({ length: 8 }, async (_, worker) => {
    for (let round = 0; round < 40; round += 1) {
      await store.put(at(`a/b/${worker}`), Buffer.from("x"));
      await store.delete("segments", [`a/b/${worker}`]);
    }
  });
  await Promise.all(rounds);
  assert.deepEqual(await keysOf(store), []);
});

test("of many who put where none may be yet, one has put", async (t) => {
  const { store, root } = await begin(t);
  const bodies = Array.from({ length: 16 }, (_, index) => bytesOf(index, 50_000));
  const ended = await Promise.allSettled(
    bodies.map((bytes, index) =>
      store.put(at("one"), index % 2 === 0 ? bytes : Readable.from([bytes]), { ifAbsent: true }),
    ),
  );
  const winners = ended.flatMap(({ status }, index) => (status === "fulfilled" ? [index] : []));
  assert.equal(winners.length, 1);
  assert.ok((await store.getBytes(at("one"), LIMIT)).bytes.equals(bodies[winners[0]!]!));
  for (const one of ended) if (one.status === "rejected") assert.equal(one.reason.code, "OBJECT_CHANGED");
  assert.deepEqual(await readdir(join(root, STAGING)), []);
});

test("what broken writes have left is swept once nobody can be writing it", async (t) => {
  const { store, root } = await begin(t);
  await store.put(at("a"), Buffer.from("x"));
  for (const [name, hours] of [
    ["old", 25],
    ["young", 23],
  ] as const) {
    const file = join(root, STAGING, name);
    await writeFile(file, "half");
    const seconds = Date.now() / 1000 - hours * 3600;
    await utimes(file, seconds, seconds);
  }
  await openIn(t, root);
  assert.deepEqual(await readdir(join(root, STAGING)), ["young"]);
  assert.deepEqual(await keysOf(store), ["a"]);
});

test("a disk that is not there at the start is used once it is", async (t) => {
  const folder = await tempFolder(t);
  const root = join(folder, "disk", "objects");
  await writeFile(join(folder, "disk"), "not mounted");
  const store = await openIn(t, root);
  await assert.rejects(store.put(at("a"), Buffer.from("x")), { code: "OBJECT_STORE_DOWN" });
  await rm(join(folder, "disk"));
  await mkdir(root, { recursive: true });
  await store.put(at("a"), Buffer.from("x"));
  assert.deepEqual(await keysOf(store), ["a"]);
});

test("an empty folder in the place of a disk is a store that is away, and nothing is written there", async (t) => {
  const { store, root } = await begin(t);
  await store.put(at("a"), Buffer.from("x"));
  await rename(root, `${root}-elsewhere`);
  await mkdir(root);
  const down = { code: "OBJECT_STORE_DOWN" };
  await assert.rejects(store.head(at("a")), down);
  await assert.rejects(store.getBytes(at("a"), { bytesMax: 10 }), down);
  await assert.rejects(store.put(at("b"), Buffer.from("x")), down);
  await assert.rejects(store.delete("segments", ["a"]), down);
  await assert.rejects(store.input(at("a")), down);
  await assert.rejects(keysOf(store), down);
  assert.deepEqual(await readdir(root), []);
  await rmdir(root);
  await rename(`${root}-elsewhere`, root);
  assert.deepEqual(await keysOf(store), ["a"]);
});

test("a listing passes by what is no object", async (t) => {
  const { store, segments } = await begin(t);
  await store.put(at("a/object"), Buffer.from("x"));
  await symlink("object", join(segments, "a", "link"));
  await symlink("..", join(segments, "a", "up"));
  await writeFile(join(segments, "a", "back\\slash"), "x");
  await writeFile(Buffer.concat([Buffer.from(`${segments}/a/`), Buffer.from([0xff, 0xfe])]), "x");
  spawnSync("mkfifo", [join(segments, "a", "fifo")]);
  assert.deepEqual(await keysOf(store), ["a/object"]);
  assert.equal(await store.head(at("a/fifo")), null);
});

const FULL = { ended: ["OBJECT_STORE_FULL", "OBJECT_STORE_FULL", "OBJECT_STORE_FULL", "put"], staged: [] };

test("a process that may write no more says that the store is full, leaves nothing, and goes on", async (t) => {
  const root = await tempFolder(t);
  const file = join(root, "source");
  await writeFile(file, bytesOf(2, 4_000_000));
  const argument = JSON.stringify({ root: join(root, "objects"), file, bytes: 4_000_000 });
  const fixture = join(import.meta.dirname, "full.fixture.ts");
  // Files of 1 MiB at most (in units of 512 bytes), and no signal for the one that would be larger.
  const script = 'trap "" XFSZ; ulimit -f 2048; exec "$@"';
  const args = ["-c", script, "sh", process.execPath, fixture, argument];
  const { stdout } = await promisify(execFile)("sh", args, { timeout: 20_000 });
  assert.deepEqual(JSON.parse(stdout), FULL);
});

test("a full disk is OBJECT_STORE_FULL, what was there stays, and there is room again afterwards", async (t) => {
  const disk = await mkdtemp(join(tmpdir(), "castellan-disk-"));
  const isMounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=8m", "tmpfs", disk]).status === 0;
  t.after(() => {
    if (isMounted) spawnSync("umount", ["-l", disk]);
    return rmdir(disk);
  });
  if (!isMounted) return t.skip("skipped: needs to mount a tmpfs");
  const store = await openIn(t, join(disk, "objects"));
  await store.put(at("kept"), bytesOf(1, 3_000_000));
  const code = { code: "OBJECT_STORE_FULL" };
  for (let round = 0; round < 3; round += 1) {
    await assert.rejects(store.put(at("kept"), bytesOf(2, 6_000_000)), code);
    await assert.rejects(store.put(at("new"), Readable.from([bytesOf(2, 6_000_000)])), code);
    await assert.rejects(store.put(at("new"), bytesOf(2, 6_000_000), { ifAbsent: true }), code);
  }
  assert.deepEqual(await keysOf(store), ["kept"]);
  assert.deepEqual(await readdir(join(disk, "objects", STAGING)), []);
  assert.ok((await store.getBytes(at("kept"), LIMIT)).bytes.equals(bytesOf(1, 3_000_000)));
  await store.put(at("new"), bytesOf(3, 4_000_000));
  assert.deepEqual(await keysOf(store), ["kept", "new"]);
});

test("a kill -9 in the middle of a put leaves the old object or the new one", async (t) => {
  const counts = await killRounds(join(await tempFolder(t), "objects"), 4);
  t.diagnostic(`${counts.puts} puts, ${counts.broken} of 4 kills in the middle of one`);
});
