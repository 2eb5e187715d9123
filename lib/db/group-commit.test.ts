import assert from "node:assert/strict";
import { test } from "node:test";
import { GroupCommit } from "./group-commit.ts";

interface Written {
  readonly group: string;
  readonly items: readonly number[];
}
const scene = (fails: (items: readonly number[]) => boolean = () => false) => {
  const written: Written[] = [];
  let release: () => void = () => {};
  let gate = Promise.resolve();
  const commit = new GroupCommit<number>({
    write: async (group, items) => {
      await gate;
      if (fails(items)) throw new Error("no");
      written.push({ group, items });
    },
    itemsMax: 3,
    waitingMax: 5,
    full: (group) => new Error(`${group} is full`),
  });
  const hold = (): void => {
    gate = new Promise((resolve) => {
      release = resolve;
    });
  };
  return { commit, written, hold, release: () => release() };
};

test("what comes together is written together, and what comes meanwhile with the next statement", async () => {
  const { commit, written, hold, release } = scene();
  hold();
  const first = [commit.add("a", 1), commit.add("b", 2)];
  await new Promise((resolve) => setImmediate(resolve));
  const later = [3, 4, 5, 6].map((item) => commit.add("a", item));
  release();
  await Promise.all([...first, ...later]);
  assert.deepEqual(
    written.filter(({ group }) => group === "a").map(({ items }) => items),
    [[1], [3, 4, 5], [6]],
  );
  assert.deepEqual(
    written.filter(({ group }) => group === "b").map(({ items }) => items),
    [[2]],
  );
});

test("a statement that fails fails for its own, and the next one is written", async () => {
  const { commit, written } = scene((items) => items.includes(1));
  const outcomes = await Promise.allSettled([1, 2, 3, 4].map((item) => commit.add("a", item)));
  assert.deepEqual(
    outcomes.map(({ status }) => status),
    ["rejected", "rejected", "rejected", "fulfilled"],
  );
  assert.deepEqual(written, [{ group: "a", items: [4] }]);
});

test("more than may wait are refused", async () => {
  const { commit, hold, release } = scene();
  hold();
  const first = commit.add("a", 0);
  await new Promise((resolve) => setImmediate(resolve));
  const waiting = [1, 2, 3, 4, 5].map((item) => commit.add("a", item));
  await assert.rejects(commit.add("a", 6), /a is full/);
  release();
  await Promise.all([first, ...waiting]);
});
