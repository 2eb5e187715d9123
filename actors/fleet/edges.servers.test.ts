/** Purges and large accounts over a real bus, with several nodes. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext, test } from "node:test";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { acknowledgePurge, edgePurgeWanted, purgeEdges, takeAccounts } from "../../contracts/fleet.ts";
import { TTFB_BUCKETS } from "../../domain/accounting/columns.ts";
import { compileConfig } from "../../edge/config/compile.ts";
import { deliverAccounts } from "../../edge/fleet/accounts-courier.ts";
import { listenForPurges } from "../../edge/fleet/purges.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer, on, send } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { quietLog } from "../../lib/log/log.ts";
import { missingServers, NATS_URL } from "../../test/support/cluster.ts";
import { testDatabase } from "../../test/support/database.ts";
import { until } from "../../test/support/platform.ts";
import { EdgeAccounts } from "./accounts.ts";
import { EdgePurges, edgesOn } from "./purge-edges.ts";

const missing = await missingServers();

const bus = (t: TestContext) => {
  const namespace = `test-${randomUUID().slice(0, 8)}`;
  return async (nodeId: string, ...services: ServiceSchema[]): Promise<ServiceBroker> => {
    const broker = makeBroker({ config: { nodeId, namespace, natsUrl: NATS_URL }, log: quietLog });
    for (const service of services) broker.createService(service);
    await broker.start();
    t.after(() => broker.stop());
    return broker;
  };
};

const control = (): ServiceSchema => {
  const purges = new EdgePurges();
  return {
    name: "fleet",
    actions: {
      purgeEdges: answer(purgeEdges, (purge, call) => purges.purgeAll(call, purge)),
      acknowledgePurge: answer(acknowledgePurge, (ack) => {
        purges.acknowledge(ack);
        return {};
      }),
    },
  };
};
const sitesOf = (hostname: string) =>
  compileConfig(
    {
      customers: [{ id: "acme", sites: [{ hostnames: [hostname], origins: [{ id: "a", url: "https://o.example" }] }] }],
    },
    { readText: () => assert.fail("no files") },
  );

test("each edge answers the control node that asked; one that hangs and one without the site are named", async (t) => {
  if (missing) return t.skip(missing);
  const node = bus(t);
  const controls = [await node("control-1", control()), await node("control-2", control())];
  const done: string[] = [];
  for (const [nodeId, hostname] of [
    ["edge-1", "a.example"],
    ["edge-2", "a.example"],
    ["edge-3", "b.example"],
  ] as const) {
    const broker = await node(nodeId);
    const sites = sitesOf(hostname);
    listenForPurges(broker, {
      ...{ log: quietLog, isOpen: () => true, sites: () => sites },
      purge: async () => void done.push(nodeId),
    });
  }
  await node("edge-4", { name: "edge-purge", events: { ...on(edgePurgeWanted, () => {}) } });
  for (const broker of controls) {
    await until("all edges", () => (edgesOn(broker).length === 4 ? true : undefined));
    const { data, failures } = await send(broker, purgeEdges, { hostname: "a.example", prefix: "/vod/" });
    assert.deepEqual(data.nodes.map(({ nodeId }) => nodeId).toSorted(), ["edge-1", "edge-2"]);
    assert.deepEqual(
      failures.map(({ nodeId, code }) => [nodeId, code]),
      [
        ["edge-3", "BAD_INPUT"],
        ["edge-4", "DEADLINE_PASSED"],
      ],
    );
  }
  assert.deepEqual(done.toSorted(), ["edge-1", "edge-1", "edge-2", "edge-2"]);
});

test("a batch of 10,001 rows fits through the bus, and counts once, at whichever node its parts come", async (t) => {
  if (missing) return t.skip(missing);
  const db = await testDatabase(t);
  const node = bus(t);
  for (const nodeId of ["control-1", "control-2"]) {
    const accounts = new EdgeAccounts({ db, clock: systemClock, log: quietLog });
    const take = answer(takeAccounts, async (batch) => ({ admission: await accounts.take(batch) }));
    await node(nodeId, { name: "fleet", actions: { takeAccounts: take } });
  }
  const edge = await node("edge-1");
  await until("both", () =>
    edge.registry.getServiceList({}).filter(({ name }) => name === "fleet").length === 2 ? true : undefined,
  );
  const large = 2 ** 40 + 1;
  const rows = Array.from({ length: 10_001 }, (_, index) => ({
    ...{ hostname: `${index}`.padStart(253, "h"), customer: "c".repeat(63), tenant: "t".repeat(63) },
    ...{ requests: large, hits: large, sentBytes: large, originRequests: large, originBytes: large },
    statuses: [large, large, large, large, large] as const,
    ...{ clientLeft: large, ttfbMicros: large, ttfb: Array<number>(TTFB_BUCKETS).fill(large) },
  }));
  const nowMs = Date.now();
  const batch = { edge: "edge-1", series: "s", first: 1, sequence: 1, fromMs: nowMs, toMs: nowMs, rows };
  const deliver = deliverAccounts(edge, quietLog);
  await Promise.all([deliver(batch), deliver(batch)]);
  await deliver(batch);
  const { rows: kept } = await db.asOwner("select count(*)::int as count, max(requests) as most from cdn_account_hour");
  assert.deepEqual(kept, [{ count: 10_001, most: String(large) }]);
});
