import assert from "node:assert/strict";
import { test } from "node:test";
import { memoryCache } from "./memory.ts";
import { cacheSuite } from "./suite.ts";

cacheSuite("memory", async () => memoryCache());

test("memory: it holds no more than its limit, and lets go of what was not used for longest", async () => {
  const cache = memoryCache({ sizeMax: 3_000 });
  for (const key of ["a", "b", "c"]) await cache.set(key, "x".repeat(900), 60_000);
  await cache.get("a");
  await cache.set("d", "x".repeat(900), 60_000);
  assert.deepEqual(await Promise.all(["a", "b", "c", "d"].map(async (key) => (await cache.get(key))?.length)), [
    900,
    undefined,
    900,
    900,
  ]);
});
