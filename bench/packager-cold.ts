/**
 * A packager that nobody has asked for a file yet, and what it holds: the first playlist of a film of 100 minutes and
 * its first segment, beside nginx-vod-module (NGINX_VOD_BIN) and Bento4's mp42hls (MP42HLS_BIN); 20 viewers at once;
 * memory at 64 connections; where sound starts in each segment. Files are in the page cache. Server on CPU 0.
 */
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { Agent, get } from "node:http";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { probe } from "../test/media/ffprobe.ts";
import { congestionControl } from "./http-load.fixture.ts";
import { Cleanup, metricOf } from "./live.fixture.ts";
import { wrk } from "./load.fixture.ts";
import { ours, segmentPaths, startPackager, vod } from "./packager.fixture.ts";
import { type BenchMedia, benchMedia, readWhole, warmed } from "./packager-media.fixture.ts";
import { type Peer, startVod } from "./packager-peers.fixture.ts";
import { median, quantile, type Row, report } from "./report.ts";

const ROUNDS = Number(process.env.BENCH_ROUNDS ?? 7);
const VIEWERS = 20;
const CONNECTIONS = 64;
const TS_TICKS_PER_MS = 90;
const KEY = "00112233445566778899aabbccddeeff";
const OFFSET_SECONDS = 10; // what the packager adds to all times

interface Timed {
  readonly ms: number;
  readonly body: Buffer;
}

const timed = (agent: Agent, url: string): Promise<Timed> =>
  new Promise((resolve, reject) => {
    const startedAt = performance.now();
    get(url, { agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve({ ms: performance.now() - startedAt, body: Buffer.concat(chunks) }));
    }).on("error", reject);
  });

interface ColdPaths {
  readonly playlist: string;
  readonly segment: string;
}

/** Playlist and first segment of a server that was just started; the connection stands already. */
const coldOnce = async (peer: Peer, paths: ColdPaths): Promise<{ playlistMs: number; segmentMs: number }> => {
  const { url } = await peer.restart();
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  await timed(agent, `${url}/nothing`);
  const { ms: playlistMs } = await timed(agent, url + paths.playlist);
  const { ms: segmentMs } = await timed(agent, url + paths.segment);
  agent.destroy();
  return { playlistMs, segmentMs };
};

const cold = async (peer: Peer, paths: ColdPaths) => {
  const samples = [];
  for (let round = 0; round < ROUNDS; round += 1) samples.push(await coldOnce(peer, paths));
  return {
    playlistMs: median(samples.map(({ playlistMs }) => playlistMs)),
    segmentMs: median(samples.map(({ segmentMs }) => segmentMs)),
  };
};

const ms = (value: number): string => `${value.toFixed(1)} ms`;
const against = (name: string, own: number, other: number | undefined): string =>
  other === undefined ? `${name}: not shown` : `${name} ${ms(other)}: ${(own / other).toFixed(2)}×`;

const ownPaths = (file: string): ColdPaths => ({ playlist: ours.playlist(file), segment: ours.ts(file)(1) });
const vodPaths = (file: string): ColdPaths => ({ playlist: vod.playlist(file), segment: vod.ts(file)(1) });

/** The packaging step of CasterPak: the whole film, before the first playlist. */
const bento4 = async (file: string): Promise<number | undefined> => {
  const binary = process.env.MP42HLS_BIN;
  if (!binary) return undefined;
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-bento4-"));
  const startedAt = performance.now();
  const names = ["--index-filename", "i.m3u8", "--segment-filename-template", "s-%d.ts", "--segment-duration", "6"];
  await promisify(execFile)("taskset", ["-c", "0", binary, ...names, file], { cwd: folder, timeout: 300_000 });
  const tookMs = performance.now() - startedAt;
  await rm(folder, { recursive: true, force: true });
  return tookMs;
};

const coldRows = async (cleanup: Cleanup, { folder, big, short }: BenchMedia): Promise<Row[]> => {
  const packager = await startPackager(cleanup, folder);
  const peer = await startVod(cleanup, folder, "tuned");
  await warmed(path.join(folder, big));
  const own = await cold(packager, ownPaths(big));
  const small = await cold(packager, ownPaths(short));
  const other = peer ? await cold(peer, vodPaths(big)) : undefined;
  const packaged = await bento4(path.join(folder, big));
  return [
    {
      what: "first playlist, 100 minutes (3.9 GB)",
      value: ms(own.playlistMs),
      against: against("nginx-vod", own.playlistMs, other?.playlistMs),
      goal: "≤ 20 ms, ≤ 1.0×",
    },
    {
      what: "first playlist, 100 minutes (3.9 GB)",
      value: ms(own.playlistMs),
      against: against("mp42hls", own.playlistMs, packaged),
      goal: "≤ 1/500",
    },
    {
      what: "first segment after it, 100 minutes",
      value: ms(own.segmentMs),
      against: against("the same of a file of 10 MB", own.segmentMs, small.segmentMs),
      goal: "the same within noise",
    },
    {
      what: "first segment after it, 100 minutes",
      value: ms(own.segmentMs),
      against: against("nginx-vod", own.segmentMs, other?.segmentMs),
    },
  ];
};

const viewersRow = async (cleanup: Cleanup, { folder, big }: BenchMedia): Promise<Row> => {
  const first = await startPackager(cleanup, folder);
  const waits: number[] = [];
  let reads = 0;
  for (let round = 0; round < ROUNDS; round += 1) {
    const { url } = round === 0 ? first : await first.restart();
    const agent = new Agent({ keepAlive: true, maxSockets: VIEWERS });
    await Promise.all(Array.from({ length: VIEWERS }, () => timed(agent, `${url}/nothing`)));
    const viewers = Array.from({ length: VIEWERS }, () => timed(agent, url + ours.playlist(big)));
    waits.push(...(await Promise.all(viewers)).map((one) => one.ms));
    reads = metricOf((await timed(agent, `${url}/metrics`)).body.toString(), "castellan_packager_index_reads");
    agent.destroy();
  }
  return {
    what: `${VIEWERS} viewers at once of 100 minutes that nobody had asked for`,
    value: `${reads} index read, p99 ${ms(quantile(waits, 0.99))}`,
    goal: "1 index read, p99 < 150 ms",
  };
};

const residentMiB = async (pid: number): Promise<number> => {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
};

const memoryRow = async (cleanup: Cleanup, { folder, movie }: BenchMedia, aesKey: string | null): Promise<Row> => {
  const env = aesKey === null ? {} : { CASTERPAK_ENCRYPTION_METHOD: "aes-128", CASTERPAK_ENCRYPTION_KEY: aesKey };
  const { url, pid } = await startPackager(cleanup, folder, env);
  const idle = await residentMiB(pid);
  const samples: number[] = [];
  for (const pathOf of [ours.ts(movie), ours.fmp4(movie)]) {
    await wrk(pid, { url, paths: segmentPaths(100, pathOf), connections: CONNECTIONS, seconds: 6 });
    samples.push(await residentMiB(pid));
  }
  return {
    what: `resident memory after TS, then fMP4 segments${aesKey ? ", AES-128," : ""} at ${CONNECTIONS} connections`,
    value: samples.map((sample) => `${Math.round(sample)} MiB`).join(", "),
    against: `before them ${Math.round(idle)} MiB`,
    goal: "≤ 200 MB (191 MiB)",
  };
};

interface Stamp {
  readonly kind: string;
  readonly ptsMs: number;
}
const stampsOf = async (file: string): Promise<readonly Stamp[]> => {
  const { streams, packets } = await probe(file);
  return packets.flatMap(({ stream_index, pts }) => {
    const stream = streams[stream_index];
    const [num = 1, den = 1] = stream?.time_base.split("/").map(Number) ?? [];
    return stream && pts !== undefined ? [{ kind: stream.codec_type, ptsMs: (pts * num * 1000) / den }] : [];
  });
};
const byKind = (stamps: readonly Stamp[], kind: string): number[] =>
  stamps.filter((stamp) => stamp.kind === kind).map(({ ptsMs }) => ptsMs);

/** How far sound is from where the source has it beside its picture, at the worst segment. */
const lipSyncRow = async (cleanup: Cleanup, { folder, movie }: BenchMedia): Promise<Row> => {
  const { url } = await startPackager(cleanup, folder);
  const source = await stampsOf(path.join(folder, movie));
  const scratch = await mkdtemp(path.join(tmpdir(), "castellan-lips-"));
  const agent = new Agent({ keepAlive: true });
  const at = { video: 0, audio: 0 };
  let worstMs = 0;
  for (const segment of segmentPaths(100, ours.ts(movie))) {
    const file = path.join(scratch, "segment.ts");
    await writeFile(file, (await timed(agent, url + segment)).body);
    const stamps = await stampsOf(file);
    const late = (["video", "audio"] as const).map((kind) => {
      const own = byKind(stamps, kind);
      const first = at[kind];
      at[kind] += own.length;
      // In presentation order: pictures are reordered within a segment, never over its end.
      const expected = Math.min(...byKind(source, kind).slice(first, at[kind]));
      return Math.min(...own) - OFFSET_SECONDS * 1000 - expected;
    });
    worstMs = Math.max(worstMs, Math.abs((late[0] ?? 0) - (late[1] ?? 0)));
  }
  agent.destroy();
  await rm(scratch, { recursive: true, force: true });
  return {
    what: "sound against picture, worst of 100 segments made alone, by ffprobe",
    value: `${worstMs.toFixed(2)} ms off the source (a tick is ${(1 / TS_TICKS_PER_MS).toFixed(2)} ms)`,
    goal: "≤ 1 ms",
  };
};

const main = async (cleanup: Cleanup): Promise<void> => {
  const media = await benchMedia();
  await readWhole(path.join(media.folder, media.movie));
  report(`The packager, cold and in memory, one core, ${congestionControl()}`, [
    ...(await coldRows(cleanup, media)),
    await viewersRow(cleanup, media),
    await memoryRow(cleanup, media, null),
    await memoryRow(cleanup, media, KEY),
    await lipSyncRow(cleanup, media),
  ]);
};

const cleanup = new Cleanup();
await main(cleanup).finally(() => cleanup.run());
