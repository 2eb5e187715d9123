import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import test from "node:test";
import { cancelJobs, enqueueJob } from "../../lib/jobs/jobs.ts";
import { EventClient, jobApi } from "./api.fixture.ts";
import { until, workers } from "./jobs.fixture.ts";

const subject = { kind: "title", id: "t1" };
const OF_TITLE = "/jobs/events?subjectKind=title&subjectId=t1";

/** Jobs that run until they are told to go on. */
const steps = () => {
  const waiting: (() => void)[] = [];
  return {
    waiting,
    run: async ({ progress }: { progress: (told: object) => void }) => {
      progress({ percent: 40, fps: 25, etaSeconds: 9, note: "encoding" });
      await new Promise<void>((resolve) => waiting.push(resolve));
      return {};
    },
  };
};

test("a client that watches a job hears of each state, its progress and its end", async (t) => {
  const { gateway, enqueue, db } = await jobApi(t);
  const jobId = await enqueue({ subject });
  const client = await EventClient.open(gateway.url, `/jobs/${jobId}/events`);
  assert.deepEqual([client.status, client.headers.get("content-type")], [200, "text/event-stream; charset=utf-8"]);
  const { waiting, run } = steps();
  const heard: unknown[] = [];
  let isStarted = false;
  for await (const { event, data, id } of client.events()) {
    if (event === "end") break;
    if (event !== "job") continue;
    assert.match(id ?? "", /^\d+-[0-9a-f-]{36}$/);
    heard.push([data.state, data.percent, data.fps]);
    if (!isStarted) await workers(t, { db }, { kinds: { "test.job": run } });
    isStarted = true;
    if (data.percent === 40) for (const go of waiting.splice(0)) go();
  }
  const states = heard.map((each) => JSON.stringify(each));
  assert.deepEqual([states[0], states.at(-1)], ['["queued",null,null]', '["done",100,25]']);
  assert.ok(states.includes('["running",40,25]'), states.join());
});

test("a client that watches a title hears of all its jobs and of no other, until the last has ended", async (t) => {
  const { gateway, enqueue, db } = await jobApi(t);
  const other = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, 'other', 'O')", [other]);
  const ids = [await enqueue({ subject }), await enqueue({ subject })];
  await enqueue({ subject: { kind: "title", id: "t2" } });
  await enqueue({ subject, tenantId: other });
  const client = await EventClient.open(gateway.url, OF_TITLE);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  const events = await client.all();
  assert.equal(events.at(-1)?.event, "end");
  const jobs = events.filter(({ event }) => event === "job");
  assert.deepEqual([...new Set(jobs.map(({ data }) => data.id))].sort(), ids.sort());
  const progress = events.filter(({ event }) => event === "progress").at(-1)?.data;
  assert.deepEqual(progress, { percent: 100, state: "done", etaSeconds: null, jobCount: 2, liveCount: 0 });
});

test("a stream may be opened before there is a job", async (t) => {
  const { gateway, enqueue, db } = await jobApi(t);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  const client = await EventClient.open(gateway.url, OF_TITLE);
  const all = client.all();
  const jobId = await enqueue({ subject });
  const events = await all;
  assert.deepEqual(events.filter(({ event }) => event === "job").at(-1)?.data.id, jobId);
});

test("a stream goes on when a title's next job comes a moment after the last one has ended", async (t) => {
  const { gateway, enqueue, db, untilState } = await jobApi(t);
  await workers(t, { db }, { kinds: { "test.job": async () => ({}) } });
  const first = await enqueue({ subject });
  await untilState(first, "done");
  const client = await EventClient.open(gateway.url, OF_TITLE);
  let next = "";
  const heard: string[] = [];
  for await (const { event, data } of client.events()) {
    if (event === "job") heard.push(String(data.id));
    if (event === "progress" && data.liveCount === 0) next ||= await enqueue({ subject });
    if (event === "end") break;
  }
  assert.deepEqual([...new Set(heard)], [first, next]);
});

test("a client that comes back to another gateway hears what it missed, and 204 when there is no more", async (t) => {
  const { gateway, another, enqueue, db, untilState } = await jobApi(t);
  const { waiting, run } = steps();
  await workers(t, { db }, { kinds: { "test.job": run } });
  const jobId = await enqueue({ subject });
  const before = await EventClient.open(gateway.url, OF_TITLE);
  let lastEventId = "";
  const reading = (async () => {
    for await (const { id } of before.events()) lastEventId = id ?? lastEventId;
  })();
  await until("the first event", () => lastEventId !== "" && waiting.length > 0);
  await gateway.gateway.stop(5_000);
  await reading;
  for (const go of waiting.splice(0)) go();
  await untilState(jobId, "done");
  const second = await another();
  const after = await EventClient.open(second.url, OF_TITLE, { lastEventId });
  const events = await after.all();
  assert.deepEqual(events.filter(({ event }) => event === "job").at(-1)?.data.state, "done");
  // Until all transactions of its time are over, others' of this server too, it may hear of its end once more.
  await until("no more to hear", async () => {
    const last = events.at(-1)?.id ?? "";
    const next = await EventClient.open(second.url, OF_TITLE, { lastEventId: last });
    if (next.status === 204) return true;
    events.push(...(await next.all()));
    return false;
  });
});

test("of three thousand jobs of one transaction none is lost, nor to a client that comes back halfway", async (t) => {
  const { gateway, db, tenantId } = await jobApi(t);
  const ids = await db.tenantTx(tenantId, async (tx) => {
    const made: string[] = [];
    for (let n = 0; n < 3_000; n += 1) {
      made.push((await enqueueJob(tx, { kind: "test.job", tenantId, payload: {}, subject })).jobId);
    }
    return made;
  });
  const missing = (told: ReadonlySet<string>) => ids.filter((id) => !told.has(id)).slice(0, 3);
  const read = async (client: EventClient, countMax: number) => {
    const found = new Set<string>();
    let lastEventId = "";
    for await (const { event, id, data } of client.events()) {
      if (event === "job") found.add(String(data.id));
      lastEventId = id ?? lastEventId;
      if (found.size === countMax) break;
    }
    client.close();
    return { found, lastEventId };
  };
  const whole = await read(await EventClient.open(gateway.url, OF_TITLE), 3_000);
  assert.deepEqual(missing(whole.found), []);
  const half = await read(await EventClient.open(gateway.url, OF_TITLE), 1_700);
  const rest = await EventClient.open(gateway.url, OF_TITLE, { lastEventId: half.lastEventId });
  const told = new Set(half.found);
  for await (const { event, data } of rest.events()) {
    if (event === "job") told.add(String(data.id));
    if (event === "progress") break;
  }
  rest.close();
  assert.deepEqual(missing(told), []);
  await db.tenantTx(tenantId, (tx) => cancelJobs(tx, { tenantId, subject }));
  const last = await EventClient.open(gateway.url, OF_TITLE, { lastEventId: whole.lastEventId });
  const cancelled = (await last.all()).filter(({ data }) => data.state === "cancelled" && data.id !== undefined);
  assert.equal(new Set(cancelled.map(({ data }) => data.id)).size, 3_000);
});

test("who may not read jobs, asks for nothing or opens too many streams is refused", async (t) => {
  const { gateway, call, enqueue } = await jobApi(t);
  const jobId = await enqueue({ subject });
  const { body } = await call("POST", "/api-keys", { name: "weak", scopes: ["job:write"] });
  const { secret } = body.data as { secret: string };
  const weak = await EventClient.open(gateway.url, `/jobs/${jobId}/events`, { key: secret });
  assert.deepEqual([weak.status, await weak.problem()], [403, "SCOPE_MISSING"]);
  for (const path of ["/jobs/events", "/jobs/events?subjectKind=title", "/jobs/seven/events", `${OF_TITLE}&x=1`]) {
    const refused = await EventClient.open(gateway.url, path);
    assert.deepEqual([refused.status, await refused.problem()], [422, "BAD_INPUT"], path);
  }
  const posted = await call("POST", `/jobs/${jobId}/events`);
  assert.deepEqual([posted.status, posted.headers.get("allow")], [405, "GET, OPTIONS"]);
  const open = await Promise.all(Array.from({ length: 200 }, () => EventClient.open(gateway.url, OF_TITLE)));
  const full = await EventClient.open(gateway.url, OF_TITLE);
  assert.deepEqual([full.status, await full.problem()], [429, "JOB_STREAMS_FULL"]);
  open[0]?.close();
  const room = await until("room for one more", async () => {
    const next = await EventClient.open(gateway.url, OF_TITLE);
    return next.status === 200 && next;
  });
  for (const client of [...open, room]) client.close();
});
