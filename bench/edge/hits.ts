/** Hot hits, plain: small ones by requests per second, large ones by requests per CPU-second. */
import { ratio, type Sample, shown } from "../http-load.fixture.ts";
import type { Row } from "../report.ts";
import { ask } from "./ask.ts";
import {
  type Compared,
  cpuPerGb,
  foreignOf,
  inTurn,
  meterOf,
  perCpuRatio,
  perCpuSecond,
  perSecond,
  rowsOf,
  SAMPLE_MS,
  WARM_MS,
} from "./measure.ts";
import type { CacheServer } from "./server.ts";
import type { Figure, Stage } from "./stage.ts";

/** A set of objects, all of one size. */
export interface ObjectSet {
  readonly sizeBytes: number;
  readonly count: number;
}
const SMALL: ObjectSet = { sizeBytes: 2_000, count: 100 };
const MEDIUM: ObjectSet = { sizeBytes: 205_000, count: 200 };
export const LARGE: ObjectSet = { sizeBytes: 1_500_000, count: 80 };

const CONNECTIONS = 256;
/** Some keep an object in memory only when it was asked for again. */
const WARM_ROUNDS = 3;

export const pathsOf = ({ sizeBytes, count }: ObjectSet): string[] =>
  Array.from({ length: count }, (_, index) => `/o/${sizeBytes}/${index}`);

/** Throws when the server does not answer with all bytes. */
export const warm = async ({ port }: CacheServer, set: ObjectSet): Promise<void> => {
  for (let round = 0; round < WARM_ROUNDS; round += 1) {
    for (const path of pathsOf(set)) {
      const { status, body } = await ask({ port, path });
      if (status !== 200 || body.length !== set.sizeBytes) throw new Error(`${path} was answered with ${status}`);
    }
  }
};

export interface Work {
  readonly set: ObjectSet;
  readonly connections: number;
  /** Between the warm-up and the first sample. */
  readonly settleMs?: number;
}

/** Throws when an answer failed or the origin was asked. */
const plainSample = async (stage: Stage, server: CacheServer, { set, connections }: Work): Promise<Sample> => {
  const before = await stage.origin.counts();
  const meter = meterOf([server.pid]);
  const load = await stage.client.load({
    port: server.port,
    connections,
    warmMs: WARM_MS,
    sampleMs: SAMPLE_MS,
    paths: pathsOf(set),
    onStart: meter.start,
    onEnd: meter.stop,
  });
  const { requests } = await stage.origin.counts();
  if (load.failures > 0) throw new Error(`${load.failures} answers failed`);
  if (requests > before.requests) throw new Error(`it asked the origin ${requests - before.requests} times`);
  return {
    perSecond: load.answers / load.seconds,
    cpuUs: (meter.serverSeconds() / load.answers) * 1e6,
    p99Ms: load.p99Ms,
    foreignCores: meter.foreignCores(load.cpuSeconds),
  };
};

/** Warmed, then by the compiled client, in turn. */
export const compared = (stage: Stage, servers: readonly CacheServer[], work: Work): Promise<Compared> =>
  inTurn(servers, {
    prepare: (server) => warm(server, work.set),
    sample: (server) => plainSample(stage, server, work),
    settleMs: work.settleMs ?? 0,
  });

const smallRows = async (stage: Stage): Promise<Row[]> => {
  const samples = await compared(stage, stage.servers, { set: SMALL, connections: CONNECTIONS });
  return rowsOf(samples, {
    what: `hot hit of 2 KB, ${CONNECTIONS} connections, ${foreignOf(samples)}`,
    goals: { nginx: "≥ 1.2× requests/s", Varnish: "≥ 2× requests/s", ATS: "" },
    shown,
    beside: (ours, theirs) =>
      `${ratio(ours, theirs, "perSecond").toFixed(2)}× requests/s, ${perCpuRatio(ours, theirs)} per CPU`,
  });
};

const bodyRows = async (stage: Stage, set: ObjectSet, label: string): Promise<Row[]> => {
  const samples = await compared(stage, stage.servers, { set, connections: CONNECTIONS });
  return rowsOf(samples, {
    what: `hot hit of ${label}, plain, ${CONNECTIONS} connections, ${foreignOf(samples)}`,
    goals: { Varnish: "≥ 1.0× per CPU-second", ATS: "≥ 1.0× per CPU-second", nginx: "none: sendfile" },
    shown: (of) => `${perSecond(of)}, ${perCpuSecond(of)}, ${cpuPerGb(of, set.sizeBytes)}`,
    beside: (ours, theirs) => `${perCpuRatio(ours, theirs)} per CPU-second`,
  });
};

const GROUP = "hits from memory";

export const HITS: readonly Figure[] = [
  { name: "hit-2k", group: GROUP, rows: smallRows },
  { name: "hit-200k", group: GROUP, rows: (stage) => bodyRows(stage, MEDIUM, "205 KB") },
  { name: "hit-1500k", group: GROUP, rows: (stage) => bodyRows(stage, LARGE, "1.5 MB") },
];
