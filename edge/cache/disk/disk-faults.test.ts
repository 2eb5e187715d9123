import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { test } from "node:test";
import pino from "pino";
import { seeded } from "../../../test/support/seeded.ts";
import { bytesOf, folderOf, openStore, putVersion, readAll, versionThere } from "./disk.fixture.ts";
import { systemFiles } from "./files.ts";
import { type Hooks, hookedFiles } from "./hooked-files.fixture.ts";
import { MemoryFiles } from "./memory-files.fixture.ts";

const KiB = 1024;
const SMALL = 36 * 256 * KiB;
const failure = (code: string): Error => Object.assign(new Error(code), { code });

/** A log whose lines a test can read. */
const listeningLog = (): { log: pino.Logger; lines: string[] } => {
  const lines: string[] = [];
  const write = (line: string) => void lines.push((JSON.parse(line) as { msg: string }).msg);
  return { log: pino({ level: "info" }, { write }), lines };
};

test("bits that flip under it cost objects, never a wrong byte", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const random = seeded(seed);
  let [intactCount, goneCount] = [0, 0];
  for (let round = 0; round < 20; round += 1) {
    const files = new MemoryFiles(random);
    const options = { folder: "/disk", files, maxBytes: SMALL };
    const store = await openStore(options);
    const keys = Array.from({ length: 30 }, (_, version) => `k${version}`);
    for (const [version, key] of keys.entries())
      await putVersion(store, key, { version, sizeBytes: random.int(60_000) });
    await store.flush();
    const flip = (name: string): void => {
      const content = files.contentOf(name);
      const at = random.int(content.length);
      content.writeUInt8(content.readUInt8(at) ^ (1 << random.int(8)), at);
    };
    const names = (await files.list("/disk")).map((name) => `/disk/${name}`);
    for (let n = 0; n < 8; n += 1) flip(names.filter((name) => name.endsWith(".data"))[random.int(2)] ?? "");
    if (random.int(3) === 0) flip(names.filter((name) => name.endsWith(".index"))[random.int(2)] ?? "");
    const again = random.int(2) === 0 ? store : await openStore(options);
    for (const [version, key] of keys.entries()) {
      const there = await versionThere(again, key); // compares the bytes
      assert.ok(there === undefined || there === version);
      if (there === undefined) {
        goneCount += 1;
        assert.equal(again.has(key), false, "what is damaged is forgotten");
      } else intactCount += 1;
    }
    await again.close();
  }
  t.diagnostic(`${intactCount} objects intact, ${goneCount} gone`);
  assert.ok(intactCount > 0 && goneCount > 0);
});

test("a head with any byte changed is no head: the object is gone", async () => {
  const files = new MemoryFiles(seeded(3));
  const store = await openStore({ folder: "/disk", files });
  await putVersion(store, "key", { version: 5, sizeBytes: 300_000 });
  await store.close();
  const data = "/disk/slab-0000000001.data";
  const headBytes = files.contentOf(data).length - 300_000;
  const flip = (at: number): void => {
    const content = files.contentOf(data);
    content.writeUInt8(content.readUInt8(at) ^ (1 << (at % 8)), at);
  };
  const kept: number[] = [];
  for (let at = 0; at < headBytes; at += 1) {
    flip(at);
    // Never closed, so that it does not note what it found.
    const there = await (await openStore({ folder: "/disk", files })).open("key");
    there?.close();
    if (there) kept.push(at);
    flip(at);
  }
  assert.equal(await versionThere(await openStore({ folder: "/disk", files }), "key"), 5);
  assert.ok(headBytes > 40);
  assert.deepEqual(kept, []);
});

test("readers and writers at once: whoever reads gets one version, whole, or none", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const random = seeded(seed);
  const store = await openStore({ folder: folderOf(t), maxBytes: SMALL / 4 });
  t.after(() => store.close());
  const key = (): string => `k${random.int(60)}`;
  let isWriting = true;
  let readCount = 0;
  const reader = async (): Promise<void> => {
    while (isWriting) {
      const one = key();
      store.noteHit(one);
      if ((await versionThere(store, one)) !== undefined) readCount += 1; // compares the bytes
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const writer = async (from: number): Promise<void> => {
    for (let version = from; version < from + 150; version += 1) {
      const one = key();
      await putVersion(store, one, { version, sizeBytes: random.int(60_000) });
      if (random.int(8) === 0) store.remove(key());
      if (random.int(20) === 0) await store.flush();
    }
  };
  const readers = Array.from({ length: 2 }, reader);
  await Promise.all([writer(1), writer(1_000), writer(2_000)]);
  isWriting = false;
  await Promise.all(readers);
  t.diagnostic(`${readCount} objects were read meanwhile`);
  assert.ok(readCount > 0 && store.sizeBytes <= SMALL / 4);
});

test("a block that the disk reads wrong fails the read with its reason, and the object is gone", async (t) => {
  const hooks: Hooks = {};
  const store = await openStore({ folder: folderOf(t), files: hookedFiles(systemFiles, hooks) });
  t.after(() => store.close());
  await putVersion(store, "a", { version: 1, sizeBytes: 1_000_000 });
  const object = await store.open("a");
  assert.ok(object);
  const target = Buffer.alloc(10);
  hooks.afterRead = (bytes) => {
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
  };
  await assert.rejects(object.read(300_000, target), { reason: "corrupt" });
  assert.deepEqual(target, Buffer.alloc(10), "of a part of a block nothing wrong is handed out");
  object.close();
  delete hooks.afterRead;
  assert.equal(store.has("a"), false);
});

test("a disk that can't read an object loses that object alone", async (t) => {
  const hooks: Hooks = {};
  const store = await openStore({ folder: folderOf(t), files: hookedFiles(systemFiles, hooks) });
  t.after(() => store.close());
  for (const [version, key] of ["a", "b", "c"].entries()) await putVersion(store, key, { version, sizeBytes: 200_000 });
  const open = await store.open("b");
  hooks.before = (operation) => {
    if (operation === "read") throw failure("EIO");
  };
  assert.equal(await store.open("a"), undefined);
  await assert.rejects(open?.read(0, Buffer.alloc(1)) ?? Promise.resolve(), { reason: "failed" });
  open?.close();
  delete hooks.before;
  assert.deepEqual(
    ["a", "b", "c"].map((key) => store.has(key)),
    [false, false, true],
  );
  assert.equal(await versionThere(store, "c"), 2);
});

for (const operation of ["write", "sync", "create", "syncFolder"] as const) {
  test(`a full disk (${operation}) turns writing off for a while, says so once, and loses nothing that is there`, async (t) => {
    const hooks: Hooks = {};
    const { log, lines } = listeningLog();
    let nowMs = 1_000;
    const store = await openStore({
      folder: folderOf(t),
      files: hookedFiles(systemFiles, hooks),
      maxBytes: SMALL,
      log,
      nowMs: () => nowMs,
    });
    t.after(() => store.close());
    for (let version = 0; version < 5; version += 1)
      await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
    await store.flush();
    hooks.before = (asked) => {
      if (asked === operation) throw failure("ENOSPC");
    };
    let version = 10;
    for (; store.isUsable; version += 1) await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
    assert.equal(await putVersion(store, "refused", { version: 1, sizeBytes: 10 }), false);
    assert.equal(await putVersion(store, "k4", { version: 444, sizeBytes: 10 }), false);
    assert.equal(store.has("k4"), false, "an older version does not outlive a newer one");
    assert.equal(await versionThere(store, "k0"), 0);
    nowMs += 30_000;
    for (let round = 0; store.isUsable && round < 100; round += 1)
      await putVersion(store, `x${round}`, { version, sizeBytes: 40_000 });
    assert.deepEqual(lines, ["disk tier: off, a write failed"]);
    delete hooks.before;
    nowMs += 30_000;
    assert.equal(await putVersion(store, "back", { version: 3, sizeBytes: 10 }), true);
    assert.equal(await store.flush(), true);
    assert.equal(await versionThere(store, "back"), 3);
    assert.equal(await versionThere(store, "k0"), 0);
    assert.deepEqual(lines, ["disk tier: off, a write failed", "disk tier: takes objects again"]);
  });
}

test("a folder that refuses once to remove a file is asked again, and the limit holds", async (t) => {
  const files = new MemoryFiles(seeded(4));
  const hooks: Hooks = {};
  let nowMs = 0;
  const store = await openStore({
    folder: "/disk",
    files: hookedFiles(files, hooks),
    maxBytes: SMALL,
    nowMs: () => nowMs,
  });
  t.after(() => store.close());
  let refusals = 0;
  hooks.before = (operation) => {
    if (operation !== "unlink" || refusals === 3) return;
    refusals += 1;
    throw failure("EIO");
  };
  for (let version = 0; version < 400; version += 1) {
    await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
    if (!store.isUsable) nowMs += 30_000;
  }
  assert.equal(refusals, 3);
  assert.equal(await versionThere(store, "k399"), 399);
  assert.equal(store.has("k0"), false);
  assert.ok(files.usedBytesMax <= SMALL, `${files.usedBytesMax} bytes used of ${SMALL}`);
});

test("a sync that failed is not believed later: after a crash what it should have kept is gone, the rest is there", async () => {
  const memory = new MemoryFiles(seeded(1));
  const hooks: Hooks = {};
  let nowMs = 0;
  const store = await openStore({ folder: "/disk", files: hookedFiles(memory, hooks), nowMs: () => nowMs });
  await putVersion(store, "before", { version: 1, sizeBytes: 50_000 });
  await store.flush();
  await putVersion(store, "lost", { version: 2, sizeBytes: 50_000 });
  hooks.before = (operation, path) => {
    if (operation === "sync" && path.endsWith(".data")) throw failure("EIO");
  };
  assert.equal(await store.flush(), false);
  delete hooks.before;
  assert.equal(store.has("lost"), false);
  nowMs = 60_000;
  assert.equal(await putVersion(store, "after", { version: 3, sizeBytes: 50_000 }), true);
  assert.equal(await store.flush(), true);
  const again = await openStore({ folder: "/disk", files: memory.afterPowerLoss({ forgets: "all" }) });
  const found = await Promise.all(["before", "lost", "after"].map((key) => versionThere(again, key)));
  assert.deepEqual(found, [1, undefined, 3]);
});

test("a slow disk refuses what goes beyond the queue, at once, and writes what it took", async (t) => {
  const hooks: Hooks = {};
  const gate = Promise.withResolvers<void>();
  const files = hookedFiles(systemFiles, hooks);
  const store = await openStore({ folder: folderOf(t), files, queueBytesMax: 1_000_000 });
  t.after(() => store.close());
  hooks.before = (operation) => (operation === "write" ? gate.promise : undefined);
  const answers: (boolean | undefined)[] = Array(20).fill(undefined);
  const puts = answers.map((_, version) =>
    putVersion(store, `k${version}`, { version, sizeBytes: 100_000 }).then((isPut) => {
      answers[version] = isPut;
    }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(answers, [...Array(9).fill(undefined), ...Array(11).fill(false)]);
  gate.resolve();
  await Promise.all(puts);
  assert.deepEqual(
    answers,
    Array.from({ length: 20 }, (_, n) => n < 9),
  );
  assert.equal(store.objectCount, 9);
  assert.equal(await putVersion(store, "later", { version: 99, sizeBytes: 100_000 }), true);
});

test("removals while a slab's last record is written find room in the next journal, and hold after a restart", async (t) => {
  const folder = folderOf(t);
  const hooks: Hooks = {};
  const files = hookedFiles(systemFiles, hooks);
  const store = await openStore({ folder, files, maxBytes: 36 * 128 * KiB });
  // 200 small objects, then one that fills the slab up to a few journal entries.
  for (let version = 0; version < 200; version += 1)
    await putVersion(store, `k${version}`, { version, sizeBytes: 100 });
  await store.flush();
  hooks.before = (operation) => {
    if (operation !== "write") return;
    delete hooks.before;
    for (let version = 0; version < 200; version += 1) store.remove(`k${version}`);
  };
  let version = 1_000;
  assert.equal(await putVersion(store, "last", { version: 999, sizeBytes: 78_000 }), true);
  for (; version < 1_010; version += 1) await putVersion(store, `k${version}`, { version, sizeBytes: 30_000 });
  await store.close();
  const again = await openStore({ folder, maxBytes: 36 * 128 * KiB });
  t.after(() => again.close());
  assert.equal(again.objectCount, 11);
  assert.equal(await versionThere(again, "last"), 999);
  assert.ok((await readAll(again, "k1009"))?.body.equals(bytesOf(1_009, 30_000)));
});

test("closing waits for what is to be written, and a closed store takes nothing", async (t) => {
  const folder = folderOf(t);
  const store = await openStore({ folder });
  const puts = Array.from({ length: 10 }, (_, version) =>
    putVersion(store, `k${version}`, { version, sizeBytes: 50_000 }),
  );
  await store.close();
  assert.deepEqual(await Promise.all(puts), Array(10).fill(true));
  assert.equal(await putVersion(store, "late", { version: 1, sizeBytes: 10 }), false);
  await store.close();
  const again = await openStore({ folder });
  t.after(() => again.close());
  assert.equal(again.objectCount, 10);
});
