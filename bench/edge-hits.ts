/**
 * What a hit costs the edge: CPU per request of an edge process of its own, for a playlist and for a segment, against
 * node:http alone sending the same bytes to the same viewers. Needs NATS and PostgreSQL (TEST_NATS_URL,
 * TEST_POSTGRES_URL).
 */
import { missingServers, startCluster } from "../test/support/cluster.ts";
import { createChannel, playbackOf, streamerIds, until, untilPlayable } from "../test/support/platform.ts";
import { liveSource } from "../test/support/source.ts";
import { bareServer, bodyOf, costOf } from "./http.fixture.ts";
import { Cleanup } from "./live.fixture.ts";
import { median, type Row, report } from "./report.ts";

const ROUNDS = 5;
const ROUND_MS = 3_000;
const VIEWERS = 32;

const rowOf = async (cleanup: Cleanup, edgePid: number, { what, url }: { what: string; url: string }): Promise<Row> => {
  const body = await bodyOf(url);
  const peer = await bareServer(cleanup, body);
  const pairs: { ours: number; bare: number }[] = [];
  const cost = async (pid: number, of: string) =>
    (await costOf(pid, { viewers: VIEWERS, forMs: ROUND_MS, urlOf: () => of })).cpuUs;
  for (let round = 0; round < ROUNDS; round += 1) {
    pairs.push({ bare: await cost(peer.pid, peer.url), ours: await cost(edgePid, url) });
  }
  const ratio = median(pairs.map(({ ours, bare }) => ours / bare));
  const of = (side: "ours" | "bare") => Math.round(median(pairs.map((pair) => pair[side])));
  return {
    what: `${what}, ${(body.length / 1024).toFixed(1)} KiB, ${VIEWERS} connections`,
    value: `${of("ours")} µs of CPU per request`,
    against: `node:http alone, same bytes ${of("bare")} µs: ${ratio.toFixed(2)}×`,
    goal: "≤ 2×",
  };
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const missing = await missingServers();
  if (missing) throw new Error(missing);
  const cluster = await startCluster(cleanup, { streamers: 1 });
  const source = await liveSource(cleanup);
  const [streamerId] = await streamerIds(cluster.api, 1);
  const channel = await createChannel(cluster.api, {
    name: "Hits",
    sourceType: "udp",
    ingestConfig: { chunkDuration: "2s" },
    transcodeConfig: { ladder: [{ height: 180, width: 320, videoKbps: 300 }], preset: "ultrafast" },
    origins: [{ streamerId, ingestUrl: source.url }],
  });
  const { hls } = await playbackOf(cluster.api, channel.id);
  await untilPlayable(hls);
  const playlist = new URL("v0/media.m3u8", hls).href;
  const name = await until("a segment", async () => /^(\d+\.m4s)$/m.exec((await bodyOf(playlist)).toString())?.[1]);
  const segment = new URL(`v0/${name}`, hls).href;
  const pid = cluster.edge.child.pid ?? 0;
  report("Hits of the edge", [
    await rowOf(cleanup, pid, { what: "playlist", url: playlist }),
    await rowOf(cleanup, pid, { what: "segment", url: segment }),
  ]);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
