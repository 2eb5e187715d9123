/** Puts an edge together and opens its listener. */
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import type { Log } from "../../lib/log/log.ts";
import { ByteBudget } from "../cache/body.ts";
import { Floors, LiveWindows } from "../cache/progress.ts";
import { Cache } from "../cache/stored.ts";
import { askSnapshot, listenForHints } from "../fleet/fleet.service.ts";
import { Fleet } from "../fleet/fleet.ts";
import { snapshotPath } from "../fleet/snapshot-file.ts";
import { type FillDeps, Fills } from "../origin/fills.ts";
import { Health } from "../origin/health.ts";
import { Prober } from "../origin/prober.ts";
import { Upstream, type UpstreamTimeouts } from "../origin/upstream.ts";
import { LiveServer } from "./live-server.ts";
import { contextsOf, EdgeMetrics, resultOf } from "./metrics.ts";

export interface EdgeConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly edgePort: number;
  readonly edgeCacheBytes: number;
  /** Private networks where castis nodes that a tenant named may be. */
  readonly allowPrivateSources: readonly string[];
  readonly dataDir: string;
  readonly nodeId: string;
}
export interface EdgeDeps {
  readonly config: EdgeConfig;
  /** Started. */
  readonly broker: ServiceBroker;
  readonly log: Log;
  readonly clock: Clock;
  /** Monotonic ms; freshness never depends on the wall clock. */
  readonly nowMs?: () => number;
  readonly timeouts?: UpstreamTimeouts;
}
export interface Edge {
  readonly port: number;
  /** Answers in flight end, at most for `graceMs`; then their connections are cut. */
  stop(graceMs?: number): Promise<void>;
}

const MiB = 1024 * 1024;
/** What fills may hold beside the cache: a quarter of it, and never less than one object of the largest size. */
const fillBytesMax = (cacheBytes: number): number => Math.max(64 * MiB, cacheBytes / 4);
const STOP_GRACE_MS = 5_000;

/** The parts that requests need, wired. */
const wire = ({ config, broker, log, clock, nowMs = () => performance.now(), timeouts }: EdgeDeps) => {
  const { edgeCacheBytes, allowPrivateSources, dataDir, nodeId } = config;
  const name = `castellan-edge-${nodeId || hostname()}`;
  const metrics = new EdgeMetrics();
  const upstream = new Upstream(allowPrivateSources, timeouts);
  const budget = new ByteBudget(fillBytesMax(edgeCacheBytes));
  const state = {
    cache: new Cache(edgeCacheBytes),
    floors: new Floors(),
    windows: new LiveWindows(),
    health: new Health(),
    upstream,
    metrics,
    nowMs,
    log,
    via: `1.1 ${name}`,
  };
  const deps: FillDeps = { ...state, budget, pause: (ms) => pause(ms) };
  const fills = new Fills(deps);
  const fleet = new Fleet({ path: snapshotPath(dataDir), ask: askSnapshot(broker), log, clock, nowMs });
  const prober = new Prober(state);
  const live = new LiveServer({ ...state, directory: fleet, fills, prober, contexts: contextsOf(), name });
  metrics.watch({
    cacheBytes: () => state.cache.sizeBytes,
    cacheObjects: () => state.cache.objectCount,
    fillCount: () => fills.count,
    snapshotVersion: () => fleet.version,
  });
  return { fleet, live, upstream, metrics };
};

/** Starts listening. Rejects with one clear line when the port is taken. */
export const startEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { config, broker, log } = deps;
  const { fleet, live, upstream, metrics } = wire(deps);
  const stopListening = listenForHints(broker, (version) => fleet.hinted(version));
  await fleet.start();
  let closing = false;
  const listener = await openRawListener({
    name: "edge",
    host: config.host,
    port: config.edgePort,
    portVariable: "EDGE_PORT",
    log,
    ready: () => ({ ready: !closing && fleet.version > 0, checks: { snapshot: fleet.version > 0, open: !closing } }),
    handle: (exchange) => live.serve(exchange),
    noted: ({ context, wireBytes }) => metrics.answered(resultOf(context), wireBytes),
  }).catch(async (error: unknown) => {
    await Promise.all([fleet.stop(), stopListening()]);
    throw error;
  });
  return {
    port: listener.port,
    stop: async (graceMs = STOP_GRACE_MS) => {
      closing = true;
      await Promise.all([fleet.stop(), stopListening(), listener.close(graceMs)]);
      upstream.close();
    },
  };
};
