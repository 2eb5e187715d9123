/** The gateway and its actors on two sides of a real bus. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { missingServers, NATS_URL } from "../test/support/cluster.ts";
import { until } from "../test/support/platform.ts";
import { proxyTo } from "../test/support/proxy.ts";
import { ACTORS, aChannel, type Cleaner, stubBroker, testGateway } from "./gateway.fixture.ts";

const missing = await missingServers();

/** Ends things in the opposite order of their start: a broker can't leave a bus that is gone before it. */
const lastFirst = (t: Cleaner): Cleaner => {
  const ends: (() => Promise<void>)[] = [];
  t.after(async () => {
    for (const end of ends.reverse()) await end();
  });
  return { after: (end) => void ends.push(end) };
};

test("a gateway cut off from the bus says so soon, and works again when the bus is back", async (t) => {
  if (missing) return t.skip(missing);
  const ordered = lastFirst(t);
  const namespace = `test-${randomUUID()}`;
  const requestIds: (string | null)[] = [];
  const stub = (_: unknown, { requestID }: { requestID: string | null }) => {
    requestIds.push(requestID);
    return { data: aChannel() };
  };
  await stubBroker(ordered, { bus: { url: NATS_URL, namespace }, stubs: { "channel.get": stub } });
  const proxy = await proxyTo(ordered, NATS_URL);
  const { call } = await testGateway(ordered, { bus: { url: proxy.url, namespace }, except: ACTORS });
  const get = () => call("GET", "/api/v1/channels/7", { headers: { "x-request-id": "over-the-bus" } });

  await until("the actors to be found", async () => ((await get()).status === 200 ? true : undefined));
  assert.equal(requestIds[0], "over-the-bus");
  proxy.cut();
  const { status, body, headers } = await get();
  assert.deepEqual([status, headers.get("retry-after")], [503, "1"], JSON.stringify(body));
  proxy.mend();
  await until("the bus to be back", async () => ((await get()).status === 200 ? true : undefined));
});
