import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { describe, test } from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { testDatabase } from "../../test/support/database.ts";
import { announce } from "./contract.ts";
import { nodesDied } from "./dead-nodes.ts";
import { Directory } from "./directory.ts";
import { Counter, count, KIND, startHost, until, unwant, want } from "./hosts.fixture.ts";
import { askOwner } from "./keyed-host.ts";

const coded = (code: string) => (error: unknown) => (error as Fault).code === code;

describe("a keyed actor", () => {
  test("gets the asks of its key one at a time, wherever they come from", async (t) => {
    const db = await testDatabase(t);
    const namespace = randomUUID();
    const one = await startHost(t, db, { namespace });
    const two = await startHost(t, db, { namespace });
    await want(db, "a", "b", "c", "d");
    await until("actors", () => one.host.keys.length + two.host.keys.length === 4);
    for (const { broker } of [one, two]) {
      const owners = { broker, directory: new Directory(db), kind: KIND };
      for (const key of ["a", "b", "c", "d"]) {
        const answers = await Promise.all([1, 2, 3].map((by) => askOwner(owners, count, { key, by })));
        const owner = [one, two].find(({ host }) => host.keys.includes(key));
        assert.deepEqual(new Set(answers.map(({ nodeId }) => nodeId)), new Set([owner?.broker.nodeID]));
      }
    }
    assert.deepEqual(
      [...one.made, ...two.made].map(({ total }) => total),
      [12, 12, 12, 12],
    );
  });

  test("is asked only after it has started", async (t) => {
    const db = await testDatabase(t);
    const started = Promise.withResolvers<void>();
    class Slow extends Counter {
      override async start(): Promise<void> {
        await started.promise;
        this.total = 100;
      }
    }
    const { broker, host } = await startHost(t, db, { create: (context) => new Slow(context) });
    await want(db, "a");
    await until("an actor", () => host.keys.length === 1);
    const asked = askOwner({ broker, directory: new Directory(db), kind: KIND }, count, { key: "a" });
    started.resolve();
    assert.equal((await asked).total, 101);
  });

  test("whose start fails is started again, and refuses its asks until then", async (t) => {
    const db = await testDatabase(t);
    let starts = 0;
    class Flaky extends Counter {
      override start(): void {
        starts += 1;
        if (starts < 3) throw new Fault("DATABASE_DOWN");
      }
    }
    const { broker } = await startHost(t, db, { create: (context) => new Flaky(context) });
    await want(db, "a");
    const answer = await askOwner({ broker, directory: new Directory(db), kind: KIND }, count, { key: "a" });
    assert.equal(answer.total, 1);
    assert.equal(starts, 3);
  });

  test("whose mailbox is full refuses with MAILBOX_FULL", async (t) => {
    const db = await testDatabase(t);
    const { host } = await startHost(t, db, { depthMax: 1 });
    await want(db, "a");
    await until("a started actor", () => host.find("a")?.events.includes("start"));
    const hold = Promise.withResolvers<void>();
    const running = host.run("a", () => hold.promise);
    const waiting = host.run("a", () => "waited");
    await assert.rejects(
      host.run("a", () => "refused"),
      coded("MAILBOX_FULL"),
    );
    hold.resolve();
    await running;
    assert.equal(await waiting, "waited");
  });

  test("that is handed over ends its running message first; what waits is answered by the successor", async (t) => {
    const db = await testDatabase(t);
    const namespace = randomUUID();
    const leaving = await startHost(t, db, { namespace });
    await want(db, "a");
    await until("a started actor", () => leaving.host.find("a")?.events.includes("start"));
    const staying = await startHost(t, db, { namespace });
    const owners = { broker: staying.broker, directory: new Directory(db), kind: KIND };
    assert.equal((await askOwner(owners, count, { key: "a" })).nodeId, leaving.broker.nodeID);

    const hold = Promise.withResolvers<void>();
    const aliveAtItsEnd = leaving.host.run("a", async (actor) => {
      await hold.promise;
      return actor.context.alive();
    });
    const waiting = askOwner(owners, count, { key: "a" });
    const pending = () => staying.broker.transit?.pendingRequests.size;
    await until("the ask behind the running message", () => pending() === 1);
    const drained = leaving.placement.drain();
    await until("its refusal", () => pending() === 0);
    hold.resolve();
    assert.equal(await aliveAtItsEnd, true);
    await drained;
    const answered = await waiting;
    assert.equal(answered.nodeId, staying.broker.nodeID);
    assert.equal(answered.total, 1);
    assert.deepEqual(leaving.made[0]?.events, ["start", "stop drain alive"]);
  });

  test("that hangs when its lease is lost delays nobody: the next life of the key begins", async (t) => {
    const db = await testDatabase(t);
    const { placement, made, host } = await startHost(t, db, { ttlMs: 4_500, stopDeadlineMs: 100 });
    await want(db, "a");
    await until("a started actor", () => host.find("a")?.events.includes("start"));
    const hold = Promise.withResolvers<void>();
    const hung = host.run("a", async (actor) => {
      await hold.promise;
      return actor.context.alive();
    });
    await db.query("delete from actor_node");
    await until("its successor", () => made[1]?.events.includes("start"));
    assert.deepEqual(made[0]?.events, ["start", "kill"]);
    assert.equal(placement.check(), true);
    hold.resolve();
    assert.equal(await hung, false);
    await until("the end of the first", () => made[0]?.events.includes("stop lost dead"));
    assert.deepEqual(made[1]?.events, ["start"]);
    assert.equal(made[1]?.context.alive(), true);
  });

  test("whose stop or kill throws keeps no other from ending", async (t) => {
    const db = await testDatabase(t);
    class Rude extends Counter {
      override stop(): void {
        throw new Error("no");
      }
      override kill(): void {
        throw new Error("never");
      }
    }
    const { made, host } = await startHost(t, db, { ttlMs: 4_500, create: (context) => new Rude(context) });
    await want(db, "a", "b");
    await until("actors", () => host.keys.length === 2);
    await db.query("delete from actor_node");
    await until("successors", () => made.length === 4);
    await unwant(db, "a");
    await until("one", () => host.keys.length === 1);
  });
});

describe("an ask to an owner", () => {
  test("that nobody wants is ACTOR_MOVED at once", async (t) => {
    const db = await testDatabase(t);
    const { broker } = await startHost(t, db);
    const owners = { broker, directory: new Directory(db), kind: KIND };
    await assert.rejects(askOwner(owners, count, { key: "nobody" }, { deadlineMs: 60_000 }), coded("ACTOR_MOVED"));
  });

  test("waits for an owner within its deadline, then gives up with ACTOR_MOVED", async (t) => {
    const db = await testDatabase(t);
    const { broker } = await startHost(t, db);
    await db.query("insert into actor_placement (kind, key) values ('other', 'a')");
    const owners = { broker, directory: new Directory(db), kind: "other" };
    await assert.rejects(askOwner(owners, count, { key: "a" }, { deadlineMs: 80 }), coded("ACTOR_MOVED"));
  });

  test("that was remembered at a node which has gone finds the new owner", async (t) => {
    const db = await testDatabase(t);
    const namespace = randomUUID();
    const one = await startHost(t, db, { namespace });
    await want(db, "a");
    await until("an actor", () => one.host.keys.length === 1);
    const two = await startHost(t, db, { namespace });
    const directory = new Directory(db);
    const owners = { broker: two.broker, directory, kind: KIND };
    assert.equal((await askOwner(owners, count, { key: "a" })).nodeId, one.broker.nodeID);
    await one.placement.drain();
    await one.broker.stop();
    assert.equal(await directory.locate(KIND, "a"), one.broker.nodeID);
    assert.equal((await askOwner(owners, count, { key: "a" })).nodeId, two.broker.nodeID);
  });

  test("that waits for a node which is found dead goes to the new owner at once", async (t) => {
    const db = await testDatabase(t);
    const namespace = randomUUID();
    const one = await startHost(t, db, { namespace, ttlMs: 60_000 });
    await want(db, "a");
    await until("a started actor", () => one.host.find("a")?.events.includes("start"));
    const two = await startHost(t, db, { namespace });
    const owners = { broker: two.broker, directory: new Directory(db), kind: KIND };
    const hold = Promise.withResolvers<void>();
    t.after(() => hold.resolve());
    const hung = one.host.run("a", () => hold.promise).catch(() => {});
    const asked = askOwner(owners, count, { key: "a" });
    await until("the ask behind the hung one", () => owners.broker.transit?.pendingRequests.size);
    await db.query("update actor_node set lease_until = now() where node_id = $1", [one.broker.nodeID]);
    assert.equal((await asked).nodeId, two.broker.nodeID);
    hold.resolve();
    await hung;
  });

  test("with bad input never leaves its node", async (t) => {
    const db = await testDatabase(t);
    const { broker } = await startHost(t, db);
    const owners = { broker, directory: new Directory(db), kind: KIND };
    await assert.rejects(askOwner(owners, count, { key: 5 as unknown as string }), coded("BAD_INPUT"));
    announce(broker, nodesDied, { nodeIds: [broker.nodeID] });
    await assert.rejects(askOwner(owners, count, { key: "a" }), coded("ACTOR_MOVED"));
  });
});
