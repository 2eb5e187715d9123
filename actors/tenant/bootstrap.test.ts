import assert from "node:assert/strict";
import { test } from "node:test";
import { SCOPES } from "../../contracts/tenant.ts";
import { type Database, openDatabase } from "../../lib/db/database.ts";
import { testDatabase } from "../../test/support/database.ts";
import { makeSecret } from "./api-key.ts";
import { ensureDefaultTenant, makeFirstKey } from "./bootstrap.ts";
import { Tenants } from "./tenant.ts";

const GIVEN = "operators-own-admin-key-0123456789";
type Db = Awaited<ReturnType<typeof testDatabase>>;
/** What a start without ADMIN_API_KEY does. */
const started = async (db: Database) => {
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: null });
  return { tenantId, madeKey: await makeFirstKey(db, tenantId) };
};
const tenantsOf = (db: Db) => new Tenants({ db, used: () => {} });

test("the first start makes the tenant and a key with every scope; later starts make nothing", async (t) => {
  const db = await testDatabase(t);
  const first = await started(db);
  assert.ok(first.madeKey);
  const principal = await tenantsOf(db).authenticate(first.madeKey);
  assert.deepEqual(principal && { ...principal, apiKeyId: "" }, {
    tenantId: first.tenantId,
    tenant: "default",
    apiKeyId: "",
    scopes: [...SCOPES],
  });
  assert.deepEqual(await started(db), { tenantId: first.tenantId, madeKey: null });
});

test("a start that failed before it could show a key has made none", async (t) => {
  const db = await testDatabase(t);
  await ensureDefaultTenant({ db, adminApiKey: null });
  const { madeKey } = await started(db);
  assert.ok(await tenantsOf(db).authenticate(madeKey ?? ""));
});

test("of nodes that start at once exactly one makes the key", async (t) => {
  const db = await testDatabase(t);
  const others = [1, 2, 3].map(() => openDatabase({ url: db.ownerUrl, applicationName: "another node" }));
  const made = await Promise.all([db, ...others].map(started));
  await Promise.all(others.map((node) => node.close()));
  assert.equal(made.filter(({ madeKey }) => madeKey !== null).length, 1);
  assert.equal(new Set(made.map(({ tenantId }) => tenantId)).size, 1);
});

test("ADMIN_API_KEY is the admin key, whatever its text, and is not shown", async (t) => {
  const db = await testDatabase(t);
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: GIVEN });
  assert.equal(await makeFirstKey(db, tenantId), null);
  assert.deepEqual((await tenantsOf(db).authenticate(GIVEN))?.scopes, [...SCOPES]);
});

test("a changed ADMIN_API_KEY takes the old one's place, and the old one comes back when it is set again", async (t) => {
  const db = await testDatabase(t);
  const tenants = tenantsOf(db);
  for (const [current, gone] of [
    [GIVEN, undefined],
    ["another-admin-key-0123456789", GIVEN],
    [GIVEN, "another-admin-key-0123456789"],
  ] as const) {
    await ensureDefaultTenant({ db, adminApiKey: current });
    assert.ok(await tenants.authenticate(current));
    if (gone) assert.equal(await tenants.authenticate(gone), null);
  }
});

test("a key that the first start made works on when ADMIN_API_KEY is set later", async (t) => {
  const db = await testDatabase(t);
  const { madeKey } = await started(db);
  await ensureDefaultTenant({ db, adminApiKey: GIVEN });
  assert.ok(await tenantsOf(db).authenticate(madeKey ?? ""));
});

test("an ADMIN_API_KEY of our own form that names another installation's tenant works too", async (t) => {
  const db = await testDatabase(t);
  const foreign = makeSecret("01a00000-0000-7000-8000-000000000000");
  await ensureDefaultTenant({ db, adminApiKey: foreign });
  assert.equal((await tenantsOf(db).authenticate(foreign))?.tenant, "default");
});
