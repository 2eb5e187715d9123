import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { seeded } from "../../../test/support/seeded.ts";
import { openStore, putVersion, versionThere } from "./disk.fixture.ts";
import type { DiskStore } from "./disk-store.ts";
import { MemoryFiles } from "./memory-files.fixture.ts";

/** 36 slabs of 64 KiB: each takes one of the objects below. */
const MAX_BYTES = 36 * 64 * 1024;
const SIZE_BYTES = 40_000;

/** Six slabs. `a` and `gone` are in the first; the fourth replaces one and removes the other. */
const sixSlabs = async (): Promise<MemoryFiles> => {
  const files = new MemoryFiles(seeded(1));
  const store = await openStore({ folder: "/disk", files, maxBytes: MAX_BYTES });
  await putVersion(store, "a", { version: 1, sizeBytes: 100 });
  await putVersion(store, "gone", { version: 1, sizeBytes: 100 });
  for (let slab = 1; slab <= 6; slab += 1) {
    await putVersion(store, `slab ${slab}`, { version: slab, sizeBytes: SIZE_BYTES });
    if (slab !== 4) continue;
    await putVersion(store, "a", { version: 4, sizeBytes: 100 });
    store.remove("gone");
  }
  await store.close();
  return files;
};

const pathOf = (slab: number, ending: "data" | "index"): string => `/disk/slab-000000000${slab}.${ending}`;
const reopen = async (t: TestContext, files: MemoryFiles): Promise<DiskStore> => {
  const store = await openStore({ folder: "/disk", files, maxBytes: MAX_BYTES });
  t.after(() => store.close());
  return store;
};
const slabsThere = async (store: DiskStore): Promise<number[]> => {
  const found = await Promise.all([1, 2, 3, 4, 5, 6].map((slab) => versionThere(store, `slab ${slab}`)));
  return found.filter((version) => version !== undefined);
};

test("a whole folder comes back whole", async (t) => {
  const store = await reopen(t, await sixSlabs());
  assert.deepEqual(await slabsThere(store), [1, 2, 3, 4, 5, 6]);
  assert.deepEqual([await versionThere(store, "a"), store.has("gone")], [4, false]);
});

const damages: [what: string, damage: (files: MemoryFiles) => Promise<void> | void][] = [
  ["whose journal is damaged", (files) => void files.contentOf(pathOf(4, "index")).fill(0xff, 30, 40)],
  ["whose journal lost its end", async (files) => (await files.open(pathOf(4, "index"))).truncate(24)],
  ["whose journal is missing", (files) => files.unlink(pathOf(4, "index"))],
  [
    "of which nothing is left",
    async (files) => {
      for (const ending of ["data", "index"] as const) await files.unlink(pathOf(4, ending));
    },
  ],
  ["whose data are missing", (files) => files.unlink(pathOf(4, "data"))],
  ["whose data lost their end", async (files) => (await files.open(pathOf(4, "data"))).truncate(1_000)],
];
for (const [what, damage] of damages) {
  test(`with a slab ${what} it and those before it go: nothing that it replaced or removed comes back`, async (t) => {
    const files = await sixSlabs();
    await damage(files);
    const store = await reopen(t, files);
    assert.deepEqual(await slabsThere(store), [5, 6]);
    assert.deepEqual([store.has("a"), store.has("gone")], [false, false]);
    assert.deepEqual(
      (await files.list("/disk")).sort(),
      [5, 6].flatMap((slab) => ["data", "index"].map((ending) => `slab-000000000${slab}.${ending}`)),
    );
  });
}

test("with the newest slab damaged the store is what it was before that one", async (t) => {
  const files = await sixSlabs();
  files.contentOf(pathOf(6, "index")).fill(0, 0, 4);
  const store = await reopen(t, files);
  assert.deepEqual(await slabsThere(store), [1, 2, 3, 4, 5]);
  assert.equal(await putVersion(store, "slab 6", { version: 6, sizeBytes: SIZE_BYTES }), true);
  await store.close();
  assert.deepEqual(await slabsThere(await reopen(t, files)), [1, 2, 3, 4, 5, 6]);
});

test("slabs with another seed are another store's, and go", async (t) => {
  const [files, other] = [await sixSlabs(), await sixSlabs()];
  for (const ending of ["data", "index"] as const) {
    const file = await files.create(pathOf(3, ending));
    await file.write(other.contentOf(pathOf(3, ending)), 0);
    await file.close();
  }
  assert.deepEqual(await slabsThere(await reopen(t, files)), [4, 5, 6]);
});

test("a folder of garbage is cleared, and works", async (t) => {
  const files = new MemoryFiles(seeded(2));
  for (const ending of ["data", "index"] as const) {
    const file = await files.create(pathOf(9, ending));
    await file.write(Buffer.alloc(10_000, 0xaa), 0);
    await file.close();
  }
  const store = await reopen(t, files);
  assert.equal(store.objectCount, 0);
  assert.equal(await putVersion(store, "a", { version: 1, sizeBytes: 100 }), true);
  assert.deepEqual((await files.list("/disk")).length, 2);
});
