/**
 * Notes of running children, for machines where the kernel can't be told to kill them with us: a file per child, named
 * by its pid, with its command line. At the next start whatever still runs under such a pid with that very command line
 * is killed.
 */
import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";

const PS_DEADLINE_MS = 3_000;

/** The command line of a process as one text; null when there is no such process. */
const commandLineOf = (pid: number): Promise<string | null> => {
  if (process.platform === "linux") {
    try {
      return Promise.resolve(readFileSync(`/proc/${pid}/cmdline`, "utf8").replace(/\0$/, "").replaceAll("\0", " "));
    } catch {
      return Promise.resolve(null);
    }
  }
  return new Promise((resolve) => {
    const args = ["-ww", "-o", "command=", "-p", String(pid)];
    execFile("ps", args, { timeout: PS_DEADLINE_MS }, (error, text) => resolve(error ? null : text.trim()));
  });
};

export class PidFiles {
  readonly #dir: string;
  constructor(dir: string) {
    this.#dir = dir;
  }
  add(pid: number, command: readonly string[]): void {
    try {
      mkdirSync(this.#dir, { recursive: true });
      writeFileSync(path.join(this.#dir, String(pid)), command.join(" "));
    } catch {
      // A full disk must not keep a stream from starting; at worst this child is not reaped after a kill -9.
    }
  }
  remove(pid: number): void {
    rmSync(path.join(this.#dir, String(pid)), { force: true });
  }
  /** Kills what an older run of this process left behind; answers the pids. */
  async reap(): Promise<number[]> {
    let names: string[];
    try {
      names = readdirSync(this.#dir);
    } catch {
      return [];
    }
    const reaped: number[] = [];
    for (const name of names.filter((text) => /^[1-9]\d{0,9}$/.test(text))) {
      const noted = readFileSync(path.join(this.#dir, name), "utf8");
      if (noted !== "" && (await commandLineOf(Number(name))) === noted && killed(Number(name))) {
        reaped.push(Number(name));
      }
      this.remove(Number(name));
    }
    return reaped;
  }
}

const killed = (pid: number): boolean => {
  try {
    return process.kill(pid, "SIGKILL");
  } catch {
    return false; // gone in the meantime
  }
};
