/** Samples of the same work on several servers in turn, and what of it is told. */
import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { foreignLoad, ratio, type Sample } from "../http-load.fixture.ts";
import { cpuSeconds } from "../live.fixture.ts";
import { median, type Row } from "../report.ts";
import { type CacheServer, cpuSecondsOf, treeOf } from "./server.ts";

/** How often, how long; BENCH_ROUNDS and BENCH_SAMPLE_MS make a run shorter. */
export const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 5);
export const SAMPLE_MS = Number(process.env.BENCH_SAMPLE_MS ?? 3_000);
export const WARM_MS = Math.min(700, SAMPLE_MS);

/** A sample counts when others used less than this; else it is taken again, a few times. */
const FOREIGN_CORES_MAX = 0.12;
const TRIES = 3;
const TICKS_PER_SECOND = 100; // USER_HZ on Linux

/** Of all cores, all but idle and waiting for disks. */
const busySeconds = (): number => {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
};

/** CPU of children of this process that have ended. */
export const endedSeconds = (): number => {
  const stat = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(stat[13]) + Number(stat[14])) / TICKS_PER_SECOND;
};

/** CPU between two moments: the servers' own, and what neither they nor this process used. */
export interface Meter {
  start(): void;
  stop(): void;
  serverSeconds(): number;
  /** Of all cores; `clientSeconds` is what the viewers used. */
  foreignCores(clientSeconds: number): number;
}

/** Their processes are looked up now: what they start later is not counted. */
export const meterOf = (servers: readonly number[]): Meter => {
  const pids = servers.flatMap(treeOf);
  const at = () => ({
    server: cpuSecondsOf(pids),
    own: cpuSeconds(process.pid),
    busy: busySeconds(),
    seconds: performance.now() / 1000,
  });
  let [from, to] = [at(), at()];
  const passed = (key: keyof typeof from): number => to[key] - from[key];
  return {
    start: () => {
      from = at();
    },
    stop: () => {
      to = at();
    },
    serverSeconds: () => passed("server"),
    foreignCores: (clientSeconds) =>
      (passed("busy") - passed("server") - passed("own") - clientSeconds) / passed("seconds"),
  };
};

/** Of a few samples the first that others did not disturb, else the least disturbed. */
const quiet = async (sample: () => Promise<Sample>): Promise<Sample> => {
  let best: Sample | undefined;
  for (let i = 0; i < TRIES && !(best && best.foreignCores <= FOREIGN_CORES_MAX); i += 1) {
    const one = await sample();
    if (!best || one.foreignCores < best.foreignCores) best = one;
  }
  return best!;
};

/** What servers did in turn, by name; or why one did not. */
export interface Compared {
  readonly samples: ReadonlyMap<string, readonly Sample[]>;
  readonly failures: ReadonlyMap<string, string>;
}

export interface Turn {
  /** Before all samples. */
  readonly prepare: (server: CacheServer) => Promise<void>;
  readonly sample: (server: CacheServer) => Promise<Sample>;
  readonly settleMs?: number;
}

/** One sample of each server in turn, round after round; one that fails is left out from there on. */
export const inTurn = async (servers: readonly CacheServer[], turn: Turn): Promise<Compared> => {
  const samples = new Map<string, Sample[]>(servers.map(({ name }) => [name, []]));
  const failures = new Map<string, string>();
  const unlessFailed = async (server: CacheServer, work: () => Promise<void>): Promise<void> => {
    if (failures.has(server.name)) return;
    try {
      await work();
    } catch (error) {
      failures.set(server.name, error instanceof Error ? error.message.split("\n", 1)[0]! : String(error));
      samples.delete(server.name);
    }
  };
  for (const server of servers) await unlessFailed(server, () => turn.prepare(server));
  await pause(turn.settleMs ?? 0);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const server of servers) {
      await unlessFailed(server, async () => {
        const one = await quiet(() => turn.sample(server));
        samples.get(server.name)?.push(one);
      });
    }
  }
  return { samples, failures };
};

/** What all samples of a comparison suffered. */
export const foreignOf = ({ samples }: Compared): string => foreignLoad([...samples.values()].flat());

export const OURS = "edge";

export interface Table {
  readonly what: string;
  /** Peers by name, and the goal against each. */
  readonly goals: Readonly<Record<string, string>>;
  /** What else a peer is called. */
  readonly labels?: Readonly<Record<string, string>>;
  /** What is told of a side, and of the two. */
  readonly shown: (samples: readonly Sample[]) => string;
  readonly beside: (ours: readonly Sample[], theirs: readonly Sample[]) => string;
}

/** One row for each peer; of one that did not start or failed, that it is not shown. */
export const rowsOf = ({ samples, failures }: Compared, table: Table): Row[] => {
  const ours = samples.get(OURS);
  const missing = (name: string): string => ["not shown", failures.get(name)].filter(Boolean).join(": ");
  return Object.entries(table.goals).map(([name, goal]) => {
    const theirs = samples.get(name);
    const label = table.labels?.[name] ?? name;
    const value = ours ? table.shown(ours) : missing(OURS);
    if (!theirs) return { what: table.what, value, against: `${label} ${missing(name)}`, goal };
    const beside = ours ? `: ${table.beside(ours, theirs)}` : "";
    return { what: table.what, value, against: `${label} ${table.shown(theirs)}${beside}`, goal };
  });
};

const BYTES_PER_GB = 1e9;
const of = (samples: readonly Sample[], key: keyof Sample): number => median(samples.map((one) => one[key]));

/** CPU seconds per 10^9 bytes of bodies. */
export const cpuPerGb = (samples: readonly Sample[], objectBytes: number): string => {
  const seconds = (of(samples, "cpuUs") / 1e6 / objectBytes) * BYTES_PER_GB;
  return `${seconds.toFixed(3)} CPU s/GB`;
};

export const perSecond = (samples: readonly Sample[]): string =>
  `${Math.round(of(samples, "perSecond")).toLocaleString("en")}/s`;

export const perCpuSecond = (samples: readonly Sample[]): string =>
  `${Math.round(1e6 / of(samples, "cpuUs")).toLocaleString("en")} per CPU-second`;

/** Requests for the same CPU, ours through theirs. */
export const perCpuRatio = (ours: readonly Sample[], theirs: readonly Sample[]): string =>
  `${ratio(theirs, ours, "cpuUs").toFixed(2)}×`;
