/**
 * Real servers as child processes: found on the PATH, started on free ports in folders of their own, stopped by pid.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, mkdtempSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { keptPort } from "./ports.ts";

const START_TRIES = 3; // another process may take a free port first
const START_MS = 20_000;
const LOOK_AGAIN_MS = 20;
const STOP_MS = 5_000;

/** Debian keeps servers where a plain user's PATH does not look. */
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/lib/openssh", "/usr/local/sbin"];

/** Where a program is; undefined when it is nowhere. */
export const findProgram = (name: string): string | undefined =>
  FOLDERS.map((folder) => join(folder, name)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });

/** What a test file is skipped for; false when every program is there. */
export const missingPrograms = (...names: readonly string[]): string | false => {
  const missing = names.filter((name) => findProgram(name) === undefined);
  return missing.length === 0 ? false : `skipped: needs ${missing.join(" and ")}`;
};

interface Cleaner {
  after(clean: () => void | Promise<void>): void;
}

/** A folder that is gone after the test. */
export const serverDir = (t: Cleaner, name: string): string => {
  const dir = mkdtempSync(join(tmpdir(), `castellan-${name}-`));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
};

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
}

export interface RunningServer {
  readonly port: number;
  readonly process: ChildProcess;
}

const isOpen = async (port: number): Promise<boolean> => {
  const socket: Socket = connect({ port, host: "127.0.0.1" });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
};

const stop = async (child: ChildProcess): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  const late = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
  await ended;
  clearTimeout(late);
};

interface Start {
  /** A taken connection unless told. */
  readonly isReady?: (port: number) => Promise<boolean>;
  readonly startMs?: number;
}

/**
 * Starts a server that stays in the foreground, waits until it is ready, and stops it after the tests. What it said is
 * in the error when it does not start.
 */
export const startServer = async (
  t: Cleaner,
  commandOf: (port: number) => Command | Promise<Command>,
  { isReady = isOpen, startMs = START_MS }: Start = {},
): Promise<RunningServer> => {
  let said = "";
  for (let attempt = 0; attempt < START_TRIES; attempt++) {
    const port = await keptPort();
    const { program, args, cwd, env } = await commandOf(port);
    const child = spawn(findProgram(program) ?? program, args, {
      ...(cwd === undefined ? {} : { cwd }),
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    child.on("error", (error) => {
      said += error.message;
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.on("data", (bytes: Buffer) => {
        if (said.length < 10_000) said += bytes.toString();
      });
    }
    const deadline = performance.now() + startMs;
    while (child.exitCode === null && child.pid !== undefined && performance.now() < deadline) {
      if (await isReady(port)) {
        t.after(() => stop(child));
        return { port, process: child };
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
    await stop(child);
  }
  throw new Error(`a server did not start: ${said}`);
};
