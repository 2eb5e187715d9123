/** The edge's counts as Prometheus metrics and as JSON. */
import {
  type AccountDelta,
  type AccountFigures,
  COLUMN,
  figuresOf,
  TTFB_BOUNDS_MS,
} from "../../domain/accounting/columns.ts";
import { AccountTable } from "../../domain/accounting/table.ts";
import { type Figure, figures } from "../../lib/metrics/metrics.ts";
import type { Ledger } from "./ledger.ts";

/** Hostnames with series of their own, in the order in which they first came; the rest is `other`. */
const SHOWN_ROWS_MAX = 1_000; // × 10 series; the histogram is a customer's, × 20
const CLASSES = ["1xx", "2xx", "3xx", "4xx", "5xx"] as const;

const labelsOf = ({ hostname, customer, tenant }: AccountDelta) => ({ hostname, customer, tenant: tenant ?? "" });

const shown = (totals: Iterable<AccountDelta>): AccountDelta[] => {
  const table = new AccountTable(SHOWN_ROWS_MAX);
  table.addAll(totals);
  return table.rows();
};

/** Lines of `castellan_edge_account_responses_total`; `499` is apart. */
const responses = (totals: Iterable<AccountDelta>): Figure[] =>
  shown(totals).flatMap((row) => [
    ...CLASSES.map((status, index) => ({
      labels: { ...labelsOf(row), status },
      value: row.values[COLUMN.status1xx + index] ?? 0,
    })),
    { labels: { ...labelsOf(row), status: "499" }, value: row.values[COLUMN.clientLeft] ?? 0 },
  ]);

/** Lines of the histogram, a customer's hostnames together. */
const firstBytes = (totals: Iterable<AccountDelta>): Figure[] => {
  const table = new AccountTable(SHOWN_ROWS_MAX);
  for (const { customer, tenant, values } of totals) table.add({ hostname: "", customer, tenant }, values);
  return table.rows().flatMap(({ customer, tenant, values }) => {
    const labels = { customer, tenant: tenant ?? "" };
    let count = 0;
    const buckets: Figure[] = [];
    for (const [index, bucket] of values.subarray(COLUMN.ttfb).entries()) {
      count += bucket;
      const boundMs = TTFB_BOUNDS_MS[index];
      const le = boundMs === undefined ? "+Inf" : String(boundMs / 1_000);
      buckets.push({ labels: { ...labels, le }, value: count, suffix: "_bucket" });
    }
    const sum = (values[COLUMN.ttfbMicros] ?? 0) / 1e6;
    return [...buckets, { labels, value: sum, suffix: "_sum" }, { labels, value: count, suffix: "_count" }];
  });
};

const COUNTERS = [
  ["requests", COLUMN.requests, "Requests that are over."],
  ["hits", COLUMN.hits, "Requests answered without asking an origin."],
  ["sent_bytes", COLUMN.sentBytes, "Bytes handed to viewers' sockets, heads included, before TLS."],
  ["origin_requests", COLUMN.originRequests, "Requests to origins and parents."],
  ["origin_bytes", COLUMN.originBytes, "Bytes read from origins and parents."],
] as const;

/** Shows the totals at `/metrics`; those of the ledger that came first where a process has several. */
export const showAccounts = (totals: () => Iterable<AccountDelta>): void => {
  for (const [name, column, help] of COUNTERS) {
    const read = () => shown(totals()).map((row) => ({ labels: labelsOf(row), value: row.values[column] ?? 0 }));
    figures({ name: `castellan_edge_account_${name}_total`, help, type: "counter", read });
  }
  figures({
    name: "castellan_edge_account_responses_total",
    help: "Answers by the first digit of their status; 499: the viewer left before an answer was begun.",
    type: "counter",
    read: () => responses(totals()),
  });
  figures({
    name: "castellan_edge_account_first_byte_seconds",
    help: "From the request's head to the answer's.",
    type: "histogram",
    read: () => firstBytes(totals()),
  });
};

/** What an operator of a lone edge reads instead of an upstream's reports. */
export interface AccountsReport {
  readonly series: string;
  /** RFC 3339. */
  readonly since: string;
  readonly until: string;
  /** Batches that wait for an upstream. */
  readonly backlogCount: number;
  readonly ttfbBoundsMs: readonly number[];
  readonly rows: readonly AccountFigures[];
}

export const accountsReport = (ledger: Ledger, nowMs: number): AccountsReport => ({
  series: ledger.series,
  since: new Date(ledger.sinceMs).toISOString(),
  until: new Date(nowMs).toISOString(),
  backlogCount: ledger.backlogCount,
  ttfbBoundsMs: TTFB_BOUNDS_MS,
  rows: ledger.totals().map(figuresOf),
});
