/** Load by wrk on CPU 1: requests per second, latencies, and what the server spends meanwhile. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { cpuSeconds } from "./live.fixture.ts";

export interface WrkLoad {
  readonly url: string;
  /** Paths that are asked for in turn. */
  readonly paths: readonly string[];
  readonly connections: number;
  readonly seconds: number;
}

export interface WrkResult {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** CPU of the server per request. */
  readonly cpuMs: number;
  /** Page faults of the server per request. */
  readonly faults: number;
}

const faultsOf = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[7] ?? 0);

/** Reports numbers on one line; wrk's own page is for people. */
const SCRIPT = (paths: readonly string[]): string => `
local paths = { ${paths.map((one) => JSON.stringify(one)).join(", ")} }
local at = 0
local other = 0
request = function()
  at = at % #paths + 1
  return wrk.format("GET", paths[at])
end
done = function(summary, latency)
  local errors = summary.errors.status + summary.errors.connect + summary.errors.read + summary.errors.timeout
  io.write(string.format("RESULT %d %d %d %d %d\\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors))
end
`;

/** One sample. Throws when an answer was not 2xx or a connection failed. */
export const wrk = async (pid: number, load: WrkLoad): Promise<WrkResult> => {
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-wrk-"));
  try {
    const script = path.join(folder, "load.lua");
    await writeFile(script, SCRIPT(load.paths));
    const before = { cpu: cpuSeconds(pid), faults: faultsOf(pid) };
    const args = [
      "-c",
      "1",
      "wrk",
      "-t1",
      `-c${load.connections}`,
      `-d${load.seconds}s`,
      "--timeout",
      "10s",
      "-s",
      script,
      load.url,
    ];
    const { stdout } = await promisify(execFile)("taskset", args, { timeout: (load.seconds + 30) * 1000 });
    const [requests = 0, us = 1, p50 = 0, p99 = 0, errors = 0] =
      /RESULT (.+)/.exec(stdout)?.[1]?.split(" ").map(Number) ?? [];
    if (errors > 0 || requests === 0) throw new Error(`wrk had ${errors} errors at ${load.url}${load.paths[0]}`);
    return {
      perSecond: requests / (us / 1e6),
      p50Ms: p50 / 1000,
      p99Ms: p99 / 1000,
      cpuMs: ((cpuSeconds(pid) - before.cpu) / requests) * 1000,
      faults: (faultsOf(pid) - before.faults) / requests,
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
};
