/** What the live benchmarks share: a node that is stopped at the end, and CPU as the kernel counts it. */
import { readdirSync, readFileSync } from "node:fs";

export class Cleanup {
  readonly #cleans: (() => Promise<void>)[] = [];
  after(clean: () => Promise<void>): void {
    this.#cleans.push(clean);
  }
  async run(): Promise<void> {
    for (const clean of this.#cleans.splice(0).reverse()) await clean();
  }
}

const TICKS_PER_SECOND = 100; // USER_HZ on Linux

const statOf = (pid: number): string[] | undefined => {
  try {
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ");
  } catch {
    return undefined; // it has ended
  }
};

/** CPU seconds of a process so far, user and system. */
export const cpuSeconds = (pid: number): number => {
  const stat = statOf(pid);
  return stat ? (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND : 0;
};

/** Process ids of a process's children whose program has this name. */
export const childrenOf = (parent: number, name: string): number[] =>
  readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
    .filter((pid) => Number(statOf(pid)?.[1]) === parent)
    .filter((pid) => readFileSync(`/proc/${pid}/comm`, "utf8").trim() === name);

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** A value of a Prometheus page; the sum over its labels. */
export const metricOf = (page: string, name: string): number =>
  page
    .split("\n")
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
