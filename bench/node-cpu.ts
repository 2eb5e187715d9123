/** Node's CPU per channel next to its ffmpeg's: the shipped streamer with real encodings, default configuration. */
import { apiOf, createChannel, startNode, streamerIds, until } from "../test/support/platform.ts";
import { liveSource } from "../test/support/source.ts";
import { Cleanup, childrenOf, cpuSeconds, pause } from "./live.fixture.ts";
import { report } from "./report.ts";

const CHANNELS = 4;
const SETTLE_MS = 15_000;
const MEASURE_MS = 30_000;

const main = async (cleanup: Cleanup): Promise<void> => {
  const node = await startNode(cleanup, { env: { STREAMERS: "1" } });
  const api = apiOf(node.endpoints.gateway ?? "");
  const source = await liveSource(cleanup);
  const [streamerId] = await streamerIds(api, 1);
  const pid = node.child.pid ?? 0;
  await pause(5_000);
  const idleBefore = cpuSeconds(pid);
  await pause(10_000);
  const idle = (cpuSeconds(pid) - idleBefore) / 10;
  for (let i = 0; i < CHANNELS; i += 1) {
    await createChannel(api, {
      name: `Cpu ${i}`,
      sourceType: "udp",
      ingestConfig: {},
      origins: [{ streamerId, ingestUrl: source.url }],
    });
  }
  await until("ffmpegs", () => childrenOf(pid, "ffmpeg").length >= CHANNELS || undefined);
  await pause(SETTLE_MS);
  const encoders = childrenOf(pid, "ffmpeg");
  const before = { node: cpuSeconds(pid), ffmpeg: encoders.reduce((sum, child) => sum + cpuSeconds(child), 0) };
  await pause(MEASURE_MS);
  const seconds = MEASURE_MS / 1000;
  const nodeShare = ((cpuSeconds(pid) - before.node) / seconds - idle) / CHANNELS;
  const encoded = encoders.reduce((sum, child) => sum + cpuSeconds(child), 0) - before.ffmpeg;
  const ffmpegShare = encoded / seconds / CHANNELS;
  const percent = (share: number): string => `${(share * 100).toFixed(1)} % of a core`;
  report("Node's CPU per channel", [
    {
      what: `Node per channel (320x180 at 25/s, default ladder, ${CHANNELS} channels)`,
      value: percent(nodeShare),
      against: `its ffmpeg ${percent(ffmpegShare)}: ${(nodeShare / ffmpegShare).toFixed(2)}×`,
      goal: "≤ 3 %",
    },
    { what: "the whole node without a channel", value: percent(idle) },
  ]);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
