import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { type FileHandle, mkdtemp, open, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { AccountBatch } from "../../domain/accounting/batch.ts";
import { COLUMN } from "../../domain/accounting/columns.ts";
import { Deliveries } from "../../domain/accounting/deliveries.ts";
import { keptLog } from "../../lib/http/raw.fixture.ts";
import { seeded } from "../../test/support/seeded.ts";
import { Accounts } from "./accounts.ts";
import { accountsDir, Ledger, type LedgerOptions } from "./ledger.ts";

const START_MS = Date.UTC(2027, 0, 15, 8);
const KEY = { hostname: "cdn.acme.example", customer: "acme", tenant: "default" };
const HIT = { status: 200, sentBytes: 1_000, isHit: true, ttfbMs: 1 };

/** An edge's data directory, and ledgers on it, one after the other, whose time is moved by hand. */
const place = async (t: TestContext, options: Partial<LedgerOptions> = {}) => {
  const dataDir = await mkdtemp(join(tmpdir(), "ledger-"));
  t.after(() => rm(dataDir, { recursive: true }));
  const time = { ms: 0 };
  const log = keptLog();
  const opened = (more: Partial<LedgerOptions> = {}): Promise<Ledger> =>
    Ledger.open({
      dataDir,
      edge: "edge-1",
      clock: { nowMs: () => START_MS + time.ms },
      monotonicMs: () => time.ms,
      log: log.log,
      ...options,
      ...more,
    });
  return { dataDir, time, log, opened, journal: join(accountsDir(dataDir), "journal") };
};
const counted = (count: number, key = KEY) => {
  const accounts = new Accounts();
  for (let index = 0; index < count; index += 1) accounts.row(key).count(HIT);
  return accounts.take();
};
const requestsOf = (ledger: Ledger): number =>
  ledger.totals().reduce((sum, { values }) => sum + (values[COLUMN.requests] ?? 0), 0);
const requestsIn = (batch: AccountBatch | undefined): number =>
  (batch?.rows ?? []).reduce((sum, { requests }) => sum + requests, 0);
/** Lets what is under way on files and promises go on until it is so. */
const until = async (holds: () => boolean): Promise<void> => {
  const untilMs = performance.now() + 20_000;
  while (!holds()) {
    assert.ok(performance.now() < untilMs, "not in time");
    await new Promise((resolve) => setImmediate(resolve));
  }
};

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
  test(`an upstream that fails, takes twice and late, and restarts: each count arrives once (seed ${seed})`, async (t) => {
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

test("a journal that is cut or damaged anywhere costs the damaged lines alone", async (t) => {
  const { opened, journal, log } = await place(t);
  const first = await opened();
  for (let step = 0; step < 50; step += 1) {
    first.merge(counted(1));
    await first.flush();
  }
  await first.close();
  const whole = await readFile(journal);
  const { int } = seeded(31);
  const reopened = async (bytes: Buffer): Promise<number> => {
    await writeFile(journal, bytes);
    const ledger = await opened();
    const found = requestsOf(ledger);
    await ledger.close();
    return found;
  };
  const stateEnd = whole.indexOf(0x0a) + 1;
  for (let round = 0; round < 40; round += 1) {
    const cut = stateEnd + int(whole.length - stateEnd);
    const lines = whole.subarray(stateEnd, cut).filter((byte) => byte === 0x0a).length;
    assert.equal(await reopened(whole.subarray(0, cut)), lines, `cut at ${cut}`);
    const flipped = Buffer.from(whole);
    const at = stateEnd + int(whole.length - stateEnd);
    flipped[at] = flipped[at]! ^ (1 << int(8));
    const found = await reopened(flipped);
    assert.ok(found === 49 || found === 48, `${found} of 50: a line, or two that became one`);
  }
  assert.ok(log.lines.some(({ msg }) => String(msg).includes("damaged lines of the journal were left out")));
});

test("a damaged beginning is made good from the journal before", async (t) => {
  const { opened, journal } = await place(t);
  const first = await opened();
  first.merge(counted(7));
  await first.close();
  const second = await opened();
  second.merge(counted(2));
  const { series } = second;
  await second.close();
  const bytes = await readFile(journal);
  bytes[20] = bytes[20]! ^ 1;
  await writeFile(journal, bytes);
  const third = await opened();
  assert.deepEqual([requestsOf(third), third.series], [9, series]);
  await third.close();
});

test("an edge that finds nothing but rubbish begins anew and says so", async (t) => {
  const { opened, journal, log } = await place(t);
  const first = await opened();
  await first.close();
  await writeFile(journal, "rubbish\n\n{}\n");
  await rm(`${journal}.previous`, { force: true });
  const second = await opened();
  assert.equal(requestsOf(second), 0);
  assert.notEqual(second.series, first.series);
  assert.equal(log.lines.at(-1)?.damagedCount, 3);
  await second.close();
});

test("a journal stays short however long an edge counts", async (t) => {
  const { opened, journal } = await place(t);
  const ledger = await opened();
  for (let step = 0; step < 12; step += 1) {
    const accounts = new Accounts();
    for (let index = 0; index < 9_000; index += 1) {
      accounts.row({ ...KEY, hostname: `host-${index}.customer.example` }).count(HIT);
    }
    ledger.merge(accounts.take());
    await ledger.tick();
  }
  assert.equal(requestsOf(ledger), 12 * 9_000);
  await ledger.close();
  assert.ok((await readFile(journal)).length < 8 * 1024 * 1024);
  assert.ok(existsSync(`${journal}.previous`));
});

/** Files on a disk that has room for so many bytes more: of a write that does not fit, half is written. */
const fullDisk = () => {
  const disk = { roomBytes: Number.POSITIVE_INFINITY };
  const noSpace = () => Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
  const openFile = async (path: string, flags: string): Promise<FileHandle> => {
    const file = await open(path, flags);
    const write = async (bytes: Buffer, at: number, length: number, position: number) => {
      if (length <= disk.roomBytes) {
        disk.roomBytes -= length;
        return file.write(bytes, at, length, position);
      }
      await file.write(bytes, at, Math.floor(length / 2), position);
      throw noSpace();
    };
    return new Proxy(file, {
      get: (target, name) => {
        if (name === "write") return write;
        const value: unknown = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  };
  return { disk, openFile };
};

test("a full disk loses nothing while the edge runs, is said once, and half a line is never counted", async (t) => {
  const { disk, openFile } = fullDisk();
  const { opened, time, log, dataDir } = await place(t, { openFile });
  const ledger = await opened();
  const counts = async (): Promise<void> => {
    time.ms += 500;
    ledger.merge(counted(1));
    await ledger.tick();
  };
  for (let step = 0; step < 5; step += 1) await counts();
  disk.roomBytes = 0;
  for (let step = 0; step < 5; step += 1) await counts();
  assert.deepEqual([requestsOf(ledger), ledger.failedWrites], [10, 5]);
  const { clock } = { clock: { nowMs: () => START_MS } };
  const killed = await mkdtemp(join(tmpdir(), "ledger-"));
  t.after(() => rm(killed, { recursive: true }));
  await Ledger.open({ dataDir: killed, edge: "e", clock, log: log.log }).then((one) => one.close());
  await writeFile(join(accountsDir(killed), "journal"), await readFile(join(accountsDir(dataDir), "journal")));
  const other = await Ledger.open({ dataDir: killed, edge: "e", clock, log: log.log });
  assert.equal(requestsOf(other), 5, "what a kill at this moment leaves");
  await other.close();
  disk.roomBytes = Number.POSITIVE_INFINITY;
  await counts();
  await ledger.close();
  const after = await opened();
  assert.equal(requestsOf(after), 11);
  assert.equal(log.lines.filter(({ msg }) => String(msg).startsWith("accounts: can't be written")).length, 1);
  await after.close();
});

test("a directory that can't be used is said at once", async (t) => {
  const { dataDir } = await place(t);
  await writeFile(join(dataDir, "edge"), "");
  await truncate(join(dataDir, "edge"));
  const options = { dataDir, edge: "e", clock: { nowMs: () => 0 }, log: keptLog().log };
  await assert.rejects(Ledger.open(options), { code: "ENOTDIR" });
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
