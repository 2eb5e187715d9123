import assert from "node:assert/strict";
import { test } from "node:test";
import { buildPayload, firstDifference, mergePatch, sameJson, sourceUrlOf } from "./payload.ts";

const UDP = {
  chunkDuration: "4000ms",
  fragmentDuration: "200ms",
  forceClean: true,
  netTimeout: "500ms",
};
const MULTICAST = "udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1";

test("UDP: the origin's ingestUrl is merged with ingestConfig as url, query options and all", () => {
  assert.deepEqual(buildPayload({ ingestConfig: UDP, transcodeConfig: null, ingestUrl: MULTICAST }), {
    ...UDP,
    url: MULTICAST,
  });
});

test("pl:/// is in ingestConfig already: the origin's ingestUrl is ignored", () => {
  const ingestConfig = { url: "pl:///myloop" };
  assert.deepEqual(buildPayload({ ingestConfig, transcodeConfig: null, ingestUrl: MULTICAST }), ingestConfig);
});

test("ingestConfig.url wins for any scheme", () => {
  const ingestConfig = { ...UDP, url: "udp://239.0.0.1:1234" };
  assert.equal(sourceUrlOf({ ingestConfig, ingestUrl: MULTICAST }), "udp://239.0.0.1:1234");
});

test("the transcode settings are merged in, unknown keys of both are kept", () => {
  assert.deepEqual(
    buildPayload({
      ingestConfig: { ...UDP, vendorKey: [1] },
      transcodeConfig: { profile: "hd", vendorKey: 2, deinterlace: true },
      ingestUrl: MULTICAST,
    }),
    { ...UDP, profile: "hd", deinterlace: true, vendorKey: [1], url: MULTICAST },
  );
});

test("without any URL there is no payload", () => {
  assert.equal(buildPayload({ ingestConfig: UDP, transcodeConfig: null, ingestUrl: null }), null);
});

test("a stream is the same when each field that was sent is there and equal, whatever else is there", () => {
  const sent = { url: MULTICAST, ladder: [{ height: 360, videoKbps: 800 }], forceClean: true };
  assert.equal(firstDifference(sent, { uptime: 7, ...sent, ladder: [{ videoKbps: 800, height: 360 }] }), null);
  assert.equal(firstDifference(sent, { ...sent, forceClean: "true" }), "forceClean");
  assert.equal(firstDifference(sent, { url: MULTICAST, forceClean: true }), "ladder");
  assert.equal(firstDifference(sent, { ...sent, ladder: [{ height: 360, videoKbps: 800, name: "x" }] }), "ladder");
  assert.equal(firstDifference(sent, "ok"), "body");
  assert.equal(firstDifference({ toString: 1 }, {}), "toString");
});

test("JSON values are compared deeply and without regard to the order of keys", () => {
  assert.equal(sameJson({ a: [1, { b: null }], c: "x" }, { c: "x", a: [1, { b: null }] }), true);
  assert.equal(sameJson({ a: 1 }, { a: 1, b: undefined }), false);
  assert.equal(sameJson([1, 2], [2, 1]), false);
  assert.equal(sameJson([], {}), false);
  assert.equal(sameJson(null, {}), false);
});

// RFC 7396, appendix A: original, patch, result.
const MERGES: readonly (readonly [unknown, unknown, unknown])[] = [
  [{ a: "b" }, { a: "c" }, { a: "c" }],
  [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
  [{ a: "b" }, { a: null }, {}],
  [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
  [{ a: ["b"] }, { a: "c" }, { a: "c" }],
  [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
  [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
  [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
  [
    ["a", "b"],
    ["c", "d"],
    ["c", "d"],
  ],
  [{ a: "b" }, ["c"], ["c"]],
  [{ a: "foo" }, null, null],
  [{ a: "foo" }, "bar", "bar"],
  [{ e: null }, { a: 1 }, { e: null, a: 1 }],
  [[1, 2], { a: "b", c: null }, { a: "b" }],
  [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
];
for (const [original, patch, result] of MERGES)
  test(`RFC 7396: ${JSON.stringify(original)} patched with ${JSON.stringify(patch)}`, () => {
    assert.deepEqual(mergePatch(original, patch), result);
  });

test("a merge patch can't reach a prototype", () => {
  const merged = mergePatch({}, JSON.parse('{"__proto__": {"polluted": true}}')) as object;
  assert.equal(Object.getPrototypeOf(merged), Object.prototype);
  assert.equal(({} as { polluted?: true }).polluted, undefined);
});
