/** Clocks that jump: the wall clock by hours while the monotonic one goes on, and the other way round. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { signerOf, signToken } from "../../edge/guard/sign.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { edgeScene, folder, oneSite, type SceneOptions } from "./scene.ts";
import { view } from "./viewer.ts";

const HOUR_MS = 3_600_000;
const JUMPS_MS = [-5 * HOUR_MS, 7 * HOUR_MS, -20 * HOUR_MS, 12 * HOUR_MS, 2_000, -2_000];

const originOf = (t: TestContext, fields: readonly string[]): Promise<FaultyOrigin> =>
  FaultyOrigin.open(t, ({ socket }) => {
    socket.write(`${headOf("200 OK", "Content-Length: 2", ...fields)}ok`);
  });
const sceneOf = async (t: TestContext, fields: readonly string[], options: SceneOptions = {}) => {
  const origin = await originOf(t, fields);
  return { origin, edge: await edgeScene(t, oneSite(origin.url), options) };
};
const isHit = async (port: number): Promise<boolean> => {
  const got = await view(port, "/o");
  assert.deepEqual([got.status, got.body.toString()], [200, "ok"]);
  return /; hit/.test(got.field("cache-status") ?? "");
};
const ageOf = async (port: number): Promise<number> => Number((await view(port, "/o")).field("age"));

describe("a wall clock that jumps", () => {
  test("makes nothing fresh longer or shorter, and no age other than it is", async (t) => {
    const { origin, edge } = await sceneOf(t, ["Cache-Control: max-age=60"]);
    for (const jumpMs of JUMPS_MS) {
      const before = origin.asked.length;
      await view(edge.port, "/o");
      edge.jump(jumpMs);
      assert.ok(await isHit(edge.port), `${jumpMs}`);
      edge.pass(30_000);
      edge.jump(-jumpMs / 2);
      assert.ok(await isHit(edge.port));
      const age = await ageOf(edge.port);
      assert.ok(age >= 30 && age < 45, `${age} s old`);
      edge.pass(31_000);
      assert.equal(await isHit(edge.port), false, "it is over");
      assert.equal(origin.asked.length - before, 2);
      edge.pass(61_000);
    }
  });

  test("and is wrong by hours against the origin's Date makes nothing fresh that says max-age=0", async (t) => {
    const date = `Date: ${new Date(Date.now() - 4 * HOUR_MS).toUTCString()}`;
    const { edge } = await sceneOf(t, [date, "Cache-Control: max-age=0"]);
    for (const jumpMs of JUMPS_MS) {
      edge.jump(jumpMs);
      assert.equal(await isHit(edge.port), false);
    }
  });

  test("opens and closes tokens by what it says, and not by what it said", async (t) => {
    const origin = await originOf(t, ["Cache-Control: max-age=60"]);
    const secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
    const signing = { keys: [{ id: "k", algorithm: "HS256" as const, secret }] };
    const site = { hostnames: ["a.example"], origins: [{ id: "a", url: origin.url }], signing };
    const edge = await edgeScene(t, { customers: [{ id: "acme", sites: [site] }] });
    const expiresSeconds = Math.floor((Date.now() + HOUR_MS) / 1_000);
    const token = signToken(signerOf("k", secret), { host: "a.example", prefix: "/", expiresSeconds });
    const status = async (): Promise<number> =>
      (await view(edge.port, `/o?token=${token}`, { host: "a.example" })).status;
    assert.equal(await status(), 200);
    edge.jump(2 * HOUR_MS);
    assert.equal(await status(), 403, "it has expired, cached though the object is");
    edge.jump(-2 * HOUR_MS);
    assert.equal(await status(), 200);
    edge.jump(-10 * HOUR_MS);
    assert.equal(await status(), 200);
  });
});

describe("an edge that is started again", () => {
  const LIFE = "Cache-Control: max-age=7200";

  for (const [name, jumpMs, leastAge] of [
    ["an hour later", HOUR_MS, 3_600],
    ["with its clock set back by hours", -5 * HOUR_MS, 0],
  ] as const) {
    test(`${name} serves what is fresh, with an age that is not below what it was`, async (t) => {
      const dataDir = await folder(t);
      const { origin, edge } = await sceneOf(t, [LIFE, "Age: 100"], { dataDir, diskBytes: 64 * 2 ** 20 });
      await view(edge.port, "/o");
      await edge.stop();
      const again = await edgeScene(t, oneSite(origin.url), { dataDir, diskBytes: 64 * 2 ** 20, jumpedMs: jumpMs });
      assert.ok(await isHit(again.port));
      const age = await ageOf(again.port);
      assert.ok(age >= 100 + leastAge && age <= 160 + leastAge, `${age} s old`);
      assert.equal(origin.asked.length, 1);
    });
  }

  test("three hours later asks again for what is over", async (t) => {
    const dataDir = await folder(t);
    const { origin, edge } = await sceneOf(t, [LIFE], { dataDir, diskBytes: 64 * 2 ** 20 });
    await view(edge.port, "/o");
    await edge.stop();
    const again = await edgeScene(t, oneSite(origin.url), { dataDir, diskBytes: 64 * 2 ** 20, jumpedMs: 3 * HOUR_MS });
    assert.equal(await isHit(again.port), false);
    assert.equal(origin.asked.length, 2);
  });
});
