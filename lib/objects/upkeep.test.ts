import assert from "node:assert/strict";
import test from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { quietLog } from "../log/log.ts";
import { keepUp } from "./upkeep.ts";

test("a store that is away at the start is looked after once it is back, and then each hour", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  let isAway = true;
  let pings = 0;
  const ping = async (): Promise<void> => {
    pings += 1;
    if (isAway) throw new Fault("OBJECT_STORE_DOWN");
  };
  const pass = async (ms: number): Promise<number> => {
    t.mock.timers.tick(ms);
    await new Promise((resolve) => setImmediate(resolve));
    return pings;
  };
  const stop = keepUp({ ping }, quietLog);
  assert.equal(await pass(0), 1);
  assert.equal(await pass(5_000), 2);
  isAway = false;
  assert.equal(await pass(5_000), 3);
  assert.equal(await pass(3_599_999), 3);
  assert.equal(await pass(1), 4);
  stop();
  assert.equal(await pass(3_600_000), 4);
});
