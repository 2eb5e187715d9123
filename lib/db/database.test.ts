import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test, { type TestContext } from "node:test";
import { authenticate } from "../../contracts/tenant.ts";
import { testDatabase } from "../../test/support/database.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { connectionConfig, type Database, openDatabase, type Tx } from "./database.ts";

const A = "00000000-0000-4000-8000-00000000000a";
const B = "00000000-0000-4000-8000-00000000000b";

const tenantOf = async (tx: Tx) =>
  (await tx.query<{ id: string | null }>("select nullif(current_setting('app.tenant_id', true), '') as id")).rows[0]
    ?.id;
const nodeCount = async (db: Database) => (await db.query("select from actor_node")).rowCount;
const insertNode = (tx: Tx) =>
  tx.query(
    "insert into actor_node (incarnation, node_id, lock_key, capacity, lease_until) values ($1, 'n', 1, 1, now())",
    [randomUUID()],
  );

/** The test's database with other settings of its own. */
async function opened(
  t: TestContext,
  options: { poolMax?: number; statementTimeoutMs?: number; viaProxy?: boolean } = {},
) {
  const { ownerUrl, asOwner } = await testDatabase(t);
  const proxy = options.viaProxy ? await proxyTo(t, ownerUrl) : undefined;
  const db = openDatabase({ url: proxy?.url ?? ownerUrl, applicationName: "under test", ...options });
  t.after(() => db.close());
  const cutAll = () =>
    asOwner("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'under test'");
  return { db, proxy, cutAll, ownerUrl };
}

test("what a transaction returns is committed, what it throws is rolled back", async (t) => {
  const db = await testDatabase(t);
  assert.equal(await db.tenantTx(null, async (tx) => (await insertNode(tx)).rowCount), 1);
  const failing = db.tenantTx(null, async (tx) => {
    await insertNode(tx);
    throw new Error("no");
  });
  await assert.rejects(failing, /^Error: no$/);
  assert.equal(await nodeCount(db), 1);
});

test("the tenant holds for one transaction and never for the next one on the same connection", async (t) => {
  const { db } = await opened(t, { poolMax: 1 });
  assert.equal(await db.tenantTx(A, tenantOf), A);
  assert.equal(await db.tenantTx(B, tenantOf), B);
  assert.equal(await db.tenantTx(null, tenantOf), null);
  assert.equal(await tenantOf(db), null);
  await assert.rejects(db.tenantTx(A, async (tx) => void (await tx.query("select 1/0"))));
  assert.equal(await tenantOf(db), null);
});

test("a tenant that is no UUID is a bug, and reaches no SQL", async (t) => {
  const db = await testDatabase(t);
  await assert.rejects(db.tenantTx("'; drop table tenant; --", tenantOf), /bug: .* is no tenant id/);
  assert.equal((await db.query("select from tenant")).rowCount, 0);
});

test("a statement that failed and was ignored does not look like success", async (t) => {
  const db = await testDatabase(t);
  const careless = db.tenantTx(null, async (tx) => {
    await insertNode(tx);
    await tx.query("select 1/0").catch(() => {});
  });
  await assert.rejects(careless, /bug: a statement failed and was ignored/);
  assert.equal(await nodeCount(db), 0);
});

test("statements of a transaction may be sent side by side", async (t) => {
  const db = await testDatabase(t);
  const sums = await db.tenantTx(A, (tx) =>
    Promise.all([1, 2, 3].map(async (n) => (await tx.query<{ n: number }>("select $1::int + 1 as n", [n])).rows[0]?.n)),
  );
  assert.deepEqual(sums, [2, 3, 4]);
  const oneFails = db.tenantTx(null, (tx) => Promise.all([insertNode(tx), tx.query("select 1/0"), insertNode(tx)]));
  await assert.rejects(oneFails, { code: "22012" });
  assert.equal(await nodeCount(db), 0);
});

test("a transaction that has ended takes no more statements", async (t) => {
  const db = await testDatabase(t);
  const kept: { tx?: Tx } = {};
  await db.tenantTx(A, async (tx) => {
    kept.tx = tx;
  });
  await assert.rejects(kept.tx!.query("select 1"), /bug: a query on a transaction that has ended/);
});

test("SQL errors keep their code, and the connection lives on", async (t) => {
  const { db } = await opened(t, { poolMax: 1 });
  const [{ pid } = { pid: 0 }] = (await db.query<{ pid: number }>("select pg_backend_pid() as pid")).rows;
  await assert.rejects(db.query("select 1/0"), { code: "22012" });
  await assert.rejects(
    db.tenantTx(A, (tx) => tx.query("select * from nowhere")),
    { code: "42P01" },
  );
  assert.deepEqual((await db.query("select pg_backend_pid() as pid")).rows, [{ pid }]);
});

test("bigints are numbers, also in arrays; one that does not fit is refused", async (t) => {
  const db = await testDatabase(t);
  const { rows } = await db.query(
    "select 9007199254740991::bigint as max, array[1, null]::bigint[] as list, count(*) from tenant",
  );
  assert.deepEqual(rows, [{ max: Number.MAX_SAFE_INTEGER, list: [1, null], count: 0 }]);
  await assert.rejects(db.query("select 9007199254740993::bigint"), /does not fit a number/);
});

test("a statement that takes too long is DEADLINE_PASSED, and the connection lives on", async (t) => {
  const { db } = await opened(t, { poolMax: 1, statementTimeoutMs: 50 });
  await assert.rejects(db.query("select pg_sleep(20)"), { code: "DEADLINE_PASSED" });
  await assert.rejects(
    db.tenantTx(A, (tx) => tx.query("select pg_sleep(20)")),
    { code: "DEADLINE_PASSED" },
  );
  await db.ping();
});

test("a connection that is cut in a transaction is DATABASE_DOWN, and the next one works", async (t) => {
  const { db, cutAll } = await opened(t, { poolMax: 1 });
  const cut = db.tenantTx(A, async (tx) => {
    await insertNode(tx);
    await cutAll();
    await insertNode(tx);
  });
  await assert.rejects(cut, { code: "DATABASE_DOWN" });
  assert.equal(await nodeCount(db), 0);
});

test("a connection that is cut before COMMIT is DATABASE_DOWN with an unknown outcome", async (t) => {
  const { db, cutAll } = await opened(t, { poolMax: 1 });
  const cut = db.tenantTx(A, async (tx) => {
    await insertNode(tx);
    await cutAll();
  });
  await assert.rejects(cut, (error: { code: string; data: unknown }) => {
    assert.deepEqual([error.code, error.data], ["DATABASE_DOWN", { outcome: "unknown" }]);
    return true;
  });
});

test("connections that are cut while idle are replaced", async (t) => {
  const { db, cutAll } = await opened(t);
  await Promise.all([1, 2, 3].map(() => db.ping()));
  await cutAll();
  // The notice of the cut may still be on its way.
  await db.ping().catch((error) => assert.equal(error.code, "DATABASE_DOWN"));
  await Promise.all([1, 2, 3].map(() => db.ping().catch(() => {})));
  await db.ping();
});

test("a server that is away is DATABASE_DOWN, also for the statements under way", async (t) => {
  const { db, proxy } = await opened(t, { viaProxy: true });
  await db.ping();
  const running = [db.query("select pg_sleep(20)"), db.tenantTx(A, (tx) => tx.query("select pg_sleep(20)"))];
  const ended = Promise.all(running.map((query) => assert.rejects(query, { code: "DATABASE_DOWN" })));
  await db.ping();
  proxy?.cut();
  await ended;
  await assert.rejects(db.ping(), { code: "DATABASE_DOWN" });
  proxy?.mend();
  await db.ping();
});

test("a server that hangs is DATABASE_DOWN before the shortest ask gives up, on an open connection and a new one", async (t) => {
  const { db, proxy } = await opened(t, { poolMax: 1, viaProxy: true });
  await db.ping();
  proxy?.freeze();
  for (const which of ["open", "new"]) {
    const startedAt = performance.now();
    await assert.rejects(db.tenantTx(A, tenantOf), { code: "DATABASE_DOWN" }, which);
    assert.ok(performance.now() - startedAt < authenticate.deadlineMs, which);
  }
});

test("what waits for a server that hangs fails at once when it is given up, and nothing new is taken", async (t) => {
  const { db, proxy } = await opened(t, { viaProxy: true });
  const pings = [db.ping(), db.ping()];
  await Promise.all(pings);
  proxy?.freeze();
  const refused = { code: /^(?:DATABASE_DOWN|SHUTTING_DOWN)$/ };
  const waiting = [db.ping(), db.tenantTx(A, tenantOf)].map((work) => assert.rejects(work, refused));
  db.giveUp();
  await Promise.all(waiting);
  await assert.rejects(db.ping(), { code: "SHUTTING_DOWN" });
  await db.close();
});

test("a slow statement is no server that hangs", async (t) => {
  const { db } = await opened(t, { poolMax: 1 });
  await db.tenantTx(A, (tx) => tx.query("select pg_sleep(2.5)"));
});

test("a pool that stays exhausted is DATABASE_DOWN, not a wait for ever", async (t) => {
  const { db } = await opened(t, { poolMax: 1 });
  const gate = Promise.withResolvers<void>();
  const holder = db.tenantTx(A, () => gate.promise);
  await assert.rejects(db.ping(), { code: "DATABASE_DOWN" });
  gate.resolve();
  await holder;
});

test("a close lets transactions that run come to their end, and takes no new ones", async (t) => {
  const { db } = await opened(t);
  const gate = Promise.withResolvers<void>();
  const running = db.tenantTx(A, async (tx) => {
    await tx.query("select 1");
    await gate.promise;
    return tenantOf(tx);
  });
  await db.ping();
  const closed = db.close();
  await assert.rejects(db.ping(), { code: "SHUTTING_DOWN" });
  gate.resolve();
  assert.equal(await running, A);
  await closed;
  await db.close();
});

test("settings in the URL are kept, the role always wins", () => {
  const { connectionString } = connectionConfig({
    url: "postgres://u@h/d?sslmode=require&options=-c%20search_path%3Dx%20-c%20role%3Dpostgres",
    applicationName: "n",
  });
  const { searchParams } = new URL(connectionString!);
  assert.equal(searchParams.get("sslmode"), "require");
  const options = searchParams.getAll("options").at(-1);
  assert.equal(options, "-c search_path=x -c role=postgres -c role=castellan_app -c timezone=UTC");
});
