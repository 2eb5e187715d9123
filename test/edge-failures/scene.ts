/** The edge as an operator starts it, in this process, with clocks that a test moves. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServiceBroker } from "moleculer";
import type { EdgeConfig } from "../../contracts/edge-config.ts";
import { Accounts } from "../../edge/analytics/accounts.ts";
import type { DiskStore } from "../../edge/cache/disk/disk-store.ts";
import { compileConfig } from "../../edge/config/compile.ts";
import { type Edge, startEdge } from "../../edge/node/edge.ts";
import { EdgeNode } from "../../edge/node/node.ts";
import { type Log, quietLog } from "../../lib/log/log.ts";
import { edgeConfigWith } from "../support/edge-config.ts";

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
  /** Started. */
  readonly broker?: ServiceBroker;
  /** By how much the wall clock is wrong from the beginning. */
  readonly jumpedMs?: number;
  readonly packagerUrls?: readonly string[];
}
export interface Scene {
  readonly port: number;
  /** Null: no site has a certificate. */
  readonly tlsPort: number | null;
  readonly dataDir: string;
  /** Both clocks go on. */
  pass(ms: number): void;
  /** The wall clock is set. */
  jump(ms: number): void;
  /** Cuts what is under way, unless it is given time. */
  stop(graceMs?: number): Promise<void>;
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

const hasTls = (config: EdgeConfig | null): boolean =>
  config?.customers.some(({ sites }) => sites.some(({ certificate }) => certificate)) ?? false;

/** Without a configuration it is the bus that tells it. */
export const edgeScene = async (t: Cleaner, config: EdgeConfig | null, options: SceneOptions = {}): Promise<Scene> => {
  const { threads = 1, cacheBytes = 64 * MiB, diskBytes = 0, log = quietLog } = options;
  const dataDir = options.dataDir ?? (await folder(t));
  const path = config && join(dataDir, "edge.json");
  if (path) await writeFile(path, JSON.stringify(config));
  let [passedMs, jumpedMs] = [0, options.jumpedMs ?? 0];
  const edge: Edge = await startEdge({
    config: edgeConfigWith({
      ...{ dataDir, edgeConfig: path, edgeTlsPort: hasTls(config) ? 0 : null, edgeThreads: threads },
      ...{ edgeCacheBytes: cacheBytes, edgeDiskBytes: diskBytes, edgePackagerUrls: options.packagerUrls ?? [] },
    }),
    broker: options.broker ?? null,
    log,
    clock: { nowMs: () => Date.now() + passedMs + jumpedMs },
    nowMs: () => performance.now() + passedMs,
    patienceMs: 60_000,
  });
  let isStopped = false;
  const stop = async (graceMs = 0): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    await edge.stop(graceMs);
  };
  t.after(() => stop());
  return {
    ...{ port: edge.port, tlsPort: edge.tlsPort, dataDir, stop },
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

/** One thread's edge over a disk that a test has its hands on. */
export const nodeScene = async (
  t: Cleaner,
  config: EdgeConfig,
  { disk, cacheBytes = 2 * MiB }: { disk: DiskStore; cacheBytes?: number },
): Promise<{ readonly port: number }> => {
  const node = new EdgeNode({
    config: {
      ...{ host: "127.0.0.1", port: 0, tlsPort: null, cacheBytes, packagerUrls: [], nodeId: "test" },
      ...{ allowPrivateSources: [], isShared: false, accessLog: null, patienceMs: 1_000 },
    },
    ...{ directory: null, log: quietLog, disk, accounts: new Accounts() },
    ...{ wallMs: () => Date.now(), nowMs: () => performance.now() },
    ready: () => ({ ready: true, checks: {} }),
  });
  node.apply(compileConfig(config, { readText: () => "" }));
  const { port } = await node.listen();
  t.after(() => node.close(0));
  return { port };
};
