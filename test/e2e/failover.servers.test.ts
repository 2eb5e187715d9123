import assert from "node:assert/strict";
import { test } from "node:test";
import { chromiumPath, play, viewingOf } from "../support/browser.ts";
import { type Cluster, missingServers, realDatabase, startCluster } from "../support/cluster.ts";
import { listedNumbers } from "../support/frames.ts";
import { createChannel, type Node, playbackOf, streamerIds, until, untilPlayable } from "../support/platform.ts";
import { proxyTo } from "../support/proxy.ts";
import { OWNERLESS_MS_MAX, type Owner, openDb, ownerOf, untilNewOwner } from "../support/rounds.ts";
import { leftOut } from "../support/share.ts";
import { liveSource } from "../support/source.ts";

const needs = (await missingServers()) ?? (chromiumPath ? false : "skipped: needs Chromium");
const skip = (scene: number): string | false => needs || leftOut(scene, { of: 4, plays: 2 });

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

/** A channel on both streamers, fed by multicast, playable through the edge. */
const liveChannel = async (t: Cleaner, cluster: Cluster) => {
  const source = await liveSource(t);
  const ids = await streamerIds(cluster.api, 2);
  const channel = await createChannel(cluster.api, {
    name: "Failover One",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s" },
    transcodeConfig: { ladder: [{ height: 180, width: 320, videoKbps: 300 }], preset: "ultrafast" },
    origins: ids.map((streamerId) => ({ streamerId, ingestUrl: source.url })),
  });
  const playback = await playbackOf(cluster.api, channel.id);
  await untilPlayable(playback.hls);
  await until("both origins to be active", async () => {
    const now = await playbackOf(cluster.api, channel.id);
    return now.origins.every((origin) => origin.status === "active") || undefined;
  });
  const base = new URL("v0", playback.hls).href;
  return { channel, playback, lastSegment: async () => (await listedNumbers(base)).at(-1) ?? -1 };
};

const ownerNode = (cluster: Cluster, owner: Owner): Node => {
  const node = cluster.controls.find(({ endpoints }) => endpoints.nodeId === owner.nodeId);
  assert.ok(node, `no control node ${owner.nodeId}`);
  return node;
};

/** Which streamer process the edge fetched segments from: the one whose listener served them. */
const servedBytes = async (node: Node): Promise<number> => {
  const text = await (await fetch(`${node.endpoints.streamers[0]}/metrics`)).text();
  return Number(/^castellan_live_bytes_total\{type="video\/mp4"\} (\d+)/m.exec(text)?.[1] ?? 0);
};

const busiest = async (nodes: readonly Node[]): Promise<Node> => {
  const bytes = await Promise.all(nodes.map(servedBytes));
  const node = nodes[bytes.indexOf(Math.max(...bytes))];
  assert.ok(node && Math.max(...bytes) > 0, "no streamer has served anything");
  return node;
};

const WATCH_MS = 25_000;

test("killing the streamer that the edge pulls from costs the viewer no stall", { skip: skip(0) }, async (t) => {
  const cluster = await startCluster(t);
  const { playback } = await liveChannel(t, cluster);
  await untilPlayable(playback.dash);
  const viewers = await Promise.all((["hls", "dash"] as const).map((kind) => play(t, kind, playback[kind])));
  for (const { page } of viewers)
    await until("a steady picture", async () => ((await viewingOf(page)).currentTime > 4 ? true : undefined));
  const before = await Promise.all(viewers.map(({ page }) => viewingOf(page)));
  (await busiest(cluster.streamers)).kill("SIGKILL");
  await new Promise((resolve) => setTimeout(resolve, WATCH_MS)); // the claim is about this stretch of time
  for (const [i, { page, complaints }] of viewers.entries()) {
    const after = await viewingOf(page);
    const { waits = 0, frames = 0 } = before[i] ?? {};
    const noticed = { waits: after.waits - waits, errors: after.errors, complaints };
    assert.deepEqual(noticed, { waits: 0, errors: [], complaints: [] }, ["hls", "dash"][i]);
    assert.ok(after.frames - frames > (WATCH_MS / 1000) * 20, `${after.frames - frames} frames shown`);
  }
});

test("a killed control node's channels get a new owner while streams run on", { skip: skip(1) }, async (t) => {
  const cluster = await startCluster(t, { controls: Array(3).fill("control") });
  const { channel, lastSegment } = await liveChannel(t, cluster);
  const db = await openDb(t, cluster.databaseUrl);
  const before = await until("an owner", () => ownerOf(db, channel.id));
  const segment = await lastSegment();
  const killedAt = performance.now();
  ownerNode(cluster, before).kill("SIGKILL");
  const after = await untilNewOwner(db, channel.id, before);
  const ownerlessMs = Math.round(performance.now() - killedAt);
  t.diagnostic(`new owner after ${ownerlessMs} ms`);
  assert.ok(ownerlessMs < OWNERLESS_MS_MAX.kill, `${ownerlessMs} ms without an owner`);
  assert.notEqual(after.nodeId, before.nodeId);
  await until("segments to go on", async () => ((await lastSegment()) > segment + 1 ? true : undefined));
});

test("a frozen owner is replaced, and nothing that it does when it wakes is accepted", { skip: skip(2) }, async (t) => {
  const cluster = await startCluster(t, { controls: Array(3).fill("control") });
  const { channel, lastSegment } = await liveChannel(t, cluster);
  const db = await openDb(t, cluster.databaseUrl);
  const before = await until("an owner", () => ownerOf(db, channel.id));
  const sleeper = ownerNode(cluster, before);
  const segment = await lastSegment();
  const frozenAt = performance.now();
  sleeper.kill("SIGSTOP");
  const after = await untilNewOwner(db, channel.id, before);
  const ownerlessMs = Math.round(performance.now() - frozenAt);
  t.diagnostic(`new owner after ${ownerlessMs} ms of a 6 s lease`);
  assert.ok(ownerlessMs < OWNERLESS_MS_MAX.freeze, `${ownerlessMs} ms without an owner`);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, 12_000 - (performance.now() - frozenAt))));
  sleeper.kill("SIGCONT");
  await until("the sleeper to be a peer again", async () => {
    const { rows } = await db.query("select 1 from actor_node where node_id = $1", [before.nodeId]);
    return rows.length > 0 || undefined;
  });
  const { rows } = await db.query<{ leaseEpoch: number }>(
    `select lease_epoch::float8 as "leaseEpoch" from channel_runtime where channel_id = $1`,
    [channel.id],
  );
  assert.equal(rows[0]?.leaseEpoch, after.leaseEpoch);
  assert.deepEqual(await ownerOf(db, channel.id), after);
  assert.ok((await lastSegment()) > segment + 3);
});

test("streams and viewers go on through a minute without a database", { skip: skip(3) }, async (t) => {
  const database = await realDatabase(t);
  const proxy = await proxyTo(t, database);
  const cluster = await startCluster(t, { databaseUrl: proxy.url });
  const { channel, playback, lastSegment } = await liveChannel(t, cluster);
  const { page, complaints } = await play(t, "hls", playback.hls);
  const segment = await lastSegment();
  const before = await viewingOf(page);
  proxy.cut();
  const refused = await until("the API to say so", async () => {
    const answer = await cluster.api.call<{ code: string }>("GET", "/channels");
    return answer.status === 503 ? answer : undefined;
  });
  assert.equal(refused.body.code, "DATABASE_DOWN");
  await new Promise((resolve) => setTimeout(resolve, 60_000)); // the claim is about this stretch of time
  const after = await viewingOf(page);
  assert.deepEqual(
    { waits: after.waits - before.waits, errors: after.errors, complaints },
    {
      waits: 0,
      errors: [],
      complaints: [],
    },
  );
  assert.ok((await lastSegment()) > segment + 25);
  proxy.mend();
  await until("the API to be back", async () => {
    const answer = await cluster.api.call<{ data: { status: string } }>("GET", `/channels/${channel.id}`);
    return (answer.status === 200 && answer.body.data.status === "active") || undefined;
  });
});
