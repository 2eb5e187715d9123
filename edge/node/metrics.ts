/** What the edge counts; one set per process. */
import { counter, gauge } from "../../lib/metrics/metrics.ts";
import type { AccountRow } from "../analytics/accounts.ts";

/**
 * How a request was answered. `collapsed`: it waited for another one's fill; `stale`: nothing newer could be had;
 * `passed`: what must not be kept.
 */
export type Result =
  | "hit"
  | "miss"
  | "collapsed"
  | "revalidated"
  | "stale"
  | "passed"
  | "missing"
  | "failed"
  | "refused"
  | "preflight"
  | "redirect";

export const RESULTS: readonly Result[] = [
  ...(["hit", "miss", "collapsed", "revalidated", "stale", "passed"] as const),
  ...(["missing", "failed", "refused", "preflight", "redirect"] as const),
];

/** What is counted for each request: too often for a look-up of labels, so it is added up when it is shown. */
interface Tally {
  requestCount: number;
  sentBytes: number;
}
const tallies = Object.fromEntries(RESULTS.map((result) => [result, { requestCount: 0, sentBytes: 0 }])) as Record<
  Result,
  Tally
>; // one for each of the type's values

counter({
  name: "castellan_edge_requests_total",
  help: "Requests by how they were answered.",
  labels: ["result"],
  collect: (shown) => {
    for (const result of RESULTS) {
      shown.inc({ result }, tallies[result].requestCount);
      tallies[result].requestCount = 0;
    }
  },
});
counter({
  name: "castellan_edge_sent_bytes_total",
  help: "Bytes that viewers were sent, heads included, before TLS, by how the request was answered.",
  labels: ["result"],
  collect: (shown) => {
    for (const result of RESULTS) {
      shown.inc({ result }, tallies[result].sentBytes);
      tallies[result].sentBytes = 0;
    }
  },
});
const upstreamRequests = counter({
  name: "castellan_edge_upstream_requests_total",
  help: "Requests to origins, probes left out.",
});
const upstreamFailures = counter({
  name: "castellan_edge_upstream_failures_total",
  help: "Requests to origins that failed, by reason.",
  labels: ["reason"],
});
const fills = counter({
  name: "castellan_edge_fills_total",
  help: "Bodies read from origins, by how they ended.",
  labels: ["outcome"],
});
const filledBytes = counter({ name: "castellan_edge_filled_bytes_total", help: "Bytes of bodies read from origins." });
const older = counter({
  name: "castellan_edge_older_playlists_total",
  help: "Playlists not shown because viewers had seen a newer one.",
});

/** What a request's exchange carries until it is over: how it was answered, and whom it is counted for. */
export interface Context {
  readonly result: Result;
  readonly account: AccountRow;
  readonly customer: string;
}
export type Contexts = Readonly<Record<Result, Context>>;

/** One for each way of answering, so that a request makes none. */
export const accountedContexts = (account: AccountRow, customer: string): Contexts =>
  // One for each of the type's values, which fromEntries can't see.
  Object.fromEntries(RESULTS.map((result) => [result, { result, account, customer }])) as unknown as Contexts;

/** Answered without asking an origin. */
export const isHit = (result: Result): boolean => result === "hit" || result === "stale";

/** Figures that are read when somebody asks for the metrics. */
export interface EdgeGauges {
  readonly cacheBytes: () => number;
  readonly cacheObjects: () => number;
  readonly fillCount: () => number;
  readonly snapshotVersion: () => number;
}

export class EdgeMetrics {
  answered(result: Result, bytes: number): void {
    const tally = tallies[result];
    tally.requestCount += 1;
    tally.sentBytes += bytes;
  }
  asked(): void {
    upstreamRequests.inc();
  }
  originFailed(reason: string): void {
    upstreamFailures.inc({ reason });
  }
  filled(outcome: "whole" | "broken", bytes: number): void {
    fills.inc({ outcome });
    filledBytes.inc(bytes);
  }
  olderRefused(): void {
    older.inc();
  }

  /** Shows these figures; those of the edge that started first where a process has several. */
  watch(figures: EdgeGauges): void {
    const shown = (name: string, help: string, read: () => number) =>
      gauge({ name, help, collect: (metric) => metric.set(read()) });
    shown("castellan_edge_cache_bytes", "Bytes in the cache.", figures.cacheBytes);
    shown("castellan_edge_cache_objects", "Objects in the cache.", figures.cacheObjects);
    shown("castellan_edge_fills_running", "Objects that are being fetched.", figures.fillCount);
    shown("castellan_edge_snapshot_version", "Version of the channels that the edge knows.", figures.snapshotVersion);
  }
}
