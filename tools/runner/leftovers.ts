/** Finds processes that a test run left behind. Linux only: it reads /proc. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One process; its start time tells it from a later one with the same id. */
export interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly session: number;
  readonly startTicks: number;
  readonly name: string;
}

/** One line of /proc/<pid>/stat; the name in brackets may itself hold brackets and spaces (proc(5)). */
export const parseStat = (stat: string): Process | undefined => {
  const match = /^(\d+) \((.*)\) (.+)$/s.exec(stat.trim());
  const fields = match?.[3]?.split(" ") ?? [];
  const [state, parent, , session] = fields;
  if (!match || state === undefined || state === "Z" || state === "X") return undefined;
  return {
    pid: Number(match[1]),
    parent: Number(parent),
    session: Number(session),
    startTicks: Number(fields[19]),
    name: match[2] ?? "",
  };
};

const listProcesses = (): Process[] =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
      } catch {
        return []; // ended while we looked
      }
    });

/** What a process was started as and where, for people. */
const commandOf = ({ pid, name }: Process): string => {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").join(" ").trim();
    return `${pid} ${words.slice(0, 120) || name} (in ${readlinkSync(`/proc/${pid}/cwd`)})`;
  } catch {
    return `${pid} ${name}`;
  }
};

/** Those of `all` that are in a session, or below one of the `known` processes. */
export const descendants = (all: readonly Process[], root: number, known: ReadonlySet<number>): Process[] => {
  const inside = new Set([root, ...known]);
  for (let grew = true; grew; ) {
    const before = inside.size;
    for (const one of all) if (inside.has(one.parent) || one.session === root) inside.add(one.pid);
    grew = inside.size > before;
  }
  return all.filter(({ pid }) => pid !== root && inside.has(pid));
};

const LOOK_MS = 500; // a process that leaves the session and loses its parent sooner than this goes unseen
const LOOK_AGAIN_MS = 50;
const KILLED_MS = 2_000; // the kernel needs a moment to take a killed process down
const GRACE_MS = 5_000; // a killed parent's children need a moment to notice

/** Watches the processes of a session that was started as `root`. */
export class Leftovers {
  readonly #root: number;
  readonly #seen = new Map<number, Process>();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(root: number) {
    this.#root = root;
    if (existsSync("/proc/self/stat")) this.#timer = setInterval(() => this.#look(), LOOK_MS);
  }

  #look(): Process[] {
    const all = listProcesses();
    const same = (one: Process): boolean => this.#seen.get(one.pid)?.startTicks === one.startTicks;
    const known = new Set(all.filter(same).map(({ pid }) => pid));
    const found = descendants(all, this.#root, known);
    for (const one of found) this.#seen.set(one.pid, one);
    return found;
  }

  /** After the end of the session: what still runs after a moment of grace. They are killed, and named. */
  async end(graceMs = GRACE_MS): Promise<string[]> {
    clearInterval(this.#timer);
    if (!this.#timer) return [];
    const left = await this.#lookFor(graceMs);
    const names = left.map(commandOf);
    for (const { pid } of left) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself in this moment.
      }
    }
    await this.#lookFor(KILLED_MS);
    return names;
  }

  /** Looks until nothing is left, but no longer than this; what is left then. */
  async #lookFor(graceMs: number): Promise<Process[]> {
    const deadline = performance.now() + graceMs;
    let left = this.#look();
    while (left.length > 0 && performance.now() < deadline) {
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
      left = this.#look();
    }
    return left;
  }
}
