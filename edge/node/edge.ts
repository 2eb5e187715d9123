/** Puts an edge together: what it is told (a file, the fleet), its accounts, and the threads that serve. */
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { Readiness } from "../../lib/http/health.ts";
import { TICKET_KEYS_BYTES } from "../../lib/http/tls-certificates.ts";
import type { Log, LogLevel } from "../../lib/log/log.ts";
import { showThreads } from "../../lib/metrics/metrics.ts";
import { Accounts } from "../analytics/accounts.ts";
import { Ledger } from "../analytics/ledger.ts";
import { showAccounts } from "../analytics/shown.ts";
import { openStores } from "../cache/open.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import { ConfigFile } from "../config/config-file.ts";
import type { Sites } from "../config/sites.ts";
import { askSnapshot, listenForHints } from "../fleet/fleet.service.ts";
import { Fleet } from "../fleet/fleet.ts";
import { snapshotPath } from "../fleet/snapshot-file.ts";
import type { UpstreamTimeouts } from "../origin/upstream.ts";
import { Threads } from "../threads/threads.ts";
import { EdgeNode, type NodeConfig } from "./node.ts";

export interface EdgeConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly edgePort: number;
  /** Null: 8443 where a site has a certificate, else no TLS. */
  readonly edgeTlsPort: number | null;
  readonly edgeThreads: number;
  readonly edgeCacheBytes: number;
  /** 0: none. */
  readonly edgeDiskBytes: number;
  /** File of customers and sites; null: what comes over the bus. */
  readonly edgeConfig: string | null;
  /** Base URLs of the packagers behind the platform's own paths. */
  readonly edgePackagerUrls: readonly string[];
  /** Private networks where castis nodes that a tenant named may be. */
  readonly allowPrivateSources: readonly string[];
  readonly dataDir: string;
  readonly nodeId: string;
  readonly logLevel: LogLevel;
  readonly logFormat: "json" | "pretty";
}
export interface EdgeDeps {
  readonly config: EdgeConfig;
  /** Started; null for an edge that a file tells of its sites. */
  readonly broker: ServiceBroker | null;
  readonly log: Log;
  readonly clock: Clock;
  /** Monotonic ms of an edge with one thread; freshness never depends on the wall clock. */
  readonly nowMs?: () => number;
  readonly timeouts?: UpstreamTimeouts;
}
export interface Edge extends Ports {
  /** Answers in flight end, at most for `graceMs`; then their connections are cut. */
  stop(graceMs?: number): Promise<void>;
}
interface Ports {
  readonly port: number;
  /** Null: there is no TLS. */
  readonly tlsPort: number | null;
}

const TLS_PORT = 8_443;
const STOP_GRACE_MS = 5_000;

/** Whatever serves: one thread of this process, or several. */
interface Serving {
  listen(): Promise<Ports>;
  apply(sites: Sites): void;
  purge(purge: Purge): Promise<void>;
  close(graceMs: number): Promise<void>;
}

interface Wanted {
  readonly deps: EdgeDeps;
  readonly node: NodeConfig;
  readonly fleet: Fleet | null;
  readonly ledger: Ledger;
  readonly ready: () => Readiness;
}

const nowOf = ({ nowMs = () => performance.now() }: EdgeDeps): (() => number) => nowMs;

/** Caches of another number of threads: their keys would be owned by others now. */
const dropOtherCaches = (folder: string, kept: readonly string[]): void => {
  const names = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  for (const { name } of names) {
    if (/^cache(?:-\d+-\d+)?$/.test(name) && !kept.includes(name)) rmSync(join(folder, name), { recursive: true });
  }
};

const oneThread = async ({ deps, node: config, fleet, ledger, ready }: Wanted): Promise<Serving> => {
  const { log, clock, timeouts } = deps;
  const { dataDir, edgeDiskBytes } = deps.config;
  const nowMs = nowOf(deps);
  const accounts = new Accounts();
  dropOtherCaches(join(dataDir, "edge"), ["cache"]);
  const folder = join(dataDir, "edge", "cache");
  const stores = await openStores({ folder, maxBytes: edgeDiskBytes, log, nowMs, clock });
  const node = new EdgeNode({
    ...{ config, directory: fleet, log, nowMs, timeouts, ready, accounts, ...stores },
    wallMs: () => clock.nowMs(),
  });
  ledger.start(() => accounts.take());
  return {
    listen: () => node.listen(),
    apply: (sites) => node.apply(sites),
    purge: (purge) => node.purge(purge),
    close: async (graceMs) => {
      await node.close(graceMs);
      ledger.merge(accounts.take());
      await Promise.all([stores.disk?.close(), stores.purges.close()]);
    },
  };
};

const READINESS_MS = 500;

const manyThreads = ({ deps, node, fleet, ledger, ready }: Wanted): Serving => {
  const { log } = deps;
  const { edgeThreads: count, dataDir, edgeDiskBytes, logLevel: level, logFormat: format, nodeId } = deps.config;
  const folderOf = (index: number): string => `cache-${count}-${index}`;
  dropOtherCaches(
    join(dataDir, "edge"),
    Array.from({ length: count }, (_, index) => folderOf(index)),
  );
  const ticketKeys = new Uint8Array(randomBytes(TICKET_KEYS_BYTES));
  const threads = new Threads({
    ...{ count, log, port: node.port, tlsPort: node.tlsPort },
    startOf: (index) => ({
      config: { ...node, cacheBytes: Math.floor(node.cacheBytes / count) },
      stores: { folder: join(dataDir, "edge", folderOf(index)), maxBytes: Math.floor(edgeDiskBytes / count) },
      hasDirectory: fleet !== null,
      ...{ ticketKeys, log: { level, format, nodeId } },
    }),
    counted: (deltas) => ledger.merge(deltas),
    missed: () => fleet?.missed() ?? Promise.resolve(),
  });
  fleet?.onTaken((snapshot) => threads.take(snapshot));
  showThreads(() => threads.metrics());
  ledger.start(() => []);
  const telling = setInterval(() => threads.readiness(ready()), READINESS_MS).unref();
  return {
    listen: async () => {
      const ports = await threads.start();
      threads.readiness(ready());
      return ports;
    },
    apply: (sites) => threads.apply(sites),
    purge: (purge) => threads.purge(purge),
    close: async (graceMs) => {
      clearInterval(telling);
      threads.readiness(ready());
      await threads.close(graceMs);
    },
  };
};

const openLedger = async ({ config, clock, log }: EdgeDeps): Promise<Ledger> => {
  const ledger = await Ledger.open({ dataDir: config.dataDir, edge: config.nodeId, clock, log });
  showAccounts(() => ledger.totals());
  return ledger;
};

/** The operator's file of sites, applied and watched; undefined where there is none. */
const openFile = ({ config, log }: EdgeDeps, apply: (sites: Sites) => void): ConfigFile | undefined => {
  if (config.edgeConfig === null) return undefined;
  const file = new ConfigFile({ path: config.edgeConfig, log, apply });
  file.start();
  return file;
};

const nodeConfigOf = ({ config }: EdgeDeps, sites: Sites | undefined): NodeConfig => {
  const { host, edgePort: port, edgeCacheBytes: cacheBytes, allowPrivateSources, nodeId } = config;
  const hasCertificate = sites?.all.some(({ certificate }) => certificate !== null) ?? false;
  return {
    ...{ host, port, cacheBytes, allowPrivateSources, nodeId, packagerUrls: config.edgePackagerUrls },
    tlsPort: config.edgeTlsPort ?? (hasCertificate ? TLS_PORT : null),
    isShared: config.edgeThreads > 1,
    isTrusted: config.edgeConfig !== null,
  };
};

/** Starts listening. Rejects with one clear line when a port is taken or the configuration can't be served. */
export const startEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { config, broker, log, clock } = deps;
  const path = snapshotPath(config.dataDir);
  const fleet = broker && new Fleet({ path, ask: askSnapshot(broker), log, clock, nowMs: nowOf(deps) });
  let isClosing = false;
  let sites: Sites | undefined;
  let serving: Serving | undefined;
  const file = openFile(deps, (next) => {
    sites = next;
    serving?.apply(next);
  });
  const isInformed = (): boolean => file !== undefined || (fleet?.version ?? 0) > 0;
  const ready = (): Readiness => ({
    ready: !isClosing && isInformed(),
    checks: { snapshot: isInformed(), open: !isClosing },
  });
  const ledger = await openLedger(deps);
  const wanted: Wanted = { deps, node: nodeConfigOf(deps, sites), fleet, ledger, ready };
  serving = config.edgeThreads > 1 ? manyThreads(wanted) : await oneThread(wanted);
  if (sites) serving.apply(sites);
  const stopListening = broker && fleet && listenForHints(broker, (version) => fleet.hinted(version));
  await fleet?.start();
  const stop = async (graceMs = STOP_GRACE_MS): Promise<void> => {
    isClosing = true;
    await Promise.all([fleet?.stop(), stopListening?.(), file?.stop(), serving?.close(graceMs)]);
    await ledger.close();
  };
  const ports = await serving.listen().catch(async (error: unknown) => {
    await stop(0);
    throw error;
  });
  return { ...ports, stop };
};
