import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { testDatabase } from "../../test/support/database.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { openDatabase } from "../db/database.ts";
import { Directory } from "./directory.ts";
import { KIND, startHost, until, unwant, want } from "./hosts.fixture.ts";
import { Lease } from "./lease.ts";
import { claim } from "./placement.store.ts";
import { claimLimit } from "./placement.ts";

const keys = (count: number): string[] => Array.from({ length: count }, (_, index) => `key-${index}`);
const NEVER_MS = 3_600_000; // a poll that does not come: only notifications are at work

describe("the number of keys to claim", () => {
  const cases = [
    { name: "a lone node takes all", shares: { total: 9, free: 9, mine: 0, nodes: 1 }, woken: 9, timed: 9 },
    { name: "two nodes take half each", shares: { total: 9, free: 9, mine: 0, nodes: 2 }, woken: 5, timed: 5 },
    {
      name: "a node with its share waits for others",
      shares: { total: 9, free: 4, mine: 5, nodes: 2 },
      woken: 0,
      timed: 2,
    },
    { name: "nothing is free", shares: { total: 9, free: 0, mine: 0, nodes: 2 }, woken: 0, timed: 0 },
    { name: "no node counts itself out", shares: { total: 3, free: 3, mine: 0, nodes: 0 }, woken: 3, timed: 3 },
    { name: "capacity ends it", shares: { total: 90, free: 60, mine: 8, nodes: 1 }, woken: 2, timed: 2, capacity: 10 },
    {
      name: "over capacity takes none",
      shares: { total: 9, free: 9, mine: 11, nodes: 1 },
      woken: 0,
      timed: 0,
      capacity: 10,
    },
  ];
  for (const { name, shares, woken, timed, capacity = 100 } of cases) {
    test(`${name}`, () => {
      assert.equal(claimLimit(shares, { capacity, timed: false }), woken);
      assert.equal(claimLimit(shares, { capacity, timed: true }), timed);
    });
  }
});

describe("placement", () => {
  test("a wanted key is claimed by a notification alone, and the directory knows its owner", async (t) => {
    const db = await testDatabase(t);
    const { host, broker, made } = await startHost(t, db, { pollMs: NEVER_MS });
    const directory = new Directory(db);
    assert.equal(await directory.locate(KIND, "a"), undefined);
    await want(db, "a");
    await until("an actor", () => made[0]?.events.includes("start"));
    assert.deepEqual(host.keys, ["a"]);
    const leaseEpoch = made[0]?.context.leaseEpoch;
    assert.deepEqual(await directory.where(KIND, "a"), { nodeId: broker.nodeID, leaseEpoch });
    assert.equal(await directory.locate(KIND, "a"), broker.nodeID);
  });

  test("wanting a key twice, or in a transaction that is rolled back, makes no second actor", async (t) => {
    const db = await testDatabase(t);
    const { host, made } = await startHost(t, db);
    await want(db, "a");
    await until("an actor", () => made.length > 0);
    await want(db, "a");
    await assert.rejects(
      db.tenantTx(null, async (tx) => {
        await tx.query("insert into actor_placement (kind, key) values ($1, 'b')", [KIND]);
        throw new Error("rolled back");
      }),
    );
    await want(db, "c");
    await until("the second actor", () => made.length > 1);
    assert.deepEqual([...host.keys].sort(), ["a", "c"]);
  });

  test("two nodes claim disjoint keys, each its fair share", async (t) => {
    const db = await testDatabase(t);
    const one = await startHost(t, db, { pollMs: NEVER_MS });
    const two = await startHost(t, db, { pollMs: NEVER_MS });
    await want(db, ...keys(10));
    await until("all keys", () => one.made.length + two.made.length >= 10);
    assert.deepEqual([...one.host.keys, ...two.host.keys].sort(), keys(10));
    assert.equal(one.made.length, 5);
    assert.equal(two.made.length, 5);
  });

  test("nodes that claim at the same moment never take the same key", async (t) => {
    const db = await testDatabase(t, { poolMax: 8 });
    const rounds = 5;
    for (let round = 0; round < rounds; round += 1) {
      await db.query("delete from actor_placement");
      await db.query("delete from actor_node");
      await want(db, ...keys(40));
      const owners = Array.from({ length: 8 }, (_, index) => ({ incarnation: randomUUID(), nodeId: `n${index}` }));
      for (const { incarnation, nodeId } of owners) {
        await db.query("insert into actor_node values ($1, $2, 0, 99, false, now(), now() + interval '1 min')", [
          incarnation,
          nodeId,
        ]);
      }
      const claims = await Promise.all(owners.map((owner) => claim(db, owner, { kinds: [KIND], limit: 30 })));
      assert.deepEqual(claims.flatMap((all) => all.map(({ key }) => key)).sort(), keys(40).sort());
    }
  });

  test("a key that nobody wants any more is stopped by its owner", async (t) => {
    const db = await testDatabase(t);
    const { host, made } = await startHost(t, db, { pollMs: NEVER_MS });
    await want(db, "a", "b");
    await until("actors", () => host.keys.length === 2);
    await unwant(db, "a");
    await until("the end of a", () => host.keys.length === 1);
    assert.deepEqual(host.keys, ["b"]);
    const ended = made.find(({ context }) => context.key === "a");
    assert.deepEqual(ended?.events, ["start", "stop unwanted dead"]);
    assert.equal(made.find(({ context }) => context.key === "b")?.context.alive(), true);
  });

  test("a key that is deleted and made again never gets a lower epoch", async (t) => {
    const db = await testDatabase(t);
    const { host, made } = await startHost(t, db);
    await want(db, "a");
    await until("the first actor", () => made.length === 1);
    await unwant(db, "a");
    await until("its end", () => host.keys.length === 0);
    await want(db, "a");
    await until("the second actor", () => made.length === 2);
    assert.ok((made[1]?.context.leaseEpoch ?? 0) >= (made[0]?.context.leaseEpoch ?? Infinity));
  });

  test("a node that drains hands each key over, and its successor has a higher epoch", async (t) => {
    const db = await testDatabase(t);
    const leaving = await startHost(t, db, { pollMs: NEVER_MS });
    await want(db, ...keys(20));
    await until("actors", () => leaving.host.keys.length === 20);
    const staying = await startHost(t, db, { pollMs: NEVER_MS });
    await leaving.placement.drain();
    await until("the successors", () => staying.made.length === 20);
    assert.deepEqual(leaving.host.keys, []);
    for (const { context, events } of leaving.made) {
      assert.deepEqual(events, ["start", "stop drain alive"]);
      assert.equal(context.alive(), false);
      const successor = staying.made.find((other) => other.context.key === context.key);
      assert.ok((successor?.context.leaseEpoch ?? 0) > context.leaseEpoch);
    }
    const { rows } = await db.query("select node_id from actor_node");
    assert.deepEqual(rows, [{ node_id: staying.broker.nodeID }]);
  });

  test("a node that drains waits for a database that hangs no longer than for its lease", async (t) => {
    const db = await testDatabase(t);
    const proxy = await proxyTo(t, db.url);
    const away = openDatabase({ url: proxy.url, applicationName: "drains" });
    t.after(() => away.close());
    const { placement, made } = await startHost(t, { ...db, ...away }, { ttlMs: 2_000 });
    await want(db, "a");
    await until("an actor", () => made[0]?.events.includes("start"));
    proxy.freeze();
    const startedAt = performance.now();
    await placement.drain();
    const tookMs = performance.now() - startedAt;
    proxy.cut();
    assert.ok(tookMs < 15_000, `it took ${Math.round(tookMs)} ms`);
    assert.ok(made[0]?.events.some((event) => event.startsWith("stop")));
  });

  test("a node that drains claims nothing more", async (t) => {
    const db = await testDatabase(t);
    const { placement, made } = await startHost(t, db, { pollMs: 20 });
    await placement.drain();
    await want(db, "a");
    await placement.drain();
    assert.equal(made.length, 0);
    const { rows } = await db.query("select incarnation from actor_placement where kind = $1", [KIND]);
    assert.deepEqual(rows, [{ incarnation: null }]);
  });

  test("a node that was reaped kills its actors, and comes back by itself under higher epochs", async (t) => {
    const db = await testDatabase(t);
    const { placement, made, host } = await startHost(t, db, { ttlMs: 4_500 });
    await want(db, "a", "b");
    await until("actors", () => host.keys.length === 2);
    const { incarnation } = placement;
    const first = [...made];
    await db.query("delete from actor_node");
    await until("their successors", () => made.length === 4);
    for (const { events, context } of first) {
      assert.deepEqual(events, ["start", "kill", "stop lost dead"]);
      assert.equal(context.alive(), false);
      const successor = made.slice(2).find((other) => other.context.key === context.key);
      assert.equal(successor?.context.alive(), true);
      assert.ok((successor?.context.leaseEpoch ?? 0) > context.leaseEpoch);
    }
    assert.notEqual(placement.incarnation, incarnation);
    assert.equal(placement.check(), true);
  });

  test("a node whose lease ended is replaced by a peer, who frees its keys", async (t) => {
    const db = await testDatabase(t);
    await want(db, "a");
    const gone = new Lease({ ...leaseOf(db), ttlMs: 600, nodeId: "gone", onLost: () => {} });
    t.after(() => gone.close());
    await gone.open();
    await db.query("update actor_placement set node_id = 'gone', incarnation = $1, lease_epoch = 9e9", [
      gone.incarnation,
    ]);
    await db.query("update actor_node set lease_until = now() where node_id = 'gone'");
    const { made } = await startHost(t, db);
    await until("the successor", () => made.length === 1);
    assert.equal(made[0]?.context.leaseEpoch, 9_000_000_001);
  });

  test("a node that loses only its database session locks again and keeps its keys", async (t) => {
    const db = await testDatabase(t);
    const { placement, made, host, broker } = await startHost(t, db, { ttlMs: 3_000 });
    await want(db, "a");
    await until("an actor", () => host.keys.length === 1);
    const { incarnation } = placement;
    const sessions = () =>
      db.asOwner<{ pid: number }>("select pid from pg_stat_activity where application_name = $1", [
        `lease: ${broker.nodeID}`,
      ]);
    const [before] = (await sessions()).rows;
    await db.asOwner("select pg_terminate_backend($1)", [before?.pid]);
    await until("a new session", async () => (await sessions()).rows.some(({ pid }) => pid !== before?.pid));
    const renewedAt = async () => (await db.query("select renewed_at from actor_node")).rows[0]?.renewed_at;
    const then = String(await renewedAt());
    await until("a renewal", async () => String(await renewedAt()) !== then);
    assert.equal(placement.incarnation, incarnation);
    assert.deepEqual(made[0]?.events, ["start"]);
    await want(db, "b");
    await until("a claim after a notification", () => host.keys.length === 2);
  });

  test("a process that starts again under its node id need not wait for the lease of its former life", async (t) => {
    const db = await testDatabase(t);
    await want(db, "a");
    await db.query(
      `insert into actor_node (incarnation, node_id, lock_key, capacity, lease_until)
       values ('018f3f0a-0000-7000-8000-0000000000aa', 'again', 42, 1, now() + interval '1 hour')`,
    );
    await db.query(
      "update actor_placement set node_id = 'again', incarnation = '018f3f0a-0000-7000-8000-0000000000aa'",
    );
    const { made } = await startHost(t, db, { nodeId: "again" });
    await until("an actor", () => made.length === 1);
  });

  test("a claim whose answer was lost on its way is taken up", async (t) => {
    const db = await testDatabase(t);
    const { placement, made, broker } = await startHost(t, db);
    await db.query(
      `insert into actor_placement (kind, key, node_id, incarnation, lease_epoch) values ($1, 'a', $2, $3, 77)`,
      [KIND, broker.nodeID, placement.incarnation],
    );
    await until("an actor", () => made.length === 1);
    assert.equal(made[0]?.context.leaseEpoch, 77);
  });
});

const leaseOf = (db: { url: string }) => ({ url: db.url, capacity: 10, onWake: () => {} });

describe("a lease", () => {
  test("ends by its own clock before the database would give it away", async (t) => {
    const db = await testDatabase(t);
    let nowMs = 1_000;
    const lost: string[] = [];
    const lease = new Lease({
      ...leaseOf(db),
      nodeId: "n",
      ttlMs: 60_000,
      onLost: (reason) => lost.push(reason),
      nowMs: () => nowMs,
    });
    t.after(() => lease.close());
    assert.equal(lease.check(), false);
    await lease.open();
    nowMs = 1_000 + 60_000 - 500;
    assert.equal(lease.check(), true);
    nowMs += 1;
    assert.equal(lease.check(), false);
    assert.deepEqual(lost, ["it was not renewed in time"]);
    nowMs = 1_000;
    assert.equal(lease.check(), false);
    const { rows } = await db.query<{ ended: boolean }>("select lease_until <= now() as ended from actor_node");
    assert.deepEqual(rows, [{ ended: false }]);
  });

  test("that can't reach the database is DATABASE_DOWN and leaves nothing open", async () => {
    const lease = new Lease({
      ...leaseOf({ url: "postgres://postgres@127.0.0.1:1/none" }),
      nodeId: "n",
      ttlMs: 1_000,
      onLost: () => assert.fail("never held"),
    });
    await assert.rejects(lease.open(), { code: "DATABASE_DOWN" });
    assert.equal(lease.check(), false);
  });
});
