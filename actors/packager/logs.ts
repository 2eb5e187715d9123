/** The three logs that CasterPak has: what was asked for, what went wrong, what the caches did. */
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { ConfigError } from "../../lib/config/config-error.ts";
import type { PackagerConfig } from "../../lib/config/packager-config.ts";
import { type AccessLog, openAccessLog } from "../../lib/http/access-log.ts";
import { type FileLog, type Log, type LogLevel, openFileLog } from "../../lib/log/log.ts";

export interface PackagerLogs {
  readonly error: Log;
  readonly cache: Log;
  readonly access: AccessLog | undefined;
  close(): Promise<void>;
}

export interface LogsOptions {
  readonly places: PackagerConfig["logs"];
  /** The process's: what has no place of its own goes there. */
  readonly log: Log;
  readonly level: LogLevel;
  readonly nodeId: string;
}

type Name = keyof PackagerConfig["logs"];

const opened = async <T>(name: Name, path: string, open: () => Promise<T>): Promise<T> => {
  try {
    if (path !== "-") await mkdir(dirname(path), { recursive: true });
    return await open();
  } catch (error) {
    throw new ConfigError(`CASTERPAK_LOGGING_${name.toUpperCase()}_LOG`, `can't be used: ${(error as Error).message}.`);
  }
};

/** Opens those that have a place of their own. Rejects with a ConfigError. */
export const openLogs = async ({ places, log, level, nodeId }: LogsOptions): Promise<PackagerLogs> => {
  const files: FileLog[] = [];
  const own = async (name: "error" | "cache"): Promise<Log> => {
    const path = places[name];
    if (path === null || path === "-") return log; // it writes to the standard output already
    const file = await opened(name, path, () => openFileLog(path, { level, nodeId }));
    files.push(file);
    return file.log;
  };
  const { access: path } = places;
  try {
    const [error, cache] = [await own("error"), await own("cache")];
    const format = "combined";
    const access = path === null ? undefined : await opened("access", path, () => openAccessLog({ path, format, log }));
    return {
      error,
      cache,
      access,
      async close() {
        await access?.close();
        await Promise.all(files.map((file) => file.close()));
      },
    };
  } catch (error) {
    await Promise.all(files.map((file) => file.close()));
    throw error;
  }
};
