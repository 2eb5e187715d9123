/** A cache that is measured: where it listens, and what its processes use. */
import { readdirSync, readFileSync } from "node:fs";
import { cpuSeconds } from "../live.fixture.ts";

export interface CacheServer {
  readonly name: string;
  readonly port: number;
  /** With TLS; absent where it has none. */
  readonly tlsPort?: number;
  /** The process that the others come from. */
  readonly pid: number;
}

/** Where a server starts, what it fronts and what it may use. */
export interface Place {
  readonly originPort: number;
  readonly certificate: Certificate;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** Key and certificate in one file. */
  readonly bothFile: string;
}

const parentOf = (pid: number): number => {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[1]);
  } catch {
    return 0; // it has ended
  }
};

/** A process and all that come from it. */
export const treeOf = (root: number): number[] => {
  const parents = new Map(
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .map((entry) => [Number(entry), parentOf(Number(entry))]),
  );
  const tree = [root];
  for (const one of tree) for (const [pid, parent] of parents) if (parent === one) tree.push(pid);
  return tree;
};

/** CPU seconds of these processes so far. */
export const cpuSecondsOf = (pids: readonly number[]): number => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);

const KIB = 1024;
/** Proportional set size of a process tree: memory shared by two of its processes counts once. */
export const memoryBytesOf = (root: number): number =>
  treeOf(root).reduce((sum, pid) => {
    try {
      const [, kib = "0"] = /^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8")) ?? [];
      return sum + Number(kib) * KIB;
    } catch {
      return sum; // it has ended
    }
  }, 0);
