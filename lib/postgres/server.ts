/** Starts, finds and ends the processes of a PostgreSQL server; who supervises them is embedded.ts. */
import { type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Account, isReachable } from "./account.ts";
import { closeLog, lastWords, makePrivate, openLog, pidFileOf, readPidFile, SOCKET_PORT } from "./layout.ts";
import { isPostgresOf, isTaken, signal, waitForExit } from "./processes.ts";

export interface ServerFiles {
  /** Real path of the cluster's folder. */
  readonly dataDir: string;
  readonly bin: string;
  readonly account: Account | undefined;
  readonly logFile: string;
}

// For a machine with two cores that does other things as well; an operator who needs more sets DATABASE_URL.
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: "",
  unix_socket_permissions: "0700",
  shared_buffers: "64MB",
  max_wal_size: "512MB",
  // Containers have 64 MB of /dev/shm, too little for parallel queries; ours are short.
  max_parallel_workers_per_gather: "0",
  io_method: "sync",
  jit: "off",
  timezone: "UTC",
  log_timezone: "UTC",
  // Statements that fail are told to their callers; the log is for the server itself.
  log_min_messages: "log",
  log_checkpoints: "off",
};

// The server needs nothing of our environment, least of all our secrets.
const ENVIRONMENT = { PATH: process.env.PATH ?? "", LC_ALL: "C", TZ: "UTC" };

const FAST_STOP_MS = 20_000;
const IMMEDIATE_STOP_MS = 5_000;

/** The server that runs in this folder, if one does: it outlives a parent that was killed. */
export function findServer(files: ServerFiles): { pid: number; socketDir: string | undefined } | undefined {
  const found = readPidFile(files.dataDir);
  return found && isPostgresOf(found.pid, files.dataDir) ? found : undefined;
}

/** Makes the cluster unless there is one. A crash in between leaves no half-made one. */
export async function ensureCluster(files: ServerFiles): Promise<void> {
  if (existsSync(join(files.dataDir, "PG_VERSION"))) return;
  if (existsSync(files.dataDir) && readdirSync(files.dataDir).length > 0) {
    throw new Error(`The folder ${files.dataDir} holds no database and is not empty: move it away.`);
  }
  const part = `${files.dataDir}.part`;
  rmSync(part, { recursive: true, force: true });
  makePrivate(part, files.account);
  const log = openLog(files.logFile);
  const flags = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-instructions"];
  try {
    const child = spawnIn(files, "initdb", part, flags, { stdio: ["ignore", log, log] });
    const [code] = (await once(child, "exit")) as [number | null];
    if (code !== 0) throw new Error(`The database could not be made: ${lastWords(files.logFile)}`);
  } catch (error) {
    throw explained(error);
  } finally {
    closeLog(log);
  }
  renameSync(part, files.dataDir);
}

/** Starts the server; it is ready when it answers on its socket. Returns the postmaster's process id. */
export async function spawnServer(
  files: ServerFiles,
  { socketDir, connectionsMax }: { readonly socketDir: string; readonly connectionsMax: number },
): Promise<number> {
  const left = readPidFile(files.dataDir);
  // A dead server's id that is another program's by now, or a zombie's, would keep the new one from starting.
  if (left && isTaken(left.pid) && !isPostgresOf(left.pid, files.dataDir)) rmSync(pidFileOf(files.dataDir));
  const log = openLog(files.logFile);
  const settings = Object.entries({ ...SETTINGS, max_connections: connectionsMax });
  const flags = [
    "-k",
    socketDir,
    "-p",
    String(SOCKET_PORT),
    ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]),
  ];
  try {
    // detached: a Ctrl-C in the terminal goes to us, who stop in order, and not to the server as well.
    const child = spawnIn(files, "postgres", files.dataDir, flags, { stdio: ["ignore", log, log], detached: true });
    await once(child, "spawn");
    child.unref();
    return child.pid!;
  } catch (error) {
    throw explained(error);
  } finally {
    closeLog(log);
  }
}

/** Ends the server: in order (its data is whole), by force if that takes too long (it repairs itself at its start). */
export async function endServer(pid: number, files: ServerFiles): Promise<void> {
  if (!isPostgresOf(pid, files.dataDir)) return;
  signal(pid, "SIGINT"); // "fast": sessions are cut, a checkpoint is written
  if (await waitForExit(pid, FAST_STOP_MS)) return;
  signal(pid, "SIGQUIT");
  await waitForExit(pid, IMMEDIATE_STOP_MS);
}

/** Ends the server without waiting, and without an order: sessions are cut, and its data is whole at its next start. */
export function killServer(pid: number, files: ServerFiles): boolean {
  if (!isPostgresOf(pid, files.dataDir)) return false;
  signal(pid, "SIGQUIT");
  return true;
}

/**
 * As root under a private home the server's account can't walk to its folder, but it may stand in it: the child is put
 * there before it gives up root, and knows the folder as its own working folder.
 */
function spawnIn(files: ServerFiles, program: string, dataDir: string, flags: string[], options: SpawnOptions) {
  const walkable = isReachable(dataDir, files.account) || process.platform !== "linux";
  const child = spawn(join(files.bin, program), ["-D", walkable ? dataDir : "/proc/self/cwd", ...flags], {
    ...options,
    ...files.account,
    cwd: dataDir,
    env: ENVIRONMENT,
  });
  return child;
}

function explained(error: unknown): Error {
  const { code, message } = error as NodeJS.ErrnoException;
  // The file is there, its loader is not.
  if (code === "ENOENT") {
    return new Error("The built-in PostgreSQL needs a system with glibc (not Alpine): set DATABASE_URL instead.");
  }
  return error instanceof Error ? error : new Error(String(message));
}
