/**
 * Brings a database to this version's tables: the application role and its grants first, then the tables that
 * deliver jobs, then migrations/ in order.
 * Runs as the owner of the database; nodes that start together wait for each other.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { runner } from "node-pg-migrate";
import pg from "pg";
import { installDelivery } from "../jobs/delivery-schema.ts";
import { APP_ROLE } from "./database.ts";

export interface MigrateOptions {
  /** Of the owner: it may make tables and (at the first time) roles. */
  readonly url: string;
  readonly direction?: "up" | "down";
  /** How many; all by default when going up, one when going down. */
  readonly count?: number;
  /** Folder of the .sql files; the product's own unless told. */
  readonly dir?: string;
}

const MIGRATIONS_DIR = join(import.meta.dirname, "../../migrations");
const SERVER_VERSION_MIN = 150_000; // `unique nulls not distinct`
const CONNECT_TIMEOUT_MS = 10_000;
// How long a node waits for another one that migrates.
const LOCK_TIMEOUT_MS = 120_000;
const LOCK_KEY = 4_202_611_210_900; // any number that nobody else uses
const BOOTSTRAP_TRIES = 5;

/** Returns the names of the migrations that it ran. Throws an Error whose one line says what to do. */
export async function migrate(options: MigrateOptions): Promise<string[]> {
  const client = await connected(options.url);
  try {
    await client.query(`set lock_timeout = ${LOCK_TIMEOUT_MS}`);
    await client.query("select pg_advisory_lock($1)", [LOCK_KEY]);
    await client.query("set lock_timeout = 0");
    await bootstrap(client, await checkedVersion(client));
    await installDelivery({ url: options.url, role: APP_ROLE });
    const dir = options.dir ?? MIGRATIONS_DIR;
    await refuseEdited(client, dir);
    return await run(client, dir, options);
  } finally {
    // Closing the session releases the lock.
    await client.end();
  }
}

async function connected(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: CONNECT_TIMEOUT_MS });
  client.on("error", () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => {});
    // One per address of a host name, and no message of its own.
    const reasons = error instanceof AggregateError ? error.errors : [error];
    const reason = reasons.map((each: Error) => each.message).join("; ");
    // Without what stands in the URL besides: it holds the password.
    const { host, port, database } = client;
    throw new Error(`The database "${database}" at ${host}:${port} can't be reached: ${reason}`, { cause: error });
  }
}

async function checkedVersion(client: pg.Client): Promise<number> {
  const { rows } = await client.query<{ number: number; text: string }>(
    "select current_setting('server_version_num')::int as number, current_setting('server_version') as text",
  );
  const version = rows[0]!;
  if (version.number < SERVER_VERSION_MIN) {
    throw new Error(`The database server is PostgreSQL ${version.text}; version 15 or newer is needed.`);
  }
  return version.number;
}

/** Roles belong to the whole server: another database's bootstrap may run at the same moment, so it is tried again. */
async function bootstrap(client: pg.Client, serverVersion: number): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.query("begin");
      await ensureRole(client, serverVersion);
      await client.query(GRANTS);
      await client.query("commit");
      return;
    } catch (error) {
      await client.query("rollback");
      // unique_violation, duplicate_object, "tuple concurrently updated"
      const raced = ["23505", "42710", "XX000"].includes((error as { code?: string }).code ?? "");
      if (!raced || attempt === BOOTSTRAP_TRIES) throw error;
    }
  }
}

async function ensureRole(client: pg.Client, serverVersion: number): Promise<void> {
  const role = await findRole(client, serverVersion);
  if (role?.unbound) {
    throw new Error(
      `The role ${APP_ROLE} goes around row security: "alter role ${APP_ROLE} nosuperuser nobypassrls" first.`,
    );
  }
  if (role?.usable) return;
  try {
    if (!role) await client.query(`create role ${APP_ROLE} nologin nosuperuser nobypassrls nocreatedb nocreaterole`);
    // Creating a role does not let one become it (PostgreSQL 16 and newer); a superuser may anyway.
    if (!(await findRole(client, serverVersion))?.usable) await client.query(`grant ${APP_ROLE} to current_user`);
  } catch (error) {
    if ((error as { code?: string }).code !== "42501") throw error;
    throw new Error(
      `The database user may not make the role ${APP_ROLE}: as a superuser, run "create role ${APP_ROLE} nologin" ` +
        `(unless it is there) and "grant ${APP_ROLE} to" that user.`,
      { cause: error },
    );
  }
}

/** `usable`: the current user may become it. */
async function findRole(client: pg.Client, serverVersion: number) {
  const { rows } = await client.query<{ unbound: boolean; usable: boolean }>(
    `select rolsuper or rolbypassrls as unbound, pg_has_role(current_user, oid, $2) as usable
     from pg_roles where rolname = $1`,
    [APP_ROLE, serverVersion >= 160_000 ? "SET" : "MEMBER"],
  );
  return rows[0];
}

// The schema `migration` stays the owner's: the application has no business there.
const GRANTS = `
create schema if not exists migration;
create table if not exists migration.checksum (name text primary key, sha256 text not null);
revoke create on schema public from public;
grant usage on schema public to ${APP_ROLE};
grant select, insert, update, delete on all tables in schema public to ${APP_ROLE};
grant usage, select on all sequences in schema public to ${APP_ROLE};
alter default privileges in schema public grant select, insert, update, delete on tables to ${APP_ROLE};
alter default privileges in schema public grant usage, select on sequences to ${APP_ROLE};
`;

interface MigrationFile {
  readonly name: string;
  readonly sha256: string;
  readonly up: string;
  readonly down: string | undefined;
}

async function readMigration(path: string): Promise<MigrationFile> {
  // A checkout with CRLF is the same migration.
  const text = (await readFile(path, "utf8")).replaceAll("\r\n", "\n");
  const [up = "", down] = text.split(/^-- Down Migration$/m);
  return { name: basename(path, ".sql"), sha256: createHash("sha256").update(text).digest("hex"), up, down };
}

/** An applied file that changed afterwards would leave two databases of "the same" version with different tables. */
async function refuseEdited(client: pg.Client, dir: string): Promise<void> {
  const { rows } = await client.query<{ name: string; sha256: string }>("select name, sha256 from migration.checksum");
  for (const applied of rows) {
    const file = await readMigration(join(dir, `${applied.name}.sql`)).catch((error: NodeJS.ErrnoException) => {
      // From a newer version that has run here already: tables only ever grow, so an older node can live with it.
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    if (file && file.sha256 !== applied.sha256) {
      throw new Error(
        `The migration ${applied.name} was edited after it had been applied: restore it and write a new one.`,
      );
    }
  }
}

/** Each file in its own transaction, together with its checksum: a failing one leaves nothing. */
async function run(client: pg.Client, dir: string, options: MigrateOptions): Promise<string[]> {
  const complaints: string[] = [];
  const quiet = () => {};
  const logger = { debug: quiet, info: quiet, warn: quiet, error: (text: string) => complaints.push(text.trim()) };
  const load = async (paths: string[]) => {
    const files = await Promise.all(paths.map(async (path) => ({ path, file: await readMigration(path) })));
    return files.map(({ path, file }) => ({ id: path, filePaths: [path], actions: actionsOf(file) }));
  };
  try {
    const done = await runner({
      dbClient: client,
      dir,
      ignorePattern: "(\\..*|.*(?<!\\.sql))",
      migrationsSchema: "migration",
      migrationsTable: "applied",
      schema: "public",
      direction: options.direction ?? "up",
      ...(options.count === undefined ? {} : { count: options.count }),
      noLock: true,
      singleTransaction: false,
      migrationLoaderStrategies: [{ extensions: [".sql"], loader: load }],
      logger,
    });
    return done.map((migration) => migration.name);
  } catch (error) {
    const message = complaints.at(-1) ?? (error instanceof Error ? error.message : String(error));
    throw new Error(`A migration failed: ${message}`, { cause: error });
  }
}

interface SqlBuilder {
  sql(text: string): void;
}

const actionsOf = (file: MigrationFile) => ({
  up: (builder: SqlBuilder) => {
    builder.sql(file.up);
    builder.sql(`insert into migration.checksum (name, sha256) values ('${file.name}', '${file.sha256}')`);
  },
  down:
    file.down === undefined
      ? (false as const)
      : (builder: SqlBuilder) => {
          builder.sql(file.down ?? "");
          builder.sql(`delete from migration.checksum where name = '${file.name}'`);
        },
});
