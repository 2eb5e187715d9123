/** Servers on one core and wrk on another, measured in turn so that a busy moment meets them all. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { findProgram } from "../test/support/server-process.ts";
import { type Cleanup, cpuSeconds } from "./live.fixture.ts";
import { wrk } from "./load.fixture.ts";
import { median } from "./report.ts";

const SERVER_CPU = "0";

/** Puts a command on one core where the machine has two and `taskset`. */
const pinned = (cpu: string, command: readonly string[]): string[] =>
  findProgram("taskset") && cpus().length > 1 ? ["taskset", "-c", cpu, ...command] : [...command];

export interface Pinned {
  readonly pid: number;
  readonly port: number;
}

/** Runs a module of ours that prints its port, on the servers' core. */
export const startModule = async (cleanup: Cleanup, file: string, args: readonly string[]): Promise<Pinned> => {
  const [program = "", ...rest] = pinned(SERVER_CPU, [process.execPath, file, ...args]);
  const child = spawn(program, rest, { stdio: ["ignore", "pipe", "inherit"] });
  cleanup.after(async () => void child.kill());
  const [text] = await once(child.stdout, "data");
  return { pid: child.pid ?? 0, port: Number(String(text).trim()) };
};

/** The command of another server, for that core. */
export const onServerCore = (program: string, args: readonly string[]): { program: string; args: string[] } => {
  const [first = "", ...rest] = pinned(SERVER_CPU, [findProgram(program) ?? program, ...args]);
  return { program: first, args: rest };
};

/** What one server did in one round. */
export interface Sample {
  readonly perSecond: number;
  /** Of the server, user and system. */
  readonly cpuUs: number;
  readonly p99Ms: number;
  /** Cores that others used meanwhile. */
  readonly foreignCores: number;
}

const TICKS_PER_SECOND = 100; // USER_HZ on Linux
/** Of all cores, all but idle and waiting for disks. */
const busySeconds = (): number => {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)[0]!
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) / TICKS_PER_SECOND;
};
/** Of children of ours that have ended: wrk. */
const endedSeconds = (): number => {
  const stat = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(stat[13]) + Number(stat[14])) / TICKS_PER_SECOND;
};

export interface Target {
  readonly server: Pinned;
  readonly path: string;
}
export interface Comparison {
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
}

const sample = async ({ server, path }: Target, { connections, seconds }: Comparison): Promise<Sample> => {
  const url = `http://127.0.0.1:${server.port}`;
  const before = { server: cpuSeconds(server.pid), machine: busySeconds(), ended: endedSeconds() };
  const { perSecond, p99Ms, cpuMs } = await wrk(server.pid, { url, paths: [path], connections, seconds });
  const ours = cpuSeconds(server.pid) - before.server + (endedSeconds() - before.ended);
  const foreign = busySeconds() - before.machine - ours;
  return { perSecond, cpuUs: cpuMs * 1000, p99Ms, foreignCores: foreign / seconds };
};

/** A sample counts when others used less than this; else it is taken again, a few times. */
const FOREIGN_CORES_MAX = 0.15;
const TRIES = 3;

const quietSample = async (target: Target, comparison: Comparison): Promise<Sample> => {
  let best: Sample | undefined;
  for (let i = 0; i < TRIES && !(best && best.foreignCores <= FOREIGN_CORES_MAX); i += 1) {
    const one = await sample(target, comparison);
    if (!best || one.foreignCores < best.foreignCores) best = one;
  }
  return best!;
};

/** All targets in turn, round after round; one round before them is thrown away. */
export const compare = async <K extends string>(
  targets: Readonly<Record<K, Target>>,
  comparison: Comparison,
): Promise<Record<K, Sample[]>> => {
  const names = Object.keys(targets) as K[]; // a record's own keys
  const samples = Object.fromEntries(names.map((name) => [name, [] as Sample[]])) as Record<K, Sample[]>;
  for (const name of names) await sample(targets[name], comparison);
  for (let round = 0; round < comparison.rounds; round += 1) {
    for (const name of names) samples[name].push(await quietSample(targets[name], comparison));
  }
  return samples;
};

const medianOf = (samples: readonly Sample[], key: keyof Sample): number => median(samples.map((one) => one[key]));

/** Median of what round by round was `ours` through `theirs`. */
export const ratio = (ours: readonly Sample[], theirs: readonly Sample[], key: keyof Sample): number =>
  median(ours.map((one, i) => one[key] / (theirs[i]?.[key] ?? Number.NaN)));

/** `61,234/s, 9.1 µs of CPU, p99 2.1 ms`. */
export const shown = (samples: readonly Sample[]): string => {
  const perSecond = Math.round(medianOf(samples, "perSecond")).toLocaleString("en");
  const cpu = medianOf(samples, "cpuUs");
  return `${perSecond}/s, ${cpu.toFixed(cpu < 100 ? 1 : 0)} µs of CPU, p99 ${medianOf(samples, "p99Ms").toFixed(1)} ms`;
};

/** What the samples suffered. */
export const foreignLoad = (samples: readonly Sample[]): string =>
  `${medianOf(samples, "foreignCores").toFixed(2)} cores used by others`;

/** How the kernel paces: with BBR a third of a loopback's CPU is timers. */
export const congestionControl = (): string => {
  try {
    return readFileSync("/proc/sys/net/ipv4/tcp_congestion_control", "utf8").trim();
  } catch {
    return "unknown";
  }
};
