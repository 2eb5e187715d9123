/** The PostgreSQL server that tests use: TEST_DATABASE_URL, or the built-in one in a temporary folder. */
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quietLog } from "../../lib/log/log.ts";
import { endLeftServer, startEmbeddedPostgres } from "../../lib/postgres/embedded.ts";
import { isAlive } from "../../lib/postgres/processes.ts";

export interface TestServer {
  /** Of a superuser. */
  readonly url: string;
  stop(): Promise<void>;
}

const FOLDER = "castellan-test-pg-";
/** Several files at a time, in each of which platforms live side by side. */
const CONNECTIONS_MAX = 300;

/**
 * Used by the runner once for a whole run, which hands the URL on as TEST_DATABASE_URL; a test file that is started by
 * itself has a server of its own.
 */
export async function startTestServer(): Promise<TestServer> {
  const given = process.env.TEST_DATABASE_URL;
  if (given) return { url: given, stop: async () => {} };
  await removeLeftServers();
  const dataDir = mkdtempSync(join(tmpdir(), `${FOLDER}${process.pid}-`));
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog, connectionsMax: CONNECTIONS_MAX });
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Of this user's runs that were killed: their servers live on. */
async function removeLeftServers(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = Number(name.startsWith(FOLDER) ? name.slice(FOLDER.length).split("-")[0] : Number.NaN);
    if (!Number.isInteger(pid) || isAlive(pid)) continue;
    const dir = join(tmpdir(), name);
    if (lstatSync(dir, { throwIfNoEntry: false })?.uid !== process.getuid?.()) continue;
    if (existsSync(join(dir, "postgres"))) await endLeftServer(dir);
    rmSync(dir, { recursive: true, force: true });
  }
}
