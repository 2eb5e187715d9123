import assert from "node:assert/strict";
import { test } from "node:test";
import { constantIv, contentKey, firstSampleIv, parseKey, segmentIvs } from "./content-keys.ts";

const source = { secret: Buffer.from("key") };
const QUICK = "The quick brown fox jumps over the lazy dog";

test("a derived key is the first half of HMAC-SHA256 of the content id, as the well-known vector has it", () => {
  assert.equal(contentKey(source, QUICK).key.toString("hex"), "f7bc83f430538424b13298e6aa6fb143");
});

test("each content has its own key and key id, and no id tells a key", () => {
  const [a, b] = [contentKey(source, "a.mp4"), contentKey(source, "b.mp4")];
  const all = [a.key, a.keyId, b.key, b.keyId].map((bytes) => bytes.toString("hex"));
  assert.ok(all.every((text) => text.length === 32));
  assert.equal(new Set(all).size, 4);
  assert.deepEqual(contentKey(source, "a.mp4"), a);
});

test("a fixed key is the key of all contents, under ids of their own", () => {
  const fixedKey = parseKey("000102030405060708090A0b0c0d0e0f") ?? assert.fail("no key");
  const [a, b] = [contentKey({ fixedKey }, "a.mp4"), contentKey({ fixedKey }, "b.mp4")];
  assert.deepEqual([a.key, b.key], [fixedKey, fixedKey]);
  assert.ok(!a.keyId.equals(b.keyId) && !a.keyId.equals(fixedKey));
});

test("only 32 hex digits are a key", () => {
  for (const text of ["", "00", "0".repeat(31), "0".repeat(33), "g".repeat(32), ` ${"0".repeat(32)}`])
    assert.equal(parseKey(text), null, text);
});

test("IVs of segments are told apart by stream and number", () => {
  const key = contentKey(source, "a.mp4");
  const [first, second] = [segmentIvs(key, "0_av.ts"), segmentIvs(key, "1_av.ts")];
  const texts = [first(1), first(2), second(1), second(2)].map((iv) => iv.toString("hex"));
  assert.equal(new Set(texts).size, 4);
  assert.ok(texts.every((text) => text.length === 32));
  assert.deepEqual(segmentIvs(key, "0_av.ts")(1), first(1));
  assert.equal(first(258).toString("hex").slice(24), "00000102");
});

test("IVs of samples are told apart by track, and the constant one by content", () => {
  const key = contentKey(source, "a.mp4");
  assert.notEqual(firstSampleIv(key, "0_v"), firstSampleIv(key, "1_v"));
  assert.equal(firstSampleIv(key, "0_v"), firstSampleIv(key, "0_v"));
  assert.equal(constantIv(key, "a.mp4").length, 16);
  assert.ok(!constantIv(key, "a.mp4").equals(constantIv(key, "b.mp4")));
});
