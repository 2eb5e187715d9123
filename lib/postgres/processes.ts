/** Questions about other processes, asked of the operating system. */
import { execFileSync } from "node:child_process";
import { readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/** Running, or dead and not yet noticed by its parent (a zombie): the id is not free. */
export function isTaken(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Running; not a zombie. */
export function isAlive(pid: number): boolean {
  if (!isTaken(pid)) return false;
  if (process.platform !== "linux") return true;
  try {
    // proc_pid_stat(5): "pid (comm) state …"; the name may hold spaces and brackets.
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat[stat.lastIndexOf(")") + 2] !== "Z";
  } catch {
    return false;
  }
}

const procFile = (path: string): string | undefined => {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return undefined;
  }
};

/** When the process began, as text that no other process with this id ever has; undefined without such a process. */
export function beganAt(pid: number): string | undefined {
  if (process.platform === "linux") {
    // proc_pid_stat(5): the name is the 2nd field, starttime (ticks since this boot) the 22nd.
    const stat = procFile(`/proc/${pid}/stat`);
    const ticks = stat?.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3];
    return ticks && `${procFile("/proc/sys/kernel/random/boot_id")?.trim()} ${ticks}`;
  }
  try {
    const env = { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" };
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", env }).trim() || undefined;
  } catch {
    return undefined;
  }
}

/** True if `pid` is a postgres that works in `dataDir` (a real path): process ids are used again. */
export function isPostgresOf(pid: number, dataDir: string): boolean {
  if (!isAlive(pid)) return false;
  if (process.platform === "linux") {
    try {
      const name = readFileSync(`/proc/${pid}/comm`, "latin1").trim();
      // A folder that was removed under the server is shown so; the server has to be ended all the same.
      return name === "postgres" && readlinkSync(`/proc/${pid}/cwd`).replace(/ \(deleted\)$/, "") === dataDir;
    } catch {
      return false; // of another user: not one that we started
    }
  }
  try {
    const command = execFileSync("ps", ["-o", "command=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return basename(command.split(" ")[0] ?? "") === "postgres" && command.includes(dataDir);
  } catch {
    return false;
  }
}

/** Waits until the process is gone; false if it still runs after `deadlineMs`. */
export async function waitForExit(pid: number, deadlineMs: number): Promise<boolean> {
  const until = performance.now() + deadlineMs;
  while (isAlive(pid)) {
    if (performance.now() > until) return false;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return true;
}

/** Sends a signal; a process that is gone already is fine. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
