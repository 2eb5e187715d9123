/** Rounds of killing and freezing a channel's owner, with the history of what was accepted meanwhile. */
import assert from "node:assert/strict";
import pg from "pg";
import { type Cluster, startCluster } from "./cluster.ts";
import { historyOf, keepHistory, staleCommands, staleWrites } from "./history.ts";
import { createChannel, type Node, streamerIds, until } from "./platform.ts";

interface Cleaner {
  after(clean: () => Promise<void>): void;
  diagnostic(text: string): void;
}

export interface Owner {
  readonly nodeId: string;
  readonly leaseEpoch: number;
}

export const ownerOf = async (db: pg.Client, channelId: number): Promise<Owner | undefined> => {
  const { rows } = await db.query<Owner>(
    `select n.node_id as "nodeId", p.lease_epoch::float8 as "leaseEpoch" from actor_placement p
     join actor_node n using (incarnation) where p.kind = 'channel-supervisor' and p.key like $1`,
    [`%:${channelId}`],
  );
  return rows[0];
};

export const openDb = async (t: Pick<Cleaner, "after">, url: string): Promise<pg.Client> => {
  const db = new pg.Client({ connectionString: url });
  db.on("error", () => {});
  await db.connect();
  t.after(() => db.end());
  return db;
};

export const untilNewOwner = (db: pg.Client, channelId: number, before: Owner): Promise<Owner> =>
  until(`an owner after epoch ${before.leaseEpoch}`, async () => {
    const now = await ownerOf(db, channelId);
    return now && now.leaseEpoch > before.leaseEpoch ? now : undefined;
  });

const FROZEN_MS = 12_000;
/**
 * Longest time without an owner. A crash is seen by its dropped session, within two seconds, and so in less than the
 * lease of 6 s; a freeze when that has ended. What is more is for a machine that does much else at the time.
 */
export const OWNERLESS_MS_MAX = { kill: 5_000, freeze: 6_000 + 4_000 };

const freeze = async (node: Node, awaitOwner: () => Promise<Owner>): Promise<void> => {
  const frozenAt = performance.now();
  node.kill("SIGSTOP");
  await awaitOwner();
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, FROZEN_MS - (performance.now() - frozenAt))));
  node.kill("SIGCONT");
};

/** Small pseudo-random generator (mulberry32): the same rounds for the same seed. */
const random = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
};

const oneRound = async (cluster: Cluster, db: pg.Client, channelId: number, kill: boolean): Promise<number> => {
  const before = await until("an owner", () => ownerOf(db, channelId));
  const index = cluster.controls.findIndex(({ endpoints }) => endpoints.nodeId === before.nodeId);
  const node = cluster.controls[index];
  assert.ok(node, `no control node ${before.nodeId}`);
  const startedAt = performance.now();
  let tookMs = 0;
  const awaitOwner = async () => {
    const owner = await untilNewOwner(db, channelId, before);
    tookMs = performance.now() - startedAt;
    return owner;
  };
  if (!kill) await freeze(node, awaitOwner);
  else {
    node.kill("SIGKILL");
    await awaitOwner();
    cluster.controls[index] = await cluster.add("control");
  }
  return tookMs;
};

/** `count` rounds; fails when one write or command of an old epoch was accepted. */
export const failoverRounds = async (t: Cleaner, { count, seed }: { count: number; seed: number }): Promise<void> => {
  const cluster = await startCluster(t, { controls: Array(3).fill("control") });
  const db = await openDb(t, cluster.databaseUrl);
  await keepHistory(db);
  const ids = await streamerIds(cluster.api, 2);
  const { id } = await createChannel(cluster.api, {
    name: "History",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s" },
    origins: ids.map((streamerId) => ({ streamerId, ingestUrl: "udp://239.255.7.7:20007?localaddr=127.0.0.1" })),
  });
  const next = random(seed);
  for (let round = 0; round < count; round += 1) {
    const kill = next() < 0.5;
    const tookMs = await oneRound(cluster, db, id, kill);
    t.diagnostic(`round ${round + 1}: ${kill ? "kill -9" : "SIGSTOP"}, new owner after ${Math.round(tookMs)} ms`);
    assert.ok(tookMs < OWNERLESS_MS_MAX[kill ? "kill" : "freeze"], `round ${round + 1} took ${Math.round(tookMs)} ms`);
  }
  const history = await historyOf(db);
  assert.ok(history.length >= count, `${history.length} accepted writes`);
  assert.deepEqual(staleWrites(history), []);
  for (const { output } of cluster.streamers) {
    assert.ok(output().includes('"command taken"'));
    assert.deepEqual(staleCommands(output()), []);
  }
};
