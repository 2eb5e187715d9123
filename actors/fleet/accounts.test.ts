import assert from "node:assert/strict";
import { before, beforeEach, describe, test } from "node:test";
import type { z } from "zod";
import { codeOf } from "../../contracts/errors.ts";
import { listAccounts, type takeAccounts } from "../../contracts/fleet.ts";
import { TTFB_BUCKETS } from "../../domain/accounting/columns.ts";
import { keptLog } from "../../lib/http/raw.fixture.ts";
import { quietLog } from "../../lib/log/log.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { seeded } from "../../test/support/seeded.ts";
import { admitPart, NOTHING, PARTIAL_MAX } from "./account-parts.ts";
import { EdgeAccounts, KEPT_DAYS } from "./accounts.ts";

const START_MS = Date.UTC(2030, 0, 15, 8, 30);
const HOUR_MS = 3_600_000;
const FROM = "2000-01-01T00:00:00Z";
type Batch = z.output<typeof takeAccounts.input>;
type Row = Batch["rows"][number];

const rowOf = (hostname: string, requests: number, more: Partial<Row> = {}): Row => ({
  ...{ hostname, customer: "acme", tenant: null, requests, hits: requests - 1, sentBytes: requests * 1_000 },
  ...{ originRequests: 1, originBytes: 1_000, statuses: [0, requests, 0, 0, 0] as Row["statuses"], clientLeft: 0 },
  ...{ ttfbMicros: requests * 2_000, ttfb: [requests, ...Array<number>(TTFB_BUCKETS - 1).fill(0)] },
  ...more,
});
const batchOf = (sequence: number, rows: readonly Row[], more: Partial<Batch> = {}): Batch => ({
  ...{ edge: "edge-1", series: "s", first: sequence, sequence, part: 0, partCount: 1 },
  ...{ fromMs: START_MS, toMs: START_MS + 60_000, rows: [...rows] },
  ...more,
});

describe("accounts of edges", () => {
  let db: TestDatabase;
  before(async () => {
    db = await testDatabase();
  });
  beforeEach(async () => {
    await db.asOwner("truncate cdn_account_hour, cdn_account_delivery");
  });
  /** One control node of several. */
  const node = (nowMs = START_MS + 90_000, log = quietLog) =>
    new EdgeAccounts({ db, log, clock: { nowMs: () => nowMs } });
  const list = async (query: Partial<z.input<typeof listAccounts.input>> = {}) =>
    node().list(listAccounts.input.parse({ from: FROM, ...query }));
  const requests = async (query: Partial<z.input<typeof listAccounts.input>> = {}): Promise<number> =>
    (await list(query)).data.reduce((sum, row) => sum + row.requests, 0);

  test("are shown in sums, with every figure", async () => {
    const figures = {
      ...{ statuses: [1, 2, 3, 4, 5] as Row["statuses"], clientLeft: 6, originRequests: 7, originBytes: 8 },
      ttfb: Array.from({ length: TTFB_BUCKETS }, (_, bucket) => bucket),
    };
    assert.equal(await node().take(batchOf(1, [rowOf("a.example", 10, figures)])), "new");
    await node().take(batchOf(2, [rowOf("a.example", 10, figures)]));
    assert.deepEqual(await list(), {
      data: [
        {
          ...{ customer: "acme", requests: 20, hits: 18, hitRatio: 0.9, sentBytes: 20_000 },
          ...{ originRequests: 14, originBytes: 16, clientLeft: 12 },
          statuses: { "1xx": 2, "2xx": 4, "3xx": 6, "4xx": 8, "5xx": 10 },
          firstByteMeanMs: 40_000 / 306_000,
          firstByteCounts: figures.ttfb.map((count) => 2 * count),
        },
      ],
      nextCursor: null,
    });
  });

  for (const seed of [1, 2, 3]) {
    test(`come twice, late, in any order and at two nodes at once, and count once (seed ${seed})`, async () => {
      const { int } = seeded(seed);
      const batches = Array.from({ length: 40 }, (_, index) =>
        batchOf(index + 1, [rowOf(`h${index % 3}`, index + 1), rowOf("all", 1)], { edge: `edge-${index % 2}` }),
      );
      const sent = [...batches, ...batches, ...batches].map((batch) => ({ batch, at: batch.first + int(20) }));
      sent.sort((a, b) => a.at - b.at);
      const nodes = [node(), node()];
      const verdicts: string[] = [];
      for (let at = 0; at < sent.length; at += 4) {
        const some = sent.slice(at, at + 4);
        verdicts.push(...(await Promise.all(some.map(({ batch }, index) => nodes[index % 2]!.take(batch)))));
      }
      assert.equal(verdicts.filter((verdict) => verdict === "new").length, batches.length);
      assert.equal(verdicts.filter((verdict) => verdict === "duplicate").length, 2 * batches.length);
      assert.equal(await requests(), 820 + 40);
    });
  }

  test("of one batch that comes to five nodes in the same moment count once", async () => {
    const verdicts = await Promise.all(Array.from({ length: 5 }, () => node().take(batchOf(1, [rowOf("a", 5)]))));
    assert.deepEqual(verdicts.toSorted(), ["duplicate", "duplicate", "duplicate", "duplicate", "new"]);
    assert.equal(await requests(), 5);
  });

  test("are not noted where they can't be counted, and come again", async () => {
    const tooMuch = rowOf("a", 9, { sentBytes: 2 ** 53 - 1 });
    await db.asOwner("alter table cdn_account_hour add constraint full_disk check (requests < 9)");
    await assert.rejects(node().take(batchOf(1, [rowOf("b", 1), tooMuch])));
    assert.equal(await requests(), 0);
    await db.asOwner("alter table cdn_account_hour drop constraint full_disk");
    assert.equal(await node().take(batchOf(1, [rowOf("b", 1), tooMuch])), "new");
    assert.equal(await requests(), 10);
  });

  test("that come in parts count part by part, each once, whatever comes between", async () => {
    const part = (sequence: number, index: number) =>
      node().take(batchOf(sequence, [rowOf("a", 1), rowOf("b", 10)], { part: index, partCount: 3 }));
    const verdicts = [await part(1, 0), await part(1, 2), await part(1, 2), await part(2, 1), await part(1, 0)];
    assert.deepEqual(verdicts, ["new", "new", "duplicate", "new", "duplicate"]);
    assert.equal(await requests(), 33);
    assert.deepEqual([await part(1, 1), await part(1, 1), await part(1, 0)], ["new", "duplicate", "duplicate"]);
    assert.deepEqual([await part(2, 0), await part(2, 2), await part(2, 2)], ["new", "new", "duplicate"]);
    assert.equal(await requests(), 66);
    const { rows } = await db.asOwner("select counted, partial from cdn_account_delivery");
    assert.deepEqual(rows, [{ counted: [{ first: 1, sequence: 2 }], partial: [] }]);
  });

  test("under numbers that mean other counts are said and not counted", async () => {
    const { log, lines } = keptLog();
    await node().take(batchOf(2, [rowOf("a", 1)]));
    assert.equal(await node(START_MS, log).take(batchOf(3, [rowOf("a", 1)], { first: 2 })), "conflict");
    assert.equal(await requests(), 1);
    assert.match(JSON.stringify(lines), /accounts of an edge are not counted/);
  });

  test("are grouped by time, customer, tenant, hostname and edge, and picked by them", async () => {
    await node().take(batchOf(1, [rowOf("a", 1), rowOf("b", 2, { customer: "bolt", tenant: "north" })]));
    await node().take(batchOf(2, [rowOf("a", 4)], { fromMs: START_MS - HOUR_MS, edge: "edge-2" }));
    const shown = async (groupBy: string, query: object = {}) =>
      (await list({ groupBy, ...query })).data.map(({ requests: count, hour, day, month, ...row }) => [
        ...[hour ?? day ?? month, row.customer, row.tenant, row.hostname, row.edge].filter((key) => key !== undefined),
        count,
      ]);
    assert.deepEqual(await shown("customer"), [
      ["acme", 5],
      ["bolt", 2],
    ]);
    assert.deepEqual(await shown("tenant"), [
      [null, 5],
      ["north", 2],
    ]);
    assert.deepEqual(await shown("hour,edge"), [
      ["2030-01-15T07:00:00.000Z", "edge-2", 4],
      ["2030-01-15T08:00:00.000Z", "edge-1", 3],
    ]);
    assert.deepEqual(await shown("day"), [["2030-01-15T00:00:00.000Z", 7]]);
    assert.deepEqual(await shown("month,hostname", { hostname: "a" }), [["2030-01-01T00:00:00.000Z", "a", 5]]);
    assert.deepEqual(await shown("edge", { customer: "bolt", tenant: "north", edge: "edge-1" }), [["edge-1", 2]]);
    const within = { from: "2030-01-15T08:00:00+00:00", to: "2030-01-15T09:00:00Z" };
    assert.deepEqual(await shown("customer", { ...within, customer: "acme" }), [["acme", 1]]);
  });

  test("are read page by page, each group once", async () => {
    const names = ["a", "b", "c", "d", "e"];
    await node().take(
      batchOf(
        1,
        names.map((name) => rowOf(name, 1)),
      ),
    );
    await node().take(
      batchOf(
        2,
        names.map((name) => rowOf(name, 1)),
        { fromMs: START_MS - HOUR_MS },
      ),
    );
    const seen: unknown[] = [];
    let cursor: string | undefined;
    do {
      const { data, nextCursor } = await list({ groupBy: "hour,hostname", limit: 3, ...(cursor ? { cursor } : {}) });
      seen.push(...data.map(({ hour, hostname }) => `${hour} ${hostname}`));
      cursor = nextCursor ?? undefined;
    } while (cursor !== undefined);
    const hours = ["07", "08"].map((hour) => `2030-01-15T${hour}:00:00.000Z`);
    assert.deepEqual(
      seen,
      hours.flatMap((hour) => names.map((name) => `${hour} ${name}`)),
    );
    const { nextCursor } = await list({ groupBy: "hour,hostname", limit: 3 });
    for (const given of [{ cursor: nextCursor ?? "", groupBy: "hostname,hour" }, { cursor: "x" }, { cursor: "W10" }]) {
      await assert.rejects(list(given), (error) => codeOf(error) === "BAD_CURSOR");
    }
  });

  test("of an edge with a wrong clock are counted now, and old hours are forgotten", async () => {
    const old = START_MS - (KEPT_DAYS - 1) * 24 * HOUR_MS;
    await node().take(batchOf(1, [rowOf("a", 1)], { fromMs: 0 }));
    await node().take(batchOf(2, [rowOf("a", 2)], { fromMs: START_MS + 24 * HOUR_MS }));
    await node().take(batchOf(3, [rowOf("a", 4)], { fromMs: old }));
    const today = { from: "2030-01-15T08:00:00Z" };
    assert.equal(await requests(today), 3);
    await node().forgetOld();
    assert.equal(await requests(), 7);
    await node(START_MS + 2 * 24 * HOUR_MS).forgetOld();
    assert.equal(await requests(), 3);
    await node(START_MS + 401 * 24 * HOUR_MS).forgetOld();
    assert.equal((await db.asOwner("select from cdn_account_delivery")).rowCount, 0);
  });
});

test("parts of more batches than an edge has open are put off", () => {
  let received = NOTHING;
  const verdictOf = (sequence: number, part = 0) => {
    const [verdict, next] = admitPart(received, { first: sequence, sequence, part, partCount: 2 });
    received = next;
    return verdict;
  };
  for (let one = 1; one <= PARTIAL_MAX; one += 1) assert.equal(verdictOf(one), "new");
  assert.equal(verdictOf(PARTIAL_MAX + 1), "full");
  assert.equal(verdictOf(1, 2), "conflict");
  assert.equal(admitPart(received, { first: 1, sequence: 2, part: 0, partCount: 1 })[0], "conflict");
  assert.equal(verdictOf(1, 1), "new");
  assert.equal(verdictOf(PARTIAL_MAX + 1), "new");
});
