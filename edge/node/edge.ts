/** Puts an edge together: what it is told (a file, the fleet), and the threads that serve. */
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
import { Accounts } from "../analytics/accounts.ts";
import { Ledger } from "../analytics/ledger.ts";
import { showAccounts } from "../analytics/shown.ts";
import { DiskStore } from "../cache/disk/disk-store.ts";
import { systemFiles } from "../cache/disk/files.ts";
import { ConfigFile } from "../config/config-file.ts";
import type { Sites } from "../config/sites.ts";
import { askSnapshot, listenForHints } from "../fleet/fleet.service.ts";
import { Fleet } from "../fleet/fleet.ts";
import { snapshotPath } from "../fleet/snapshot-file.ts";
import type { UpstreamTimeouts } from "../origin/upstream.ts";
import { EdgeNode } from "./node.ts";

export interface EdgeConfig {
  readonly host: string;
  /** 0 takes a free one. */
  readonly edgePort: number;
  /** Null: 8443 where a site has a certificate, else no TLS. */
  readonly edgeTlsPort: number | null;
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
  /** Null: there is no TLS. */
  readonly tlsPort: number | null;
  /** Answers in flight end, at most for `graceMs`; then their connections are cut. */
  stop(graceMs?: number): Promise<void>;
}

const TLS_PORT = 8_443;
const STOP_GRACE_MS = 5_000;
/** Less is not worth its files. */
const DISK_BYTES_MIN = 64 * 1024 * 1024;

/** Larger ones are not kept on disk; a slab is a 36th of it all. */
const DISK_OBJECT_BYTES_MAX = 64 * 1024 * 1024;

/** What was kept on disk is served again; undefined where no disk is to be used, or it can't be. */
const openDisk = async ({ config, log, nowMs = () => performance.now() }: EdgeDeps): Promise<DiskStore | undefined> => {
  const { edgeDiskBytes: maxBytes, dataDir } = config;
  if (maxBytes < DISK_BYTES_MIN) return undefined;
  const folder = join(dataDir, "edge", "cache");
  const options = { folder, maxBytes, objectBytesMax: DISK_OBJECT_BYTES_MAX, files: systemFiles, log, nowMs };
  return DiskStore.open(options).catch((error: unknown) => {
    log.error({ err: error, folder }, "the cache on disk can't be used; going on without it");
    return undefined;
  });
};

/** Starts listening. Rejects with one clear line when the port is taken or the configuration can't be served. */
export const startEdge = async (deps: EdgeDeps): Promise<Edge> => {
  const { config, broker, log, clock, nowMs = () => performance.now(), timeouts } = deps;
  const { host, edgePort, edgeCacheBytes, edgeConfig, edgePackagerUrls, allowPrivateSources, dataDir, nodeId } = config;
  const fleet = broker && new Fleet({ path: snapshotPath(dataDir), ask: askSnapshot(broker), log, clock, nowMs });
  let closing = false;
  let told: Sites | undefined;
  let node: EdgeNode | undefined;
  const file =
    edgeConfig === null
      ? undefined
      : new ConfigFile({
          path: edgeConfig,
          log,
          apply: (sites) => {
            told = sites;
            node?.apply(sites);
          },
        });
  file?.start();
  const isInformed = (): boolean => file !== undefined || (fleet?.version ?? 0) > 0;
  const hasCertificate = told?.all.some(({ certificate }) => certificate !== null) ?? false;
  const accounts = new Accounts();
  const ledger = await Ledger.open({ dataDir, edge: nodeId, clock, log });
  ledger.start(() => accounts.take());
  showAccounts(() => ledger.totals());
  const disk = await openDisk(deps);
  node = new EdgeNode({
    ...{ log, nowMs, timeouts, accounts, disk, directory: fleet, wallMs: () => clock.nowMs() },
    config: {
      ...{ host, port: edgePort, tlsPort: config.edgeTlsPort ?? (hasCertificate ? TLS_PORT : null) },
      ...{ cacheBytes: edgeCacheBytes, packagerUrls: edgePackagerUrls, allowPrivateSources, nodeId },
      ...{ isShared: false, isTrusted: edgeConfig !== null },
    },
    ready: () => ({ ready: !closing && isInformed(), checks: { snapshot: isInformed(), open: !closing } }),
  });
  if (told) node.apply(told);
  const stopListening = broker && fleet && listenForHints(broker, (version) => fleet.hinted(version));
  await fleet?.start();
  const stop = async (graceMs = STOP_GRACE_MS): Promise<void> => {
    closing = true;
    await Promise.all([fleet?.stop(), stopListening?.(), file?.stop(), node?.close(graceMs)]);
    ledger.merge(accounts.take());
    await Promise.all([ledger.close(), disk?.close()]);
  };
  const ports = await node.listen().catch(async (error: unknown) => {
    await stop(0);
    throw error;
  });
  return { ...ports, stop };
};
