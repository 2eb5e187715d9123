import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { testDatabase } from "../../test/support/database.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { Listener } from "./listener.ts";

/** Says a word until it is heard: what is said while the connection is away is lost. */
const heard = async (say: () => Promise<unknown>, isHeard: () => boolean): Promise<void> => {
  const endsAtMs = performance.now() + 20_000;
  for (; !isHeard(); await pause(50)) {
    await say();
    assert.ok(performance.now() < endsAtMs, "it was not heard");
  }
};

test("a listener whose database hangs ends all the same", { timeout: 60_000 }, async (t) => {
  const db = await testDatabase(t);
  const proxy = await proxyTo(t, db.url);
  const listener = new Listener({ url: proxy.url, channel: "one", onPayload: () => {} });
  await listener.start();
  proxy.freeze();
  const startedAt = performance.now();
  await listener.stop();
  assert.ok(performance.now() - startedAt < 10_000);
});

test("the listeners of a process share one connection, and each hears its channel alone", async (t) => {
  const db = await testDatabase(t);
  const words: string[] = [];
  const listenerOn = (channel: string) =>
    new Listener({ url: db.url, channel, onPayload: (payload) => words.push(`${channel}: ${payload}`) });
  const [one, two] = [listenerOn("one"), listenerOn("two")];
  await Promise.all([one.start(), two.start()]);
  const connections = async () => {
    const { rows } = await db.asOwner<{ n: number }>(
      `select count(*)::int as n from pg_stat_activity
       where datname = current_database() and application_name = 'castellan-listener'`,
    );
    return rows[0]?.n;
  };
  assert.equal(await connections(), 1);
  await heard(
    () => db.asOwner("select pg_notify('one', 'a'), pg_notify('two', 'b')"),
    () => words.length > 1,
  );
  assert.deepEqual(new Set(words), new Set(["one: a", "two: b"]));
  await one.stop();
  words.length = 0;
  await heard(
    () => db.asOwner("select pg_notify('one', 'a'), pg_notify('two', 'b')"),
    () => words.length > 0,
  );
  assert.deepEqual(new Set(words), new Set(["two: b"]));
  await two.stop();
});

test("a connection that breaks comes back with every channel", async (t) => {
  const db = await testDatabase(t);
  const words = new Set<string>();
  const listeners = ["one", "two"].map(
    (channel) => new Listener({ url: db.url, channel, onPayload: () => words.add(channel) }),
  );
  for (const listener of listeners) await listener.start();
  t.after(() => Promise.all(listeners.map((listener) => listener.stop())));
  await db.asOwner(
    "select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and datname = current_database()",
    ["castellan-listener"],
  );
  await heard(
    () => db.asOwner("select pg_notify('one', ''), pg_notify('two', '')"),
    () => words.size === 2,
  );
});
