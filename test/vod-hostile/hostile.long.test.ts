/** Requests that mean harm, to the whole product as a user starts it: each is the client's fault, and harms nothing. */
import { test } from "node:test";
import { openGround, runAttack } from "./attack.ts";
import { openScene } from "./scene.ts";

const ALL = 20_000;
const SEED = Number(process.env.TEST_SEED ?? 20);

test("20,000 hostile requests are refused, and nothing outside of the roots is read or written", async (t) => {
  const ground = await openGround(await openScene(t));
  await runAttack(t, ground, { seed: SEED, count: ALL });
});
