import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { Deadlines, type Timed } from "./raw-deadlines.ts";

const TICK_MS = 100;

class Watched implements Timed {
  dueMs = 0;
  tick = -1;
  readonly #onLate: () => void;
  constructor(onLate: () => void) {
    this.#onLate = onLate;
  }
  late(): void {
    this.#onLate();
  }
}

/** Something that writes down when it was late. */
const watched = (deadlines: Deadlines): { timed: Timed; lateAt: number[] } => {
  const lateAt: number[] = [];
  return { timed: new Watched(() => lateAt.push(deadlines.nowMs)), lateAt };
};
const advance = (deadlines: Deadlines, ms: number): void => {
  for (let passed = 0; passed < ms; passed += TICK_MS) deadlines.advance(TICK_MS);
};

test("a deadline comes once, never early, and late by two ticks at most", () => {
  for (const inMs of [1, 99, 100, 101, 15_000, 65_000, 1_000_000]) {
    const deadlines = new Deadlines(TICK_MS);
    const { timed, lateAt } = watched(deadlines);
    deadlines.set(timed, inMs);
    advance(deadlines, inMs + 10 * TICK_MS);
    assert.equal(lateAt.length, 1, `${inMs}`);
    assert.ok(lateAt[0]! >= inMs && lateAt[0]! <= inMs + 2 * TICK_MS, `${inMs}: ${lateAt[0]}`);
  }
});

test("the last one that was set counts, whether it is sooner or later than the one before", () => {
  const deadlines = new Deadlines(TICK_MS);
  const sooner = watched(deadlines);
  deadlines.set(sooner.timed, 60_000);
  deadlines.set(sooner.timed, 1_000);
  const later = watched(deadlines);
  deadlines.set(later.timed, 1_000);
  deadlines.set(later.timed, 60_000);
  const cleared = watched(deadlines);
  deadlines.set(cleared.timed, 1_000);
  deadlines.clear(cleared.timed);
  advance(deadlines, 2_000);
  assert.deepEqual([sooner.lateAt.length, later.lateAt.length, cleared.lateAt.length], [1, 0, 0]);
  advance(deadlines, 60_000);
  assert.deepEqual([sooner.lateAt.length, later.lateAt.length, cleared.lateAt.length], [1, 1, 0]);
});

test("many deadlines that move at random each come when a plain list says", () => {
  const random = seeded(7);
  const deadlines = new Deadlines(TICK_MS);
  const all = Array.from({ length: 300 }, () => ({ ...watched(deadlines), dueMs: 0 }));
  for (let step = 0; step < 2_000; step += 1) {
    const one = all[random.int(all.length)]!;
    const inMs = random.int(50_000);
    if (random.int(10) === 0) {
      deadlines.clear(one.timed);
      one.dueMs = Number.POSITIVE_INFINITY;
    } else {
      deadlines.set(one.timed, inMs);
      one.dueMs = deadlines.nowMs + inMs;
    }
    one.lateAt.length = 0;
    advance(deadlines, TICK_MS * random.int(3));
    for (const { dueMs, lateAt } of all) {
      if (dueMs === 0 || dueMs > deadlines.nowMs) assert.equal(lateAt.length, 0);
      if (dueMs > 0 && dueMs + 2 * TICK_MS <= deadlines.nowMs) assert.equal(lateAt.length, 1);
    }
  }
});

test("one that is late may set its next deadline, and end another's", () => {
  const deadlines = new Deadlines(TICK_MS);
  const other = watched(deadlines);
  let count = 0;
  const timed: Timed = new Watched(() => {
    count += 1;
    deadlines.clear(other.timed);
    if (count < 3) deadlines.set(timed, 500);
  });
  deadlines.set(timed, 500);
  deadlines.set(other.timed, 500);
  advance(deadlines, 5_000);
  assert.deepEqual([count, other.lateAt.length], [3, 0]);
});
