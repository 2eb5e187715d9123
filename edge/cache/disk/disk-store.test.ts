import assert from "node:assert/strict";
import { existsSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { bytesOf, folderOf, openStore, putVersion, readAll, versionOf, versionThere } from "./disk.fixture.ts";

const KiB = 1024;
const MiB = 1024 * KiB;
/** 36 slabs of 256 KiB. */
const SMALL = 36 * 256 * KiB;
const diskBytes = (folder: string): number =>
  readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).blocks * 512, 0);

test("an object comes back as it was put, whole, in parts, and after a restart", async (t) => {
  const folder = folderOf(t);
  const sizes = [0, 1, 1_000, 64 * KiB, 96 * KiB, 256 * KiB, 256 * KiB + 1, MiB - 1, 1_500_000];
  const first = await openStore({ folder });
  for (const [version, sizeBytes] of sizes.entries()) {
    assert.equal(await putVersion(first, `acme|/${version}`, { version, sizeBytes }), true);
  }
  const checkAll = async (store: typeof first): Promise<void> => {
    for (const [version, sizeBytes] of sizes.entries()) {
      assert.equal(store.has(`acme|/${version}`), true);
      assert.deepEqual(await readAll(store, `acme|/${version}`), versionOf(version, sizeBytes));
    }
    const object = await store.open("acme|/8");
    assert.equal(object?.sizeBytes, 1_500_000);
    const body = bytesOf(8, 1_500_000);
    for (const [offset, length] of [
      [0, 1],
      [262_143, 2],
      [262_144, 262_144],
      [100, 1_400_000],
      [1_499_999, 1],
    ] as const) {
      const target = Buffer.alloc(length);
      await object.read(offset, target);
      assert.ok(target.equals(body.subarray(offset, offset + length)), `${offset}+${length}`);
    }
    object.close();
  };
  await checkAll(first);
  await first.close();
  const second = await openStore({ folder });
  t.after(() => second.close());
  assert.equal(second.objectCount, sizes.length);
  await checkAll(second);
});

test("what was not put is not there", async (t) => {
  const store = await openStore({ folder: folderOf(t) });
  t.after(() => store.close());
  assert.equal(store.has("a"), false);
  assert.equal(await store.open("a"), undefined);
  await store.updateMeta("a", Buffer.from("meta"));
  store.remove("a");
  store.noteHit("a");
  assert.equal(store.objectCount, 0);
});

test("a later put, new metadata and a removal hold, also after a restart", async (t) => {
  const folder = folderOf(t);
  const first = await openStore({ folder });
  for (const key of ["replaced", "updated", "removed"])
    await putVersion(first, key, { version: 1, sizeBytes: 300_000 });
  await first.flush();
  await putVersion(first, "replaced", { version: 2, sizeBytes: 10 });
  await first.updateMeta("updated", Buffer.from("second"));
  await first.updateMeta("updated", Buffer.from("third"));
  first.remove("removed");
  const check = async (store: typeof first): Promise<void> => {
    assert.deepEqual(await readAll(store, "replaced"), versionOf(2, 10));
    assert.deepEqual(await readAll(store, "updated"), { meta: Buffer.from("third"), body: bytesOf(1, 300_000) });
    assert.equal(store.has("removed"), false);
    assert.equal(store.objectCount, 2);
  };
  await check(first);
  await first.close();
  const second = await openStore({ folder });
  t.after(() => second.close());
  await check(second);
});

test("a removal calls off the put that waits under the key, and the put says so", async (t) => {
  const store = await openStore({ folder: folderOf(t) });
  t.after(() => store.close());
  const puts = [1, 2].map((version) => putVersion(store, "a", { version, sizeBytes: 100_000 }));
  store.remove("a");
  assert.deepEqual(await Promise.all(puts), [false, false]);
  assert.equal(store.has("a"), false);
});

test("the oldest objects go first, and the disk never holds more than it may", async (t) => {
  const folder = folderOf(t);
  const store = await openStore({ folder, maxBytes: SMALL });
  t.after(() => store.close());
  for (let version = 0; version < 500; version += 1) {
    assert.equal(await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 }), true);
    if (version % 20 === 0) assert.ok(diskBytes(folder) <= SMALL, `${diskBytes(folder)} of ${SMALL}`);
  }
  assert.ok(store.sizeBytes <= SMALL && store.sizeBytes > SMALL * 0.8, `${store.sizeBytes} of ${SMALL}`);
  const there = await Promise.all(Array.from({ length: 500 }, (_, version) => versionThere(store, `k${version}`)));
  const oldest = there.findIndex((version) => version !== undefined);
  assert.ok(oldest > 250, `the oldest is ${oldest}`);
  assert.deepEqual(
    there.slice(oldest),
    Array.from({ length: 500 - oldest }, (_, n) => oldest + n),
  );
  assert.equal(store.objectCount, 500 - oldest);
});

test("an object that is hit outlives the slab that it was written to, with its newest metadata", async (t) => {
  const folder = folderOf(t);
  const store = await openStore({ folder, maxBytes: SMALL });
  await putVersion(store, "hot", { version: 7_777, sizeBytes: 30_000 });
  await putVersion(store, "cold", { version: 8_888, sizeBytes: 30_000 });
  await store.updateMeta("hot", Buffer.from(JSON.stringify({ version: 7_777, sizeBytes: 30_000, fresh: true })));
  for (let version = 0; version < 1_000; version += 1) {
    store.noteHit("hot");
    await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
  }
  assert.equal(await versionThere(store, "cold"), undefined);
  assert.equal(await versionThere(store, "hot"), 7_777);
  await store.close();
  const again = await openStore({ folder, maxBytes: SMALL });
  t.after(() => again.close());
  assert.match(String((await readAll(again, "hot"))?.meta), /"fresh":true/);
  assert.equal(await versionThere(again, "hot"), 7_777);
});

test("hit objects take a quarter of what is written at most: the log moves on when all are hit", async (t) => {
  const store = await openStore({ folder: folderOf(t), maxBytes: SMALL });
  t.after(() => store.close());
  for (let version = 0; version < 600; version += 1) {
    assert.equal(await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 }), true);
    for (let key = 0; key <= version; key += 1) store.noteHit(`k${key}`);
  }
  assert.ok(store.sizeBytes <= SMALL);
  assert.equal(await versionThere(store, "k599"), 599);
});

test("keys with the same hash are told apart: the later one is there, the other is not, never one for the other", async (t) => {
  const store = await openStore({ folder: folderOf(t), hashOf: () => ({ low: 1, high: 2 }) });
  t.after(() => store.close());
  await putVersion(store, "a", { version: 1, sizeBytes: 100_000 });
  await putVersion(store, "b", { version: 2, sizeBytes: 100_000 });
  await store.updateMeta("a", Buffer.from("a's"));
  assert.equal(await store.open("a"), undefined);
  assert.deepEqual(await readAll(store, "b"), versionOf(2, 100_000));
});

test("more objects than the index may hold push out the oldest", async (t) => {
  const store = await openStore({ folder: folderOf(t), maxBytes: SMALL, objectsMax: 100 });
  t.after(() => store.close());
  for (let version = 0; version < 1_000; version += 1) {
    assert.equal(await putVersion(store, `k${version}`, { version, sizeBytes: 5_000 }), true);
    assert.ok(store.objectCount <= 100);
  }
  assert.equal(await versionThere(store, "k999"), 999);
  assert.ok(store.objectCount > 10, `${store.objectCount} are left`);
});

test("what is too large for the store or for a slab is refused, and what was there under the key is gone", async (t) => {
  const store = await openStore({ folder: folderOf(t), maxBytes: SMALL, objectBytesMax: 200 * KiB });
  t.after(() => store.close());
  await putVersion(store, "a", { version: 1, sizeBytes: 10 });
  assert.equal(await putVersion(store, "a", { version: 2, sizeBytes: 200 * KiB + 1 }), false);
  assert.equal(store.has("a"), false);
  assert.equal(await store.put("b", Buffer.alloc(64 * KiB + 1), []), false);
  assert.equal(await store.put("x".repeat(70_000), Buffer.alloc(0), []), false);
  assert.equal(await putVersion(store, "c", { version: 3, sizeBytes: 200 * KiB }), true);
});

test("an object that is open when its slab is dropped reads on, or fails with the reason, and the limit holds", async (t) => {
  const folder = folderOf(t);
  const store = await openStore({ folder, maxBytes: SMALL });
  t.after(() => store.close());
  await putVersion(store, "early", { version: 1, sizeBytes: 200_000 });
  await putVersion(store, "later", { version: 2, sizeBytes: 200_000 });
  const [early, later] = [await store.open("early"), await store.open("later")];
  assert.ok(early && later);
  for (let version = 10; store.has("early"); version += 1)
    await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
  const target = Buffer.alloc(200_000);
  await early.read(0, target);
  assert.ok(target.equals(bytesOf(1, 200_000)), "its descriptor is open");
  for (let version = 1_000; version < 1_040; version += 1)
    await putVersion(store, `k${version}`, { version, sizeBytes: 40_000 });
  assert.ok(store.sizeBytes <= SMALL);
  await assert.rejects(early.read(0, target), { reason: "gone" }, "its bytes were needed");
  early.close();
  later.close();
});

test("a store that is reopened with less room drops the oldest at once, with more keeps all", async (t) => {
  const folder = folderOf(t);
  const first = await openStore({ folder, maxBytes: SMALL * 4 });
  for (let version = 0; version < 400; version += 1)
    await putVersion(first, `k${version}`, { version, sizeBytes: 60_000 });
  await first.close();
  const second = await openStore({ folder, maxBytes: SMALL });
  assert.ok(diskBytes(folder) <= SMALL);
  assert.equal(second.has("k0"), false);
  const left = second.objectCount;
  await second.close();
  const third = await openStore({ folder, maxBytes: SMALL * 8 });
  t.after(() => third.close());
  assert.equal(third.objectCount, left);
});

test("files that are not the store's are left alone, and a folder that can't be made is an error at opening", async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, "slab-7.data"), "another's");
  const store = await openStore({ folder });
  await store.close();
  assert.ok(existsSync(join(folder, "slab-7.data")));
  await assert.rejects(openStore({ folder: "/dev/null/x" }), { code: "ENOTDIR" });
  await assert.rejects(openStore({ folder, maxBytes: MiB }), RangeError);
});

test("bodies over shared memory are written and read as any others", async (t) => {
  const store = await openStore({ folder: folderOf(t) });
  t.after(() => store.close());
  const shared = Buffer.from(new SharedArrayBuffer(600_000));
  bytesOf(5, 600_000).copy(shared);
  assert.equal(await store.put("a", Buffer.from("meta"), [shared]), true);
  const object = await store.open("a");
  const target = Buffer.from(new SharedArrayBuffer(600_000));
  await object?.read(0, target);
  assert.ok(target.equals(bytesOf(5, 600_000)));
  object?.close();
});
