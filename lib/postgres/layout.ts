/** Where a built-in server keeps its things: data, log and socket. */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { type Account, isReachable } from "./account.ts";

/** Of the socket's file name; nothing listens on TCP. */
export const SOCKET_PORT = 5432;

// sun_path: 108 bytes on Linux, 104 on macOS, with a zero at its end.
const SOCKET_PATH_BYTES_MAX = 103;
const SOCKET_FOLDER = "castellan-pg-";
const LOG_BYTES_MAX = 10 * 1024 * 1024; // the one before is kept: twice this on disk

/** What a running server (or one that was killed) says of itself in its data folder. */
export interface PidFile {
  readonly pid: number;
  readonly socketDir: string | undefined;
}

/** Format: https://www.postgresql.org/docs/current/storage-file-layout.html, one value a line. */
export function readPidFile(dataDir: string): PidFile | undefined {
  let lines: string[];
  try {
    lines = readFileSync(pidFileOf(dataDir), "utf8").split("\n");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const pid = Number(lines[0]);
  return Number.isInteger(pid) && pid > 1 ? { pid, socketDir: lines[4] || undefined } : undefined;
}

export const pidFileOf = (dataDir: string): string => join(dataDir, "postmaster.pid");

/** Makes `DATA_DIR`, and returns its real path: process tables show no other. */
export function realFolder(path: string): string {
  mkdirSync(path, { recursive: true });
  return realpathSync(resolve(path));
}

/** An empty folder that only the server's account can open. */
export function makePrivate(dir: string, account: Account | undefined): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  if (account) chownSync(dir, account.uid, account.gid);
  chmodSync(dir, 0o700);
}

/**
 * A fresh folder for the socket. Its name can't be guessed, so nobody else on the machine can have made it before;
 * data folders lie too deep for a socket's path, or behind a private home.
 */
export function makeSocketFolder(account: Account | undefined): string {
  const fits = (dir: string) =>
    Buffer.byteLength(socketOf(join(dir, `${SOCKET_FOLDER}xxxxxx`))) <= SOCKET_PATH_BYTES_MAX &&
    isReachable(dir, account);
  const parent = [tmpdir(), "/tmp"].find(fits);
  if (!parent)
    throw new Error(`The path of TMPDIR (${tmpdir()}) is too long or closed for a socket: set a shorter one.`);
  const dir = mkdtempSync(join(parent, SOCKET_FOLDER));
  makePrivate(dir, account);
  return dir;
}

export const socketOf = (dir: string): string => join(dir, `.s.PGSQL.${SOCKET_PORT}`);

/** Removes a folder of `makeSocketFolder`, and nothing else. */
export function removeSocketFolder(dir: string, account: Account | undefined): void {
  const owner = statSync(dir, { throwIfNoEntry: false })?.uid;
  const ours = owner === (account?.uid ?? process.getuid?.());
  if (ours && basename(dir).startsWith(SOCKET_FOLDER)) rmSync(dir, { recursive: true, force: true });
}

/** A new log file descriptor; the server keeps it when we are gone. */
export function openLog(path: string): number {
  if (existsSync(path) && statSync(path).size > LOG_BYTES_MAX) renameSync(path, `${path}.1`);
  return openSync(path, "a", 0o600);
}

export { closeSync as closeLog };

/** The last lines that a server wrote, as one line. */
export function lastWords(logFile: string): string {
  const WORDS_BYTES = 600;
  return readFileSync(logFile, "utf8").slice(-WORDS_BYTES).trim().split("\n").slice(-3).join(" / ");
}
