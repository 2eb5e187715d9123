import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { counterOf, listedNumbers } from "../support/frames.ts";
import { type Api, apiOf, createChannel, playbackOf, startNode, streamerIds, until } from "../support/platform.ts";
import { liveSource } from "../support/source.ts";

const SEGMENTS = 20;
/** The demo clip's 16 s are eight segments, over and over. */
const DISTINCT_MIN = 8;
/** A machine that is busy for longer than the system's buffers last loses datagrams. */
const DATAGRAMS_LOST_MAX = 6;
const SIZE = { width: 320, height: 180 };
const TRANSCODE = { ladder: [{ ...SIZE, videoKbps: 300 }], preset: "ultrafast" };

/** Frame counters by segment number, as one origin shows them; segments are taken as they appear. */
const collect = async (base: string, count: number): Promise<Map<number, number | null>> => {
  const seen = new Map<number, number | null>();
  await until(
    `${count} segments of ${base}`,
    async () => {
      for (const number of await listedNumbers(base)) {
        if (!seen.has(number)) seen.set(number, await counterOf(base, number, SIZE));
      }
      return seen.size >= count ? true : undefined;
    },
    120_000,
  );
  return seen;
};

/** `spoiltMax`: so many segments may begin with a picture that can't be read. */
const compareOrigins = async (api: Api, channelId: number, spoiltMax: number): Promise<void> => {
  const playback = await playbackOf(api, channelId);
  const bases = playback.origins.map(({ hls }) => new URL("v0", hls).href);
  assert.equal(bases.length, 2);
  // A few more than wanted: the two lists don't begin with the same segment.
  const [one, two] = await Promise.all(bases.map((base) => collect(base, SEGMENTS + 4)));
  const common = [...(one ?? [])].filter(([number]) => two?.has(number));
  assert.ok(common.length >= SEGMENTS, `${common.length} segments in common`);
  const whole = common.filter(([number, counter]) => counter !== null && two?.get(number) !== null);
  assert.ok(whole.length >= common.length - spoiltMax, `${whole.length} of ${common.length} pictures are whole`);
  assert.deepEqual(
    whole,
    whole.map(([number]) => [number, two?.get(number)]),
  );
  assert.ok(new Set(whole.map(([, counter]) => counter)).size >= DISTINCT_MIN, "the counters count");
};

/** Both wait for segments for most of their time. */
describe("both origins", { concurrency: 2 }, () => {
  test("of a multicast name the same media alike", async (t) => {
    const node = await startNode(t);
    const api = apiOf(node.endpoints.gateway ?? "");
    const source = await liveSource(t);
    const channel = await createChannel(api, {
      name: "Alike",
      sourceType: "udp",
      ingestConfig: { chunkDuration: "2s" },
      transcodeConfig: TRANSCODE,
      origins: (await streamerIds(api, 2)).map((streamerId) => ({ streamerId, ingestUrl: source.url })),
    });
    await compareOrigins(api, channel.id, DATAGRAMS_LOST_MAX);
  });

  test("of a loop name the same media alike", async (t) => {
    const node = await startNode(t, { env: { DEMO: "on" } });
    const api = apiOf(node.endpoints.gateway ?? "");
    // The clip is made for the demo channel.
    await until("the demo channel", async () => {
      const { body } = await api.call<{ data: unknown[] }>("GET", "/channels");
      return body.data.length > 0 || undefined;
    });
    const channel = await createChannel(api, {
      name: "Loop Alike",
      sourceType: "pl",
      ingestConfig: { url: "pl:///demo", chunkDuration: "2s" },
      transcodeConfig: TRANSCODE,
      origins: (await streamerIds(api, 2)).map((streamerId) => ({ streamerId })),
    });
    await compareOrigins(api, channel.id, 0);
  });
});
