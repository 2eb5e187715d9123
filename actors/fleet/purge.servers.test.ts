/** Purges over a real bus. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { purgePackagers } from "../../contracts/fleet.ts";
import { type Purged, purgePackager } from "../../contracts/packager.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, send } from "../../lib/actor/contract.ts";
import { nodesOf } from "../../lib/actor/nodes.ts";
import { quietLog } from "../../lib/log/log.ts";
import { missingServers, NATS_URL } from "../../test/support/cluster.ts";
import { until } from "../../test/support/platform.ts";
import { purgeAll } from "./purge.ts";

const missing = await missingServers();
const GONE: Purged = { indexCount: 1, inputCount: 1, segmentCount: 1, sizeBytes: 1 };

const packager = (answered: () => Promise<Purged>): ServiceSchema => ({
  name: "packager",
  actions: { forget: answer(purgePackager, answered) },
});
const fleet: ServiceSchema = {
  name: "fleet",
  actions: { purgePackagers: answer(purgePackagers, (targets, call) => purgeAll(call, targets)) },
};

test("each node answers for itself, and one that hangs is a failure by the deadline", async (t: TestContext) => {
  if (missing) return t.skip(missing);
  const namespace = `test-${randomUUID().slice(0, 8)}`;
  const node = async (nodeId: string, service: ServiceSchema): Promise<ServiceBroker> => {
    const broker = makeBroker({ config: { nodeId, namespace, natsUrl: NATS_URL }, log: quietLog });
    broker.createService(service);
    await broker.start();
    t.after(() => broker.stop());
    return broker;
  };
  const hanging = Promise.withResolvers<Purged>();
  t.after(() => hanging.resolve(GONE));
  const control = await node("control", fleet);
  await node(
    "packager-1",
    packager(async () => GONE),
  );
  await node(
    "packager-2",
    packager(async () => GONE),
  );
  await node(
    "packager-3",
    packager(() => hanging.promise),
  );
  await until("all of them", () => (nodesOf(control, purgePackager).length === 3 ? true : undefined));
  const { data, failures } = await send(control, purgePackagers, { all: true });
  assert.deepEqual(
    data.nodes.toSorted((a, b) => a.nodeId.localeCompare(b.nodeId)),
    ["packager-1", "packager-2"].map((nodeId) => ({ ...GONE, nodeId })),
  );
  assert.deepEqual(
    failures.map(({ nodeId, code }) => [nodeId, code]),
    [["packager-3", "DEADLINE_PASSED"]],
  );
});
