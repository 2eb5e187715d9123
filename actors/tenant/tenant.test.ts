import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, test } from "node:test";
import { type ErrorCode, Fault } from "../../contracts/errors.ts";
import type { Scope } from "../../contracts/kit.ts";
import { SCOPES } from "../../contracts/tenant.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { makeSecret, prefixOf } from "./api-key.ts";
import { ensureDefaultTenant, makeFirstKey } from "./bootstrap.ts";
import { KeyUse } from "./key-use.ts";
import { TENANT_SCOPES, Tenants } from "./tenant.ts";

let db: TestDatabase;
let tenants: Tenants;
const used: string[] = [];

before(async () => {
  db = await testDatabase();
  await makeFirstKey(db, (await ensureDefaultTenant({ db, adminApiKey: null })).tenantId);
  tenants = new Tenants({ db, used: (_, apiKeyId) => used.push(apiKeyId) });
});

const refused = (code: ErrorCode) => (error: unknown) => error instanceof Fault && error.code === code;
const newTenant = async (slug: string) => (await tenants.create({ slug })).data;
const revoke = (tenantId: string, apiKeyId: string, callerScopes: readonly Scope[] = SCOPES) =>
  tenants.revokeKey(tenantId, { apiKeyId, callerScopes: [...callerScopes] });

test("a new tenant comes with a key that has every scope but platform:admin", async () => {
  const { apiKey, ...tenant } = await newTenant("acme");
  assert.equal(tenant.slug, "acme");
  assert.equal(tenant.name, "acme");
  assert.deepEqual(apiKey.scopes, TENANT_SCOPES);
  assert.ok(!apiKey.scopes.includes("platform:admin"));
  assert.match(apiKey.secret, /^ck_[0-9a-f]{32}_[A-Za-z0-9_-]{43}$/);
  assert.equal(apiKey.secret.slice(3, 35), tenant.id.replaceAll("-", ""));
  assert.ok(apiKey.secret.startsWith(apiKey.prefix));
  const principal = await tenants.authenticate(apiKey.secret);
  assert.deepEqual(principal, { tenantId: tenant.id, tenant: "acme", apiKeyId: apiKey.id, scopes: TENANT_SCOPES });
  assert.ok(used.includes(apiKey.id));
});

test("only the SHA-256 of a secret is stored", async () => {
  const { apiKey } = await newTenant("hashed");
  const { rows } = await db.asOwner<{ text: string; hash: Buffer }>(
    "select api_key::text as text, secret_sha256 as hash from api_key where id = $1",
    [apiKey.id],
  );
  assert.ok(!rows[0]?.text.includes(apiKey.secret.slice(-20)));
  assert.deepEqual(rows[0]?.hash, createHash("sha256").update(apiKey.secret).digest());
});

test("a taken slug is refused and leaves nothing behind", async () => {
  await newTenant("taken");
  await assert.rejects(tenants.create({ slug: "taken", name: "Again" }), refused("TENANT_SLUG_TAKEN"));
  const { rows } = await db.asOwner("select 1 from tenant where slug = 'taken'");
  assert.equal(rows.length, 1);
});

test("tenants are listed in pages that neither repeat nor leave out", async () => {
  for (const slug of ["page-a", "page-b", "page-c"]) await newTenant(slug);
  const seen: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await tenants.list({ limit: 2, ...(cursor ? { cursor } : {}) });
    assert.ok(page.data.length <= 2);
    seen.push(...page.data.map(({ slug }) => slug));
    cursor = page.nextCursor ?? undefined;
  } while (cursor);
  const { rows } = await db.asOwner<{ slug: string }>("select slug from tenant order by id");
  assert.deepEqual(
    seen,
    rows.map(({ slug }) => slug),
  );
});

test("a cursor of another list, and any other text, is refused", async () => {
  const { id } = await newTenant("cursors");
  await tenants.createKey(id, { name: "second", scopes: ["key:read"], callerScopes: ["key:read"] });
  const { nextCursor } = await tenants.listKeys(id, { limit: 1 });
  assert.ok(nextCursor);
  await assert.rejects(tenants.list({ limit: 1, cursor: nextCursor }), refused("BAD_CURSOR"));
  await assert.rejects(tenants.list({ limit: 1, cursor: "'; drop table tenant" }), refused("BAD_CURSOR"));
});

test("no key makes a stronger one", async () => {
  const { id } = await newTenant("scopes");
  const input = { name: "strong", callerScopes: ["key:write" as const, "channel:read" as const] };
  await assert.rejects(
    tenants.createKey(id, { ...input, scopes: ["channel:read", "platform:admin"] }),
    refused("SCOPE_MISSING"),
  );
  const { data } = await tenants.createKey(id, { ...input, scopes: ["channel:read", "channel:read"] });
  assert.deepEqual(data.scopes, ["channel:read"]);
});

test("no key revokes a stronger one", async () => {
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: null });
  const key = { name: "one of two admins", scopes: ["platform:admin" as const], callerScopes: [...SCOPES] };
  const { data: admin } = await tenants.createKey(tenantId, key);
  await assert.rejects(revoke(tenantId, admin.id, TENANT_SCOPES), refused("SCOPE_MISSING"));
  assert.ok(await tenants.authenticate(admin.secret));
  const { data: revoked } = await revoke(tenantId, admin.id, ["platform:admin"]);
  assert.ok(revoked.revokedAt);
});

test("a tenant sees and revokes its own keys only", async () => {
  const [a, b] = [await newTenant("side-a"), await newTenant("side-b")];
  const { data } = await tenants.listKeys(a.id, { limit: 50 });
  assert.deepEqual(
    data.map(({ id }) => id),
    [a.apiKey.id],
  );
  assert.ok(!("secret" in data[0]!));
  await assert.rejects(revoke(a.id, b.apiKey.id), refused("API_KEY_NOT_FOUND"));
  assert.ok(await tenants.authenticate(b.apiKey.secret));
});

test("a revoked key is known no more, and revoking it again changes nothing", async () => {
  const { id, apiKey } = await newTenant("revoked");
  const first = await revoke(id, apiKey.id);
  assert.ok(first.data.revokedAt);
  assert.deepEqual(await revoke(id, apiKey.id), first);
  assert.equal(await tenants.authenticate(apiKey.secret), null);
});

test("the last admin key stays, also when two revocations come at once", async () => {
  const { tenantId } = await ensureDefaultTenant({ db, adminApiKey: null });
  await tenants.createKey(tenantId, { name: "second admin", scopes: ["platform:admin"], callerScopes: [...SCOPES] });
  const { data } = await tenants.listKeys(tenantId, { limit: 200 });
  const admins = data.filter(({ scopes, revokedAt }) => scopes.includes("platform:admin") && !revokedAt);
  assert.equal(admins.length, 2);
  const outcomes = await Promise.allSettled(admins.map(({ id }) => revoke(tenantId, id)));
  assert.deepEqual(outcomes.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  const [failed] = outcomes.filter((outcome) => outcome.status === "rejected");
  assert.ok(refused("LAST_ADMIN_KEY")(failed?.reason));
});

test("unknown texts are nobody's keys", async () => {
  const { id } = await newTenant("unknown");
  const stranger = makeSecret("01a00000-0000-7000-8000-000000000000");
  for (const text of ["", "ck_", "x".repeat(500), makeSecret(id), stranger]) {
    assert.equal(await tenants.authenticate(text), null);
  }
});

test("the times of use are written in one batch and never go back", async () => {
  const { id, apiKey } = await newTenant("times");
  let nowMs = Date.parse("2030-01-01T00:00:00.000Z");
  const uses = new KeyUse({ db, clock: { nowMs: () => nowMs } });
  const lastUsed = async () => (await tenants.listKeys(id, { limit: 1 })).data[0]?.lastUsedAt;
  uses.note(id, apiKey.id);
  assert.equal(await lastUsed(), null);
  await uses.flush();
  assert.equal(await lastUsed(), "2030-01-01T00:00:00.000Z");
  nowMs -= 1000;
  uses.note(id, apiKey.id);
  await uses.flush();
  assert.equal(await lastUsed(), "2030-01-01T00:00:00.000Z");
});

test("a key's prefix tells keys of one tenant apart and gives no short key away", () => {
  const secret = makeSecret("01a00000-0000-7000-8000-000000000000");
  assert.equal(prefixOf(secret), secret.slice(0, 42));
  assert.equal(prefixOf("operators-own-long-admin-key"), "oper");
  assert.equal(prefixOf("short"), "");
});
