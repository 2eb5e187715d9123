/** Requests that mean harm, to the whole product as a user starts it: each is the client's fault, and harms nothing. */
import { test } from "node:test";
import { openGround, runAttack } from "./attack.ts";
import { openScene } from "./scene.ts";

const SHARE = 1_500;
const SEED = Number(process.env.TEST_SEED ?? 6);

test("hostile requests are refused, and nothing outside of the roots is read or written", async (t) => {
  const ground = await openGround(await openScene(t));
  await runAttack(t, ground, { seed: SEED, count: SHARE });
});
