/** Runs the rsync program: its arguments as data, its complaints as errors of the catalogue. */
import { spawn } from "node:child_process";
import type { ErrorCode } from "../../contracts/errors.ts";
import type { SourceEntry, SourceStat } from "./port.ts";
import type { RsyncSettings } from "./settings.ts";
import { statOf } from "./versions.ts";
import type { Watch } from "./watch.ts";

const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
const COMPLAINT_BYTES_MAX = 4_000;
const KILL_MS = 2_000;
/** rsync(1), "EXIT VALUES": some files were not transferred. */
export const PARTIAL = 23;

/** The program ended with something else than success. */
export class RsyncFailure extends Error {
  readonly code = "RSYNC_FAILED";
  readonly status: number | null;
  readonly stdout: string;
  constructor(message: string, status: number | null, stdout: string) {
    super(message);
    this.status = status;
    this.stdout = stdout;
  }
}

export const codeOfRsync = (error: unknown): ErrorCode | undefined => {
  if (!(error instanceof RsyncFailure)) return undefined;
  const { message, status } = error;
  if (/auth failed|permission denied|host key verification failed|no ssh-\S+ host key is known/i.test(message)) {
    return "SOURCE_DENIED";
  }
  // Newer ones say of what lies below a file that there are too many links.
  if (/no such file or directory|not a directory|too many levels of symbolic links/i.test(message)) {
    return "SOURCE_NOT_FOUND";
  }
  return status === 30 || status === 35 || /timed out/i.test(message) ? "SOURCE_TIMEOUT" : undefined;
};

/** One word of rsync's `-e`, which knows quotes and no escapes. */
const remoteShellWord = (word: string): string => {
  if (/^[\w./=:@%+,-]+$/.test(word)) return word;
  if (!word.includes("'")) return `'${word}'`;
  if (!word.includes('"')) return `"${word}"`;
  throw new Error("a path with both kinds of quotes can't be given to rsync");
};

/** ssh(1): asks nobody anything, takes no server that is unknown, notices one that hangs. */
const remoteShell = ({ port, user, keyFile, knownHostsFile }: RsyncSettings, connectTimeoutMs: number): string => {
  const options = [
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    `UserKnownHostsFile=${knownHostsFile.includes(" ") ? `"${knownHostsFile}"` : knownHostsFile}`,
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "IdentitiesOnly=yes",
    `ConnectTimeout=${Math.ceil(connectTimeoutMs / 1000)}`,
    "ServerAliveInterval=10",
  ];
  const words = ["ssh", "-p", String(port), "-l", user, ...(keyFile === null ? [] : ["-i", keyFile])];
  return [...words, ...options.flatMap((option) => ["-o", option])].map(remoteShellWord).join(" ");
};

export interface Command {
  readonly args: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** What is written to its input. */
  readonly path: string;
}

const addressHost = (host: string): string => (host.includes(":") ? `[${host}]` : host);

/** A run that copies into a folder here, or `null`: that lists. */
interface Run {
  readonly into: string | null;
  /** Ending in `/`, a folder is meant. */
  readonly path: string;
  readonly connectTimeoutMs: number;
}

/**
 * The path itself goes through the program's input, ended by a zero: no shell and no pattern of rsync's ever sees it.
 * Of a daemon it begins at the module: from a folder below that, version 3.5.0 lists files and can't copy them.
 */
export const rsyncCommand = (settings: RsyncSettings, { into, path, connectTimeoutMs }: Run): Command => {
  const { host, port, user, module, path: root, password } = settings;
  const common = ["--no-motd", "--secluded-args", "--files-from=-", "--from0", "--no-relative", "--copy-links"];
  const list = ["--list-only", "--no-human-readable", "--8-bit-output"];
  const how = [...common, ...(into === null ? list : ["--times", "--info=progress2"])];
  const env = { ...process.env, LC_ALL: "C.UTF-8", TZ: "UTC" };
  const target = into ?? "."; // it has to be named
  if (module === null) {
    const from = `${addressHost(host)}:${root === "" ? "." : root.replace(/\/+$/, "")}/`;
    return { args: [...how, "-e", remoteShell(settings, connectTimeoutMs), "--", from, target], env, path };
  }
  const from = `${user}@${addressHost(host)}::${module}/`;
  const login = password === null ? {} : { RSYNC_PASSWORD: password };
  const inModule = root.replace(/^\/+|\/+$/g, "");
  const whole = inModule === "" ? path : `${inModule}/${path}`;
  return { args: [...how, `--port=${port}`, "--", from, target], env: { ...env, ...login }, path: whole };
};

/** Ends a process and all that it started. */
const endGroup = (pid: number, signal: NodeJS.Signals): void => {
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended by itself.
  }
};

/** What the program says on its standard output. It is ended when the watch aborts, and has ended when this settles. */
export const runRsync = async ({ args, env, path }: Command, watch: Watch): Promise<string> => {
  watch.signal.throwIfAborted();
  const child = spawn("rsync", args, { env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
  const { promise: ended, resolve, reject } = Promise.withResolvers<number | null>();
  child.once("error", (error: NodeJS.ErrnoException) => {
    reject(error.code === "ENOENT" ? new Error("the program rsync is not on the PATH") : error);
  });
  child.once("close", resolve);
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    watch.progress();
    if (stdout.length < OUTPUT_BYTES_MAX) stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    if (stderr.length < COMPLAINT_BYTES_MAX) stderr += text;
  });
  child.stdin.on("error", () => {}).end(`${path}\0`);
  watch.connected();
  let late: NodeJS.Timeout | undefined;
  const end = (): void => {
    const { pid } = child;
    if (pid === undefined) return;
    endGroup(pid, "SIGTERM");
    late = setTimeout(() => endGroup(pid, "SIGKILL"), KILL_MS);
  };
  watch.signal.addEventListener("abort", end, { once: true });
  try {
    const status = await ended;
    watch.signal.throwIfAborted();
    if (status !== 0) throw new RsyncFailure(stderr.trim() || `rsync ended with status ${status}`, status, stdout);
    return stdout;
  } finally {
    clearTimeout(late);
    watch.signal.removeEventListener("abort", end);
  }
};

interface Listed {
  readonly name: string;
  readonly kind: SourceEntry["kind"] | "other";
  readonly stat: SourceStat;
}

const LINE = /^(\S)\S{9,} +(\d+) (\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d) (.*)$/s;
const KINDS: Readonly<Record<string, Listed["kind"]>> = { "-": "file", d: "folder" };

/** The lines of `--list-only`: mode, size, time in UTC, name with control characters as `\#ooo`. */
export const parseListing = (text: string): Listed[] =>
  text.split("\n").flatMap((line) => {
    const [, mode = "", size, year, month, day, hour, minute, second, name = ""] = LINE.exec(line) ?? [];
    if (size === undefined) return [];
    const modifiedMs = Date.UTC(
      Number(year),
      Number(month) - 1,
      Number(day),
      Number(hour),
      Number(minute),
      Number(second),
    );
    const plain = name.replace(/\\#(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    return [{ name: plain, kind: KINDS[mode] ?? "other", stat: statOf(Number(size), modifiedMs) }];
  });
