import assert from "node:assert/strict";
import { before, test } from "node:test";
import { type ErrorCode, Fault } from "../../contracts/errors.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { Idempotency } from "./idempotency.ts";
import { Tenants } from "./tenant.ts";

let db: TestDatabase;
let records: Idempotency;
let a: string;
let b: string;
const PRINT = "a".repeat(64);
const OTHER_PRINT = "b".repeat(64);
const ANSWER = { status: 201, body: "sealed" };

before(async () => {
  db = await testDatabase();
  records = new Idempotency(db);
  const tenants = new Tenants({ db, used: () => {} });
  a = (await tenants.create({ slug: "a" })).data.id;
  b = (await tenants.create({ slug: "b" })).data.id;
});

const refused = (code: ErrorCode) => (error: unknown) => error instanceof Fault && error.code === code;
const begin = (idempotencyKey: string, { tenantId = a, fingerprint = PRINT } = {}) =>
  records.begin(tenantId, { idempotencyKey, fingerprint });
const age = (key: string, interval: string) =>
  db.asOwner(
    `update idempotency_key set created_at = created_at - $2::interval, locked_until = locked_until - $2::interval
     where key = $1`,
    [key, interval],
  );

test("a repeat gets the kept answer", async () => {
  assert.deepEqual(await begin("kept"), { stored: null });
  await records.end(a, { idempotencyKey: "kept", answer: ANSWER });
  assert.deepEqual(await begin("kept"), { stored: ANSWER });
});

test("a repeat while the first request runs is refused, and so is another request under the same key", async () => {
  await begin("running");
  await assert.rejects(begin("running"), refused("IDEMPOTENCY_RUNNING"));
  await assert.rejects(begin("running", { fingerprint: OTHER_PRINT }), refused("IDEMPOTENCY_MISMATCH"));
});

test("of many that begin at once one runs", async () => {
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => begin("at once")));
  assert.equal(outcomes.filter(({ status }) => status === "fulfilled").length, 1);
});

test("an answer that is not worth keeping frees the key", async () => {
  for (const answer of [null, { status: 503, body: "" }]) {
    await begin("freed");
    await records.end(a, { idempotencyKey: "freed", answer });
    assert.deepEqual(await begin("freed"), { stored: null });
    await records.end(a, { idempotencyKey: "freed", answer: null });
  }
});

test("a claim whose request never answered is free for the same request after a minute, and for no other", async () => {
  await begin("crashed");
  await age("crashed", "61 seconds");
  await assert.rejects(begin("crashed", { fingerprint: OTHER_PRINT }), refused("IDEMPOTENCY_MISMATCH"));
  assert.deepEqual(await begin("crashed"), { stored: null });
});

test("after 24 hours the key is new again, and the record is trimmed", async () => {
  await begin("old");
  await records.end(a, { idempotencyKey: "old", answer: ANSWER });
  await age("old", "24 hours 1 second");
  assert.deepEqual(await begin("old", { fingerprint: OTHER_PRINT }), { stored: null });
  await age("old", "24 hours 1 second");
  assert.equal(await records.trim(), 1);
  assert.equal(await records.trim(), 0);
});

test("the same key of two tenants is two keys", async () => {
  await begin("shared");
  assert.deepEqual(await begin("shared", { tenantId: b, fingerprint: OTHER_PRINT }), { stored: null });
});
