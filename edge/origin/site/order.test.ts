import assert from "node:assert/strict";
import { test } from "node:test";
import { RetryBudget } from "./budget.ts";
import { Condition } from "./condition.ts";
import { byOrderAndWeight, byRendezvous } from "./order.ts";
import { seededRandom } from "./origins.fixture.ts";

const KEYS = Array.from({ length: 3_000 }, (_, n) => `acme/cdn.example/film-${n}.m4s`);
const named = (...ids: string[]) => ids.map((id) => ({ id }));

test("keys are spread evenly over members, whatever order those come in", () => {
  const counts = new Map<string, number>();
  for (const key of KEYS) {
    const [first] = byRendezvous(named("a", "b", "c", "d"), key);
    const [same] = byRendezvous(named("d", "b", "a", "c"), key);
    assert.equal(first?.id, same?.id);
    counts.set(first?.id ?? "", (counts.get(first?.id ?? "") ?? 0) + 1);
  }
  for (const [id, count] of counts) assert.ok(Math.abs(count - 750) < 90, `${count} of 3000 for ${id} of four`);
});

test("a member that goes leaves the others' order as it is, and its keys to each key's second", () => {
  for (const key of KEYS.slice(0, 300)) {
    const all = byRendezvous(named("a", "b", "c", "d"), key).map(({ id }) => id);
    const without = byRendezvous(named("a", "c", "d"), key).map(({ id }) => id);
    assert.deepEqual(
      without,
      all.filter((id) => id !== "b"),
    );
  }
});

test("members of one order are first by their weights, of weight 0 never; another order never comes between", () => {
  const members = [
    { id: "spare", order: 1, weight: 5 },
    { id: "half", order: 0, weight: 1 },
    { id: "more", order: 0, weight: 4 },
    { id: "none", order: 0, weight: 0 },
  ];
  const random = seededRandom(3);
  let moreCount = 0;
  for (let n = 0; n < 5_000; n += 1) {
    const ids = byOrderAndWeight(members, random).map(({ id }) => id);
    assert.deepEqual(ids.slice(2), ["none", "spare"]);
    if (ids[0] === "more") moreCount += 1;
  }
  assert.ok(Math.abs(moreCount - 4_000) < 120, `${moreCount} of 5000 for weight 4 of 5`);
});

test("a budget has ten tokens, a fifth per request, ten a second, and never more than a hundred", () => {
  const budget = new RetryBudget(0);
  const spendAll = (nowMs: number): number => {
    let count = 0;
    while (budget.spend(nowMs)) count += 1;
    return count;
  };
  assert.equal(spendAll(0), 10);
  for (let n = 0; n < 50; n += 1) budget.earn();
  assert.ok([9, 10].includes(spendAll(0))); // 50 × 0.2 in binary
  assert.ok([10, 11].includes(spendAll(1_000)));
  assert.equal(spendAll(500), 0); // a clock that goes back brings nothing
  assert.equal(spendAll(1_000_000), 100);
});

test("an origin's usual first byte is well above those it had, and follows when it gets slower", () => {
  const condition = new Condition();
  assert.equal(condition.usualMs, undefined);
  for (let n = 0; n < 100; n += 1) condition.answered(10 + (n % 3));
  const usualMs = condition.usualMs ?? 0;
  assert.ok(usualMs >= 20 && usualMs < 40, String(usualMs));
  for (let n = 0; n < 100; n += 1) condition.answered(100);
  assert.ok((condition.usualMs ?? 0) > 199);
});

test("our own limits say nothing of an origin", () => {
  const condition = new Condition();
  for (let n = 0; n < 10; n += 1) condition.failed("busy", 0);
  assert.equal(condition.isUp, true);
  for (let n = 0; n < 3; n += 1) condition.failed("reset", 0);
  assert.equal(condition.isUp, false);
});
