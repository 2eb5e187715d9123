/** What an edge in a test's process is told, unless the test says otherwise: free ports, no disk, one quiet thread. */
import type { EdgeConfig } from "../../edge/node/edge.ts";

const MiB = 1024 * 1024;

export const edgeConfigWith = (more: Pick<EdgeConfig, "dataDir"> & Partial<EdgeConfig>): EdgeConfig => ({
  host: "127.0.0.1",
  edgePort: 0,
  edgeTlsPort: null,
  edgeThreads: 1,
  edgeCacheBytes: 64 * MiB,
  edgeDiskBytes: 0,
  edgeConfig: null,
  edgePackagerUrls: [],
  edgeAdminPort: null,
  edgeAdminToken: null,
  edgeConfigPublicKey: null,
  edgeAccessLog: null,
  edgeAccessLogFormat: "json",
  edgeAccessLogSample: 1,
  allowPrivateSources: ["127.0.0.0/8"],
  nodeId: "test",
  logLevel: "silent",
  logFormat: "json",
  ...more,
});
