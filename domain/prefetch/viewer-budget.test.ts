import assert from "node:assert/strict";
import { test } from "node:test";
import { ViewerBudget } from "./viewer-budget.ts";

test("the budget is two mean segments for each viewer who was seen in the last half minute", () => {
  const budget = new ViewerBudget();
  assert.equal(budget.bytes(0), 0);
  budget.seen("a", 1_000, 0);
  budget.seen("b", 1_000, 10_000);
  budget.seen("a", 1_000, 20_000);
  assert.deepEqual([budget.activeCount(20_000), budget.bytes(20_000)], [2, 4_000]);
  assert.equal(budget.bytes(40_001), 2_000);
  assert.equal(budget.bytes(50_001), 0);
});

test("the mean follows the segments", () => {
  const budget = new ViewerBudget();
  budget.seen("a", 1_000, 0);
  for (let n = 0; n < 2_000; n += 1) budget.seen("a", 3_000, n);
  assert.ok(Math.abs(budget.bytes(2_000) - 6_000) < 10);
});

test("when there is room for half of the viewers, the same half is served all the time", () => {
  const budget = new ViewerBudget();
  const viewers = Array.from({ length: 1_000 }, (_, n) => `192.0.2.${n}`);
  for (const viewer of viewers) budget.seen(viewer, 1_000, 0);
  const served = (bytesMax: number) => viewers.filter((viewer) => budget.serves(viewer, bytesMax, 0));
  assert.equal(served(2_000_000).length, 1_000);
  assert.equal(served(0).length, 0);
  const half = served(1_000_000);
  assert.ok(Math.abs(half.length - 500) < 60, String(half.length));
  assert.deepEqual(served(1_000_000), half);
  assert.ok(served(500_000).every((viewer) => half.includes(viewer)));
});

test("viewers are counted up to a limit, the one seen longest ago forgotten first", () => {
  const budget = new ViewerBudget({ viewersMax: 3, activeMs: 100 });
  for (const [n, viewer] of ["a", "b", "c", "a", "d"].entries()) budget.seen(viewer, 10, n);
  assert.equal(budget.activeCount(4), 3);
  assert.equal(budget.activeCount(103), 2, "of a, seen at 3, and d, at 4; c is past its time");
});
