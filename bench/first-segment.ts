/**
 * Time from `POST /channels` to the first segment that a viewer gets through the edge, against ffmpeg alone writing HLS
 * of the same source with the same segment length, in the same run.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";
import { apiOf, createChannel, playbackOf, startNode, streamerIds, until } from "../test/support/platform.ts";
import { liveSource } from "../test/support/source.ts";
import { Cleanup, pause } from "./live.fixture.ts";
import { median, report } from "./report.ts";

const ROUNDS = 5;
const SEGMENT_S = 2;

const firstSegmentOf = async (hls: string): Promise<void> => {
  const base = new URL("v0/", hls);
  await until("a first segment", async () => {
    const list = await fetch(new URL("media.m3u8", base));
    const name = list.ok ? /^(\d+\.m4s)$/m.exec(await list.text())?.[1] : undefined;
    if (!name) return undefined;
    const segment = await fetch(new URL(name, base));
    return segment.ok && (await segment.arrayBuffer()).byteLength > 0 ? true : undefined;
  });
};

/** ffmpeg alone: spawn to the first complete segment file. */
const bareFfmpeg = async (url: string): Promise<number> => {
  const { path: binary } = await findFfmpeg(null);
  const dir = mkdtempSync(path.join(tmpdir(), "castellan-bench-"));
  const startedAt = performance.now();
  const encode = "-c:v libx264 -preset veryfast -tune zerolatency -g 50 -sc_threshold 0 -c:a aac".split(" ");
  const hls = ["-f", "hls", "-hls_time", String(SEGMENT_S), "-hls_segment_type", "fmp4", path.join(dir, "x.m3u8")];
  const input = ["-analyzeduration", "500000", "-i", url];
  const child = spawn(binary, ["-v", "error", "-nostdin", ...input, ...encode, ...hls], { stdio: "ignore" });
  await until("ffmpeg's first segment", () => existsSync(path.join(dir, "x.m3u8")) || undefined);
  const took = performance.now() - startedAt;
  child.kill("SIGKILL");
  await pause(100);
  if (readdirSync(dir).length === 0) throw new Error("ffmpeg wrote nothing");
  rmSync(dir, { recursive: true, force: true });
  return took;
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const node = await startNode(cleanup);
  const api = apiOf(node.endpoints.gateway ?? "");
  const source = await liveSource(cleanup);
  const origins = (await streamerIds(api, 2)).map((streamerId) => ({ streamerId, ingestUrl: source.url }));
  const ours: number[] = [];
  const bare: number[] = [];
  const accepted: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedAt = performance.now();
    const channel = await createChannel(api, {
      name: `First ${round}`,
      sourceType: "udp",
      ingestConfig: { chunkDuration: `${SEGMENT_S}s` },
      origins,
    });
    accepted.push(performance.now() - startedAt);
    await firstSegmentOf((await playbackOf(api, channel.id)).hls);
    ours.push(performance.now() - startedAt);
    await api.call("DELETE", `/channels/${channel.id}`);
    bare.push(await bareFfmpeg(source.url));
  }
  const ratio = median(ours.map((ms, i) => ms / (bare[i] ?? ms)));
  report("From POST /channels to the first playable segment", [
    { what: "201 answered", value: `${Math.round(median(accepted))} ms` },
    {
      what: `first ${SEGMENT_S} s segment through the edge, multicast, two origins`,
      value: `${(median(ours) / 1000).toFixed(2)} s`,
      against: `ffmpeg alone writing ${SEGMENT_S} s HLS segments ${(median(bare) / 1000).toFixed(2)} s: ${ratio.toFixed(2)}×`,
      goal: "≤ 4.5 s: probe 1.2, next key frame 1, segment 2",
    },
  ]);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
