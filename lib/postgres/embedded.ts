/**
 * The built-in PostgreSQL: a real server from an npm package, on a Unix socket, with its data below DATA_DIR.
 *
 *   starting ──► running ──► mending ──► running …      mending: the server died; it is started again
 *       │           │           │
 *       └───────────┴───────────┴──► stopping ──► stopped
 *
 * The server outlives a parent that is killed; the next start adopts it. One that ends without having stopped it (a
 * second Ctrl-C) ends it on its way out. While we run, one session holds an advisory lock: it tells another process
 * that the folder is taken, and tells us at once when the server dies.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import type { Log } from "../log/log.ts";
import { type Account, serverAccount } from "./account.ts";
import { findBinaries } from "./binaries.ts";
import {
  lastWords,
  makePrivate,
  makeSocketFolder,
  readPidFile,
  realFolder,
  removeSocketFolder,
  SOCKET_PORT,
} from "./layout.ts";
import { isAlive } from "./processes.ts";
import { endServer, ensureCluster, findServer, killServer, type ServerFiles, spawnServer } from "./server.ts";

export interface EmbeddedOptions {
  /** DATA_DIR: the server's files go to `postgres/` and `run/` in it. */
  readonly dataDir: string;
  readonly log: Log;
  readonly startDeadlineMs?: number;
  /** Of all programs together; 100 unless told, which is some more than a whole platform in one process takes. */
  readonly connectionsMax?: number;
}

export interface EmbeddedPostgres {
  /** Of the owner, for the database `castellan`; `openDatabase` makes itself the application role. */
  readonly url: string;
  /** The server was left running by a process that was killed. */
  readonly adopted: boolean;
  stop(): Promise<void>;
}

const DATABASE = "castellan";
const CONNECTIONS_MAX = 100;
const START_DEADLINE_MS = 60_000; // a crash under heavy writing is repaired at about 100 MB of log per second
const ASK_AGAIN_MS = 25;
const ANSWER_TIMEOUT_MS = 5_000;
const ADOPTED_ANSWER_MS = 10_000;
const TAKEN_GRACE_MS = 2_000; // the session of a killed parent ends a moment after it
const MEND_PAUSE_MS = [100, 500, 1_000, 5_000] as const;
const OWNER_LOCK = 4_202_611_211_000;

/** Ready when this returns. Throws an Error whose one line says what to do. */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const server = new EmbeddedServer(options);
  await server.start();
  return server;
}

type State = "starting" | "running" | "mending" | "stopping" | "stopped";
const ARROWS: Readonly<Record<State, readonly State[]>> = {
  starting: ["running", "stopping"],
  running: ["mending", "stopping"],
  mending: ["running", "stopping"],
  stopping: ["stopped"],
  stopped: [],
};

class EmbeddedServer implements EmbeddedPostgres {
  adopted = false;
  readonly #log: Log;
  readonly #files: ServerFiles;
  readonly #startDeadlineMs: number;
  readonly #connectionsMax: number;
  readonly #userDataDir: string;
  #state: State = "starting";
  #socketDir = "";
  #pid = 0;
  /** Started by us, or known to be nobody else's. */
  #isOurs = false;
  #session: pg.Client | undefined;
  #mending: Promise<void> = Promise.resolve();
  #stopped: Promise<void> | undefined;

  constructor(options: EmbeddedOptions) {
    this.#log = options.log;
    this.#userDataDir = options.dataDir;
    this.#startDeadlineMs = options.startDeadlineMs ?? START_DEADLINE_MS;
    this.#files = filesIn(realFolder(options.dataDir));
    this.#connectionsMax = options.connectionsMax ?? CONNECTIONS_MAX;
  }

  get url(): string {
    return urlOf(this.#socketDir, DATABASE);
  }

  async start(): Promise<void> {
    const startedAtMs = performance.now();
    const deadlineMs = startedAtMs + this.#startDeadlineMs;
    process.once("exit", this.#onExit);
    try {
      this.adopted = await this.#adopt(startedAtMs + ADOPTED_ANSWER_MS);
      if (!this.adopted) await this.#launch(deadlineMs);
      await this.#own(await this.#answer(deadlineMs));
    } catch (error) {
      process.off("exit", this.#onExit);
      // A server that belongs to another process must not be ended with us.
      if (!this.adopted && this.#pid) await endServer(this.#pid, this.#files);
      this.#session?.end().catch(() => {});
      throw error;
    }
    this.#enter("running");
    const tookMs = Math.round(performance.now() - startedAtMs);
    this.#log.info({ pid: this.#pid, adopted: this.adopted, tookMs }, "built-in PostgreSQL is ready");
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  async #stop(): Promise<void> {
    this.#enter("stopping");
    await this.#mending;
    await this.#session?.end().catch(() => {});
    await endServer(this.#pid, this.#files);
    removeSocketFolder(this.#socketDir, this.#files.account);
    process.off("exit", this.#onExit);
    this.#enter("stopped");
  }

  /** The process ends now: so does the server, which repairs itself at its next start. */
  readonly #onExit = (): void => {
    if (!this.#isOurs || !killServer(this.#pid, this.#files)) return;
    removeSocketFolder(this.#socketDir, this.#files.account);
  };

  #enter(next: State): void {
    if (!ARROWS[this.#state].includes(next)) throw new Error(`bug: the database server goes ${this.#state} → ${next}`);
    this.#state = next;
  }

  /** Takes over a server that runs already and answers; one that does not is ended. */
  async #adopt(deadlineMs: number): Promise<boolean> {
    const found = findServer(this.#files);
    if (!found) return false;
    if (found.socketDir) {
      this.#pid = found.pid;
      this.#socketDir = found.socketDir;
      try {
        const session = await this.#answer(deadlineMs);
        await session.end();
        return true;
      } catch (error) {
        this.#log.warn({ err: error, pid: found.pid }, "a database server that was left running is silent: ending it");
      }
    }
    await endServer(found.pid, this.#files);
    this.#pid = 0;
    return false;
  }

  async #launch(deadlineMs: number): Promise<void> {
    const { account, dataDir, logFile } = this.#files;
    await ensureCluster(this.#files);
    const left = readPidFile(dataDir)?.socketDir;
    if (left && left !== this.#socketDir) removeSocketFolder(left, account);
    // After a crash the same folder again: whoever has our URL finds the new server.
    if (this.#state === "starting") this.#socketDir = makeSocketFolder(account);
    else makePrivate(this.#socketDir, account);
    for (;;) {
      this.#pid = await spawnServer(this.#files, {
        socketDir: this.#socketDir,
        connectionsMax: this.#connectionsMax,
      });
      this.#isOurs = true;
      if (await this.#isUp(deadlineMs)) return;
      const words = lastWords(logFile);
      // Sessions of a killed server take a moment to end, and hold its memory until then.
      if (!/shared memory/.test(words) || performance.now() > deadlineMs) {
        if (this.#state === "starting") removeSocketFolder(this.#socketDir, account);
        throw new Error(`The built-in PostgreSQL did not start: ${words}`);
      }
      await pause(MEND_PAUSE_MS[0]);
    }
  }

  /** False if the process ended instead. */
  async #isUp(deadlineMs: number): Promise<boolean> {
    while (isAlive(this.#pid)) {
      const session = await connectOnce(urlOf(this.#socketDir, "postgres"), false);
      if (session) {
        await session.end();
        return true;
      }
      if (performance.now() > deadlineMs) return false;
      await pause(ASK_AGAIN_MS);
    }
    return false;
  }

  /** A session with the server, as soon as it takes one. */
  async #answer(deadlineMs: number): Promise<pg.Client> {
    for (;;) {
      const session = await connectOnce(urlOf(this.#socketDir, "postgres"), performance.now() > deadlineMs);
      if (session) return session;
      if (!isAlive(this.#pid)) throw new Error(`The built-in PostgreSQL ended: ${lastWords(this.#files.logFile)}`);
      await pause(ASK_AGAIN_MS);
    }
  }

  /** Marks the folder as ours, makes the database, and watches the server from now on. */
  async #own(session: pg.Client): Promise<void> {
    this.#session = session;
    const until = performance.now() + TAKEN_GRACE_MS;
    while (!(await lock(session))) {
      if (performance.now() > until) {
        const holder = await holderOf(session);
        throw new Error(`Another Castellan (process ${holder}) uses the data directory ${this.#userDataDir}.`);
      }
      await pause(ASK_AGAIN_MS);
    }
    this.#isOurs = true;
    const { rowCount } = await session.query("select from pg_database where datname = $1", [DATABASE]);
    if (rowCount === 0) await session.query(`create database ${DATABASE}`);
    session.once("end", () => this.#onLost());
  }

  #onLost(): void {
    if (this.#state !== "running") return;
    this.#enter("mending");
    this.#log.error("the connection to the built-in PostgreSQL broke");
    this.#mending = this.#mend();
  }

  /** A crashed session makes the server restart itself; a killed server is started by us. */
  async #mend(): Promise<void> {
    for (let attempt = 0; this.#state === "mending"; attempt++) {
      const deadlineMs = performance.now() + this.#startDeadlineMs;
      try {
        if (!isAlive(this.#pid)) await this.#launch(deadlineMs);
        await this.#own(await this.#answer(deadlineMs));
        if (this.#state !== "mending") return;
        this.#enter("running");
        this.#log.info({ pid: this.#pid }, "built-in PostgreSQL is back");
      } catch (error) {
        this.#log.error({ err: error }, "the built-in PostgreSQL could not be started again");
        await pause(MEND_PAUSE_MS[Math.min(attempt, MEND_PAUSE_MS.length - 1)]!);
      }
    }
  }
}

/** Ends a server that a killed process left in this folder; true if there was one. */
export async function endLeftServer(dataDir: string): Promise<boolean> {
  const cluster = join(realFolder(dataDir), "postgres");
  const files = { dataDir: cluster, bin: "", account: serverAccount(cluster), logFile: "" };
  const found = findServer(files);
  if (!found) return false;
  await endServer(found.pid, files);
  if (found.socketDir) removeSocketFolder(found.socketDir, files.account);
  return true;
}

function filesIn(dataDir: string): ServerFiles {
  const cluster = join(dataDir, "postgres");
  const account: Account | undefined = serverAccount(cluster);
  mkdirSync(join(dataDir, "run"), { recursive: true });
  return {
    dataDir: cluster,
    bin: findBinaries(dataDir, account),
    account,
    logFile: join(dataDir, "run", "postgres.log"),
  };
}

const urlOf = (socketDir: string, database: string): string =>
  `postgres://postgres@localhost:${SOCKET_PORT}/${database}?host=${encodeURIComponent(socketDir)}`;

async function connectOnce(url: string, throws: boolean): Promise<pg.Client | undefined> {
  const session = new pg.Client({
    connectionString: url,
    application_name: `castellan-owner:${process.pid}`,
    connectionTimeoutMillis: ANSWER_TIMEOUT_MS,
  });
  session.on("error", () => {});
  try {
    await session.connect();
    return session;
  } catch (error) {
    await session.end().catch(() => {});
    if (throws)
      throw new Error(`The built-in PostgreSQL does not answer: ${(error as Error).message}`, { cause: error });
    return undefined;
  }
}

const lock = async (session: pg.Client): Promise<boolean> =>
  (await session.query<{ ok: boolean }>("select pg_try_advisory_lock($1) as ok", [OWNER_LOCK])).rows[0]?.ok ?? false;

async function holderOf(session: pg.Client): Promise<string> {
  const { rows } = await session.query<{ name: string }>(
    `select application_name as name from pg_locks join pg_stat_activity using (pid)
     where locktype = 'advisory' and granted and ((classid::bigint << 32) | objid::bigint) = $1`,
    [OWNER_LOCK],
  );
  return rows[0]?.name.split(":")[1] ?? "unknown";
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
