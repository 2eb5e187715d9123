import assert from "node:assert/strict";
import { test } from "node:test";
import { CONTROL_ACTORS } from "../../lib/config/variables.ts";
import { missingServers, startCluster } from "../support/cluster.ts";
import { createChannel, playbackOf, streamerIds, until, untilPlayable } from "../support/platform.ts";
import { liveSource } from "../support/source.ts";

const skip = (await missingServers()) ?? false;

test("each actor of control as a process of its own: a channel starts, plays and goes", { skip }, async (t) => {
  const cluster = await startCluster(t, { controls: CONTROL_ACTORS, streamers: 1 });
  const { api } = cluster;
  const source = await liveSource(t);
  const [streamerId] = await streamerIds(api, 1);
  const channel = await createChannel(api, {
    name: "Split One",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s" },
    transcodeConfig: { ladder: [{ height: 180, width: 320, videoKbps: 300 }], preset: "ultrafast" },
    origins: [{ streamerId, ingestUrl: source.url }],
  });
  const { hls } = await playbackOf(api, channel.id);
  assert.match(await untilPlayable(hls), /^#EXTM3U/);
  assert.equal((await api.call("DELETE", `/channels/${channel.id}`)).status, 200);
  await until("the edge to have forgotten it", async () => (await fetch(hls)).status === 404 || undefined);
  for (const node of cluster.controls) assert.equal(await node.stop(), 0, node.output().slice(-2_000));
});
