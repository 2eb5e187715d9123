import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type AccountDelta, COLUMN, COLUMN_COUNT } from "../../domain/accounting/columns.ts";
import { quietLog } from "../../lib/log/log.ts";
import { metricsText } from "../../lib/metrics/metrics.ts";
import { Accounts } from "./accounts.ts";
import { Ledger } from "./ledger.ts";
import { accountsReport, showAccounts } from "./shown.ts";

let shownTotals: AccountDelta[] = [];
showAccounts(() => shownTotals);

const linesOf = async (name: string): Promise<string[]> =>
  (await metricsText()).split("\n").filter((line) => line.startsWith(`castellan_edge_account_${name}`));

test("counts are shown by hostname, times to first byte by customer", async () => {
  const accounts = new Accounts();
  for (const hostname of ["a.example", "b.example"]) {
    const row = accounts.row({ hostname, customer: "acme", tenant: "default" });
    row.count({ status: 200, sentBytes: 1_000, isHit: true, ttfbMs: 0.1 });
    row.count({ status: 499, sentBytes: 0, isHit: false, ttfbMs: undefined });
    row.count({ status: 502, sentBytes: 10, isHit: false, ttfbMs: 20_000 });
    row.countOrigin(2, 77);
  }
  shownTotals = accounts.take();
  const labels = (hostname: string): string => `{hostname="${hostname}",customer="acme",tenant="default"`;
  const figures: [name: string, value: number][] = [
    ["requests_total", 3],
    ["hits_total", 1],
    ["sent_bytes_total", 1_010],
    ["origin_requests_total", 2],
    ["origin_bytes_total", 77],
  ];
  for (const [name, value] of figures) {
    assert.deepEqual(await linesOf(name), [
      `castellan_edge_account_${name}${labels("a.example")}} ${value}`,
      `castellan_edge_account_${name}${labels("b.example")}} ${value}`,
    ]);
  }
  const classes = (await linesOf("responses_total")).filter((line) => line.includes("a.example"));
  assert.deepEqual(
    classes.map((line) => /status="(\w+)"\} (\d)/.exec(line)?.slice(1).join(" ")),
    ["1xx 0", "2xx 1", "3xx 0", "4xx 0", "5xx 1", "499 1"],
  );
  const histogram = await linesOf("first_byte_seconds");
  assert.equal(histogram.length, 20);
  const ofCustomer = 'customer="acme",tenant="default"';
  assert.equal(histogram[0], `castellan_edge_account_first_byte_seconds_bucket{${ofCustomer},le="0.00025"} 2`);
  assert.deepEqual(histogram.slice(-4), [
    `castellan_edge_account_first_byte_seconds_bucket{${ofCustomer},le="16.384"} 2`,
    `castellan_edge_account_first_byte_seconds_bucket{${ofCustomer},le="+Inf"} 4`,
    `castellan_edge_account_first_byte_seconds_sum{${ofCustomer}} 40.0002`,
    `castellan_edge_account_first_byte_seconds_count{${ofCustomer}} 4`,
  ]);
});

test("the number of series is bounded, and their sum is that of all", async () => {
  shownTotals = Array.from({ length: 3_000 }, (_, index) => {
    const values = new Float64Array(COLUMN_COUNT);
    values[COLUMN.requests] = 1;
    return { hostname: `h${index}`, customer: `c${index}`, tenant: null, values };
  });
  const lines = await linesOf("requests_total");
  assert.equal(lines.length, 1_000);
  assert.equal(
    lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(" "))), 0),
    3_000,
  );
});

test("an edge without an upstream tells its totals as JSON", async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), "shown-"));
  t.after(() => rm(dataDir, { recursive: true }));
  const nowMs = Date.UTC(2027, 0, 15);
  const ledger = await Ledger.open({ dataDir, edge: "e", clock: { nowMs: () => nowMs }, log: quietLog });
  const accounts = new Accounts();
  const key = { hostname: "a.example", customer: "acme", tenant: null };
  accounts.row(key).count({ status: 200, sentBytes: 5, isHit: true, ttfbMs: 1 });
  ledger.merge(accounts.take());
  const { rows, ttfbBoundsMs, ...rest } = JSON.parse(JSON.stringify(accountsReport(ledger, nowMs + 1_000)));
  const since = "2027-01-15T00:00:00.000Z";
  assert.deepEqual(rest, { series: ledger.series, since, until: "2027-01-15T00:00:01.000Z", backlogCount: 0 });
  assert.deepEqual([ttfbBoundsMs.length, rows.length, rows[0].sentBytes], [17, 1, 5]);
  await ledger.close();
});
