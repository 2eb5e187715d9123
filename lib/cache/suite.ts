/** What every cache does, whatever it keeps things in. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { eventually } from "../../test/support/control.ts";
import type { Cache } from "./port.ts";

export const cacheSuite = (name: string, open: () => Promise<Cache>): void => {
  test(`${name}: what was put is there until it is deleted`, async (t) => {
    const cache = await open();
    t.after(() => cache.close());
    const [one, other] = [randomUUID(), randomUUID()];
    assert.equal(await cache.get(one), undefined);
    await cache.set(one, "1 – é", 60_000);
    await cache.set(other, "2", 60_000);
    assert.equal(await cache.get(one), "1 – é");
    await cache.set(one, "3", 60_000);
    assert.equal(await cache.get(one), "3");
    await cache.delete([one, randomUUID()]);
    await cache.delete([]);
    assert.deepEqual([await cache.get(one), await cache.get(other)], [undefined, "2"]);
  });

  test(`${name}: what is too old is gone`, async (t) => {
    const cache = await open();
    t.after(() => cache.close());
    const key = randomUUID();
    await cache.set(key, "x", 2_000);
    assert.equal(await cache.get(key), "x");
    await eventually("it is gone", async () => (await cache.get(key)) === undefined);
  });
};
