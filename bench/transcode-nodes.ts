/**
 * One film on two transcoder nodes, against two ffmpegs on its halves, all pinned to one core each.
 *
 *   node bench/transcode-nodes.ts            three minutes of 1080p; BENCH_SECONDS=60 for a look
 */
import { execFileSync } from "node:child_process";
import { rmSync } from "node:fs";
import path from "node:path";
import { chunkArguments } from "../domain/transcode/video-arguments.ts";
import { jobsOf, tusUpload, untilComplete, vodPlatform } from "../test/e2e/vod-platform.ts";
import type { Api } from "../test/support/platform.ts";
import { report } from "./report.ts";
import { dir, make, optionsOf, outputsOf, PRESET, run } from "./transcode.fixture.ts";

const SECONDS = Number(process.env.BENCH_SECONDS ?? 180);

/** Chunks of a title, from the first one's start to the last one's end. */
const encodingSeconds = async (api: Api, titleId: string): Promise<number> => {
  const coding = (await jobsOf(api, titleId)).filter(({ kind }) => /^transcode\.(chunk|audio)/.test(kind));
  const times = await Promise.all(
    coding.map(async ({ id }) => {
      const { data } = (await api.call<{ data: { startedAt: string; endedAt: string } }>("GET", `/jobs/${id}`)).body;
      return [Date.parse(data.startedAt), Date.parse(data.endedAt)] as const;
    }),
  );
  return (Math.max(...times.map(([, end]) => end)) - Math.min(...times.map(([start]) => start))) / 1000;
};

/**
 * Two transcoder nodes as they are shipped, pinned to one core each, with a control plane, gateway, packager and edge
 * beside them on the same two cores, against two plain ffmpegs pinned alike that make the same rungs and sound of the
 * two halves.
 */
const splitting = async (film: string) => {
  const cleanups: (() => Promise<void>)[] = [];
  const t = { after: (clean: () => Promise<void>) => void cleanups.push(clean) };
  const { gatewayUrl, transcoders, api } = await vodPlatform(t, { env: { TRANSCODE_PRESET: PRESET } });
  let ours: number;
  let complete: number;
  try {
    for (const [core, { child }] of transcoders.entries()) execFileSync("taskset", ["-acp", `${core}`, `${child.pid}`]);
    const made = await api.call<{ data: { id: string } }>("POST", "/titles", { kind: "movie", name: "Two nodes" });
    const titleId = made.body.data.id;
    const upload = await tusUpload(gatewayUrl, film, { filename: "film.mp4", titleId }, { chunkSize: 2 ** 26 });
    await new Promise<void>((resolve, reject) => {
      Object.assign(upload.options, { onSuccess: () => resolve(), onError: reject });
      upload.start();
    });
    const uploadedMs = performance.now();
    await untilComplete(api, titleId, 900_000);
    complete = (performance.now() - uploadedMs) / 1000;
    ours = await encodingSeconds(api, titleId);
  } finally {
    for (const clean of cleanups.reverse()) await clean().catch(() => {});
  }
  const whole = await optionsOf(film, 0, Number.MAX_SAFE_INTEGER);
  const middle = Math.floor(whole.plan.frameCount / 2);
  const halves = [await optionsOf(film, 0, middle), await optionsOf(film, middle, Number.MAX_SAFE_INTEGER)];
  const sound = (core: number): string[] => [
    ...["-ss", String((core * SECONDS) / 2), "-t", String(SECONDS / 2), "-i", film, "-map", "0:a:0"],
    ...["-c:a", "aac", "-b:a", "128k", "-y", path.join(dir, `h${core}.m4a`)],
  ];
  const plainAt = performance.now();
  await Promise.all(
    halves.map(async ({ options, plan }, core) => {
      await run(chunkArguments(options, outputsOf(plan.rungs, `h${core}`)), core);
      await run(["-v", "error", ...sound(core)], core);
    }),
  );
  return { ours, complete, plain: (performance.now() - plainAt) / 1000 };
};

try {
  const film = await make("film.mp4", `testsrc2=s=1920x1080:r=25:d=${SECONDS},noise=alls=8:allf=t`);
  const { ours, complete, plain } = await splitting(film);
  const against = `two ffmpegs on its halves: ${plain.toFixed(1)} s`;
  report("one film on two transcoder nodes of one core each", [
    {
      what: `${SECONDS} s of 1080p, all rungs and sound, from the first chunk's start to the last one's end`,
      value: `${ours.toFixed(1)} s (${(plain / ours).toFixed(2)}×)`,
      against,
      goal: "≥ 0.9×",
    },
    {
      what: "from the upload's end until all rungs are whole",
      value: `${complete.toFixed(1)} s (${(plain / complete).toFixed(2)}×)`,
      against,
    },
  ]);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
