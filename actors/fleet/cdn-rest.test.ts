/** Configurations of CDN customers from the API to an edge's disk: the real gateway, fleet actor and edge, one bus. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { ConfigFeed } from "../../edge/fleet/config-feed.ts";
import { acknowledgeTo, askConfig, listenForConfigs } from "../../edge/fleet/fleet.service.ts";
import { ConfigStore } from "../../edge/fleet/signed-config.ts";
import { type Answer, keyWith, testGateway } from "../../gateway/gateway.fixture.ts";
import { systemClock } from "../../lib/clock.ts";
import { pgEvents } from "../../lib/events/events.ts";
import { quietLog } from "../../lib/log/log.ts";
import { testDatabase } from "../../test/support/database.ts";
import { tempDir, until } from "../../test/support/platform.ts";
import { fleetService } from "./fleet.service.ts";

const PATH = "/api/v1/cdn/config";
const SECRET = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I";
const configFor = (hostname: string, more: object = {}) => ({
  customers: [
    { id: "acme", sites: [{ hostnames: [hostname], origins: [{ id: "a", url: "https://o.example" }], ...more }] },
  ],
});

interface Written {
  readonly revision: number;
  readonly rollbackOf: number | null;
  readonly published: boolean;
}
const dataOf = <T = Written>({ body }: Answer): T => body.data as T;

const scene = async (t: TestContext) => {
  const db = await testDatabase(t);
  const gateway = await testGateway(t, { except: ["fleet"] });
  const { broker } = gateway;
  const events = pgEvents({ db, log: quietLog });
  await events.start();
  t.after(() => events.stop());
  broker.createService(fleetService({ broker, db, events, clock: systemClock, log: quietLog }));
  await broker.waitForServices("fleet", 20_000);
  return gateway;
};

test("a configuration is published, read, guarded by its version and rolled back", async (t) => {
  const { call } = await scene(t);
  const empty = await call("GET", PATH);
  assert.deepEqual([empty.status, empty.headers.get("etag")], [200, '"0"']);
  const made = await call("PUT", PATH, { body: configFor("a.example"), headers: { "if-match": '"0"' } });
  const first = dataOf(made);
  assert.deepEqual([made.status, first.published], [200, true]);
  assert.equal(made.headers.get("etag"), `"${first.revision}"`);
  const late = await call("PUT", PATH, { body: configFor("b.example"), headers: { "if-match": '"0"' } });
  assert.deepEqual([late.status, late.body.code], [412, "VERSION_CONFLICT"]);
  const headers = { "if-match": `"${first.revision}"` };
  const dry = await call("PUT", PATH, { body: { ...configFor("b.example"), dryRun: true }, headers });
  assert.deepEqual([dataOf(dry).published, dataOf(dry).revision], [false, first.revision]);
  const second = dataOf(await call("PUT", PATH, { body: configFor("b.example"), headers }));
  assert.ok(second.revision > first.revision);
  const back = await call("POST", `${PATH}/rollback`, { body: { revision: first.revision } });
  assert.deepEqual([back.status, dataOf(back).rollbackOf], [200, first.revision]);
  const shown = dataOf<{ customers: unknown; revisions: Written[] }>(await call("GET", PATH));
  assert.deepEqual(shown.customers, configFor("a.example").customers);
  assert.equal(shown.revisions.length, 3);
  const former = await call("GET", `${PATH}?revision=${second.revision}`);
  assert.deepEqual(dataOf<{ customers: unknown }>(former).customers, configFor("b.example").customers);
  const gone = await call("POST", `${PATH}/rollback`, { body: { revision: 7 } });
  assert.deepEqual([gone.status, gone.body.code], [404, "CDN_REVISION_NOT_FOUND"]);
});

test("a bad one is refused with its fields, and no key but the platform's may look", async (t) => {
  const { call } = await scene(t);
  const bad = await call("PUT", PATH, { body: configFor("A.example", { colour: "red" }) });
  assert.equal(bad.status, 422);
  assert.deepEqual(
    (bad.body.errors as { path: string }[]).map(({ path }) => path),
    ["customers.0.sites.0.hostnames.0", "customers.0.sites.0.colour"],
  );
  const twice = {
    customers: [...configFor("a.example").customers, { ...configFor("a.example").customers[0], id: "b" }],
  };
  const shared = await call("PUT", PATH, { body: twice });
  assert.deepEqual(shared.body.errors, [
    { path: "customers.1.sites.0.hostnames.0", message: "a.example is named before, by acme" },
  ]);
  for (const path of [PATH, `${PATH}/acks`]) {
    assert.equal((await call("GET", path, { key: keyWith("channel:read", "channel:write") })).status, 403);
  }
});

test("what is published reaches an edge, which says so; its secrets reach nobody else", async (t) => {
  const { call, broker } = await scene(t);
  const hosts: string[] = [];
  const feed = new ConfigFeed({
    ...{ store: new ConfigStore(await tempDir(t)), ask: askConfig(broker), publicKey: null, log: quietLog },
    acknowledge: acknowledgeTo(broker, "edge-1"),
    apply: ({ all }) => hosts.push(...all.flatMap(({ hostnames }) => hostnames)),
  });
  const stopListening = listenForConfigs(broker, (revision) => feed.hinted(revision));
  t.after(async () => {
    await Promise.all([feed.stop(), stopListening()]);
  });
  await feed.start();
  assert.equal(feed.revision, 0);
  const signing = { keys: [{ id: "k1", algorithm: "HS256", secret: SECRET }] };
  const put = (hostname: string) => call("PUT", PATH, { body: configFor(hostname, { signing }) });
  const made = dataOf(await put("a.example"));
  await until("the first one", () => (feed.revision === made.revision ? true : undefined));
  const next = dataOf(await put("b.example"));
  await until("the next one", () => (feed.revision === next.revision ? true : undefined));
  assert.deepEqual(hosts, ["a.example", "b.example"]);
  const acked = await until("both words", async () => {
    const { body, text } = await call("GET", `${PATH}/acks`);
    return (body.data as unknown[]).length === 2 ? { rows: body.data as Record<string, unknown>[], text } : undefined;
  });
  assert.deepEqual(
    acked.rows.map(({ nodeId, revision, applied, errors }) => [nodeId, revision, applied, errors]),
    [
      ["edge-1", made.revision, true, []],
      ["edge-1", next.revision, true, []],
    ],
  );
  assert.ok(!(await call("GET", PATH)).text.includes(SECRET));
});
