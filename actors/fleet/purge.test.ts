import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import type { ServiceBroker } from "moleculer";
import { codeOf, fail } from "../../contracts/errors.ts";
import { purgePackagers } from "../../contracts/fleet.ts";
import { type Purged, purgePackager } from "../../contracts/packager.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, send } from "../../lib/actor/contract.ts";
import { quietLog } from "../../lib/log/log.ts";
import { purgeAll } from "./purge.ts";

const GONE: Purged = { indexCount: 3, inputCount: 0, segmentCount: 2, sizeBytes: 4096 };

const platform = async (t: TestContext, packager?: (targets: unknown) => Purged): Promise<ServiceBroker> => {
  const broker = makeBroker({ config: { nodeId: "all-1", namespace: "test", natsUrl: null }, log: quietLog });
  const purge = answer(purgePackagers, (targets, call) => purgeAll(call, targets));
  broker.createService({ name: "fleet", actions: { purgePackagers: purge } });
  if (packager) broker.createService({ name: "packager", actions: { forget: answer(purgePackager, packager) } });
  await broker.start();
  t.after(() => broker.stop());
  return broker;
};

test("every packager is told what to forget, and says under its name what it let go of", async (t) => {
  const told: unknown[] = [];
  const broker = await platform(t, (targets) => {
    told.push(targets);
    return GONE;
  });
  const urls = ["/i/film.mp4/master.m3u8", "/i/trailers/*"];
  assert.deepEqual(await send(broker, purgePackagers, { urls }), {
    data: { nodes: [{ nodeId: "all-1", ...GONE }] },
    failures: [],
  });
  await send(broker, purgePackagers, { all: true });
  assert.deepEqual(told, [{ urls }, { all: true }]);
});

test("one that fails is named with its reason, not passed over", async (t) => {
  const broker = await platform(t, () => fail("PATH_REFUSED", { reason: "a backslash" }));
  assert.deepEqual(await send(broker, purgePackagers, { urls: ["/i/a%5cb"] }), {
    data: { nodes: [] },
    failures: [{ nodeId: "all-1", code: "PATH_REFUSED", message: "The path is refused: a backslash." }],
  });
});

test("without a packager nothing is kept, and nothing fails", async (t) => {
  const broker = await platform(t);
  assert.deepEqual(await send(broker, purgePackagers, { all: true }), { data: { nodes: [] }, failures: [] });
});

test("who does not say what to purge, or says two things, is refused", async (t) => {
  const broker = await platform(t, () => GONE);
  for (const targets of [{}, { urls: [] }, { all: false }, { all: true, urls: ["/i/x"] }]) {
    await assert.rejects(send(broker, purgePackagers, targets), (error) => codeOf(error) === "BAD_INPUT");
  }
});
