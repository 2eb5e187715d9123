import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { NATS_URL, withoutNats } from "../support/nats.ts";
import { EventClient, jobApi } from "./api.fixture.ts";
import { workers } from "./jobs.fixture.ts";

const skip = await withoutNats();

test("a gateway hears over NATS of jobs whose hints another node has told", { skip }, async (t) => {
  const { another, enqueue, db } = await jobApi(t);
  const bus = { url: NATS_URL, namespace: `test-${randomUUID()}` };
  const [node] = [await another(bus), await another(bus)];
  const jobId = await enqueue();
  const client = await EventClient.open(node.url, `/jobs/${jobId}/events`);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  const events = await client.all();
  assert.equal(events.at(-1)?.event, "end");
  assert.equal(events.filter(({ event }) => event === "job").at(-1)?.data.state, "done");
});
