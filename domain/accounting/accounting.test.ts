import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { joinBacklog, rowsIn, type SequenceRange, type StoredBatch } from "./batch.ts";
import { COLUMN, COLUMN_COUNT, figuresOf, OTHER, TTFB_BOUNDS_MS, TTFB_BUCKETS, ttfbBucket } from "./columns.ts";
import { admit, type Counted, Deliveries, GAPS_MAX } from "./deliveries.ts";
import { type JournalRecord, LedgerState } from "./ledger-state.ts";
import { AccountTable, type StoredRow } from "./table.ts";

const row = (hostname: string, requests: number): StoredRow => [hostname, "acme", null, [requests]];
const sumOf = (rows: readonly StoredRow[]): number => rows.reduce((sum, [, , , [requests = 0]]) => sum + requests, 0);

test("a time to first byte is counted under the first bound that it does not exceed", () => {
  assert.deepEqual([TTFB_BOUNDS_MS[0], TTFB_BOUNDS_MS.at(-1), TTFB_BUCKETS], [0.25, 16_384, 18]);
  const { next } = seeded(5);
  const times = [
    0,
    -1,
    1e9,
    Number.POSITIVE_INFINITY,
    ...TTFB_BOUNDS_MS,
    ...TTFB_BOUNDS_MS.map((bound) => bound + 1e-9),
  ];
  for (let round = 0; round < 5_000; round += 1) times.push(2 ** (next() * 20 - 4));
  for (const ms of times) {
    const expected = TTFB_BOUNDS_MS.findIndex((bound) => ms <= bound);
    assert.equal(ttfbBucket(ms), expected < 0 ? TTFB_BUCKETS - 1 : expected, String(ms));
  }
});

test("rows beyond the limit are counted as other, and nothing is lost", () => {
  const table = new AccountTable(4);
  for (let index = 0; index < 10; index += 1) table.addStored([row(`h${index}`, 1), row(`h${index}`, 10)]);
  assert.deepEqual(table.stored(), [
    row("h0", 11),
    row("h1", 11),
    row("h2", 11),
    [OTHER.hostname, OTHER.customer, OTHER.tenant, [77]],
  ]);
});

test("rows of one hostname and different customers or tenants are different rows", () => {
  const table = new AccountTable(10);
  table.addStored([
    ["a", "b", null, [1]],
    ["a", "b", "", [1]],
    ["a", "b", "c", [1]],
    ["a", "c", null, [1]],
  ]);
  assert.equal(table.rowCount, 4);
});

test("a row in words has every column once", () => {
  const values = Float64Array.from({ length: COLUMN_COUNT }, (_, column) => column + 1);
  const { hostname, customer, tenant, statuses, ttfb, ...rest } = figuresOf({ ...OTHER, values });
  const numbers = [...Object.values(rest), ...statuses, ...ttfb].sort((a, b) => a - b);
  assert.deepEqual(numbers, [...values]);
  assert.equal(rest.ttfbMicros, COLUMN.ttfbMicros + 1);
});

const HOUR_MS = 3_600_000;
const minuteBatch = (sequence: number): StoredBatch => ({
  first: sequence,
  sequence,
  fromMs: sequence * 60_000,
  toMs: (sequence + 1) * 60_000,
  rows: [row("a", sequence), row(`h${sequence % 3}`, 1)],
});

for (const days of [1, 3, 40]) {
  test(`${days} days that nobody took lose resolution and nothing else`, () => {
    const batches = Array.from({ length: days * 1_440 }, (_, index) => minuteBatch(index + 1));
    const left = joinBacklog(batches, { rowsGoal: 1_000, rowsMax: 10 });
    assert.ok(rowsIn(left) <= 1_000 && rowsIn(left) > 20, String(rowsIn(left)));
    assert.deepEqual(left[0], batches[0], "what may have been delivered already stays as it is");
    assert.equal(left.at(-1)?.sequence, batches.length);
    for (const [index, { first, sequence, fromMs, toMs, rows }] of left.entries()) {
      assert.equal(first, (left[index - 1]?.sequence ?? 0) + 1, "no number is missing, none is there twice");
      assert.deepEqual([fromMs, toMs], [first * 60_000, (sequence + 1) * 60_000]);
      const parts = batches.slice(first - 1, sequence);
      assert.equal(sumOf(rows), sumOf(parts.flatMap((part) => part.rows)));
    }
    const widths = left.slice(1).map(({ fromMs, toMs }) => toMs - fromMs);
    assert.ok(days > 20 || Math.max(...widths) <= HOUR_MS, "no more than it takes");
    assert.ok(days > 20 || widths.at(-30) === 60_000, "the newest are the last to be joined");
  });
}

test("a backlog with room is left alone", () => {
  const batches = [1, 2, 3].map(minuteBatch);
  assert.deepEqual(joinBacklog(batches, { rowsGoal: 6, rowsMax: 10 }), batches);
});

for (const seed of [1, 2, 3]) {
  test(`batches that come twice, late and in any order are counted once each (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const ranges: SequenceRange[] = [];
    for (let first = 1; first < 400; ) {
      const sequence = first + (int(3) === 0 ? int(20) : 0);
      ranges.push({ first, sequence });
      first = sequence + 1;
    }
    const sent = [...ranges, ...ranges, ...ranges].map((range) => ({ range, at: range.first + int(60) }));
    sent.sort((a, b) => a.at - b.at);
    const deliveries = new Deliveries();
    const times = new Map<number, number>();
    for (const { range } of sent) {
      const admission = deliveries.accept({ edge: "e", series: "s", ...range });
      assert.ok(admission === "new" || admission === "duplicate", admission);
      if (admission === "new") times.set(range.first, (times.get(range.first) ?? 0) + 1);
    }
    assert.deepEqual(
      [...times.values()],
      ranges.map(() => 1),
    );
    assert.equal(deliveries.accept({ edge: "e", series: "other", first: 1, sequence: 1 }), "new");
    assert.equal(deliveries.accept({ edge: "f", series: "s", first: 1, sequence: 1 }), "new");
  });
}

test("what was counted is known as few ranges; what overlaps it in part is a conflict", () => {
  let counted: Counted = [];
  const verdictOf = (first: number, sequence = first): string => {
    const [admission, next] = admit(counted, { first, sequence });
    counted = next;
    return admission;
  };
  assert.deepEqual(
    [1, 2, 5, 3].map((one) => verdictOf(one)),
    ["new", "new", "new", "new"],
  );
  assert.deepEqual(counted, [
    { first: 1, sequence: 3 },
    { first: 5, sequence: 5 },
  ]);
  assert.equal(verdictOf(2, 3), "duplicate");
  assert.equal(verdictOf(3, 4), "conflict");
  assert.equal(verdictOf(3, 6), "conflict");
  assert.equal(verdictOf(6, 5), "conflict");
  assert.equal(verdictOf(0), "conflict");
  assert.equal(verdictOf(4), "new");
  assert.deepEqual(counted, [{ first: 1, sequence: 5 }]);
  for (let index = 0; index < GAPS_MAX; index += 1) assert.equal(verdictOf(10 + 2 * index), "new");
  assert.equal(verdictOf(9_999), "full");
  assert.equal(verdictOf(6), "new", "what closes a gap is taken");
});

for (const seed of [7, 8]) {
  test(`a state is the same after its records, after itself, and with a record lost (seed ${seed})`, () => {
    const { int } = seeded(seed);
    const limits = { rowsMax: 5, backlogRowsMax: 40 };
    const fresh = () => new LedgerState("s", 0, limits);
    const [state, copy, lossy] = [fresh(), fresh(), fresh()];
    let total = 0;
    let lostCounts = 0;
    let done = 0;
    const seals: number[] = [];
    for (let step = 0; step < 400; step += 1) {
      const what = int(4);
      const { openSequence: sequence, sealed } = state;
      let record: JournalRecord = { kind: "seal", sequence };
      if (what < 2) {
        record = { kind: "count", sequence, fromMs: step, toMs: step + 1, rows: [row(`h${int(8)}`, 1 + int(9))] };
        total += sumOf(record.rows);
      } else if (what === 3 && sealed[0]) {
        record = { kind: "done", sequence: sealed[0].sequence };
        done += sumOf(sealed[0].rows);
      }
      for (const one of [state, copy]) one.apply(record);
      const isLost = record.kind !== "done" && int(20) === 0;
      if (!isLost) lossy.apply(record);
      else if (record.kind === "count") lostCounts += sumOf(record.rows);
      else seals.push(sequence);
      if (int(10) === 0) copy.apply(JSON.parse(JSON.stringify(copy.state())));
      assert.deepEqual(copy.state(), state.state());
    }
    const { open, sealed, totals } = state.state();
    assert.equal(sumOf(totals), total);
    assert.equal(sumOf(open.rows) + sumOf(sealed.flatMap(({ rows }) => rows)), total - done);
    assert.ok(seals.length > 0 && lostCounts > 0);
    const kept = lossy.state();
    assert.equal(sumOf(kept.totals), total - lostCounts, "a lost record costs what it said, no more");
    lossy.apply({ kind: "done", sequence: state.openSequence });
    assert.deepEqual([lossy.sealed.length, lossy.openRowCount], [0, 0]);
  });
}
