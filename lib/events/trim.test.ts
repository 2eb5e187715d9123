import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { quietLog } from "../log/log.ts";
import { metricsText } from "../metrics/metrics.ts";
import { openEvents } from "./carriers.ts";
import { publishFact } from "./events.ts";
import { happened } from "./suite-facts.ts";
import { TodoStore } from "./todo.store.ts";
import { trimEvents } from "./trim.ts";

/** A database with one fact of each age (in hours), wanted by `reader`. */
async function factsOfAges(t: TestContext, hours: readonly number[]) {
  const db = await testDatabase(t);
  await new TodoStore(db).register("reader", [happened.name]);
  for (const [n, age] of hours.entries()) {
    const id = await publishFact(db, happened, "k", { n });
    await db.asOwner("update event set created_at = now() - $2 * interval '1 hour' where id = $1", [id, age]);
  }
  const left = async () =>
    (await db.query<{ n: number }>("select (payload->>'n')::int as n from event order by id")).rows.map(({ n }) => n);
  return { db, left };
}

test("handled facts are removed after a day, waiting ones never", async (t) => {
  const { db, left } = await factsOfAges(t, [100, 100, 1]);
  await db.asOwner("delete from event_todo where event_id in (select min(id) from event)");
  assert.equal(await trimEvents(db), 1);
  assert.deepEqual(await left(), [1, 2]);
});

test("a dead fact is kept for a month", async (t) => {
  const { db, left } = await factsOfAges(t, [24 * 31, 24 * 29]);
  await db.asOwner("update event_todo set dead = true");
  assert.equal(await trimEvents(db), 1);
  assert.deepEqual(await left(), [1]);
});

test("a consumer that is gone for a week is forgotten with what waits for it", async (t) => {
  const { db, left } = await factsOfAges(t, [100]);
  await db.asOwner("update event_consumer set seen_at = now() - interval '8 days'");
  assert.equal(await trimEvents(db), 1);
  assert.deepEqual(await left(), []);
  assert.deepEqual((await db.query("select from event_consumer")).rows, []);
});

test("of two nodes that trim at the same time one does it", async (t) => {
  const { db } = await factsOfAges(t, Array(20).fill(100));
  await db.asOwner("delete from event_todo");
  const counts = await Promise.all([trimEvents(db), trimEvents(db)]);
  assert.equal(counts[0]! + counts[1]!, 20);
});

test("waiting and dead facts are shown as metrics", async (t) => {
  const { db } = await factsOfAges(t, [0, 0, 0]);
  await db.asOwner("update event_todo set dead = true where event_id in (select min(id) from event)");
  const events = openEvents({ db, natsUrl: null, prefix: "test", log: quietLog });
  await events.start();
  t.after(() => events.stop());
  const text = await metricsText();
  assert.match(text, /^castellan_event_todo\{consumer="reader",state="waiting"\} 2$/m);
  assert.match(text, /^castellan_event_todo\{consumer="reader",state="dead"\} 1$/m);
});
