/**
 * 200 channels on one streamer whose ffmpegs copy a clip instead of encoding (bench/copy-ffmpeg.sh); all else is the
 * shipped process. Requests are held against node:http answering the same bytes in the same run.
 */
import { execFileSync } from "node:child_process";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";
import { type Api, apiOf, startNode, streamerIds, tempDir, until } from "../test/support/platform.ts";
import { bareServer, bodyOf, costOf } from "./http.fixture.ts";
import { Cleanup, cpuSeconds, metricOf, pause } from "./live.fixture.ts";
import { report } from "./report.ts";

const CHANNELS = Number(process.env.BENCH_CHANNELS ?? 200);
const VIEWERS = 32;
const MEASURE_MS = 15_000;
const RUNG = { width: 320, height: 180, videoKbps: 300 };

const makeClip = async (file: string): Promise<string> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const sources = ["-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=60", "-f", "lavfi", "-i", "sine=d=60:r=48000"];
  const video = "-c:v libx264 -preset ultrafast -tune zerolatency -b:v 300k -g 25 -sc_threshold 0 -bf 0".split(" ");
  const audio = "-c:a aac -b:a 96k -ac 2 -video_track_timescale 90000 -pix_fmt yuv420p".split(" ");
  execFileSync(ffmpeg, ["-v", "error", "-y", ...sources, ...video, ...audio, "-t", "60", file]);
  return ffmpeg;
};

/** A streamer keeps its environment from ffmpeg: what the script has to know stands in it. */
const copyingFfmpeg = async (dir: string): Promise<string> => {
  const clip = path.join(dir, "clip.mp4");
  const script = path.join(dir, "ffmpeg");
  const known = `BENCH_FFMPEG='${await makeClip(clip)}' BENCH_CLIP='${clip}'`;
  const text = `#!/bin/sh\n${known} exec '${path.join(import.meta.dirname, "copy-ffmpeg.sh")}' "$@"\n`;
  await writeFile(script, text, { mode: 0o755 });
  return script;
};

/** As a client should: what is answered with 503 is tried again. */
const createPatiently = async (api: Api, body: Record<string, unknown>): Promise<void> => {
  for (;;) {
    const { status } = await api.call("POST", "/channels", body);
    if (status === 201) return;
    if (status !== 503) throw new Error(`POST /channels answered ${status}`);
    await pause(1_000);
  }
};

const createAll = async (api: Api, streamerId: number): Promise<number> => {
  const startedAt = performance.now();
  let next = 0;
  const maker = async () => {
    while (next < CHANNELS) {
      next += 1;
      await createPatiently(api, {
        name: `Many ${next}`,
        sourceType: "udp",
        ingestConfig: { chunkDuration: "2s" },
        transcodeConfig: { ladder: [RUNG] },
        origins: [{ streamerId, ingestUrl: `udp://239.254.0.${next % 250}:${21_000 + next}` }],
      });
    }
  };
  await Promise.all(Array.from({ length: 4 }, maker));
  return performance.now() - startedAt;
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const env = { STREAMERS: "1", STREAMS_MAX: "256", FFMPEG_PATH: await copyingFfmpeg(await tempDir(cleanup)) };
  const node = await startNode(cleanup, { env });
  const api = apiOf(node.endpoints.gateway ?? "");
  const [streamerId = 0] = await streamerIds(api, 1);
  const streamer = node.endpoints.streamers[0] ?? "";
  const createdMs = await createAll(api, streamerId);
  const listOf = (n: number) => `${streamer}/live/default/many_${n}.stream/v0/media.m3u8`;
  for (const n of [1, CHANNELS]) {
    await until(`channel ${n}`, async () => ((await fetch(listOf(n))).ok ? true : undefined), 120_000);
  }
  await pause(15_000);
  const pid = node.child.pid ?? 0;
  const before = cpuSeconds(pid);
  await pause(MEASURE_MS);
  const share = (cpuSeconds(pid) - before) / (MEASURE_MS / 1000);
  const page = await (await fetch(`${streamer}/metrics`)).text();
  const peer = await bareServer(cleanup, await bodyOf(listOf(1)));
  const shape = { viewers: VIEWERS, forMs: MEASURE_MS };
  const { perSecond: ours } = await costOf(pid, { ...shape, urlOf: (count) => listOf(1 + (count % CHANNELS)) });
  const { perSecond: bare } = await costOf(peer.pid, { ...shape, urlOf: () => peer.url });
  const loaded = await (await fetch(`${streamer}/metrics`)).text();
  report(`${CHANNELS} channels on one streamer, ffmpegs copying`, [
    { what: "all created over REST, 4 at once", value: `${(createdMs / 1000).toFixed(1)} s` },
    { what: "Node's CPU, no viewers", value: `${((share / CHANNELS) * 100).toFixed(2)} % of a core per channel` },
    {
      what: `playlist requests, ${VIEWERS} viewers over all channels`,
      value: `${Math.round(ours)}/s`,
      against: `node:http alone beside them, same bytes ${Math.round(bare)}/s: ${(ours / bare).toFixed(2)}×`,
    },
    {
      what: "event-loop delay, p99",
      value: `${(metricOf(page, "nodejs_eventloop_lag_p99_seconds") * 1000).toFixed(0)} ms`,
      against: `under that load ${(metricOf(loaded, "nodejs_eventloop_lag_p99_seconds") * 1000).toFixed(0)} ms`,
    },
    { what: "memory (RSS)", value: `${Math.round(metricOf(loaded, "process_resident_memory_bytes") / 2 ** 20)} MiB` },
  ]);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
