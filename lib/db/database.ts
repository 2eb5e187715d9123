/**
 * The way to PostgreSQL. Every connection runs as the application role, which row security binds: inside
 * `tenantTx(tenantId, …)` a query sees that tenant's rows, outside of it none of any tenant.
 */
import type { Socket } from "node:net";
import pg from "pg";
import { type ErrorCode, Fault, fail } from "../../contracts/errors.ts";

/** Neither owner nor superuser nor BYPASSRLS; made by `migrate`. */
export const APP_ROLE = "castellan_app";

const POOL_MAX = 10;
// Less than the shortest ask has (3 s), so that its asker hears that the database is away and not just that it is late.
const CONNECT_TIMEOUT_MS = 2_000;
const BEGIN_TIMEOUT_MS = 2_000; // it waits for no lock: a server that does not answer it hangs or is cut off
const STATEMENT_TIMEOUT_MS = 10_000;
// A black-holed connection answers nothing: the client gives it up this long after the server's own limit, so that a
// slow statement is cancelled by the server and the connection lives on.
const ANSWER_GRACE_MS = 2_000;
const IDLE_IN_TRANSACTION_TIMEOUT_MS = 20_000;
const CLOSE_DEADLINE_MS = 5_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export interface Rows<R> {
  readonly rows: R[];
  readonly rowCount: number;
}

export interface Tx {
  /** Values: arrays become SQL arrays; JSON is passed as text (`JSON.stringify`). bigint columns come as numbers. */
  query<R extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Rows<R>>;
}

export interface Database extends Tx {
  readonly url: string;
  /**
   * Runs `run` in one transaction as the tenant (null: as nobody). Commits what it returns, rolls back what it throws.
   * Errors: DATABASE_DOWN (also when the fate of a COMMIT is unknown), DEADLINE_PASSED for a statement that took too
   * long; SQL errors keep their `code` (SQLSTATE).
   */
  tenantTx<T>(tenantId: string | null, run: (tx: Tx) => Promise<T>): Promise<T>;
  /** Throws DATABASE_DOWN unless the server answers. */
  ping(): Promise<void>;
  /** For a server that no longer answers: what runs fails with DATABASE_DOWN at once, what comes with SHUTTING_DOWN. */
  giveUp(): void;
  /** Lets running transactions end (for 5 s), then closes. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly url: string;
  /** Shown in pg_stat_activity. */
  readonly applicationName: string;
  readonly poolMax?: number;
  readonly statementTimeoutMs?: number;
  /** Told of connections that broke while idle. */
  readonly onConnectionLost?: (error: Error) => void;
}

const BIGINT_OID = 20;
const BIGINT_ARRAY_OID = 1016;
const TEXT_ARRAY_OID = 1009;

const safeInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new Error(`bug: the bigint ${text} does not fit a number; select it as text`);
  return value;
};

const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: "text" | "binary") => {
    if (oid === BIGINT_OID) return safeInteger;
    if (oid !== BIGINT_ARRAY_OID) return pg.types.getTypeParser(oid, format as "text");
    // The driver's list of types lacks text[].
    const parseTexts = pg.types.getTypeParser(TEXT_ARRAY_OID as number, "text") as (text: string) => (string | null)[];
    return (text: string) => parseTexts(text).map((item) => (item === null ? null : safeInteger(item)));
    // The declared type is an overload per format; one function serves them all.
  }) as pg.CustomTypesConfig["getTypeParser"],
};
/** Settings of a connection as the application role; also for the few that live outside of a pool (lease, LISTEN). */
export function connectionConfig(options: DatabaseOptions): pg.ClientConfig {
  const { url, applicationName } = options;
  // What stands in the URL beats the fields beside it, so the role has to go into the URL; the last `options` wins.
  const query = url.includes("?") ? url.slice(url.indexOf("?") + 1) : "";
  const given = new URLSearchParams(query).get("options") ?? "";
  const settings = `${given} -c role=${APP_ROLE} -c timezone=UTC`.trim();
  const statementTimeoutMs = options.statementTimeoutMs ?? STATEMENT_TIMEOUT_MS;
  return {
    connectionString: `${url}${url.includes("?") ? "&" : "?"}options=${encodeURIComponent(settings)}`,
    application_name: applicationName.slice(0, 63),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: statementTimeoutMs,
    query_timeout: statementTimeoutMs + ANSWER_GRACE_MS,
    idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_TIMEOUT_MS,
    keepAlive: true,
    types,
  };
}

/** A pool of connections; the first is made by the first query, so this never throws. */
export function openDatabase(options: DatabaseOptions): Database {
  const pool = new pg.Pool({
    ...connectionConfig(options),
    max: options.poolMax ?? POOL_MAX,
    idleTimeoutMillis: 30_000,
    // BEGIN, the tenant and the first statement leave together: one round trip instead of three.
    pipeline: true,
  });
  // Without a listener a server that restarts would end the process.
  pool.on("error", (error) => options.onConnectionLost?.(error));
  // The pool listens to idle connections only.
  pool.on("connect", (client) => client.on("error", () => {}));
  const clients = new Set<pg.PoolClient>();
  pool.on("connect", (client) => clients.add(client));
  pool.on("remove", (client) => clients.delete(client));
  let closing: Promise<void> | undefined;

  const connect = async (): Promise<pg.PoolClient> => {
    if (closing) return fail("SHUTTING_DOWN");
    try {
      return await pool.connect();
    } catch (error) {
      // Whatever keeps us out (also a pool that stays exhausted): there is no database for the caller.
      throw because("DATABASE_DOWN", error);
    }
  };
  const query: Tx["query"] = async (text, values) => single(await connect(), text, values);
  return {
    url: options.url,
    query,
    tenantTx: async (tenantId, run) => transaction(await connect(), tenantId, run),
    ping: async () => {
      await query("select 1");
    },
    giveUp: () => {
      closing ??= within(CLOSE_DEADLINE_MS, pool.end());
      for (const client of clients) destroy(client);
    },
    close: () => {
      closing ??= within(CLOSE_DEADLINE_MS, pool.end());
      return closing;
    },
  };
}

/** The driver's own end waits for the answers of a pipeline. Its connection is not in its types. */
const destroy = (client: pg.PoolClient): void => {
  (client as unknown as { connection: { stream: Socket } }).connection.stream.destroy();
};

/** One statement outside of a tenant is its own transaction, in one round trip. */
async function single<R>(client: pg.PoolClient, text: string, values?: readonly unknown[]): Promise<Rows<R>> {
  let lost = false;
  try {
    return await ask(client, text, values);
  } catch (error) {
    lost = isDown(error);
    throw error;
  } finally {
    client.release(lost || client.getTransactionStatus() !== "I");
  }
}

async function transaction<T>(client: pg.PoolClient, tenantId: string | null, run: (tx: Tx) => Promise<T>): Promise<T> {
  let open = true;
  let lost = false;
  // A connection that breaks between two statements says so by this event only.
  const onLost = () => {
    lost = true;
  };
  client.on("error", onLost);
  const begun = begin(client, tenantId);
  // Whoever waits for the first statement waits for this as well; it must not count as unhandled until then.
  begun.catch(onLost);
  const tx: Tx = {
    query: async (text, values) => {
      if (!open) throw new Error("bug: a query on a transaction that has ended");
      const answer = ask(client, text, values);
      const [, result] = await Promise.all([begun, answer]);
      return result as never;
    },
  };
  try {
    const result = await run(tx);
    open = false;
    await begun;
    await commit(client);
    return result;
  } catch (error) {
    open = false;
    lost ||= isDown(error);
    if (!lost) await ask(client, "rollback").catch(onLost);
    throw error;
  } finally {
    client.off("error", onLost);
    client.release(lost || client.getTransactionStatus() !== "I");
  }
}

/** The tenant is set for this transaction only: a session-wide setting would leak through the pool. */
async function begin(client: pg.PoolClient, tenantId: string | null): Promise<void> {
  // One simple message takes no parameters; what stands in it is a checked UUID.
  if (tenantId !== null && !UUID.test(tenantId)) throw new Error(`bug: ${JSON.stringify(tenantId)} is no tenant id`);
  const tenant = tenantId === null ? "" : `; select set_config('app.tenant_id', '${tenantId}', true)`;
  const query = { text: `begin${tenant}`, query_timeout: BEGIN_TIMEOUT_MS }; // not in the driver's types
  await ask(client, query);
}

async function commit(client: pg.PoolClient): Promise<void> {
  let command: string;
  try {
    command = (await ask(client, "commit")).command;
  } catch (error) {
    // The server may have committed before the connection broke: whoever repeats must be idempotent.
    if (isDown(error)) fail("DATABASE_DOWN", { outcome: "unknown" });
    throw error;
  }
  // A transaction in which a statement failed answers COMMIT with ROLLBACK, and no error.
  if (command !== "COMMIT") throw new Error("bug: a statement failed and was ignored, the transaction is rolled back");
}

async function ask(client: pg.PoolClient, query: string | pg.QueryConfig, values?: readonly unknown[]) {
  try {
    const result = await client.query(query, values as unknown[] | undefined);
    return { rows: result.rows, rowCount: result.rowCount ?? 0, command: result.command };
  } catch (error) {
    throw asFault(error);
  }
}

const isDown = (error: unknown): boolean => error instanceof Fault && error.code === "DATABASE_DOWN";

// Of the socket; classes 08 (connection) and 57P (shutdown, crash, starting up); and: too many connections, read-only
// (a standby), idle in transaction. https://www.postgresql.org/docs/current/errcodes-appendix.html
const DOWN_CODE = /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|08...|57P0.|53300|25006|25P03)$/;
// The driver's own errors have no code.
const DOWN_MESSAGE = /^(Connection terminated|Client has encountered a connection error|Client was closed|Query read)/;
const STATEMENT_TIMEOUT = "57014";

/** The catalogue's word for an error of the driver, or the error itself. */
function asFault(error: unknown): unknown {
  if (!(error instanceof Error)) return error;
  const code = String((error as { code?: unknown }).code ?? "");
  if (DOWN_CODE.test(code) || DOWN_MESSAGE.test(error.message)) return because("DATABASE_DOWN", error);
  if (code === STATEMENT_TIMEOUT) return because("DEADLINE_PASSED", error);
  return error;
}

function because(code: ErrorCode, cause: unknown): Fault {
  const fault = new Fault(code, { what: "The database" });
  fault.cause = cause;
  return fault;
}

async function within(deadlineMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, deadlineMs);
  });
  await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
