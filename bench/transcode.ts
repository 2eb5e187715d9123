/**
 * The transcoder's figures, each with both sides of its ratio from one run: one decode for all rungs against a decode
 * for each, and the bits of easy content against fixed rates.
 */
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, statSync } from "node:fs";
import path from "node:path";
import { chunkArguments } from "../domain/transcode/video-arguments.ts";
import { report } from "./report.ts";
import { dir, ffmpeg, make, optionsOf, outputsOf, PRESET, run } from "./transcode.fixture.ts";

const SECONDS = 30;

/** All rungs by one ffmpeg, and each by its own. */
const oneDecode = async (film: string) => {
  const { plan, options } = await optionsOf(film, 0, 750);
  const ours = await run(chunkArguments(options, outputsOf(plan.rungs, "all")));
  let apart = 0;
  for (const output of outputsOf(plan.rungs, "one")) apart += (await run(chunkArguments(options, [output]))).cpuSeconds;
  return { ours: ours.cpuSeconds, apart };
};

const vmaf = (made: string, film: string, frames: number): number => {
  const log = path.join(dir, "vmaf.json");
  const graph =
    `[0:v]scale=1280:720:flags=bicubic[a];[1:v]trim=end_frame=${frames},scale=1280:720:flags=bicubic[b];` +
    `[a][b]libvmaf=log_fmt=json:log_path=${log}`;
  execFileSync(ffmpeg.path, ["-v", "error", "-i", made, "-i", film, "-lavfi", graph, "-f", "null", "-"]);
  const { pooled_metrics } = JSON.parse(readFileSync(log, "utf8")) as { pooled_metrics: { vmaf: { mean: number } } };
  return pooled_metrics.vmaf.mean;
};

/** The 720p rung of easy content: ours, and at the rung's fixed rate. */
const easyBits = async (film: string) => {
  const frames = 500;
  const { plan, options } = await optionsOf(film, 0, frames);
  const outputs = outputsOf(
    plan.rungs.filter(({ name }) => name === "720p"),
    "easy",
  );
  const [output] = outputs;
  if (!output) throw new Error("no 720p rung");
  await run(chunkArguments(options, outputs));
  const fixed = path.join(dir, "fixed.mp4");
  const rate = `${output.rung.kbps}k`;
  const rates = ["-b:v", rate, "-maxrate", rate, "-bufsize", rate]; // no filler: only bits that are of use
  const encoder = ["-c:v", "libx264", "-preset", PRESET, "-g", "50", ...rates];
  await run(["-v", "error", "-y", "-i", film, "-frames:v", String(frames), "-vf", "scale=1280:720", ...encoder, fixed]);
  return {
    share: statSync(output.file).size / statSync(fixed).size,
    ours: vmaf(output.file, film, frames),
    fixed: vmaf(fixed, film, frames),
  };
};

try {
  const film = await make("film.mp4", `testsrc2=s=1920x1080:r=25:d=${SECONDS},noise=alls=8:allf=t`);
  const easy = await make("easy.mp4", "testsrc=s=1280x720:r=25:d=20");
  const decode = await oneDecode(film);
  const bits = await easyBits(easy);
  report("transcode", [
    {
      what: "CPU of a ladder out of one decode",
      value: `${decode.ours.toFixed(1)} s (${(decode.ours / decode.apart).toFixed(2)}×)`,
      against: `an ffmpeg for each rung: ${decode.apart.toFixed(1)} s`,
      goal: "≤ 0.8×",
    },
    {
      what: "bits of easy content, 720p",
      value: `${bits.share.toFixed(2)}×, VMAF ${bits.ours.toFixed(1)}`,
      against: `at the rung's fixed rate: VMAF ${bits.fixed.toFixed(1)}`,
      goal: "≤ 0.6×, VMAF within 1",
    },
  ]);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
