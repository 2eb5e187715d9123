import assert from "node:assert/strict";
import { test } from "node:test";
import { COLUMN, COLUMN_COUNT, OTHER } from "../../domain/accounting/columns.ts";
import { Accounts } from "./accounts.ts";

const KEY = { hostname: "cdn.acme.example", customer: "acme", tenant: null };

test("a request is counted by status, bytes, hit and time to first byte, and taken away once", () => {
  const accounts = new Accounts();
  const row = accounts.row(KEY);
  for (const status of [101, 200, 206, 304, 404, 503, 599]) {
    row.count({ status, sentBytes: 100, isHit: status === 200, ttfbMs: 3 });
  }
  row.count({ status: 499, sentBytes: 0, isHit: false, ttfbMs: undefined });
  row.countOrigin(1, 5_000);
  row.countOrigin(0, 2_000);
  const [delta, ...rest] = accounts.take();
  assert.deepEqual(rest, []);
  const values = Array<number>(COLUMN_COUNT).fill(0);
  values[COLUMN.requests] = 8;
  values[COLUMN.hits] = 1;
  values[COLUMN.sentBytes] = 700;
  values[COLUMN.originRequests] = 1;
  values[COLUMN.originBytes] = 7_000;
  values.splice(COLUMN.status1xx, 6, 1, 2, 1, 1, 2, 1);
  values[COLUMN.ttfbMicros] = 21_000;
  values[COLUMN.ttfb + 4] = 7;
  assert.deepEqual(delta, { ...KEY, values: Float64Array.from(values) });
  assert.deepEqual(accounts.take(), []);
  row.count({ status: 200, sentBytes: 1, isHit: true, ttfbMs: Number.NaN });
  assert.deepEqual(accounts.take()[0]?.values.slice(0, 3), Float64Array.of(1, 1, 1));
});

test("rows are bounded: what is too many, and unknown hosts, are counted as other", () => {
  const accounts = new Accounts({ rowsMax: 2 });
  const hit = { status: 200, sentBytes: 1, isHit: true, ttfbMs: 1 };
  const rows = ["a", "b", "c", "d"].map((hostname) => accounts.row({ ...KEY, hostname }));
  for (const row of [...rows, accounts.other, accounts.row({ ...KEY, hostname: "a" })]) row.count(hit);
  assert.deepEqual(
    accounts.take().map(({ hostname, customer, values }) => [hostname, customer, values[COLUMN.requests]]),
    [
      ["a", "acme", 2],
      ["b", "acme", 1],
      [OTHER.hostname, OTHER.customer, 3],
    ],
  );
});

test("a row that is held through a new configuration goes on counting", () => {
  const accounts = new Accounts({ rowsMax: 1 });
  const hit = { status: 200, sentBytes: 1, isHit: true, ttfbMs: 1 };
  const old = accounts.row(KEY);
  old.count(hit);
  accounts.forgetRows();
  accounts.row({ ...KEY, hostname: "new.example" }).count(hit);
  old.count(hit);
  assert.deepEqual(
    accounts.take().map(({ hostname, values }) => [hostname, values[COLUMN.requests]]),
    [
      [KEY.hostname, 2],
      ["new.example", 1],
    ],
  );
});
