/** Puts an edge together: what it is told (a file, the fleet), and the threads that serve. */
import type { ServiceBroker } from "moleculer";
import type { Clock } from "../../lib/clock.ts";
import type { Log } from "../../lib/log/log.ts";
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
  node = new EdgeNode({
    ...{ log, nowMs, timeouts, directory: fleet, wallMs: () => clock.nowMs() },
    config: {
      ...{ host, port: edgePort, tlsPort: config.edgeTlsPort ?? (hasCertificate ? TLS_PORT : null) },
      ...{ cacheBytes: edgeCacheBytes, packagerUrls: edgePackagerUrls, allowPrivateSources, nodeId },
      ...{ isShared: false, isTrusted: edgeConfig !== null },
    },
    ready: () => ({ ready: !closing && isInformed(), checks: { snapshot: isInformed(), open: !closing } }),
    accountOf: () => ({ origin: () => {} }),
  });
  if (told) node.apply(told);
  const stopListening = broker && fleet && listenForHints(broker, (version) => fleet.hinted(version));
  await fleet?.start();
  const stop = async (graceMs = STOP_GRACE_MS): Promise<void> => {
    closing = true;
    await Promise.all([fleet?.stop(), stopListening?.(), file?.stop(), node?.close(graceMs)]);
  };
  const ports = await node.listen().catch(async (error: unknown) => {
    await stop(0);
    throw error;
  });
  return { ...ports, stop };
};
