import assert from "node:assert/strict";
import { test } from "node:test";
import { guardHost } from "./source-guard.ts";

const rules = { allowPrivateSources: ["10.9.0.0/16"], trusted: false };

test("a name that resolves to one private address among public ones is refused", async () => {
  const resolve = async () => ["1.1.1.1", "10.0.0.1"];
  assert.equal((await guardHost("mixed.example", { ...rules, resolve })).ok, false);
});

test("a public name, an allowed network and a trusted key are let through", async () => {
  const publicName = await guardHost("public.example", { ...rules, resolve: async () => ["1.1.1.1"] });
  assert.deepEqual(publicName, { ok: true, addresses: ["1.1.1.1"] });
  assert.equal((await guardHost("10.9.1.1", rules)).ok, true);
  assert.equal((await guardHost("127.0.0.1", { ...rules, trusted: true })).ok, true);
});

test("private addresses and names that can't be resolved are refused", async () => {
  for (const host of ["127.0.0.1", "[::1]", "169.254.169.254", "10.8.0.1"]) {
    assert.equal((await guardHost(host, rules)).ok, false, host);
  }
  const resolve = async () => Promise.reject(new Error("ENOTFOUND"));
  assert.deepEqual(await guardHost("nowhere.example", { ...rules, resolve }), {
    ok: false,
    reason: "the host nowhere.example can't be resolved",
  });
});
