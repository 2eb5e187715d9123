import assert from "node:assert/strict";
import { test } from "node:test";
import { chromiumPath, type PlayerKind, play, viewingOf } from "../support/browser.ts";
import {
  type Api,
  apiOf,
  createChannel,
  playbackOf,
  startNode,
  streamerIds,
  until,
  untilPlayable,
} from "../support/platform.ts";
import { liveSource } from "../support/source.ts";

const skip = chromiumPath ? false : "skipped: needs Chromium";
const PLAY_MS = 30_000;

interface Cleaner {
  after(clean: () => Promise<void>): void;
}

const LADDER = { ladder: [{ height: 180, width: 320, videoKbps: 300 }], preset: "ultrafast" };

const multicastChannel = async (t: Cleaner, api: Api): Promise<number> => {
  const source = await liveSource(t);
  const ids = await streamerIds(api, 2);
  const channel = await createChannel(api, {
    name: "Multicast One",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s", fragmentDuration: "200ms", netTimeout: "500ms", forceClean: true },
    transcodeConfig: LADDER,
    origins: ids.map((streamerId) => ({ streamerId, ingestUrl: source.url })),
  });
  assert.equal(channel.streamId, "multicast_one.stream");
  return channel.id;
};

const demoChannel = async (api: Api): Promise<number> => {
  const listed = await until("the demo channel", async () => {
    const { body } = await api.call<{ data: { id: number; streamId: string }[] }>("GET", "/channels");
    return body.data.find(({ streamId }) => streamId === "demo_channel.stream");
  });
  return listed.id;
};

/** Plays for half a minute; what a viewer would have noticed must be nothing. */
const watch = async (t: Cleaner, kind: PlayerKind, url: string): Promise<void> => {
  const { page, complaints } = await play(t, kind, url);
  await until("a steady picture", async () => ((await viewingOf(page)).currentTime > 0 ? true : undefined));
  const before = await viewingOf(page);
  await new Promise((resolve) => setTimeout(resolve, PLAY_MS)); // the claim is about this stretch of time
  const after = await viewingOf(page);
  assert.deepEqual(
    { waits: after.waits - before.waits, errors: after.errors, complaints },
    {
      waits: 0,
      errors: [],
      complaints: [],
    },
  );
  assert.ok(after.frames - before.frames > (PLAY_MS / 1000) * 20, `${after.frames - before.frames} frames shown`);
};

for (const kind of ["hls", "dash"] as const) {
  test(`a multicast channel on two origins plays through the edge for 30 s (${kind})`, { skip }, async (t) => {
    const node = await startNode(t);
    const api = apiOf(node.endpoints.gateway ?? "");
    const playback = await playbackOf(api, await multicastChannel(t, api));
    await untilPlayable(playback[kind]);
    await watch(t, kind, playback[kind]);
  });

  test(`the demo loop plays through the edge for 30 s (${kind})`, { skip }, async (t) => {
    const node = await startNode(t, { env: { DEMO: "on" } });
    const api = apiOf(node.endpoints.gateway ?? "");
    const playback = await playbackOf(api, await demoChannel(api));
    await untilPlayable(playback[kind]);
    await watch(t, kind, playback[kind]);
  });
}
