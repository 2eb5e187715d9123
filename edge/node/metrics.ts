/** What the edge counts; one set per process. */
import { counter, gauge } from "../../lib/metrics/metrics.ts";

/** How a request was answered. `collapsed`: it waited for another one's fill; `stale`: nothing newer could be had. */
export type Result =
  | "hit"
  | "miss"
  | "collapsed"
  | "revalidated"
  | "stale"
  | "missing"
  | "failed"
  | "refused"
  | "preflight"
  | "redirect";

const requests = counter({
  name: "castellan_edge_requests_total",
  help: "Requests for media by how they were answered.",
  labels: ["result"],
});
const sentBytes = counter({
  name: "castellan_edge_sent_bytes_total",
  help: "Bytes of bodies that viewers were sent, by how the request was answered.",
  labels: ["result"],
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

/** Figures that are read when somebody asks for the metrics. */
export interface EdgeGauges {
  readonly cacheBytes: () => number;
  readonly cacheObjects: () => number;
  readonly fillCount: () => number;
  readonly snapshotVersion: () => number;
}

export class EdgeMetrics {
  answered(result: Result): void {
    requests.inc({ result });
  }
  sent(result: Result, bytes: number): void {
    if (bytes > 0) sentBytes.inc({ result }, bytes);
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
