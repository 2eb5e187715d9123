import assert from "node:assert/strict";
import { test } from "node:test";
import { lookUp } from "./lookup.ts";
import { Cache, type Stored, storedOf } from "./stored.ts";

const DESCRIBED = { status: 200, lines: "", etag: undefined, lastModified: undefined };
const objectOf = (sizeBytes: number): Stored =>
  storedOf(
    { key: "k", described: DESCRIBED, body: Buffer.alloc(sizeBytes), base: "http://a" },
    { lifetime: { storable: true, freshMs: 100, staleMs: 50 }, ageMs: 0, nowMs: 1_000 },
  );

test("the cache never holds more bytes than it may, and keeps what is used", () => {
  const cache = new Cache(100_000);
  for (let index = 0; index < 50; index += 1) {
    cache.put(`k${index}`, objectOf(9_000), { kind: "stored" }, 1_000);
    cache.get("k0");
    assert.ok(cache.sizeBytes <= 100_000);
  }
  assert.ok(cache.objectCount <= 9, String(cache.objectCount));
  assert.ok(cache.get("k0"));
});

test("an object that is larger than the cache is not kept, and pushes nothing out", () => {
  const cache = new Cache(100_000);
  cache.put("small", objectOf(1_000), { kind: "stored" }, 1_000);
  cache.put("large", objectOf(200_000), { kind: "stored" }, 1_000);
  assert.equal(cache.get("large"), undefined);
  assert.ok(cache.get("small"));
});

test("what is fresh is a hit; what is stale has to be asked for, unless nobody had it a moment ago", () => {
  const stored = objectOf(1);
  assert.deepEqual(lookUp(stored, false, 1_099), { kind: "hit", stored, stale: false });
  assert.deepEqual(lookUp(stored, false, 1_100), { kind: "ask", why: "stale", stored });
  stored.askAgainAtMs = 1_120;
  assert.deepEqual(lookUp(stored, false, 1_110), { kind: "hit", stored, stale: true });
  assert.deepEqual(lookUp(stored, false, 1_120), { kind: "ask", why: "stale", stored });
  assert.deepEqual(lookUp(undefined, false, 0), { kind: "ask", why: "uri-miss", stored: undefined });
  assert.deepEqual(lookUp(undefined, true, 0), { kind: "missing" });
});

test("that an object is missing is forgotten when it comes, and in time", () => {
  const cache = new Cache(100_000);
  cache.putMissing("a", 1_000);
  assert.equal(cache.isMissing("a", 999), true);
  assert.equal(cache.isMissing("a", 1_000), false);
  cache.put("a", objectOf(1), { kind: "stored" }, 1_000);
  assert.equal(cache.isMissing("a", 0), false);
});
