/** Many viewers at once on one object that nobody has asked for; the floor is one viewer at the origin itself. */
import type { Row } from "../report.ts";
import { median } from "../report.ts";
import type { HerdResult } from "./client.ts";
import { OURS, ROUNDS } from "./measure.ts";
import { cpuSecondsOf, treeOf } from "./server.ts";
import { among, type Figure, type Stage } from "./stage.ts";

const VIEWERS = 500;
const DEADLINE_MS = 30_000;

interface Herd extends HerdResult {
  readonly originRequests: number;
  readonly cpuSeconds: number;
}

const of = (herds: readonly Herd[], key: keyof Herd): number => median(herds.map((one) => one[key]));

const told = (herds: readonly Herd[], connections: number): string => {
  const most = Math.max(...herds.map(({ originRequests }) => originRequests));
  const least = Math.min(...herds.map(({ whole }) => whole));
  return [
    `${most} origin request${most === 1 ? "" : "s"} at most`,
    ...(least < connections ? [`only ${least} of ${connections} whole`] : []),
    `TTFB p50 ${of(herds, "firstP50Ms").toFixed(0)} ms, p99 ${of(herds, "firstP99Ms").toFixed(0)} ms`,
    `last byte p99 ${of(herds, "doneP99Ms").toFixed(0)} ms`,
    `${of(herds, "cpuSeconds").toFixed(1)} CPU s`,
  ].join(", ");
};

interface Runner {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  readonly connections: number;
}

const herdOn = async ({ client, origin }: Stage, runner: Runner, path: string): Promise<Herd> => {
  const pids = treeOf(runner.pid);
  const before = cpuSecondsOf(pids);
  const { port, connections } = runner;
  const result = await client.herd({ port, connections, deadlineMs: DEADLINE_MS, path });
  const { requests } = await origin.counts(path);
  return { ...result, originRequests: requests, cpuSeconds: cpuSecondsOf(pids) - before };
};

const times = (ours: number, theirs: number): string => `${(ours / theirs).toFixed(2)}×`;

const rows = async (stage: Stage): Promise<Row[]> => {
  const floor: Runner = { name: "origin", port: stage.origin.port, pid: stage.origin.pid, connections: 1 };
  const caches = among(stage.servers, OURS, "nginx", "Varnish", "ATS");
  const runners = [...caches.map((one) => ({ ...one, connections: VIEWERS })), floor];
  const herds = new Map<string, Herd[]>(runners.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const runner of runners) {
      herds.get(runner.name)?.push(await herdOn(stage, runner, `/slow/herd-${runner.name}-${round}`));
    }
  }
  const own = herds.get(OURS);
  const what = `${VIEWERS} viewers at once of a cold object of 4 MiB, ${ROUNDS} rounds`;
  const row = (name: string, label: string, goal: string, key: keyof Herd): Row => {
    const theirs = herds.get(name);
    const value = own ? told(own, VIEWERS) : "not shown";
    if (!theirs) return { what, value, against: `${label}: not shown`, goal };
    const shown = name === floor.name ? `last byte ${of(theirs, key).toFixed(0)} ms` : told(theirs, VIEWERS);
    const beside = own ? `: ${times(of(own, key), of(theirs, key))}` : "";
    return { what, value, against: `${label} ${shown}${beside}`, goal };
  };
  return [
    row("Varnish", "Varnish", "1 origin request; TTFB p99 ≤ 1.1×", "firstP99Ms"),
    row("nginx", "nginx, proxy_cache_lock,", "TTFB p99 ≤ 0.1×", "firstP99Ms"),
    row("ATS", "ATS", "", "firstP99Ms"),
    row(floor.name, "one viewer at the origin,", "last byte ≤ 1.05×", "doneP99Ms"),
  ];
};

export const HERD: readonly Figure[] = [{ name: "herd", group: "herd", rows }];
