/** A whole edge, as an operator starts it, with the fleet on its bus. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { purgeEdges } from "../../contracts/fleet.ts";
import { counted } from "../../edge/analytics/ledger.fixture.ts";
import { Ledger } from "../../edge/analytics/ledger.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { send } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { pgEvents } from "../../lib/events/events.ts";
import { quietLog } from "../../lib/log/log.ts";
import { edgeScene, folder, oneSite } from "../../test/edge-failures/scene.ts";
import { get } from "../../test/origin/edge.ts";
import { mediaStandIn } from "../../test/origin/stand-in.ts";
import { testDatabase } from "../../test/support/database.ts";
import { until } from "../../test/support/platform.ts";
import { fleetService } from "./fleet.service.ts";

const fleetOn = async (t: TestContext) => {
  const db = await testDatabase(t);
  const broker = makeBroker({ config: { nodeId: "all-1", namespace: "test", natsUrl: null }, log: quietLog });
  const events = pgEvents({ db, log: quietLog });
  broker.createService(fleetService({ broker, db, events, clock: systemClock, log: quietLog }));
  await broker.start();
  t.after(() => broker.stop());
  await events.start();
  t.after(() => events.stop());
  return { db, broker };
};

for (const threads of [1, 2]) {
  test(`a purge through the fleet is in force when it is answered, with ${threads} thread(s)`, async (t) => {
    const origin = await mediaStandIn(t);
    origin.items.set("/film", { body: "old" });
    const { broker } = await fleetOn(t);
    const { port } = await edgeScene(t, oneSite(origin.url, { ttl: "1h", cache: "override" }), { broker, threads });
    const body = async () => (await get(`http://127.0.0.1:${port}/film`)).body.toString();
    assert.equal(await body(), "old");
    origin.items.set("/film", { body: "new" });
    assert.equal(await body(), "old");
    const answer = await send(broker, purgeEdges, { hostname: "any.example", url: "/film" });
    assert.deepEqual(answer, { data: { nodes: [{ nodeId: "all-1" }] }, failures: [] });
    for (let request = 0; request < 4; request += 1) assert.equal(await body(), "new");
  });
}

test("what waited on the edge's disk is delivered as soon as the edge has a bus", async (t) => {
  const dataDir = await folder(t);
  let passedMs = 0;
  const ledger = await Ledger.open({
    ...{ dataDir, edge: "test", clock: systemClock, log: quietLog, monotonicMs: () => passedMs },
    deliver: () => Promise.reject(new Error("no bus")),
  });
  ledger.merge(counted(5));
  passedMs += 60_000;
  await ledger.tick();
  assert.equal(ledger.backlogCount, 1);
  await ledger.close();
  const { db, broker } = await fleetOn(t);
  const origin = await mediaStandIn(t);
  await edgeScene(t, oneSite(origin.url), { broker, dataDir });
  const row = await until("the delivery", async () => {
    const { rows } = await db.asOwner("select edge, hostname, requests::int from cdn_account_hour");
    return rows[0];
  });
  assert.deepEqual(row, { edge: "test", hostname: "cdn.acme.example", requests: 5 });
});
