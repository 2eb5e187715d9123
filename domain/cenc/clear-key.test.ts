import assert from "node:assert/strict";
import { test } from "node:test";
import { licenceText, readLicenceRequest } from "./clear-key.ts";

// The example of W3C EME §9.1.5.
const KEY_ID = Buffer.from("LwVHf8JLtPrv2GUXFW2v_A", "base64url");
const KEY = Buffer.from("tQ0bJVWb6b0KPL6KtZIy_A", "base64url");

test("a licence answers the request of the standard's example as the standard does", () => {
  const request = readLicenceRequest({ kids: ["LwVHf8JLtPrv2GUXFW2v_A"], type: "temporary" }) ?? assert.fail();
  assert.deepEqual(JSON.parse(licenceText(request, [{ keyId: KEY_ID, key: KEY }]) ?? ""), {
    keys: [{ kty: "oct", kid: "LwVHf8JLtPrv2GUXFW2v_A", k: "tQ0bJVWb6b0KPL6KtZIy_A" }],
    type: "temporary",
  });
});

test("only keys that were asked for are given", () => {
  const keys = [
    { keyId: KEY_ID, key: KEY },
    { keyId: Buffer.alloc(16, 1), key: Buffer.alloc(16, 2) },
  ];
  assert.equal(licenceText({ keyIds: [Buffer.alloc(16, 9)], type: "temporary" }, keys), null);
  const text = licenceText({ keyIds: [KEY_ID, Buffer.alloc(16, 9)], type: "persistent-license" }, keys);
  assert.deepEqual(JSON.parse(text ?? ""), {
    keys: [{ kty: "oct", kid: "LwVHf8JLtPrv2GUXFW2v_A", k: "tQ0bJVWb6b0KPL6KtZIy_A" }],
    type: "persistent-license",
  });
});

test("what is no licence request is none", () => {
  const kid = "LwVHf8JLtPrv2GUXFW2v_A";
  for (const json of [
    null,
    "kids",
    [],
    {},
    { kids: kid },
    { kids: [] },
    { kids: [1] },
    { kids: [`${kid}==`] },
    { kids: ["LwVHf8JLtPrv2GUXFW2v"] },
    { kids: [kid, "x"] },
    { kids: Array(65).fill(kid) },
    { kids: [kid], type: "other" },
  ])
    assert.equal(readLicenceRequest(json), null, JSON.stringify(json));
  assert.deepEqual(readLicenceRequest({ kids: [kid] }), { keyIds: [KEY_ID], type: "temporary" });
});
