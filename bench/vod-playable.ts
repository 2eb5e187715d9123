/**
 * How soon a title plays: from the last byte of its upload to the first segment at the edge, against the time that its
 * first chunk takes to be encoded, on the product as it is started, all in one process with its defaults.
 *
 *   node bench/vod-playable.ts            ten minutes of 1080p; BENCH_SECONDS=60 for a look
 */
import { execFile } from "node:child_process";
import path from "node:path";
import { promisify } from "node:util";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";
import { jobsOf, titleOf, tusUpload } from "../test/e2e/vod-platform.ts";
import { apiOf, startNode, tempDir, until } from "../test/support/platform.ts";
import { report } from "./report.ts";

const SECONDS = Number(process.env.BENCH_SECONDS ?? 600);
const CLIP_SECONDS = 60;
const cleanups: (() => Promise<void>)[] = [];
const t = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };

/** The film of the packager's benches: noise over a test picture, 5 Mbit/s, key frames every 2 s. */
const makeFilm = async (folder: string): Promise<string> => {
  const { path: ffmpeg } = await findFfmpeg(null);
  const run = promisify(execFile);
  const clip = path.join(folder, "clip.mp4");
  const film = path.join(folder, "film.mp4");
  const source = `testsrc2=s=1920x1080:r=24:d=${CLIP_SECONDS},noise=alls=18:allf=t`;
  const coding =
    "-c:v libx264 -preset veryfast -profile:v high -b:v 5000k -maxrate 5500k -bufsize 10000k -bf 2 -g 48 " +
    "-keyint_min 48 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -b:a 128k -ac 2 -movflags +faststart";
  const tone = `sine=440:r=48000:d=${CLIP_SECONDS}`;
  const inputs = ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", tone];
  await run(ffmpeg, ["-v", "error", "-y", ...inputs, ...coding.split(" "), clip]);
  const loops = String(Math.ceil(SECONDS / CLIP_SECONDS) - 1);
  await run(ffmpeg, [
    "-v",
    "error",
    "-y",
    "-stream_loop",
    loops,
    "-i",
    clip,
    "-c",
    "copy",
    "-movflags",
    "+faststart",
    film,
  ]);
  return film;
};

/** Bytes of the first segment that a title's lowest rung lists, by way of the edge; undefined while there is none. */
const firstSegment = async (hls: string): Promise<number | undefined> => {
  const master = await fetch(hls);
  if (!master.ok) return undefined;
  const level = (await master.text()).split("\n").find((line) => line !== "" && !line.startsWith("#"));
  if (!level) return undefined;
  const listUrl = new URL(level.trim(), hls);
  const list = await fetch(listUrl);
  const segment = (await list.text()).split("\n").find((line) => line !== "" && !line.startsWith("#"));
  if (!list.ok || !segment) return undefined;
  const media = await fetch(new URL(segment.trim(), listUrl));
  const { byteLength } = await media.arrayBuffer();
  return media.ok && byteLength > 0 ? byteLength : undefined;
};

const main = async (): Promise<void> => {
  const film = await makeFilm(await tempDir(t));
  const node = await startNode(t, {});
  const gateway = node.endpoints.gateway ?? "";
  const api = apiOf(gateway);
  const made = await api.call<{ data: { id: string } }>("POST", "/titles", {
    ...{ kind: "movie", name: "Ten minutes", autoPublish: true },
  });
  const titleId = made.body.data.id;
  const upload = await tusUpload(gateway, film, { filename: "film.mp4", titleId }, { chunkSize: 16 * 2 ** 20 });
  await new Promise<void>((resolve, reject) => {
    upload.options.onSuccess = () => resolve();
    upload.options.onError = reject;
    upload.start();
  });
  const uploadedMs = performance.now();
  const playback = await until(
    "a playback session",
    async () => {
      const answer = await api.call<{ data: { hls: string } }>("POST", `/titles/${titleId}/playback`, {});
      return answer.status === 201 ? answer.body.data : undefined;
    },
    300_000,
  );
  await until("the first segment", () => firstSegment(playback.hls), 60_000);
  const playableMs = performance.now() - uploadedMs;
  const stateThen = (await titleOf(api, titleId)).rungs === null ? "still being made" : "complete";
  const first = (await jobsOf(api, titleId)).filter(({ kind }) => kind === "transcode.chunk").at(-1);
  const { body } = await api.call<{ data: { startedAt: string; endedAt: string } }>("GET", `/jobs/${first?.id}`);
  const chunkMs = Date.parse(body.data.endedAt) - Date.parse(body.data.startedAt);
  report("VOD: from the upload's end to the first segment, all in one process", [
    {
      what: `${SECONDS} s of 1080p, first segment at the edge (the title is ${stateThen})`,
      value: `${(playableMs / 1000).toFixed(1)} s`,
      against: `its first chunk takes ${(chunkMs / 1000).toFixed(1)} s: ${((playableMs - chunkMs) / 1000).toFixed(1)} s more`,
      goal: "≤ 2 s more",
    },
  ]);
};

try {
  await main();
} finally {
  for (const clean of cleanups.reverse()) await clean().catch(() => {});
}
