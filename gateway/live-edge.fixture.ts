/** For the watch page's tests: an edge with one live channel (video and alternate audio) that can be told to fail. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Ffmpeg } from "../lib/ffmpeg/binary.ts";
import type { Cleaner } from "./gateway.fixture.ts";

const CLIP_SECONDS = 120;
const WINDOW_SEGMENTS = 6;
const BASE = "/live/default/demo_channel.stream/";

export interface LiveEdge {
  readonly url: string;
  /** starting: 503 as before the first segments; gone: connections are cut. */
  mode: "live" | "starting" | "gone";
}

const hlsOutput = (name: string): string[] =>
  ["-f", "hls", "-hls_segment_type", "fmp4", "-hls_time", "1", "-hls_list_size", "0"].concat([
    "-hls_fmp4_init_filename",
    `${name}-init.mp4`,
    "-hls_segment_filename",
    `${name}-%d.m4s`,
    `${name}.m3u8`,
  ]);

const makeClip = async (ffmpeg: Ffmpeg, folder: string): Promise<void> => {
  const sources = [
    `testsrc2=size=320x180:rate=10:duration=${CLIP_SECONDS}`,
    `sine=frequency=440:duration=${CLIP_SECONDS}`,
  ];
  const inputs = sources.flatMap((source) => ["-f", "lavfi", "-i", source]);
  const video = ["-map", "0:v", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p"];
  const args = ["-v", "error", ...inputs, ...video, ...hlsOutput("v"), "-map", "1:a", "-c:a", "aac", ...hlsOutput("a")];
  const child = spawn(ffmpeg.path, args, { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
};

const MASTER = `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="main",DEFAULT=YES,AUTOSELECT=YES,URI="a.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.42C00D,mp4a.40.2",RESOLUTION=320x180,AUDIO="a"
v.m3u8
`;

/** The last segments that exist at this moment of the channel's life. */
const windowOf = (whole: string, name: string, ageSeconds: number): string => {
  const durations = [...whole.matchAll(/#EXTINF:([\d.]+)/g)].map(([, text]) => Number(text));
  const last = Math.min(durations.length, Math.floor(ageSeconds) + WINDOW_SEGMENTS) - 1;
  const first = Math.max(0, last - WINDOW_SEGMENTS + 1);
  const head = `#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:${first}\n`;
  const segments = durations
    .slice(first, last + 1)
    .map((seconds, index) => `#EXTINF:${seconds},\n${name}-${first + index}.m4s\n`);
  return `${head}#EXT-X-MAP:URI="${name}-init.mp4"\n${segments.join("")}`;
};

const answerFor = async (folder: string, name: string, ageSeconds: number): Promise<Buffer | string> => {
  if (name === "master.m3u8") return MASTER;
  const file = await readFile(path.join(folder, path.basename(name)));
  return name.endsWith(".m3u8") ? windowOf(file.toString(), name.slice(0, 1), ageSeconds) : file;
};

export const liveEdge = async (t: Cleaner, ffmpeg: Ffmpeg): Promise<LiveEdge> => {
  const folder = await mkdtemp(path.join(tmpdir(), "castellan-edge-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  await makeClip(ffmpeg, folder);
  const startedAt = performance.now();
  const server = createServer((request, response) => {
    if (edge.mode === "gone") return void request.destroy();
    response.setHeader("Access-Control-Allow-Origin", "*");
    if (edge.mode === "starting") return void response.writeHead(503).end();
    const name = (request.url ?? "").slice(BASE.length);
    answerFor(folder, name, (performance.now() - startedAt) / 1000).then(
      (content) => response.end(content),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(async () => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo; // a TCP listener always has one
  const edge: LiveEdge = { url: `http://127.0.0.1:${port}`, mode: "live" };
  return edge;
};
