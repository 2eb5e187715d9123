import assert from "node:assert/strict";
import { test } from "node:test";
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import { COLUMN } from "../../domain/accounting/columns.ts";
import { Deliveries } from "../../domain/accounting/deliveries.ts";
import { seeded } from "../../test/support/seeded.ts";
import { Accounts } from "./accounts.ts";
import { counted, HIT, KEY, place, requestsIn, requestsOf, START_MS, until } from "./ledger.fixture.ts";

test("what was counted is there after a restart, and rows of several threads are one", async (t) => {
  const { opened, time } = await place(t);
  const first = await opened();
  for (const delta of [counted(3), counted(4), counted(5, { ...KEY, hostname: "b.example" })]) {
    first.merge(structuredClone(delta));
    time.ms += 400;
    await first.tick();
  }
  first.merge(counted(1));
  assert.equal(requestsOf(first), 13);
  const { series, sinceMs } = first;
  await first.close();
  const second = await opened();
  assert.deepEqual([second.series, second.sinceMs], [series, sinceMs]);
  assert.deepEqual(
    second.totals().map(({ hostname, values }) => [hostname, values[COLUMN.requests], values[COLUMN.sentBytes]]),
    [
      [KEY.hostname, 8, 8_000],
      ["b.example", 5, 5_000],
    ],
  );
  await second.close();
});

test("a minute is a batch, that is delivered in order, whole, with its period", async (t) => {
  const batches: AccountBatch[] = [];
  const { opened, time } = await place(t, { deliver: async (batch) => void batches.push(batch) });
  const ledger = await opened();
  for (let step = 0; step < 180; step += 1) {
    time.ms += 1_000;
    ledger.merge(counted(1));
    await ledger.tick();
  }
  await until(() => batches.length === 3 && ledger.backlogCount === 0);
  assert.deepEqual(
    batches.map(({ first, sequence, fromMs, toMs }) => [first, sequence, fromMs - START_MS, toMs - START_MS]),
    [
      [1, 1, 0, 60_000],
      [2, 2, 60_000, 120_000],
      [3, 3, 120_000, 180_000],
    ],
  );
  const { rows, edge, series } = batches[0] ?? assert.fail();
  assert.deepEqual([edge, series], ["edge-1", ledger.series]);
  assert.deepEqual(rows, [
    {
      ...KEY,
      requests: 60,
      hits: 60,
      sentBytes: 60_000,
      originRequests: 0,
      originBytes: 0,
      statuses: [0, 60, 0, 0, 0],
      clientLeft: 0,
      ttfbMicros: 60_000,
      ttfb: Array.from({ length: 18 }, (_, bucket) => (bucket === 2 ? 60 : 0)),
    },
  ]);
  await ledger.close();
});

test("a batch that is not taken comes again, the same, also after a restart; nothing overtakes it", async (t) => {
  const offered: AccountBatch[] = [];
  const refuse = async (batch: AccountBatch): Promise<void> => {
    offered.push(batch);
    throw new Error("nobody there");
  };
  const { opened, time, log } = await place(t, { periodMs: 1_000 });
  let ledger = await opened({ deliver: refuse });
  const counts = async (steps: number): Promise<void> => {
    for (let step = 0; step < steps; step += 1) {
      time.ms += 500;
      ledger.merge(counted(1));
      await ledger.tick();
    }
  };
  await counts(300);
  assert.ok(offered.length >= 3 && offered.length < 12, `${offered.length} tries: they wait longer and longer`);
  assert.equal(log.lines.filter(({ msg }) => msg === "accounts: not taken upstream").length, 1);
  await ledger.close();
  ledger = await opened({ deliver: refuse });
  await ledger.tick();
  await until(() => offered.length > 3);
  for (const again of offered) assert.deepEqual(again, offered[0]);
  await ledger.close();

  const taken: AccountBatch[] = [];
  ledger = await opened({ deliver: async (batch) => void taken.push(batch) });
  await counts(2);
  await until(() => ledger.backlogCount === 0);
  await counts(2);
  await until(() => ledger.backlogCount === 0);
  assert.deepEqual(taken[0], offered[0]);
  const sequences = taken.map(({ sequence }) => sequence);
  assert.deepEqual(
    sequences,
    sequences.map((_, index) => index + 1),
  );
  assert.equal(
    taken.reduce((sum, batch) => sum + requestsIn(batch), 0),
    304,
  );
  await ledger.close();
});

test("without an upstream no batch is made; one that comes later gets all of it", async (t) => {
  const { opened, time } = await place(t, { periodMs: 1_000 });
  let ledger = await opened();
  for (let step = 0; step < 50; step += 1) {
    time.ms += 1_000;
    ledger.merge(counted(1));
    await ledger.tick();
  }
  assert.deepEqual([ledger.backlogCount, requestsOf(ledger)], [0, 50]);
  await ledger.close();
  const taken: AccountBatch[] = [];
  ledger = await opened({ deliver: async (batch) => void taken.push(batch) });
  time.ms += 1_000;
  await ledger.tick();
  await until(() => taken.length === 1);
  assert.deepEqual([requestsIn(taken[0]), taken[0]?.fromMs], [50, START_MS]);
  await ledger.close();
});

for (const seed of [21, 22, 23]) {
  test(`an upstream that fails and takes twice and late: each count arrives once (seed ${seed})`, async (t) => {
    const { int } = seeded(seed);
    const deliveries = new Deliveries();
    let [arrived, made] = [0, 0];
    const take = (batch: AccountBatch): void => {
      const admission = deliveries.accept(batch);
      assert.ok(admission === "new" || admission === "duplicate", admission);
      if (admission === "new") arrived += requestsIn(batch);
    };
    const late: AccountBatch[] = [];
    const deliver = async (batch: AccountBatch): Promise<void> => {
      const luck = int(6);
      if (luck === 0) throw new Error("not taken");
      take(batch);
      if (luck === 1) throw new Error("taken, but the answer was lost");
      if (luck === 2) late.push(batch);
    };
    const options = { deliver, periodMs: 1_000, rowsMax: 4, backlogRowsMax: 8 };
    const { opened, time } = await place(t, options);
    let ledger = await opened();
    const step = async (): Promise<void> => {
      time.ms += 1 + int(40_000); // hours in all
      const key = { ...KEY, hostname: `h${int(6)}.example` };
      ledger.merge(counted(1, key));
      made += 1;
      await ledger.tick();
      if (int(3) === 0) for (const batch of late.splice(0)) take(structuredClone(batch));
      if (int(15) > 0) return;
      await ledger.close();
      ledger = await opened();
    };
    for (let round = 0; round < 300; round += 1) await step();
    while (ledger.backlogCount > 0 || arrived < made) {
      time.ms += 70_000;
      await ledger.tick();
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.equal(arrived, made);
    assert.equal(requestsOf(ledger), made);
    await ledger.close();
  });
}

test("a backlog that grows over its limit is joined on disk too", async (t) => {
  const { opened, time } = await place(t, { periodMs: 1_000, rowsMax: 4, backlogRowsMax: 16 });
  const offered: AccountBatch[] = [];
  const never = async (batch: AccountBatch): Promise<void> => {
    offered.push(batch);
    throw new Error("nobody there");
  };
  const ledger = await opened({ deliver: never });
  for (let step = 0; step < 100; step += 1) {
    time.ms += 1_000;
    ledger.merge(counted(1));
    await ledger.tick();
    assert.ok(ledger.backlogCount <= 16, String(ledger.backlogCount));
  }
  const { backlogCount } = ledger;
  await ledger.close();
  const taken: AccountBatch[] = [];
  const again = await opened({ deliver: async (batch) => void taken.push(batch) });
  assert.equal(again.backlogCount, backlogCount);
  await again.tick();
  await until(() => again.backlogCount === 0);
  assert.deepEqual(taken[0], offered[0]);
  assert.equal(
    taken.reduce((sum, batch) => sum + requestsIn(batch), 0),
    100,
  );
  await again.close();
});

test("a running edge writes by itself, and its last counts when it stops", async (t) => {
  const { opened } = await place(t, { flushMs: 1 });
  const ledger = await opened();
  const accounts = new Accounts();
  let rounds = 0;
  ledger.start(() => {
    accounts.row(KEY).count(HIT);
    rounds += 1;
    return accounts.take();
  });
  await until(() => rounds >= 5);
  await ledger.close();
  const again = await opened();
  assert.equal(requestsOf(again), rounds);
  await again.close();
});
