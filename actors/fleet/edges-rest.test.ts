/** Accounts and purges between edges and the API: the real gateway, fleet actor and ledger, one bus. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type TestContext, test } from "node:test";
import { counted, KEY, place, until as settled } from "../../edge/analytics/ledger.fixture.ts";
import type { Purge } from "../../edge/cache/purges/purge-table.ts";
import { compileConfig } from "../../edge/config/compile.ts";
import { deliverAccounts } from "../../edge/fleet/accounts-courier.ts";
import { listenForPurges } from "../../edge/fleet/purges.ts";
import { type Answer, keyWith, testGateway } from "../../gateway/gateway.fixture.ts";
import { systemClock } from "../../lib/clock.ts";
import { pgEvents } from "../../lib/events/events.ts";
import { quietLog } from "../../lib/log/log.ts";
import { testDatabase } from "../../test/support/database.ts";
import { fleetService } from "./fleet.service.ts";

const ACCOUNTS = "/api/v1/cdn/accounts";
const PURGE = "/api/v1/cdn/purge";
const PERIOD_MS = 60_000;
const ALL = `${ACCOUNTS}?from=2020-01-01T00:00:00Z&groupBy=edge,hostname,customer,tenant`;

const scene = async (t: TestContext) => {
  const db = await testDatabase(t);
  const gateway = await testGateway(t, { except: ["fleet"] });
  const { broker } = gateway;
  const events = pgEvents({ db, log: quietLog });
  await events.start();
  t.after(() => events.stop());
  const startFleet = async (): Promise<void> => {
    broker.createService(fleetService({ broker, db, events, clock: systemClock, log: quietLog }));
    await broker.waitForServices("fleet", 20_000);
  };
  return { ...gateway, startFleet };
};
const rowsOf = ({ body }: Answer) => body.data as Record<string, unknown>[];

test("what an edge counts is delivered once, though the fleet was away and the edge was killed in between", async (t) => {
  const { broker, call, startFleet } = await scene(t);
  const { opened, time, journal, log } = await place(t, { flushMs: 1, periodMs: PERIOD_MS });
  const deliver = deliverAccounts(broker, quietLog);
  const first = await opened({ deliver });
  first.merge(counted(3));
  time.ms += PERIOD_MS;
  await first.tick();
  await settled(() => log.lines.some(({ msg }) => String(msg).includes("not taken upstream")));
  assert.equal(first.backlogCount, 1);
  await startFleet();
  // Taken, and the edge is gone before it has heard so: the journal still holds it.
  const taken = Promise.withResolvers<void>();
  const deaf = await opened({
    deliver: async (batch) => {
      await deliver(batch);
      taken.resolve();
      return new Promise<void>(() => {});
    },
  });
  time.ms += PERIOD_MS;
  await deaf.tick();
  await taken.promise;
  assert.match(readFileSync(journal, "utf8"), /cdn\.acme\.example/);
  assert.deepEqual(
    rowsOf(await call("GET", ALL)).map(({ requests }) => requests),
    [3],
  );
  const third = await opened({ deliver });
  assert.equal(third.backlogCount, 1);
  third.merge(counted(4));
  time.ms += PERIOD_MS;
  await third.tick();
  await settled(() => third.backlogCount === 0);
  const [row, ...others] = rowsOf(await call("GET", ALL));
  assert.equal(others.length, 0);
  const { edge, hostname, customer, tenant, requests, hits, hitRatio, sentBytes, statuses } = row ?? {};
  assert.deepEqual({ edge, hostname, customer, tenant }, { edge: "edge-1", ...KEY });
  assert.deepEqual([requests, hits, hitRatio, sentBytes], [7, 7, 1, 7_000]);
  assert.deepEqual(statuses, { "1xx": 0, "2xx": 7, "3xx": 0, "4xx": 0, "5xx": 0 });
  for (const ledger of [first, deaf, third]) await ledger.close();
});

test("accounts are asked for in words that fit, by the platform's keys alone", async (t) => {
  const { call, startFleet } = await scene(t);
  await startFleet();
  assert.deepEqual((await call("GET", ACCOUNTS)).body, { success: true, data: [], nextCursor: null });
  const bad = [
    "?groupBy=colour",
    "?groupBy=",
    "?groupBy=hour,day",
    "?groupBy=edge,edge",
    "?from=yesterday",
    "?limit=0",
  ];
  for (const query of [...bad, "?from=2030-01-02T00:00:00Z&to=2030-01-01T00:00:00Z"]) {
    assert.equal((await call("GET", ACCOUNTS + query)).status, 422, query);
  }
  assert.equal((await call("GET", `${ACCOUNTS}?cursor=x`)).body.code, "BAD_CURSOR");
  const key = keyWith("channel:read", "channel:write");
  assert.equal((await call("GET", ACCOUNTS, { key })).status, 403);
  assert.equal((await call("POST", PURGE, { key, body: { hostname: "a", everything: true } })).status, 403);
});

const sites = compileConfig(
  {
    customers: [
      { id: "acme", sites: [{ hostnames: ["cdn.acme.example"], origins: [{ id: "a", url: "https://o.example" }] }] },
    ],
  },
  { readText: () => assert.fail("no files") },
);

test("a purge is done by the edge before it is answered, or the edge is named with its reason", async (t) => {
  const { broker, call, startFleet } = await scene(t);
  await startFleet();
  const purge = (body: object) => call("POST", PURGE, { body });
  const alone = await purge({ hostname: "cdn.acme.example", everything: true });
  assert.deepEqual(alone.body, { success: true, data: { nodes: [] }, failures: [] });
  const done: Purge[] = [];
  let [isOpen, isBroken] = [true, false];
  const stop = listenForPurges(broker, {
    ...{ log: quietLog, isOpen: () => isOpen, sites: () => sites },
    purge: async (one) => {
      if (isBroken) throw new Error("no space left on device");
      done.push(one);
    },
  });
  t.after(stop);
  const nodeId = broker.nodeID;
  const site = sites.all[0]?.id ?? "";
  const soft = await purge({ hostname: "cdn.acme.example", tag: "film-7", soft: true });
  assert.deepEqual(soft.body, { success: true, data: { nodes: [{ nodeId }] }, failures: [] });
  await purge({ hostname: "cdn.acme.example", url: "/a?v=1" });
  await purge({ hostname: "cdn.acme.example", prefix: "/vod/" });
  await purge({ hostname: "cdn.acme.example", everything: true });
  assert.deepEqual(done, [
    { site, target: { kind: "tag", tag: "film-7" }, mode: "soft" },
    { site, target: { kind: "key", key: `${site} /a?v=1` }, mode: "hard" },
    { site, target: { kind: "prefix", prefix: "/vod/" }, mode: "hard" },
    { site, target: { kind: "site" }, mode: "hard" },
  ]);
  const failures = async (body: object): Promise<unknown> => (await purge(body)).body.failures;
  const other = await failures({ hostname: "other.example", everything: true });
  assert.deepEqual(other, [{ nodeId, code: "BAD_INPUT", message: "hostname is no site of this edge" }]);
  isBroken = true;
  const broken = (await failures({ hostname: "cdn.acme.example", everything: true })) as { code: string }[];
  assert.deepEqual([broken.length, broken[0]?.code], [1, "INTERNAL"]);
  isOpen = false;
  const starting = (await failures({ hostname: "cdn.acme.example", everything: true })) as { code: string }[];
  assert.deepEqual([starting.length, starting[0]?.code], [1, "STARTING"]);
  for (const body of [
    {},
    { hostname: "a" },
    { hostname: "a", tag: "b", everything: true },
    { hostname: "a", url: "" },
  ]) {
    assert.equal((await purge(body)).status, 422);
  }
  assert.equal(done.length, 4);
});
