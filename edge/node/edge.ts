/** Puts an edge together and opens its listener. */
import { hostname } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { RawExchange } from "../../lib/http/exchange.ts";
import { openRawListener } from "../../lib/http/raw-listener.ts";
import type { Log } from "../../lib/log/log.ts";
import { ByteBudget } from "../cache/body.ts";
import { Floors, LiveWindows } from "../cache/progress.ts";
import { Cache } from "../cache/stored.ts";
import { ConfigFile } from "../config/config-file.ts";
import { askSnapshot, listenForHints } from "../fleet/fleet.service.ts";
import { Fleet } from "../fleet/fleet.ts";
import { snapshotPath } from "../fleet/snapshot-file.ts";
import { type FillDeps, Fills } from "../origin/fills.ts";
import { Health } from "../origin/health.ts";
import { Prober } from "../origin/prober.ts";
import { Upstream, type UpstreamTimeouts } from "../origin/upstream.ts";
import { SiteFills } from "../site/fills.ts";
import { Finder } from "../site/finder.ts";
import type { SiteRuntime } from "../site/runtime.ts";
import { SiteServer } from "../site/server.ts";
import { ServedSites } from "../site/sites.ts";
import { SiteObjects } from "../site/store.ts";
import { LiveServer } from "./live-server.ts";
import { contextsOf, EdgeMetrics, resultOf } from "./metrics.ts";

export interface EdgeConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly edgePort: number;
  readonly edgeCacheBytes: number;
  /** File of customers and sites; null: what comes over the bus. */
  readonly edgeConfig: string | null;
  /** Base URLs of the packagers behind the platform's own paths. */
  readonly edgePackagerUrls: readonly string[];
  /** Private networks where castis nodes that a tenant named may be. */
  readonly allowPrivateSources: readonly string[];
  readonly dataDir: string;
  readonly nodeId: string;
}
export interface EdgeDeps {
  readonly config: EdgeConfig;
  /** Started; null for an edge that a file tells of its sites. */
  readonly broker: ServiceBroker | null;
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
/** Larger ones are passed on, not kept. */
const OBJECT_BYTES_MAX = 64 * MiB;
const STOP_GRACE_MS = 5_000;

/** The parts that requests need, wired. */
const wire = ({ config, broker, log, clock, nowMs = () => performance.now(), timeouts }: EdgeDeps) => {
  const { edgeCacheBytes, allowPrivateSources, dataDir, nodeId, edgePackagerUrls } = config;
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
    wallMs: () => clock.nowMs(),
    log,
    via: `1.1 ${name}`,
    name,
  };
  const deps: FillDeps = { ...state, budget, pause: (ms) => pause(ms) };
  const fills = new Fills(deps);
  const fleet = broker && new Fleet({ path: snapshotPath(dataDir), ask: askSnapshot(broker), log, clock, nowMs });
  const live =
    fleet && new LiveServer({ ...state, directory: fleet, fills, prober: new Prober(state), contexts: contextsOf() });
  const objects = new SiteObjects(state);
  const siteFills = new SiteFills({ ...state, budget, store: objects, objectBytesMax: OBJECT_BYTES_MAX });
  const finder = new Finder({ ...state, objects, fills: siteFills });
  const siteServer = new SiteServer({
    ...state,
    find: (request, plan) => finder.find(request, plan),
    invalidate: (key) => objects.invalidate(key),
  });
  const sites = new ServedSites({
    ...{ log, nowMs, allowPrivateSources },
    packagers: () => edgePackagerUrls,
    accountOf: () => ({ origin: () => {} }),
    trusted: true,
  });
  metrics.watch({
    cacheBytes: () => state.cache.sizeBytes,
    cacheObjects: () => state.cache.objectCount,
    fillCount: () => fills.count + siteFills.count,
    snapshotVersion: () => fleet?.version ?? 0,
  });
  return { fleet, live, upstream, metrics, sites, siteServer };
};

type Parts = ReturnType<typeof wire>;

const isPlatformPath = (path: string): boolean => path.startsWith("/live/");

/** Phase "route": whose request it is. A host that is no customer's site is the platform's own. */
const handlerOf = ({ live, sites, siteServer }: Parts) => {
  const served = (exchange: RawExchange, runtime: SiteRuntime): Promise<void> | undefined => {
    const isLive = live !== null && isPlatformPath(exchange.path) && hasLive(runtime);
    return isLive ? live.serve(exchange) : siteServer.serve(exchange, runtime);
  };
  return (exchange: RawExchange): Promise<void> | undefined => {
    const runtime = sites.find(exchange.host);
    if (runtime) return served(exchange, runtime);
    if (live) return live.serve(exchange);
    exchange.problem({ code: "SITE_UNKNOWN", data: { host: exchange.host } });
    return undefined;
  };
};

const hasLive = ({ site }: SiteRuntime): boolean =>
  site.origins.some((origin) => origin.kind === "plexbd" && origin.plexbd === "live");

/** The file of customers, read and watched; undefined where there is none. */
const openConfig = ({ config, log }: EdgeDeps, { sites, siteServer }: Parts): ConfigFile | undefined => {
  if (config.edgeConfig === null) return undefined;
  const file = new ConfigFile({
    path: config.edgeConfig,
    log,
    apply: (next) => {
      sites.apply(next);
      siteServer.reconfigured();
    },
  });
  file.start();
  return file;
};

/** Starts listening. Rejects with one clear line when the port is taken or the configuration can't be served. */
export const startEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { config, broker, log } = deps;
  const parts = wire(deps);
  const { fleet, upstream, metrics, sites } = parts;
  const file = openConfig(deps, parts);
  const stopListening = broker && fleet && listenForHints(broker, (version) => fleet.hinted(version));
  await fleet?.start();
  let closing = false;
  const isInformed = (): boolean => file !== undefined || (fleet?.version ?? 0) > 0;
  const stopParts = () => Promise.all([fleet?.stop(), stopListening?.(), file?.stop()]);
  const listener = await openRawListener({
    name: "edge",
    host: config.host,
    port: config.edgePort,
    portVariable: "EDGE_PORT",
    log,
    ready: () => ({ ready: !closing && isInformed(), checks: { snapshot: isInformed(), open: !closing } }),
    hasHealth: ({ host }) => sites.find(host) === undefined,
    handle: handlerOf(parts),
    noted: ({ context, wireBytes }) => metrics.answered(resultOf(context), wireBytes),
  }).catch(async (error: unknown) => {
    await stopParts();
    throw error;
  });
  return {
    port: listener.port,
    stop: async (graceMs = STOP_GRACE_MS) => {
      closing = true;
      await Promise.all([stopParts(), listener.close(graceMs)]);
      upstream.close();
      await sites.close();
    },
  };
};
