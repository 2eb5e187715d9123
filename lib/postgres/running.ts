/** The way to a built-in PostgreSQL that another process of this machine runs. */
import { join } from "node:path";
import { readPidFile, realFolder, SOCKET_PORT } from "./layout.ts";
import { isPostgresOf } from "./processes.ts";

/** Of the owner, for the database `castellan`; undefined where none runs in this folder. */
export const runningUrl = (dataDir: string): string | undefined => {
  const cluster = join(realFolder(dataDir), "postgres");
  const found = readPidFile(cluster);
  if (!found?.socketDir || !isPostgresOf(found.pid, cluster)) return undefined;
  return `postgres://postgres@localhost:${SOCKET_PORT}/castellan?host=${encodeURIComponent(found.socketDir)}`;
};
