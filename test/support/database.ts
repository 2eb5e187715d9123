/** A database of its own for a test: a copy of a migrated template, dropped when the test file ends. */
import { createHash, randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after } from "node:test";
import pg from "pg";
import { type Database, openDatabase, type Rows } from "../../lib/db/database.ts";
import { migrate } from "../../lib/db/migrate.ts";
import { startTestServer, type TestServer } from "./postgres.ts";

export interface TestDatabase extends Database {
  /** Of the owner, whom row security does not bind. */
  readonly ownerUrl: string;
  asOwner<R extends object = Record<string, unknown>>(text: string, values?: readonly unknown[]): Promise<Rows<R>>;
}

const MIGRATIONS_DIR = join(import.meta.dirname, "../../migrations");
const TEMPLATE_LOCK = 4_202_611_211_001;

let serving: Promise<TestServer> | undefined;
const opened: { db: Database; owner: pg.Pool; name: string }[] = [];

/** `migrated: false` gives an empty one. */
export async function testDatabase(
  t?: { readonly name?: string },
  options: { migrated?: boolean; poolMax?: number } = {},
): Promise<TestDatabase> {
  serving ??= startTestServer();
  const server = await serving;
  const name = `castellan_test_${randomBytes(6).toString("hex")}`;
  await asAdmin(server, async (admin) => {
    const template = options.migrated === false ? "template0" : await ensureTemplate(admin, server.url);
    await admin.query(`create database ${name} template ${template}`);
  });
  const ownerUrl = urlFor(server.url, name);
  const applicationName = `test: ${t?.name ?? "file"}`;
  const db = openDatabase({ url: ownerUrl, applicationName, poolMax: options.poolMax ?? 5 });
  const owner = new pg.Pool({ connectionString: ownerUrl, max: 2 });
  owner.on("error", () => {});
  opened.push({ db, owner, name });
  return {
    ...db,
    ownerUrl,
    asOwner: async (text, values) => {
      const { rows, rowCount } = await owner.query(text, values as unknown[]);
      return { rows, rowCount: rowCount ?? 0 };
    },
  };
}

after(async () => {
  const server = await serving;
  if (!server) return;
  await Promise.all(opened.flatMap(({ db, owner }) => [db.close(), owner.end()]));
  await asAdmin(server, async (admin) => {
    for (const { name } of opened) await admin.query(`drop database if exists ${name} with (force)`);
  });
  await server.stop();
});

/** The same server's URL for another database. */
export const urlFor = (url: string, database: string): string =>
  url.replace(/^(\w+:\/\/[^/?]*)(\/[^?]*)?/, `$1/${database}`);

async function asAdmin(server: TestServer, work: (admin: pg.Client) => Promise<void>): Promise<void> {
  const admin = new pg.Client({ connectionString: urlFor(server.url, "postgres") });
  admin.on("error", () => {});
  await admin.connect();
  try {
    await work(admin);
  } finally {
    await admin.end();
  }
}

/** Made by the first test that needs it, for these very migrations. */
async function ensureTemplate(admin: pg.Client, serverUrl: string): Promise<string> {
  const hash = createHash("sha256");
  for (const file of readdirSync(MIGRATIONS_DIR).sort()) hash.update(readFileSync(join(MIGRATIONS_DIR, file)));
  const name = `castellan_template_${hash.digest("hex").slice(0, 12)}`;
  const exists = async () => (await admin.query("select from pg_database where datname = $1", [name])).rowCount === 1;
  if (await exists()) return name;
  await admin.query("select pg_advisory_lock($1)", [TEMPLATE_LOCK]);
  try {
    if (await exists()) return name;
    const part = `${name}_part`;
    await admin.query(`drop database if exists ${part} with (force)`);
    await admin.query(`create database ${part} template template0`);
    await migrate({ url: urlFor(serverUrl, part) });
    await admin.query(`alter database ${part} rename to ${name}`);
    await dropOldTemplates(admin, name);
    return name;
  } finally {
    await admin.query("select pg_advisory_unlock($1)", [TEMPLATE_LOCK]);
  }
}

/** Of other migrations, on a server that outlives a run; one that is just being copied stays. */
async function dropOldTemplates(admin: pg.Client, current: string): Promise<void> {
  const { rows } = await admin.query<{ name: string }>(
    "select datname as name from pg_database where datname ~ '^castellan_template_[0-9a-f]{12}$' and datname <> $1",
    [current],
  );
  for (const { name } of rows) await admin.query(`drop database if exists ${name}`).catch(() => {});
}
