/** Puts an edge together: what it is told (a file, the fleet), its accounts, and the threads that serve. */
import { randomBytes } from "node:crypto";
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { AdmissionNews } from "../../lib/crypto/admission-news.ts";
import type { Readiness } from "../../lib/http/health.ts";
import type { RawListener } from "../../lib/http/raw-listener.ts";
import { TICKET_KEYS_BYTES } from "../../lib/http/tls-certificates.ts";
import type { Log, LogLevel } from "../../lib/log/log.ts";
import { showThreads } from "../../lib/metrics/metrics.ts";
import { Accounts } from "../analytics/accounts.ts";
import { Ledger } from "../analytics/ledger.ts";
import { accountsReport, showAccounts } from "../analytics/shown.ts";
import { openStores } from "../cache/open.ts";
import type { Purge } from "../cache/purges/purge-table.ts";
import { ConfigFile } from "../config/config-file.ts";
import type { Sites } from "../config/sites.ts";
import { deliverAccounts } from "../fleet/accounts-courier.ts";
import { AdmissionFeed, admissionPath } from "../fleet/admission.ts";
import { ConfigFeed } from "../fleet/config-feed.ts";
import {
  acknowledgeTo,
  askAdmission,
  askConfig,
  askSnapshot,
  listenForConfigs,
  listenForHints,
  listenForRevocations,
} from "../fleet/fleet.service.ts";
import { Fleet } from "../fleet/fleet.ts";
import { listenForPurges } from "../fleet/purges.ts";
import { ConfigStore } from "../fleet/signed-config.ts";
import { snapshotPath } from "../fleet/snapshot-file.ts";
import type { UpstreamTimeouts } from "../origin/upstream.ts";
import { Threads } from "../threads/threads.ts";
import { openAdmin } from "./admin.ts";
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
  /** Base URLs of the gateways that content keys are asked for. */
  readonly edgeGatewayUrls?: readonly string[] | null;
  /** Null: no door for the operator. */
  readonly edgeAdminPort: number | null;
  readonly edgeAdminToken: string | null;
  /** Null: the first key that a configuration comes with over the bus. */
  readonly edgeConfigPublicKey: string | null;
  /** Null: no line per request; `-` is stdout. */
  readonly edgeAccessLog: string | null;
  readonly edgeAccessLogFormat: "json" | "combined";
  /** One request in so many has a line. */
  readonly edgeAccessLogSample: number;
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
  /** The least that a viewer waits for an origin while what has just expired could serve: 2 ms unless told. */
  readonly patienceMs?: number;
}
export interface Edge extends Ports {
  /** Answers in flight end, at most for `graceMs`; then their connections are cut. */
  stop(graceMs?: number): Promise<void>;
}
interface Ports {
  readonly port: number;
  /** Null: there is no TLS. */
  readonly tlsPort: number | null;
  /** Of the operator's door. */
  readonly adminPort?: number;
}

const TLS_PORT = 8_443;
const STOP_GRACE_MS = 5_000;
/** Beside what the origin usually takes. */
const PATIENCE_MS = 2;

/** Whatever serves: one thread of this process, or several. */
interface Serving {
  listen(): Promise<Ports>;
  apply(sites: Sites): void;
  /** `whole`: all that was told until then. */
  admit(news: AdmissionNews, whole: () => AdmissionNews): void;
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
    admit: (news) => node.admit(news),
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
    admit: (news, whole) => threads.admit(news, whole),
    purge: (purge) => threads.purge(purge),
    close: async (graceMs) => {
      clearInterval(telling);
      threads.readiness(ready());
      await threads.close(graceMs);
    },
  };
};

const openLedger = async ({ config, broker, clock, log }: EdgeDeps): Promise<Ledger> => {
  const upstream = broker && { deliver: deliverAccounts(broker, log) };
  const ledger = await Ledger.open({ dataDir: config.dataDir, edge: config.nodeId, clock, log, ...upstream });
  showAccounts(() => ledger.totals());
  return ledger;
};

/** What tells of customers and their sites. */
interface Teller {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Reads it again; false when it can't be served, undefined where it comes by itself. */
  reload(): boolean | undefined;
}

/** The operator's file, or the fleet's revisions over the bus. */
const openTeller = ({ config, broker, log }: EdgeDeps, apply: (sites: Sites) => void): Teller => {
  const { edgeConfig: path, edgeConfigPublicKey: publicKey, dataDir, nodeId } = config;
  if (path !== null) {
    const file = new ConfigFile({ path, log, apply });
    return { start: async () => file.start(), stop: () => file.stop(), reload: () => file.reload() };
  }
  if (!broker) return { start: async () => {}, stop: async () => {}, reload: () => undefined };
  const acknowledge = acknowledgeTo(broker, nodeId);
  const store = new ConfigStore(dataDir);
  const feed = new ConfigFeed({ store, ask: askConfig(broker), acknowledge, apply, publicKey, log });
  const stopListening = listenForConfigs(broker, (revision) => feed.hinted(revision));
  return {
    start: () => feed.start(),
    stop: async () => {
      await Promise.all([feed.stop(), stopListening()]);
    },
    reload: () => undefined,
  };
};

/** What tells who is let in to stored media; nothing does without a bus. */
const openAdmission = ({ config, broker, log, clock }: EdgeDeps, told: Serving["admit"]) => {
  if (!broker) return { start: async () => {}, stop: async () => {} };
  const path = admissionPath(config.dataDir);
  const feed = new AdmissionFeed({
    path,
    ask: askAdmission(broker),
    told,
    log,
    clock,
  });
  const stopListening = listenForRevocations(broker, (entries) => feed.hinted(entries));
  return {
    start: () => feed.start(),
    stop: async () => {
      await Promise.all([feed.stop(), stopListening()]);
    },
  };
};

const nodeConfigOf = ({ config, patienceMs = PATIENCE_MS }: EdgeDeps, sites: Sites | undefined): NodeConfig => {
  const { host, edgePort: port, edgeCacheBytes: cacheBytes, allowPrivateSources, nodeId, edgeAccessLog } = config;
  const hasCertificate = sites?.all.some(({ certificate }) => certificate !== null) ?? false;
  const { edgeAccessLogFormat: format, edgeAccessLogSample: every } = config;
  return {
    ...{ host, port, cacheBytes, allowPrivateSources, nodeId, packagerUrls: config.edgePackagerUrls },
    gatewayUrls: config.edgeGatewayUrls ?? [],
    tlsPort: config.edgeTlsPort ?? (hasCertificate ? TLS_PORT : null),
    isShared: config.edgeThreads > 1,
    patienceMs,
    accessLog: edgeAccessLog === null ? null : { path: edgeAccessLog, format, every },
  };
};

/** Starts listening. Rejects with one clear line when a port is taken or the configuration can't be served. */
export const startEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { config, broker, log, clock } = deps;
  const path = snapshotPath(config.dataDir);
  const fleet = broker && new Fleet({ path, ask: askSnapshot(broker), log, clock, nowMs: nowOf(deps) });
  let [isOpen, isClosing] = [false, false];
  let sites: Sites | undefined;
  let serving: Serving | undefined;
  let admin: RawListener | undefined;
  const teller = openTeller(deps, (next) => {
    sites = next;
    serving?.apply(next);
  });
  await teller.start();
  const isInformed = (): boolean => config.edgeConfig !== null || (fleet?.version ?? 0) > 0;
  const ready = (): Readiness => ({
    ready: !isClosing && isInformed(),
    checks: { snapshot: isInformed(), open: !isClosing },
  });
  const ledger = await openLedger(deps);
  const wanted: Wanted = { deps, node: nodeConfigOf(deps, sites), fleet, ledger, ready };
  const serves = config.edgeThreads > 1 ? manyThreads(wanted) : await oneThread(wanted);
  serving = serves;
  if (sites) serves.apply(sites);
  const stopListening = broker && fleet && listenForHints(broker, (version) => fleet.hinted(version));
  const purge = (one: Purge): Promise<void> => serves.purge(one);
  const stopPurges = broker && listenForPurges(broker, { log, isOpen: () => isOpen, sites: () => sites, purge });
  const admission = openAdmission(deps, (news, whole) => serves.admit(news, whole));
  await Promise.all([fleet?.start(), admission.start()]);
  const reloadOnSignal = (): void => void teller.reload();
  process.on("SIGHUP", reloadOnSignal);
  const stop = async (graceMs = STOP_GRACE_MS): Promise<void> => {
    isClosing = true;
    process.off("SIGHUP", reloadOnSignal);
    const deaf = [fleet?.stop(), stopListening?.(), stopPurges?.(), admission.stop(), teller.stop()];
    await Promise.all([...deaf, serves.close(graceMs), admin?.close(graceMs)]);
    await ledger.close();
  };
  const open = async (): Promise<Ports> => {
    const ports = await serves.listen();
    const { host, edgeAdminPort: port, edgeAdminToken: token } = config;
    if (port === null) return ports;
    const accounts = () => accountsReport(ledger, clock.nowMs());
    const told = { sites: () => sites, reload: () => teller.reload(), purge, accounts };
    admin = await openAdmin({ host, port, token, log, ready, ...told });
    return { ...ports, adminPort: admin.port };
  };
  const ports = await open().catch(async (error: unknown) => {
    await stop(0);
    throw error;
  });
  isOpen = true;
  return { ...ports, stop };
};
