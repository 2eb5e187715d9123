import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { missingServers, NATS_URL, POSTGRES_URL } from "../../test/support/cluster.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { keptPort } from "../../test/support/ports.ts";
import { proxyTo } from "../../test/support/proxy.ts";
import { quietLog } from "../log/log.ts";
import { makeBroker } from "./broker.ts";
import { answer, send } from "./contract.ts";
import { Directory } from "./directory.ts";
import { FENCED_TABLES } from "./host-process.fixture.ts";
import { count, KIND, startHost, until, want } from "./hosts.fixture.ts";
import { askOwner, type Owners } from "./keyed-host.ts";

process.env.TEST_DATABASE_URL ??= POSTGRES_URL;
const missing = await missingServers();
const skip = missing === undefined ? false : missing;
const KEYS = Array.from({ length: 6 }, (_, index) => `key-${index}`);
const TTL_MS = 2_000;

interface Answered {
  readonly nodeId: string;
  readonly leaseEpoch: number;
}

const startProcess = async (t: TestContext, env: Record<string, string>): Promise<ChildProcess> => {
  const child = spawn(process.execPath, [`${import.meta.dirname}/host-process.fixture.ts`], {
    env: { ...process.env, NATS_URL, TTL_MS: String(TTL_MS), ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  t.after(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  await Promise.race([
    once(child.stdout, "data"),
    ended.then(() => assert.fail(`${env.NODE_ID} ended before it was ready`)),
  ]);
  return child;
};

interface Trio {
  readonly db: TestDatabase;
  readonly owners: Owners;
  readonly processes: Map<string, ChildProcess>;
  askAll(): Promise<Map<string, Answered>>;
}

/** Three nodes as processes that own six keys, and this process, which asks them. */
const startTrio = async (t: TestContext): Promise<Trio> => {
  const db = await testDatabase(t);
  await db.asOwner(FENCED_TABLES);
  const namespace = randomUUID();
  const broker = makeBroker({ config: { nodeId: "asker", namespace, natsUrl: NATS_URL }, log: quietLog });
  t.after(() => broker.stop());
  // Before the others: a node's services are known to its peers about a second after its start.
  await broker.start();
  const env = { DATABASE_URL: db.url, NAMESPACE: namespace };
  const names = ["one", "two", "three"];
  const started = names.map((name) => startProcess(t, { ...env, NODE_ID: name }));
  const processes = new Map((await Promise.all(started)).map((child, index) => [names[index] ?? "", child]));
  await want(db, ...KEYS);
  const owners = { broker, directory: new Directory(db), kind: KIND };
  const askAll = async () => new Map(await Promise.all(KEYS.map(async (key) => [key, await ask(key)] as const)));
  const ask = (key: string): Promise<Answered> => askOwner(owners, count, { key });
  return { db, owners, processes, askAll };
};

/** In the order of acceptance a key's epoch never goes down, and an epoch has one owner only. */
const assertOneOwnerPerEpoch = async (db: TestDatabase): Promise<void> => {
  const { rows } = await db.query<{ key: string; before: number; after: number }>(
    `select key, before, lease_epoch as after from (
       select key, lease_epoch, lag(lease_epoch) over (partition by key order by id) as before from fenced_log) log
     where before > lease_epoch`,
  );
  assert.deepEqual(rows, [], "a write of an older epoch was accepted");
  const shared = await db.query("select from fenced_log group by key, lease_epoch having count(distinct node_id) > 1");
  assert.equal(shared.rowCount, 0, "an epoch had two owners");
};

const assertMoved = (before: Map<string, Answered>, after: Map<string, Answered>, from: string): void => {
  for (const [key, old] of before) {
    const now = after.get(key);
    if (old.nodeId === from) {
      assert.notEqual(now?.nodeId, from);
      assert.ok((now?.leaseEpoch ?? 0) > old.leaseEpoch, `${key}: ${now?.leaseEpoch} after ${old.leaseEpoch}`);
    } else assert.deepEqual(now, old);
  }
};

const ownerOfSome = (answers: Map<string, Answered>): string => [...answers.values()][0]?.nodeId ?? "";

test("a killed process has its keys taken over by others under higher epochs", { skip }, async (t) => {
  const { db, processes, askAll } = await startTrio(t);
  const before = await askAll();
  assert.ok(new Set([...before.values()].map(({ nodeId }) => nodeId)).size > 1);
  const victim = ownerOfSome(before);
  const killedAt = performance.now();
  processes.get(victim)?.kill("SIGKILL");
  const after = await askAll();
  t.diagnostic(`all keys answered ${Math.round(performance.now() - killedAt)} ms after kill -9`);
  assertMoved(before, after, victim);
  await assertOneOwnerPerEpoch(db);
});

test("a frozen process is replaced, and nothing that it does when it wakes is accepted", { skip }, async (t) => {
  const { db, processes, askAll } = await startTrio(t);
  const before = await askAll();
  const sleeper = ownerOfSome(before);
  const frozenAt = performance.now();
  processes.get(sleeper)?.kill("SIGSTOP");
  const after = await askAll();
  t.diagnostic(`all keys answered ${Math.round(performance.now() - frozenAt)} ms after SIGSTOP, TTL ${TTL_MS} ms`);
  assertMoved(before, after, sleeper);
  processes.get(sleeper)?.kill("SIGCONT");
  await until("the sleeper's new lease", async () => {
    const { rowCount } = await db.query("select from actor_node where node_id = $1", [sleeper]);
    return rowCount === 1;
  });
  await assertOneOwnerPerEpoch(db);
});

test("a process that gets SIGTERM hands its keys over and ends by itself", { skip }, async (t) => {
  const { db, processes, askAll } = await startTrio(t);
  const before = await askAll();
  const leaving = ownerOfSome(before);
  const child = processes.get(leaving);
  assert.ok(child);
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await askAll();
  assert.deepEqual(await ended, [0, null]);
  const after = await askAll();
  assertMoved(before, after, leaving);
  await assertOneOwnerPerEpoch(db);
});

test("a host without its database kills its actors and takes part again when it is back", { skip }, async (t) => {
  const db = await testDatabase(t);
  const proxy = await proxyTo(t, db.url);
  const { host, made, placement } = await startHost(t, { ...db, url: proxy.url }, { ttlMs: TTL_MS });
  await want(db, "a");
  await until("an actor", () => host.find("a")?.events.includes("start"));
  proxy.cut();
  await until("its end", () => host.keys.length === 0);
  assert.equal(placement.check(), false);
  assert.deepEqual(made[0]?.events, ["start", "kill", "stop lost dead"]);
  proxy.mend();
  await until("its next life", () => host.find("a")?.events.includes("start"));
  assert.ok((made[1]?.context.leaseEpoch ?? 0) > (made[0]?.context.leaseEpoch ?? Infinity));
});

test("an ask while the bus is away is BUS_DOWN at once, and works again when it is back", { skip }, async (t) => {
  const port = await keptPort();
  const startNats = async (): Promise<ChildProcess> => {
    const child = spawn("nats-server", ["-a", "127.0.0.1", "-p", String(port)], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    t.after(() => void child.kill("SIGKILL"));
    for await (const chunk of child.stderr) if (String(chunk).includes("Server is ready")) break;
    child.stderr.resume();
    return child;
  };
  const server = await startNats();
  const namespace = randomUUID();
  const node = (nodeId: string) =>
    makeBroker({ config: { nodeId, namespace, natsUrl: `nats://127.0.0.1:${port}` }, log: quietLog });
  const [asker, answerer] = [node("asker"), node("answerer")];
  t.after(() => Promise.all([asker.stop(), answerer.stop()]));
  const reply = { nodeId: "answerer", leaseEpoch: 1, total: 1 };
  answerer.createService({ name: "counter", actions: { count: answer(count, () => reply) } });
  await Promise.all([asker.start(), answerer.start()]);
  await asker.waitForServices("counter", 10_000);
  const ask = () => send(asker, count, { key: "a" }, { deadlineMs: 20_000 });
  assert.deepEqual(await ask(), reply);

  const noticed = new Promise((resolve) => asker.localBus.once("$transporter.disconnected", resolve));
  server.kill("SIGKILL");
  await noticed;
  const askedAt = performance.now();
  await assert.rejects(ask(), { code: "BUS_DOWN" });
  t.diagnostic(`BUS_DOWN after ${(performance.now() - askedAt).toFixed(1)} ms`);
  await startNats();
  await until("an answer", () =>
    ask().then(
      () => true,
      () => false,
    ),
  );
});

test("a node whose bus hangs ends all the same", { skip }, async (t) => {
  const proxy = await proxyTo(t, NATS_URL);
  const broker = makeBroker({
    config: { nodeId: "leaving", namespace: randomUUID(), natsUrl: proxy.url },
    log: quietLog,
  });
  await broker.start();
  proxy.freeze();
  const startedAt = performance.now();
  await broker.stop();
  const tookMs = performance.now() - startedAt;
  assert.ok(tookMs < 8_000, `it took ${Math.round(tookMs)} ms`);
});
