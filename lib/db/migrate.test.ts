import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { RowMaker, readTables } from "../../test/support/catalog.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { migrate } from "./migrate.ts";

const PRODUCT = join(import.meta.dirname, "../../migrations");
const NAMES = readdirSync(PRODUCT)
  .map((file) => file.replace(/\.sql$/, ""))
  .sort();

/** A folder of migrations that a test may change. */
function folder(t: TestContext, files: Readonly<Record<string, string>> = {}): string {
  const dir = mkdtempSync(join(tmpdir(), "castellan-migrations-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text);
  return dir;
}

const empty = (t: TestContext) => testDatabase(t, { migrated: false });
const up = (text: string, down = "select 1") => `-- Up Migration\n${text};\n-- Down Migration\n${down};\n`;

/**
 * Everything that a migration can make, as text. What extensions bring is theirs: they stay, for others may use them.
 */
async function shapeOf(db: TestDatabase): Promise<string[]> {
  const { rows } = await db.asOwner<{ line: string }>(`
    select format('column %s.%s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
        pg_get_expr(adbin, adrelid)) as line
      from pg_attribute a join pg_class c on c.oid = attrelid
        left join pg_attrdef on adrelid = attrelid and adnum = attnum
      where c.relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
    union all select format('constraint %s %s', conname, pg_get_constraintdef(oid)) from pg_constraint
      where connamespace = 'public'::regnamespace
    union all select format('index %s', indexdef) from pg_indexes where schemaname = 'public'
    union all select format('function %s', pg_get_functiondef(oid)) from pg_proc
      where pronamespace = 'public'::regnamespace and oid not in (select objid from pg_depend where deptype = 'e')
    union all select format('policy %s %s %s %s %s', tablename, policyname, cmd, qual, with_check) from pg_policies
      where schemaname = 'public'
    union all select format('security %s %s %s', relname, relrowsecurity, relforcerowsecurity) from pg_class
      where relnamespace = 'public'::regnamespace and relkind = 'r'
    union all select format('type %s', typname) from pg_type where typnamespace = 'public'::regnamespace
      and oid not in (select objid from pg_depend where deptype = 'e')
    order by 1`);
  return rows.map(({ line }) => line);
}

test("all migrations run on an empty database, a second run does nothing", async (t) => {
  const { ownerUrl: url } = await empty(t);
  assert.deepEqual(await migrate({ url }), NAMES);
  assert.deepEqual(await migrate({ url }), []);
});

test("each migration goes down to exactly what was before, and up again, with rows in every table", async (t) => {
  const db = await empty(t);
  const url = db.ownerUrl;
  const shapes = [await shapeOf(db)];
  for (const _ of NAMES) {
    await migrate({ url, count: 1 });
    shapes.push(await shapeOf(db));
  }
  await fill(db);
  for (const [index, name] of [...NAMES.entries()].reverse()) {
    assert.deepEqual(await migrate({ url, direction: "down" }), [name]);
    assert.deepEqual(await shapeOf(db), shapes[index], `what ${name} leaves behind`);
    await migrate({ url, count: 1 });
    assert.deepEqual(await shapeOf(db), shapes[index + 1], `${name} a second time`);
    await fill(db);
    await migrate({ url, direction: "down" });
  }
  assert.deepEqual(await shapeOf(db), shapes[0]);
});

/** A row in every table that has none; returns how many each has. */
async function fill(db: TestDatabase): Promise<Map<string, number>> {
  const tables = await readTables(db);
  const rows = new RowMaker(db, tables);
  const tenantId = randomUUID();
  const names = [...tables.keys()].filter((name) => !/^(migration|graphile_worker)\./.test(name));
  for (const name of names) {
    if ((await countOf(db, name)) === 0) await rows.rowOf(name, tenantId);
  }
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, await countOf(db, name));
  return counts;
}

const countOf = async (db: TestDatabase, table: string) => (await db.asOwner(`select from ${table}`)).rowCount;

test("a later migration leaves the rows of earlier ones as they are", async (t) => {
  const db = await empty(t);
  const url = db.ownerUrl;
  for (const _ of NAMES) {
    const before = await fill(db);
    await migrate({ url, count: 1 });
    for (const [name, count] of before) assert.equal(await countOf(db, name), count, name);
  }
});

test("nodes that start together wait for each other, also on two databases of one server", async (t) => {
  const [one, two] = [await empty(t), await empty(t)];
  const urls = [one, two].flatMap(({ ownerUrl }) => [ownerUrl, ownerUrl, ownerUrl]);
  const done = await Promise.all(urls.map((url) => migrate({ url })));
  assert.deepEqual(done.map((names) => names.length).sort(), [0, 0, 0, 0, NAMES.length, NAMES.length]);
});

test("a migration that was edited after it was applied is refused by name", async (t) => {
  const { ownerUrl: url } = await empty(t);
  const dir = folder(t);
  cpSync(PRODUCT, dir, { recursive: true });
  await migrate({ url, dir });
  const path = join(dir, `${NAMES[1]}.sql`);
  writeFileSync(path, readFileSync(path, "utf8").replaceAll("\n", "\r\n"));
  assert.deepEqual(await migrate({ url, dir }), [], "other line ends are no edit");
  writeFileSync(path, `${readFileSync(path, "utf8")}-- a thought\n`);
  await assert.rejects(migrate({ url, dir }), {
    message: `The migration ${NAMES[1]} was edited after it had been applied: restore it and write a new one.`,
  });
});

test("a migration that fails leaves nothing, and says where", async (t) => {
  const db = await empty(t);
  const dir = folder(t, {
    "20260101000000_good.sql": up("create table good (id int)"),
    "20260102000000_bad.sql": up("create table half (id int); insert into nowhere values (1)"),
  });
  await assert.rejects(migrate({ url: db.ownerUrl, dir }), /A migration failed: .*nowhere/s);
  const { rows } = await db.asOwner("select relname from pg_class where relname in ('good', 'half')");
  assert.deepEqual(rows, [{ relname: "good" }]);
  assert.deepEqual((await db.asOwner("select name from migration.checksum")).rows, [{ name: "20260101000000_good" }]);
  writeFileSync(join(dir, "20260102000000_bad.sql"), up("create table half (id int)"));
  assert.deepEqual(await migrate({ url: db.ownerUrl, dir }), ["20260102000000_bad"]);
});

test("a node of the version before starts on a database that is newer", async (t) => {
  const { ownerUrl: url } = await empty(t);
  const newer = folder(t, {
    "20260101000000_one.sql": up("create table one (id int)"),
    "20260102000000_two.sql": up("create table two (id int)"),
  });
  await migrate({ url, dir: newer });
  const older = folder(t, { "20260101000000_one.sql": up("create table one (id int)") });
  assert.deepEqual(await migrate({ url, dir: older }), []);
});

test("the application may use tables that come later, and not the migrations' own", async (t) => {
  const db = await empty(t);
  const dir = folder(t, { "20260101000000_one.sql": up("create table one (id bigint generated always as identity)") });
  await migrate({ url: db.ownerUrl, dir });
  await db.query("insert into one default values");
  assert.deepEqual((await db.query("update one set id = default returning id")).rows, [{ id: 2 }]);
  await assert.rejects(db.query("select * from migration.checksum"), { code: "42501" });
  await assert.rejects(db.query("create table mine (id int)"), { code: "42501" });
});

test("an owner that is no superuser can migrate once the role is there, and hand itself the role", async (t) => {
  const db = await testDatabase(t);
  const owner = `owner_${randomUUID().slice(0, 8)}`;
  await db.asOwner(`create role ${owner} login`);
  const name = new URL(db.ownerUrl).pathname.slice(1);
  t.after(() => db.asOwner(`reassign owned by ${owner} to current_user; drop owned by ${owner}; drop role ${owner}`));
  await db.asOwner(
    `alter database ${name} owner to ${owner}; drop schema public cascade; drop schema migration cascade`,
  );
  await db.asOwner(`create schema public authorization ${owner}`);
  const url = new URL(db.ownerUrl);
  url.username = owner;
  await assert.rejects(migrate({ url: url.href }), /^Error: The database user may not/);
  await db.asOwner(`grant castellan_app to ${owner} with admin option`);
  assert.deepEqual(await migrate({ url: url.href }), NAMES);
});

test("a server that can't be reached is named, the password is not", async (t) => {
  const { ownerUrl } = await testDatabase(t);
  const missing = new URL(ownerUrl);
  missing.pathname = "/not_there";
  missing.password = "hunter2";
  await assert.rejects(
    migrate({ url: missing.href }),
    /^Error: The database "not_there" at .* can't be reached: (?!.*hunter2)/,
  );
  const nobody = migrate({ url: "postgres://u:hunter2@localhost:1/d" });
  await assert.rejects(
    nobody,
    /^Error: The database "d" at localhost:1 can't be reached: connect ECONNREFUSED [^\n]*:1(?!.*hunter2)/,
  );
});
