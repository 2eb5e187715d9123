import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import test, { after, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type JetStreamManager, JSONCodec, type NatsConnection } from "nats";
import { testDatabase } from "../../test/support/database.ts";
import { NATS_URL, withoutNats } from "../../test/support/nats.ts";
import { keptPort } from "../../test/support/ports.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import type { Database } from "../db/database.ts";
import { quietLog } from "../log/log.ts";
import { jetStreamEvents, pgEvents } from "./events.ts";
import { laneOf, Streams } from "./jetstream-streams.ts";
import { eventBusSuite, Recorder, tell } from "./suite.ts";
import { happened } from "./suite-facts.ts";

const QUICK = { attemptsMax: 2, pausesMs: [20], silenceMs: 3_000 };

const skip = await withoutNats();

interface Nats {
  readonly prefix: string;
  readonly streams: Streams;
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
}

const used: Streams[] = [];
// Not with the test: a reader that still runs would make them again.
after(async () => {
  if (used.length === 0) return;
  const connection = await connect({ servers: NATS_URL });
  const manager = await connection.jetstreamManager();
  for (const { published, lanes, dead } of used) {
    for (const name of [published, lanes, dead]) await manager.streams.delete(name).catch(() => {});
  }
  await connection.close();
});

/** Streams of its own, removed afterwards. */
async function freshNats(t: TestContext): Promise<Nats> {
  const prefix = `test-${randomBytes(6).toString("hex")}`;
  const streams = new Streams(prefix);
  const connection = await connect({ servers: NATS_URL });
  const manager = await connection.jetstreamManager();
  used.push(streams);
  t.after(() => connection.close());
  return { prefix, streams, connection, manager };
}

eventBusSuite(
  "jetStreamEvents",
  async (t) => {
    const { prefix } = await freshNats(t);
    assert.notEqual(laneOf("a"), laneOf("b"));
    return {
      bus: (db, policy) => jetStreamEvents({ db, natsUrl: NATS_URL, prefix, log: quietLog, policy }),
      workerArguments: () => ["jetstream", NATS_URL, prefix],
      keys: ["a", "b"],
    };
  },
  skip,
);

async function listening(t: TestContext, db: Database, prefix: string, natsUrl = NATS_URL): Promise<Recorder> {
  const seen = new Recorder();
  const bus = jetStreamEvents({ db, natsUrl, prefix, log: quietLog, policy: QUICK });
  await bus.subscribe("reader", [happened], async (event) => {
    if (event.payload.n < 0) throw new Error("poison");
    seen.note(event);
  });
  await bus.start();
  t.after(() => bus.stop());
  return seen;
}

test("a fact that is relayed twice is delivered once", { skip }, async (t) => {
  const [db, { prefix }] = [await testDatabase(t), await freshNats(t)];
  const seen = await listening(t, db, prefix);
  const id = await tell(db, "k", 0);
  await seen.until("the fact", () => seen.events.length === 1);
  const relayed = async () => (await db.query("select from event_todo")).rowCount === 0;
  for (const deadline = AbortSignal.timeout(20_000); !(await relayed()); ) deadline.throwIfAborted();
  await db.query("insert into event_todo (consumer, event_id, key) values ('jetstream', $1, 'k')", [id]);
  await tell(db, "k", 1);
  await seen.until("the next fact", () => seen.of("k").includes(1));
  assert.deepEqual(seen.of("k"), [0, 1]);
});

test("every fact stands under its published name for anybody to read", { skip }, async (t) => {
  const [db, { prefix, connection }] = [await testDatabase(t), await freshNats(t)];
  const anybody = connection.subscribe(`${prefix}.test.happened`, { max: 1 });
  await listening(t, db, prefix);
  const id = await tell(db, "k", 7);
  for await (const message of anybody) {
    assert.deepEqual(JSONCodec().decode(message.data), { id, name: "test.happened", key: "k", payload: { n: 7 } });
  }
});

test("a dead fact is kept with its reason", { skip }, async (t) => {
  const [db, { prefix, connection }] = [await testDatabase(t), await freshNats(t)];
  const dead = connection.subscribe(`${prefix}-dead.reader`, { max: 1 });
  await listening(t, db, prefix);
  const id = await tell(db, "k", -1);
  for await (const message of dead) {
    const fact = { id, name: "test.happened", key: "k", payload: { n: -1 } };
    assert.deepEqual(JSONCodec().decode(message.data), { ...fact, attempt: 2, reason: "poison" });
  }
});

test("facts wait in the outbox while NATS is away", { skip }, async (t) => {
  const [db, { prefix }] = [await testDatabase(t), await freshNats(t)];
  const proxy = await proxyTo(t, NATS_URL);
  const seen = await listening(t, db, prefix, proxy.url);
  await tell(db, "k", 0);
  await seen.until("the first", () => seen.events.length === 1);
  proxy.cut();
  for (const n of [1, 2, 3]) await tell(db, "k", n);
  proxy.mend();
  await seen.until("the others", () => seen.of("k").includes(3));
  assert.deepEqual([...new Set(seen.of("k"))], [0, 1, 2, 3]);
});

/** A server of its own on a port that stays; killed with the test. */
const natsServer = async (t: TestContext, options: readonly string[]): Promise<ChildProcess> => {
  const child = spawn("nats-server", ["-a", "127.0.0.1", ...options], { stdio: ["ignore", "ignore", "pipe"] });
  t.after(() => void child.kill("SIGKILL"));
  for await (const chunk of child.stderr) if (String(chunk).includes("Server is ready")) break;
  child.stderr.resume();
  return child;
};

test("facts wait in the outbox while NATS has no JetStream, however long; a start says so", { skip }, async (t) => {
  const db = await testDatabase(t);
  const dir = await mkdtemp(path.join(tmpdir(), "nats-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const port = String(await keptPort());
  const natsUrl = `nats://127.0.0.1:${port}`;
  const server = await natsServer(t, ["-p", port, "-js", "-sd", dir]);
  const seen = await listening(t, db, "js", natsUrl);
  const again = async (before: ChildProcess, ...options: string[]): Promise<ChildProcess> => {
    before.kill("SIGKILL");
    await once(before, "exit");
    return natsServer(t, ["-p", port, ...options]);
  };
  const without = await again(server);
  await tell(db, "k", 0);
  await pause(3_000); // at 20 ms a try: far more than the two that are counted
  assert.deepEqual((await db.query("select dead from event_todo")).rows, [{ dead: false }]);
  const late = jetStreamEvents({ db, natsUrl, prefix: "js", log: quietLog });
  t.after(() => late.stop());
  await assert.rejects(late.start(), { message: "The NATS server has no JetStream: start it with -js." });
  await again(without, "-js", "-sd", dir);
  await seen.until("the fact", () => seen.of("k").includes(0));
});

test("a NATS that hangs holds nobody up who ends", { skip }, async (t) => {
  const [db, { prefix }] = [await testDatabase(t), await freshNats(t)];
  const proxy = await proxyTo(t, NATS_URL);
  const bus = jetStreamEvents({ db, natsUrl: proxy.url, prefix, log: quietLog, policy: QUICK });
  await bus.subscribe("reader", [happened], async () => {});
  await bus.start();
  proxy.freeze();
  const startedAt = performance.now();
  await bus.stop();
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 8_000, `it took ${Math.round(tookMs)} ms`);
});

test("a NATS that has lost its streams loses no fact", { skip }, async (t) => {
  const [db, { prefix, manager, streams }] = [await testDatabase(t), await freshNats(t)];
  const seen = await listening(t, db, prefix);
  await tell(db, "k", 0);
  await seen.until("the first", () => seen.events.length === 1);
  for (const name of [streams.published, streams.lanes, streams.dead]) await manager.streams.delete(name);
  for (const n of [1, 2, 3, 4]) await tell(db, "k", n);
  await seen.until("the last", () => seen.of("k").includes(4));
  assert.deepEqual([...new Set(seen.of("k"))], [0, 1, 2, 3, 4]);
});

test("what an operator has changed in a stream stays", { skip }, async (t) => {
  const [db, { prefix, manager, streams }] = [await testDatabase(t), await freshNats(t)];
  await streams.ensure(manager);
  const { config } = await manager.streams.info(streams.lanes);
  await manager.streams.update(streams.lanes, { ...config, max_bytes: 1024 * 1024 });
  await listening(t, db, prefix);
  assert.equal((await manager.streams.info(streams.lanes)).config.max_bytes, 1024 * 1024);
});

test("what was published before there was NATS is delivered first", { skip }, async (t) => {
  const [db, { prefix }] = [await testDatabase(t), await freshNats(t)];
  const before = pgEvents({ db, log: quietLog });
  await before.subscribe("reader", [happened], async () => {});
  for (const n of [0, 1, 2]) await tell(db, "k", n);
  const seen = await listening(t, db, prefix);
  await tell(db, "k", 3);
  await seen.until("all", () => seen.events.length === 4);
  assert.deepEqual(seen.of("k"), [0, 1, 2, 3]);
});
