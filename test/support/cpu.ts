/** Figures of time that don't depend on what else a machine does. */
import { readFileSync } from "node:fs";

/** Milliseconds of processor time that `work` takes: other processes of a busy machine don't count. */
export const cpuMs = (work: () => void): number => {
  const before = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
};

/** Milliseconds for which a process's main thread could have run and others had the processor (Linux; elsewhere 0). */
export const waitedMs = (pid: number): number => {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6;
  } catch {
    return 0;
  }
};
