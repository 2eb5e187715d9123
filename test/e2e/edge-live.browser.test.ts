/** A live channel through the edge, while what is behind the edge and the edge itself go and come back. */
import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { chromiumPath, launchChromium } from "../support/browser.ts";
import { type Cluster, missingServers, NATS_URL, startCluster } from "../support/cluster.ts";
import { createChannel, type Node, playbackOf, streamerIds, until, untilPlayable } from "../support/platform.ts";
import { proxyTo } from "../support/proxy.ts";
import { leftOut } from "../support/share.ts";
import { liveSource } from "../support/source.ts";
import { EdgeViewer, type Seen } from "./edge-viewing.ts";

const needs = (await missingServers()) ?? (chromiumPath ? false : "skipped: needs Chromium");
const skip = (scene: number): string | false => needs || leftOut(scene, { of: 3, plays: 1 });
/** What a player takes to try again, and a busy machine to show it. */
const MARGIN_MS = 4_000;

const liveChannel = async (t: TestContext, { api }: Cluster): Promise<string> => {
  const source = await liveSource(t);
  const ids = await streamerIds(api, 2);
  const channel = await createChannel(api, {
    name: "Edge One",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s" },
    transcodeConfig: { ladder: [{ height: 180, width: 320, videoKbps: 300 }], preset: "ultrafast" },
    origins: ids.map((streamerId) => ({ streamerId, ingestUrl: source.url })),
  });
  const { hls } = await playbackOf(api, channel.id);
  await untilPlayable(hls);
  await until("both origins to be active", async () => {
    const { origins } = await playbackOf(api, channel.id);
    return origins.every(({ status }) => status === "active") || undefined;
  });
  return hls;
};

const watchedChannel = async (t: TestContext, cluster: Cluster): Promise<EdgeViewer> => {
  const url = await liveChannel(t, cluster);
  const viewer = await EdgeViewer.open(t, await launchChromium(t), { url });
  await viewer.plays(4);
  return viewer;
};

const gone = async ({ child }: Node): Promise<void> => {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
};

/** Killed and started on its port and disk; how long nobody was there. */
const restartEdge = async (cluster: Cluster, edge: Node): Promise<{ node: Node; outageMs: number }> => {
  const killedAt = performance.now();
  await gone(edge);
  const node = await cluster.add("edge", {}, edge.dataDir);
  return { node, outageMs: performance.now() - killedAt };
};

/** No stall but for what an outage lasts longer than what the player had. */
const assertForced = (t: TestContext, { before, after }: { before: Seen; after: Seen }, outageMs: number): void => {
  const stalledMs = Math.round(after.stalledMs - before.stalledMs);
  const forcedMs = Math.round(Math.max(0, outageMs - before.aheadMs));
  const figures = `${stalledMs} ms of stall; an outage of ${Math.round(outageMs)} ms forces ${forcedMs} ms`;
  t.diagnostic(`${figures}; given up: ${after.fatals.join(", ") || "never"}; retried: ${after.errors.join(", ")}`);
  assert.ok(stalledMs <= forcedMs + MARGIN_MS, figures);
};

test("an origin streamer that is killed and comes back costs the viewer nothing", { skip: skip(0) }, async (t) => {
  const cluster = await startCluster(t);
  const viewer = await watchedChannel(t, cluster);
  const before = await viewer.seen();
  for (const streamer of cluster.streamers) {
    await gone(streamer);
    await viewer.plays(3);
    const port = new URL(streamer.endpoints.streamers[0] ?? "").port;
    await cluster.add("streamer", { STREAMER_PORT: port }, streamer.dataDir);
    await until("both streamers to be in step", async () => {
      const { body } = await cluster.api.call<{ data: { health: string }[] }>("GET", "/streamers");
      return body.data.every(({ health }) => health === "online") || undefined;
    });
    await viewer.plays(3);
  }
  const after = await viewer.seen();
  assertForced(t, { before, after }, 0);
  assert.deepEqual(after.fatals, []);
});

test("an edge that is killed and started again costs no more stall than its absence forces", {
  skip: skip(1),
}, async (t) => {
  const cluster = await startCluster(t);
  const viewer = await watchedChannel(t, cluster);
  const before = await viewer.seen();
  const { outageMs } = await restartEdge(cluster, cluster.edge);
  const after = await viewer.plays(10);
  assertForced(t, { before, after }, outageMs);
});

test("without control plane and bus a channel plays on, through a restart of the edge too", {
  skip: skip(2),
}, async (t) => {
  const bus = await proxyTo(t, NATS_URL);
  const cluster = await startCluster(t, { env: { NATS_URL: bus.url } });
  const viewer = await watchedChannel(t, cluster);
  const first = await viewer.seen();
  bus.cut();
  await Promise.all([...cluster.controls, cluster.gateway].map(gone));
  const alone = await viewer.plays(5);
  assertForced(t, { before: first, after: alone }, 0);
  assert.deepEqual(alone.fatals, []);
  const { outageMs } = await restartEdge(cluster, cluster.edge);
  const again = await viewer.plays(6);
  assertForced(t, { before: alone, after: again }, outageMs);
  bus.mend();
  for (const node of [...cluster.controls, cluster.gateway]) {
    await cluster.add(node === cluster.gateway ? "gateway" : "control", {}, node.dataDir);
  }
  const last = await viewer.plays(4);
  assertForced(t, { before: again, after: last }, 0);
});
