import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../../test/support/seeded.ts";
import { ObjectIndex, type Place } from "./object-index.ts";

test("the index holds what a Map would, through growth, removals and chains", () => {
  const random = seeded(7);
  const index = new ObjectIndex(100_000);
  const model = new Map<number, Place>();
  // Few low words: long chains.
  const hashOf = (key: number) => ({ low: key % 500, high: key });
  for (let n = 0; n < 40_000; n += 1) {
    const key = random.int(6_000);
    if (random.int(3) === 0) assert.equal(index.remove(hashOf(key)), model.delete(key));
    else {
      const slabId = 1 + random.int(5);
      const place = {
        slabId,
        offset: n,
        sizeBytes: random.int(2 ** 32),
        headCrc: random.int(2 ** 32),
        bodySlabId: slabId,
      };
      index.set(hashOf(key), place);
      model.set(key, place);
    }
  }
  assert.equal(index.count, model.size);
  for (let key = 0; key < 6_000; key += 1) {
    const entry = index.find(hashOf(key));
    assert.deepEqual(entry === 0 ? undefined : index.placeOf(entry), model.get(key));
  }
  const inSlab = index.inSlab(3, { hitOnly: false }).map((entry) => index.hashOf(entry).high);
  assert.deepEqual(
    inSlab.sort((a, b) => a - b),
    [...model].flatMap(([key, { bodySlabId }]) => (bodySlabId === 3 ? [key] : [])).sort((a, b) => a - b),
  );
});

test("hits are noted for an entry, and forgotten when its body is written anew elsewhere", () => {
  const index = new ObjectIndex(10);
  const place = { slabId: 1, offset: 0, sizeBytes: 1, headCrc: 0, bodySlabId: 1 };
  const hash = { low: 1, high: 1 };
  index.set(hash, place);
  index.noteHit(hash);
  index.set(hash, { ...place, slabId: 2 });
  assert.equal(index.inSlab(1, { hitOnly: true }).length, 1, "new metadata, the same body");
  index.set(hash, { ...place, slabId: 2, bodySlabId: 2 });
  assert.equal(index.inSlab(2, { hitOnly: true }).length, 0);
});

test("a full index says so and takes none more", () => {
  const index = new ObjectIndex(2);
  const place = { slabId: 1, offset: 0, sizeBytes: 1, headCrc: 0, bodySlabId: 1 };
  for (const low of [1, 2]) index.set({ low, high: 0 }, place);
  assert.equal(index.isFull, true);
  index.set({ low: 1, high: 0 }, place);
  assert.throws(() => index.set({ low: 3, high: 0 }, place), /bug/);
});
