/** What the transcoder's benches share: films, the arguments of chunks, and ffmpeg pinned to a core and counted. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { planOf } from "../actors/transcoder/plan.ts";
import { secondsAt } from "../domain/transcode/timing.ts";
import type { ChunkOptions, RungOutput } from "../domain/transcode/video-arguments.ts";
import { findFfmpeg } from "../lib/ffmpeg/binary.ts";
import { findFfprobe, keyFrameBefore, probeSource } from "../lib/ffmpeg/probe.ts";

export const PRESET = "veryfast";
export const ffmpeg = await findFfmpeg(null);
const tools = findFfprobe(ffmpeg);
/** The one who imports this removes it. */
export const dir = mkdtempSync(path.join(tmpdir(), "castellan-bench-"));

/** Where progress goes. */
const nowhere = openSync("/dev/null", "w");

/** Of what a command and its children used. */
interface Used {
  readonly wallSeconds: number;
  readonly cpuSeconds: number;
}

/** Runs a command; its processor time is what the kernel says of our ended children. */
export const run = async (args: readonly string[], core?: number): Promise<Used> => {
  const pinned = core === undefined ? [] : ["taskset", "-c", String(core)];
  const [file = ffmpeg.path, ...rest] = [...pinned, ffmpeg.path, ...args];
  const before = childSeconds();
  const startedAt = performance.now();
  const child = spawn(file, rest, { stdio: ["ignore", "ignore", "ignore", nowhere] });
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`ffmpeg ended with ${code}: ${args.join(" ")}`);
  return { wallSeconds: (performance.now() - startedAt) / 1000, cpuSeconds: childSeconds() - before };
};
/** proc(5): cutime and cstime, in ticks of a hundredth of a second. */
const childSeconds = (): number => {
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[13]) + Number(fields[14])) / 100;
};

/** A film with a tone, out of a source of lavfi, at most at the rate of a good mezzanine, 20 Mbit/s. */
export const make = async (name: string, source: string): Promise<string> => {
  const file = path.join(dir, name);
  const encoder = "-c:v libx264 -preset veryfast -b:v 20M -maxrate 25M -bufsize 50M -pix_fmt yuv420p -g 100".split(" ");
  const tone = ["-f", "lavfi", "-i", "sine=440:r=48000", "-c:a", "aac", "-shortest"];
  await run(["-v", "error", "-y", "-f", "lavfi", "-i", source, ...tone, ...encoder, file]);
  return file;
};

/** Of the frames `from` to `until` of a file, as a chunk job has them. */
export const optionsOf = async (url: string, from: number, until: number) => {
  const input = { url, protocols: ["file"] };
  const source = await probeSource(tools, input);
  const plan = source && planOf(source, "h264", null);
  if (!plan) throw new Error(`no plan for ${url}`);
  const { video, originSeconds } = plan.source;
  const end = Math.min(until, plan.frameCount);
  const asked = { streamIndex: video.streamIndex, seconds: originSeconds + secondsAt(from, plan.rate) };
  const seekSeconds = from === 0 ? null : await keyFrameBefore(tools, input, asked);
  const { rate, pictureFrames } = plan;
  const options: ChunkOptions = {
    ...{ input, video, originSeconds, rate, from, until: end, seekSeconds, pictureFrames, preset: PRESET },
  };
  return { plan, options };
};
export const outputsOf = (rungs: readonly RungOutput["rung"][], label: string): RungOutput[] =>
  rungs.map((rung) => ({ rung, file: path.join(dir, `${label}-${rung.name}.mp4`), rateShare: 1 }));
