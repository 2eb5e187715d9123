/** The edge as an operator starts it, in this process, with clocks that a test moves. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { type Edge, startEdge } from "../../edge/node/edge.ts";
import { type Log, quietLog } from "../../lib/log/log.ts";

const MiB = 1024 * 1024;

export interface Cleaner {
  after(clean: () => Promise<void>): void;
}
export interface SceneOptions {
  readonly threads?: number;
  readonly cacheBytes?: number;
  readonly diskBytes?: number;
  /** One that is there already, and is not removed. */
  readonly dataDir?: string;
  readonly log?: Log;
}
export interface Scene {
  readonly port: number;
  readonly dataDir: string;
  /** Both clocks go on. */
  pass(ms: number): void;
  /** The wall clock is set. */
  jump(ms: number): void;
  stop(): Promise<void>;
}

/** One customer's, behind one origin; every hostname unless told. */
export const oneSite = (url: string, rule: object = {}, hostname = "*"): EdgeConfig => ({
  customers: [
    {
      id: "acme",
      sites: [{ hostnames: [hostname], origins: [{ id: "a", url }], rules: [{ cache: "honour", ...rule }] }],
    },
  ],
});

export const folder = async (t: Cleaner): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), "edge-failures-"));
  t.after(() => rm(made, { recursive: true, force: true, maxRetries: 5 }));
  return made;
};

export const edgeScene = async (t: Cleaner, config: EdgeConfig, options: SceneOptions = {}): Promise<Scene> => {
  const { threads = 1, cacheBytes = 64 * MiB, diskBytes = 0, log = quietLog } = options;
  const dataDir = options.dataDir ?? (await folder(t));
  const path = join(dataDir, "edge.json");
  await writeFile(path, JSON.stringify(config));
  let [passedMs, jumpedMs] = [0, 0];
  const edge: Edge = await startEdge({
    config: {
      ...{ host: "127.0.0.1", edgePort: 0, edgeTlsPort: null, edgeThreads: threads, edgeCacheBytes: cacheBytes },
      ...{ edgeDiskBytes: diskBytes, edgeConfig: path, edgePackagerUrls: [], allowPrivateSources: ["127.0.0.0/8"] },
      ...{ dataDir, nodeId: "test", logLevel: "silent", logFormat: "json" },
      ...{ edgeAdminPort: null, edgeAdminToken: null, edgeConfigPublicKey: null },
      ...{ edgeAccessLog: null, edgeAccessLogFormat: "json", edgeAccessLogSample: 1 },
    },
    broker: null,
    log,
    clock: { nowMs: () => Date.now() + passedMs + jumpedMs },
    nowMs: () => performance.now() + passedMs,
    patienceMs: 60_000,
  });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await edge.stop(0);
  };
  t.after(stop);
  return {
    ...{ port: edge.port, dataDir, stop },
    pass: (ms) => {
      passedMs += ms;
    },
    jump: (ms) => {
      jumpedMs += ms;
    },
  };
};

/** Bytes that no other name or version has. */
export const bytesOf = (name: string, sizeBytes: number): Buffer => {
  const bytes = Buffer.allocUnsafe(sizeBytes);
  const line = `${name}|`;
  for (let at = 0; at < sizeBytes; at += 16) {
    bytes.write(`${line}${at}`.padEnd(16, "."), at, Math.min(16 + line.length, sizeBytes - at), "latin1");
  }
  return bytes;
};
