/** Row security, asked of the database's own catalog: a table that comes tomorrow is tested without a change here. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { type TestContext } from "node:test";
import { APP_ROLE, type Tx } from "../lib/db/database.ts";
import { insertOf, type Row, RowMaker, readBypasses, readTables, type Table } from "./support/catalog.ts";
import { type TestDatabase, testDatabase } from "./support/database.ts";

/** Tables without a tenant_id, and why each may be one. */
const WITHOUT_TENANT: Readonly<Record<string, string>> = {
  tenant: "the list of tenants; inside of a tenant only its own row is there",
  actor_node: "leases of processes, which serve all tenants",
  actor_placement: "who owns which key; the keys of tenants' actors are ids, nothing else",
  event: "the outbox: delivered to actors, which answer for the tenant named in the payload",
  event_consumer: "which actor wants which facts",
  event_todo: "what of the outbox is not delivered yet",
  fleet_snapshot: "one row: the number of the edges' newest snapshot and a hash of what it holds",
  cdn_signing_key: "one row, the platform's: what edges' configurations are signed with; not there inside of a tenant",
  cdn_config: "CDN customers are the platform's: tenants and third parties in one; not there inside of a tenant",
  cdn_config_ack: "which edge took which of them; edges serve all tenants; not there inside of a tenant",
  cdn_account_delivery: "which counts of which edge have come; edges serve all tenants; not there inside of a tenant",
  cdn_account_hour: "what edges counted, of tenants and third parties in one; not there inside of a tenant",
  token_signing_key: "the platform's, wrapped: what playback tokens are signed with; not there inside of a tenant",
  playback_revocation: "ids that edges refuse, for a while; edges serve all tenants; not there inside of a tenant",
  upload_key: "one row, the platform's: what gateways' tickets are signed with; not there inside of a tenant",
  job_worker: "leases of processes that work on jobs of all tenants; not there inside of a tenant",
  job_queue: "live jobs, claimed outside of any tenant; inside of one only its own are there",
  "graphile_worker._private_jobs": "wake-ups: the kind and the id of a job, nothing of a tenant",
  "graphile_worker._private_job_queues": "the library's own, unused",
  "graphile_worker._private_known_crontabs": "the library's own, unused",
  "graphile_worker._private_tasks": "the kinds of jobs",
  "graphile_worker.migrations": "the library's own",
  "migration.applied": "of the owner, out of the application's reach",
  "migration.checksum": "of the owner, out of the application's reach",
};
/** Rows without a tenant that every tenant may read. */
const PLATFORM_ROWS: Readonly<Record<string, string>> = {
  streamer: "streamers of the platform, usable by all tenants",
};
/** Functions that look past row security, and why each may; what they refuse is tested with the actor. */
const DEFINERS: Readonly<Record<string, string>> = {
  search_titles: "indexes of operators that are not leakproof are of use to it; answers for the transaction's tenant",
  titles_due: "the clock of titles of all tenants; answers outside of a tenant alone",
  titles_known: "the sweep of objects of all tenants; answers outside of a tenant alone",
};
const REFUSED = "42501"; // insufficient_privilege: also what a policy answers
const NOT_THERE = "23503"; // foreign_key_violation

interface Scene {
  readonly db: TestDatabase;
  readonly tables: ReadonlyMap<string, Table>;
  readonly rows: RowMaker;
  readonly victim: string;
  readonly intruder: string;
}

async function scene(t: TestContext, change = ""): Promise<Scene> {
  const db = await testDatabase(t);
  if (change) await db.asOwner(change);
  const tables = await readTables(db);
  return { db, tables, rows: new RowMaker(db, tables), victim: randomUUID(), intruder: randomUUID() };
}

const tenantTables = ({ tables }: Scene): Table[] => [...tables.values()].filter((table) => table.hasTenant);

/** What the catalog alone shows to be open. */
async function openDoors({ db, tables }: Scene): Promise<string[]> {
  const isAllowed = (name: string) => name.replace("security definer function ", "") in DEFINERS;
  const faults = (await readBypasses(db)).filter((name) => !isAllowed(name));
  for (const table of tables.values()) {
    if (!table.hasTenant && !(table.name in WITHOUT_TENANT)) faults.push(`${table.name} has no tenant_id`);
    if (table.hasTenant && !table.rowSecurity) faults.push(`${table.name} has no row security`);
    if (table.hasTenant && !table.forced) faults.push(`${table.name} does not bind its owner`);
  }
  return faults;
}

class Undo extends Error {}

/** Does `work` as a tenant (null: none) and takes it back; SQL errors come back as their SQLSTATE. */
async function tried(
  db: TestDatabase,
  tenantId: string | null,
  work: (tx: Tx) => Promise<Row[]>,
): Promise<Row[] | string> {
  let outcome: Row[] | string = [];
  await db
    .tenantTx(tenantId, async (tx) => {
      outcome = await work(tx);
      throw new Undo();
    })
    .catch((error: { code?: string }) => {
      if (!(error instanceof Undo)) outcome = error.code ?? String(error);
    });
  return outcome;
}

const sql =
  (text: string, values: unknown[] = []) =>
  async (tx: Tx) =>
    (await tx.query<Row>(text, values)).rows;

/** Empties a table of what the transaction may delete, and the tables that would hold on to it. */
const emptied = (tables: ReadonlyMap<string, Table>, table: Table) => async (tx: Tx) => {
  for (const child of tables.values()) {
    if (child.foreignKeys.some((key) => key.parent === table.name)) await tx.query(`delete from ${child.name}`);
  }
  return (await tx.query<Row>(`delete from ${table.name} returning tenant_id`)).rows;
};

/** Everything that `as` (a tenant, or nobody) manages to do to the victim's row of a table. Nothing is right. */
async function breaches(scene: Scene, table: Table, as: string | null): Promise<string[]> {
  const { db, rows, victim } = scene;
  const row = await rows.rowOf(table.name, victim);
  if (as) await rows.rowOf(table.name, as);
  const found: string[] = [];
  const isForeign = ({ tenant_id: owner }: Row) => owner !== as && !(owner === null && table.name in PLATFORM_ROWS);
  const expectNone = async (what: string, work: (tx: Tx) => Promise<Row[]>) => {
    const outcome = await tried(db, as, work);
    if (outcome !== REFUSED && (typeof outcome === "string" || outcome.some(isForeign)))
      found.push(`${what} ${table.name}`);
  };
  const expectRefused = async (what: string, text: string, values: unknown[] = []) => {
    const outcome = await tried(db, as, sql(text, values));
    if (outcome !== REFUSED) found.push(`${what} ${table.name}`);
  };
  const before = await asItIs(scene, table);
  await expectNone("reads", sql(`select tenant_id from ${table.name}`));
  await expectNone("updates", sql(`update ${table.name} set tenant_id = tenant_id returning tenant_id`));
  await expectNone("deletes", emptied(scene.tables, table));
  const another = await rows.valuesFor(table, victim, wordOf(table, row), true);
  await expectRefused("inserts into", insertOf(table, another), Object.values(another));
  await expectRefused("truncates", `truncate ${table.name} cascade`);
  if (as) {
    await expectRefused("gives away", `update ${table.name} set tenant_id = $1 where tenant_id = $2`, [victim, as]);
    const { sent, values } = takeOver(table, { ...row, tenant_id: as });
    await tried(db, as, sql(sent, values));
  }
  // These are kept if they work.
  for (const change of [
    `update ${table.name} set tenant_id = $1 where tenant_id = $2`,
    `delete from ${table.name} where $1::text is not null and tenant_id = $2`,
  ]) {
    await db.tenantTx(as, sql(change, [as, victim])).catch(() => {});
  }
  assert.deepEqual(await asItIs(scene, table), before, `${table.name} of the other tenant was changed`);
  return found;
}

const asItIs = async ({ db, victim }: Scene, table: Table): Promise<Row[]> =>
  (await db.asOwner<Row>(`select *, xmin::text from ${table.name} where tenant_id = $1`, [victim])).rows;

const wordOf = (table: Table, row: Row): number => {
  const column = table.columns.find(({ required, words }) => required && words.length > 0);
  return column ? column.words.indexOf(String(row[column.name])) : 0;
};

/** The victim's key with the intruder's tenant: an upsert must not get at the row by its primary key. */
function takeOver(table: Table, row: Row): { sent: string; values: unknown[] } {
  const generated = new Set(table.columns.filter((column) => column.generated).map((column) => column.name));
  const computed = new Set(table.columns.filter((column) => column.computed).map((column) => column.name));
  const given = Object.entries(row).filter(([name]) => !computed.has(name));
  const values = Object.fromEntries(given.map(([name, value]) => [name, asInput(value)]));
  const sent = insertOf(table, values).replace(
    " values ",
    generated.size > 0 ? " overriding system value values " : " values ",
  );
  const target = table.primaryKey.join(", ");
  return {
    sent: `${sent} on conflict (${target}) do update set tenant_id = excluded.tenant_id`,
    values: Object.values(values),
  };
}

const asInput = (value: unknown): unknown =>
  value && typeof value === "object" && value.constructor === Object ? JSON.stringify(value) : value;

test("every table has a tenant and forced row security, or a written reason why not", async (t) => {
  const database = await scene(t);
  assert.deepEqual(await openDoors(database), []);
  for (const name of Object.keys(WITHOUT_TENANT))
    assert.ok(database.tables.has(name), `${name} is listed and not there`);
});

test("the application role can't go around row security", async (t) => {
  const { db } = await scene(t);
  const { rows } = await db.asOwner(
    "select rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication from pg_roles where rolname = $1",
    [APP_ROLE],
  );
  const none = { rolsuper: false, rolbypassrls: false, rolcreaterole: false, rolcreatedb: false };
  assert.deepEqual(rows, [{ ...none, rolcanlogin: false, rolreplication: false }]);
  const owned = await db.asOwner("select relname from pg_class where relowner = $1::regrole", [APP_ROLE]);
  assert.deepEqual(owned.rows, []);
  const member = await db.asOwner("select roleid::regrole from pg_auth_members where member = $1::regrole", [APP_ROLE]);
  assert.deepEqual(member.rows, []);
  for (const statement of ["create table mine (id int)", "alter table tenant disable row level security"]) {
    assert.equal(await tried(db, null, sql(statement)), REFUSED, statement);
  }
});

test("a tenant reads and writes nothing of another one, in no table", async (t) => {
  const database = await scene(t);
  assert.ok(tenantTables(database).length >= 8);
  for (const table of tenantTables(database)) {
    assert.deepEqual(await breaches(database, table, database.intruder), []);
  }
});

test("a tenant reads and writes its own rows", async (t) => {
  const { db, rows, tables, intruder } = await scene(t);
  for (const table of tables.values()) {
    if (!table.hasTenant) continue;
    const own = await rows.rowOf(table.name, intruder);
    const read = await tried(db, intruder, sql(`select tenant_id from ${table.name}`));
    assert.deepEqual(read, [{ tenant_id: intruder }], table.name);
    const again = await tried(db, intruder, async (tx) => {
      await emptied(tables, table)(tx);
      const { sent, values } = takeOver(table, own);
      return (await tx.query<Row>(`${sent} returning tenant_id`, values)).rows;
    });
    assert.deepEqual(again, [{ tenant_id: intruder }], table.name);
  }
});

test("without a tenant there are no rows of any", async (t) => {
  const database = await scene(t);
  for (const table of tenantTables(database)) {
    assert.deepEqual(await breaches(database, table, null), []);
  }
});

test("no row can point at a row of another tenant", async (t) => {
  const { db, rows, tables, victim, intruder } = await scene(t);
  const pointers: string[] = [];
  for (const table of tables.values()) {
    for (const key of table.foreignKeys) {
      if (!table.hasTenant || !tables.get(key.parent)?.hasTenant) continue;
      const own = await rows.rowOf(table.name, intruder);
      const values = await rows.valuesFor(table, intruder, wordOf(table, own), true);
      const parent = await rows.rowOf(key.parent, victim);
      for (const [index, column] of key.columns.entries()) values[column] = parent[key.parentColumns[index]!];
      values.tenant_id = intruder;
      // Its own row would be in the way of the primary key where that is the pointer.
      const outcome = await tried(db, intruder, async (tx) => {
        await tx.query(`delete from ${table.name}`);
        return sql(insertOf(table, values), Object.values(values))(tx);
      });
      assert.ok(outcome === REFUSED || outcome === NOT_THERE, `${table.name} → ${key.parent}: ${String(outcome)}`);
      pointers.push(`${table.name} → ${key.parent}`);
    }
  }
  assert.ok(pointers.includes("channel_origin → streamer"), pointers.join(", "));
});

test("a tenant sees itself in the list of tenants, and can't touch the others", async (t) => {
  const { db, rows, victim, intruder } = await scene(t);
  for (const tenantId of [victim, intruder]) await rows.rowOf("tenant", tenantId);
  assert.deepEqual(await tried(db, intruder, sql("select id from tenant")), [{ id: intruder }]);
  assert.deepEqual(await tried(db, intruder, sql("delete from tenant returning id")), [{ id: intruder }]);
  assert.deepEqual(
    await tried(db, intruder, sql("update tenant set name = 'x' where id = $1 returning id", [victim])),
    [],
  );
  assert.equal(await tried(db, intruder, sql("insert into tenant values ($1, 'x', 'X')", [randomUUID()])), REFUSED);
  assert.equal((await db.query("select from tenant")).rowCount, 2);
});

test("the platform's streamers are seen by all tenants and written by none", async (t) => {
  const { db, rows, intruder } = await scene(t);
  await rows.rowOf("tenant", intruder);
  const platform = `insert into streamer (kind, name, base_url, playback_url_template, node_id, ordinal)
    values ('castellan', 's', 'http://s', '', 'n', 1) returning id`;
  const [{ id } = { id: 0 }] = (await db.query<{ id: number }>(platform)).rows;
  assert.deepEqual(await tried(db, intruder, sql("select id from streamer")), [{ id }]);
  assert.deepEqual(await tried(db, intruder, sql("update streamer set name = 'x' returning id")), []);
  assert.deepEqual(await tried(db, intruder, sql("delete from streamer returning id")), []);
  assert.equal(await tried(db, intruder, sql(platform)), REFUSED);
});

test("this test finds a table that was left open", async (t) => {
  const open = await scene(
    t,
    `create table no_policy (id int primary key, tenant_id uuid);
     create table no_tenant (id int primary key);
     create table owner_free (id int primary key, tenant_id uuid);
     alter table owner_free enable row level security;
     create view peep as select * from api_key;
     create function peek() returns bigint language sql security definer as 'select count(*) from api_key'`,
  );
  assert.deepEqual(await openDoors(open), [
    "security definer function peek",
    "view without security_invoker peep",
    "no_policy has no row security",
    "no_policy does not bind its owner",
    "no_tenant has no tenant_id",
    "owner_free does not bind its owner",
  ]);
});

test("this test finds a policy that lets others read or write", async (t) => {
  const holes = {
    "for select using (true)": ["reads api_key"],
    "for insert with check (true)": ["inserts into api_key"],
    "using (true)": [
      "reads api_key",
      "updates api_key",
      "deletes api_key",
      "inserts into api_key",
      "gives away api_key",
    ],
  };
  for (const [hole, expected] of Object.entries(holes)) {
    const open = await scene(t, `create policy hole on api_key ${hole}`);
    const found = await breaches(open, open.tables.get("api_key")!, open.intruder).catch((error: Error) => [
      error.message,
    ]);
    if (hole === "using (true)") assert.match(String(found), /was changed/);
    else assert.deepEqual(found, expected);
  }
});
