import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { Wake } from "./wake.ts";

test("a listener whose database hangs ends all the same", { timeout: 20_000 }, async (t) => {
  const db = await testDatabase(t);
  const proxy = await proxyTo(t, db.url);
  const wake = new Wake(proxy.url, () => {});
  await wake.start();
  proxy.freeze();
  const startedAt = performance.now();
  await wake.stop();
  assert.ok(performance.now() - startedAt < 3_000);
});
