/** The gateway before the real tenant actor on a real database. */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { ensureDefaultTenant } from "../actors/tenant/bootstrap.ts";
import { tenantService } from "../actors/tenant/tenant.service.ts";
import { fail } from "../contracts/errors.ts";
import { SCOPES } from "../contracts/tenant.ts";
import { systemClock } from "../lib/clock.ts";
import { openDatabase } from "../lib/db/database.ts";
import { quietLog } from "../lib/log/log.ts";
import { type TestDatabase, testDatabase } from "../test/support/database.ts";
import { proxyTo } from "../test/support/proxy.ts";
import { aChannel, type Cleaner, type Stub, testGateway } from "./gateway.fixture.ts";

const ADMIN = "operators-own-admin-key-0123456789";
const CHANNEL = { name: "BBC World", sourceType: "udp", ingestConfig: {}, origins: [{ streamerId: 1 }] };
let db: TestDatabase;

before(async () => {
  db = await testDatabase();
  await ensureDefaultTenant({ db, adminApiKey: ADMIN });
});

const start = async (t: Cleaner, stubs: Record<string, Stub> = {}, clock = systemClock) => {
  const services = [tenantService({ db, clock: systemClock, log: quietLog })];
  const gateway = await testGateway(t, { except: ["tenant"], services, stubs, clock });
  const call: typeof gateway.call = (method, path, options = {}) =>
    gateway.call(method, path, { key: ADMIN, ...options });
  return { ...gateway, call };
};
const dataOf = <T>({ body }: { body: Record<string, unknown> }): T => body.data as T;
interface Key {
  readonly id: string;
  readonly secret: string;
}

test("the admin makes a tenant; its key makes weaker keys, and what it may not do it can't", async (t) => {
  const { call } = await start(t);
  const made = await call("POST", "/api/v1/tenants", { body: { slug: "acme", name: "ACME" } });
  assert.equal(made.status, 201);
  assert.equal(made.headers.get("location"), null);
  const { secret } = dataOf<{ apiKey: Key }>(made).apiKey;
  assert.equal((await call("GET", "/api/v1/tenants", { key: secret })).status, 403);
  const strong = { name: "x", scopes: ["platform:admin"] };
  const refused = await call("POST", "/api/v1/api-keys", { key: secret, body: strong });
  assert.deepEqual([refused.status, refused.body.code], [403, "SCOPE_MISSING"]);
  const weak = dataOf<Key>(
    await call("POST", "/api/v1/api-keys", { key: secret, body: { name: "reader", scopes: ["key:read"] } }),
  );
  const list = await call("GET", "/api/v1/api-keys", { key: weak.secret });
  assert.deepEqual(
    dataOf<{ name: string }[]>(list).map(({ name }) => name),
    ["first key", "reader"],
  );
  assert.doesNotMatch(list.text, /secret/);
  assert.equal((await call("DELETE", `/api/v1/api-keys/${weak.id}`, { key: weak.secret })).status, 403);
});

test("a key revokes itself and its equals, and no key that may do more", async (t) => {
  const { call } = await start(t);
  const make = async (scopes: readonly string[]) =>
    dataOf<Key>(await call("POST", "/api/v1/api-keys", { body: { name: "k", scopes } }));
  const [admin, writer, equal] = [await make(SCOPES), await make(["key:write"]), await make(["key:write"])];
  const revoke = async ({ id }: Key) => {
    const { status, body } = await call("DELETE", `/api/v1/api-keys/${id}`, { key: writer.secret });
    return [status, body.code];
  };
  assert.deepEqual(await revoke(admin), [403, "SCOPE_MISSING"]);
  assert.deepEqual(await revoke(equal), [200, undefined]);
  assert.deepEqual(await revoke(writer), [200, undefined]);
  assert.equal((await call("DELETE", `/api/v1/api-keys/${admin.id}`)).status, 200);
});

test("a revoked key is refused when the gateway's memory of it has run out", async (t) => {
  let nowMs = 0;
  const { call } = await start(t, {}, { nowMs: () => nowMs });
  const body = { name: "short-lived", scopes: ["key:read"] };
  const key = dataOf<Key>(await call("POST", "/api/v1/api-keys", { body }));
  const use = async () => (await call("GET", "/api/v1/api-keys", { key: key.secret })).status;
  assert.equal(await use(), 200);
  assert.equal((await call("DELETE", `/api/v1/api-keys/${key.id}`)).status, 200);
  nowMs += 5_000;
  assert.equal(await use(), 401);
});

test("the last admin key can't be revoked", async (t) => {
  const { call } = await start(t);
  const keys = dataOf<{ id: string; scopes: string[] }[]>(await call("GET", "/api/v1/api-keys"));
  const admin = keys.find(({ scopes }) => scopes.includes("platform:admin"));
  const { status, body } = await call("DELETE", `/api/v1/api-keys/${admin?.id}`);
  assert.deepEqual([status, body.code], [409, "LAST_ADMIN_KEY"]);
});

test("a repeated request gets its first answer, secret and all, and the database can't read it", async (t) => {
  const { call } = await start(t);
  const headers = { "idempotency-key": "make-globex" };
  const make = (slug: string) => call("POST", "/api/v1/tenants", { headers, body: { slug } });
  const first = await make("globex");
  const second = await make("globex");
  assert.deepEqual([first.status, second.status], [201, 201]);
  assert.deepEqual(second.body, first.body);
  assert.equal(first.headers.get("idempotency-replayed"), null);
  assert.equal(second.headers.get("idempotency-replayed"), "true");
  const other = await make("initech");
  assert.deepEqual([other.status, other.body.code], [422, "IDEMPOTENCY_MISMATCH"]);
  const { rows } = await db.asOwner<{ text: string }>("select idempotency_key::text as text from idempotency_key");
  const { secret } = dataOf<{ apiKey: Key }>(first).apiKey;
  assert.ok(rows.length > 0 && rows.every(({ text }) => !text.includes(secret) && !text.includes('globex"')));
});

test("a repeated request for a key makes one key, whose secret is shown again to its maker", async (t) => {
  const { call } = await start(t);
  const make = () =>
    call("POST", "/api/v1/api-keys", {
      headers: { "idempotency-key": "make-a-key" },
      body: { name: "made once", scopes: ["key:read"] },
    });
  const [first, second] = [await make(), await make()];
  assert.deepEqual([first.status, second.status], [201, 201]);
  assert.deepEqual(second.body, first.body);
  assert.equal(second.headers.get("idempotency-replayed"), "true");
  const { rows } = await db.asOwner("select 1 from api_key where name = 'made once'");
  assert.equal(rows.length, 1);
});

test("of two equal requests at once one works and the other is told to wait", async (t) => {
  const entered = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const inputs: unknown[] = [];
  const { call } = await start(t, {
    "channel.create": async (input) => {
      inputs.push(input);
      entered.resolve();
      await released.promise;
      return { data: aChannel(), failures: [] };
    },
  });
  const create = () => call("POST", "/api/v1/channels", { headers: { "idempotency-key": "once" }, body: CHANNEL });
  const first = create();
  await entered.promise;
  const second = await create();
  assert.deepEqual([second.status, second.body.code], [409, "IDEMPOTENCY_RUNNING"]);
  assert.equal(second.headers.get("retry-after"), "1");
  released.resolve();
  assert.equal((await first).status, 201);
  const third = await create();
  assert.deepEqual(
    [third.status, third.headers.get("etag"), third.headers.get("location")],
    [201, '"3"', "/api/v1/channels/7"],
  );
  assert.deepEqual(inputs, [{ ...CHANNEL, trusted: true, idempotencyKey: "once" }]);
});

test("a refusal is kept, with each request's own id; what may pass the next time is not", async (t) => {
  const answers: (() => unknown)[] = [
    () => fail("CHANNEL_SLUG_TAKEN", { streamId: "bbc_world.stream", channelId: 1 }),
    () => fail("ALL_ORIGINS_FAILED", { failures: [] }),
    () => fail("MAILBOX_FULL", { key: "k" }),
    () => ({ data: aChannel(), failures: [] }),
  ];
  const { call } = await start(t, { "channel.create": () => answers.shift()?.() });
  const create = (idempotencyKey: string, requestId: string) =>
    call("POST", "/api/v1/channels", {
      headers: { "idempotency-key": idempotencyKey, "x-request-id": requestId },
      body: CHANNEL,
    });
  assert.equal((await create("refused", "one")).body.code, "CHANNEL_SLUG_TAKEN");
  const again = await create("refused", "two");
  assert.deepEqual([again.status, again.body.code, again.body.requestId], [409, "CHANNEL_SLUG_TAKEN", "two"]);
  assert.equal(again.headers.get("content-type"), "application/problem+json");
  assert.equal((await create("failing", "three")).status, 502);
  assert.equal((await create("failing", "four")).status, 429);
  assert.equal((await create("failing", "five")).status, 201);
});

test("a kept answer is its caller's alone", async (t) => {
  const { call } = await start(t, { "channel.create": () => ({ data: aChannel(), failures: [] }) });
  const body = { name: "writer", scopes: ["channel:write"] };
  const other = dataOf<Key>(await call("POST", "/api/v1/api-keys", { body }));
  const create = (key: string) =>
    call("POST", "/api/v1/channels", { key, headers: { "idempotency-key": "mine" }, body: CHANNEL });
  assert.equal((await create(ADMIN)).status, 201);
  const { status, body: problem } = await create(other.secret);
  assert.deepEqual([status, problem.code], [422, "IDEMPOTENCY_MISMATCH"]);
});

test("an Idempotency-Key that is none is refused", async (t) => {
  const { call } = await start(t);
  for (const key of ["x".repeat(256), "ümlaut"]) {
    const headers = { "idempotency-key": key };
    const { status, body } = await call("POST", "/api/v1/channels", { headers, body: CHANNEL });
    assert.equal(status, 422);
    assert.equal((body.errors as { path: string }[])[0]?.path, "Idempotency-Key");
  }
});

test("without a database every call is 503, soon, and the pages go on", async (t) => {
  const away = openDatabase({ url: "postgres://nobody@127.0.0.1:1/none", applicationName: "away" });
  t.after(() => away.close());
  const services = [tenantService({ db: away, clock: systemClock, log: quietLog })];
  const { call } = await testGateway(t, { except: ["tenant"], services });
  const { status, body, headers } = await call("GET", "/api/v1/channels", { key: ADMIN });
  assert.deepEqual([status, body.code, headers.get("retry-after")], [503, "DATABASE_DOWN", "1"]);
  assert.equal((await call("GET", "/")).status, 200);
});

test("a database that hangs is 503 like one that is away, for known keys and for new ones", async (t) => {
  const proxy = await proxyTo(t, db.ownerUrl);
  const hanging = openDatabase({ url: proxy.url, applicationName: "hanging" });
  t.after(() => hanging.close());
  const services = [tenantService({ db: hanging, clock: systemClock, log: quietLog })];
  const { call } = await testGateway(t, { except: ["tenant"], services });
  assert.equal((await call("GET", "/api/v1/tenants", { key: ADMIN })).status, 200);
  proxy.freeze();
  for (const key of [ADMIN, "a key that was not seen yet".replaceAll(" ", "-")]) {
    const { status, body, headers } = await call("GET", "/api/v1/tenants", { key });
    assert.deepEqual([status, body.code, headers.get("retry-after")], [503, "DATABASE_DOWN", "1"], key);
  }
});
