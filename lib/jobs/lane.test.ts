import assert from "node:assert/strict";
import test from "node:test";
import { Lane } from "./lane.ts";

test("a wake-up that comes while there is no free slot fills the slot that becomes free", async () => {
  const queue = ["a", "b", "c"];
  const ends: (() => void)[] = [];
  const started: string[] = [];
  const lane = new Lane<string>({
    kinds: ["test.job"],
    slots: 1,
    claim: async (_, count) => queue.splice(0, count),
    run: (job) => {
      started.push(job);
      return new Promise((resolve) => ends.push(resolve));
    },
    onHungry: () => {},
    onSpare: () => {},
  });
  await lane.wake();
  await lane.wake();
  assert.deepEqual([started, lane.isSated], [["a"], true]);
  for (let n = 0; n < 2; n += 1) {
    ends.pop()?.();
    await new Promise(setImmediate);
  }
  assert.deepEqual(started, ["a", "b", "c"]);
});

test("a wake-up that comes while a claim goes on is not waited for, and is passed on where there is no slot", async () => {
  const asked: ((claims: string[]) => void)[] = [];
  let spareCount = 0;
  const lane = new Lane<string>({
    kinds: ["test.job"],
    slots: 1,
    claim: () => new Promise((resolve) => asked.push(resolve)),
    run: () => new Promise(() => {}),
    onHungry: () => {},
    onSpare: () => {
      spareCount += 1;
    },
  });
  const first = lane.wake();
  assert.ok(lane.isSated);
  await lane.wake();
  assert.deepEqual([asked.length, spareCount], [1, 0]);
  asked[0]?.(["a"]);
  await first;
  assert.equal(spareCount, 1);
  await lane.wake();
  assert.deepEqual([asked.length, spareCount], [1, 2]);
});
