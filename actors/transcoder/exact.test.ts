/** Chunks against a whole run, frame by frame: the MD5 of each picture as it goes into the encoder. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { isIndexed, rewrapArguments } from "../../domain/transcode/other-arguments.ts";
import { frameFrom, hertz, secondsAt } from "../../domain/transcode/timing.ts";
import { type ChunkOptions, chunkGraph, sourceArguments } from "../../domain/transcode/video-arguments.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { findFfprobe, keyFrameBefore, lastPictureEnd, probeSource } from "../../lib/ffmpeg/probe.ts";
import { type Plan, planOf } from "./plan.ts";
import { ffmpeg } from "./transcoder.fixture.ts";

const X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -sc_threshold 0";
const AAC = "-c:a aac -b:a 48k";
const picture = (rate: string): string => `-f lavfi -i testsrc2=s=160x96:r=${rate}:d=9`;
const TONE = "-f lavfi -i sine=d=9";
const SHAKEN = "setpts='(N+0.4*sin(N))/(30*TB)',select='not(eq(mod(n,7),3))*not(between(n,90,150))'";

/** Commands that make it; `OUT` is the file, `IN` the one that the command before made. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  "long-gop.mp4": [`${picture("25")} ${TONE} ${X264} -bf 3 -g 9999 ${AAC} OUT`],
  "open-gop.mp4": [`${picture("25")} ${X264} -bf 3 -g 60 -x264-params open-gop=1:scenecut=0 OUT`],
  "ntsc.mp4": [`${picture("24000/1001")} ${TONE} ${X264} -bf 2 -g 60 ${AAC} OUT`],
  "sixty.mkv": [`${picture("60")} ${TONE} ${X264} -bf 2 -g 70 ${AAC} OUT`],
  "irregular.mp4": [`${picture("30")} ${TONE} -vf ${SHAKEN} -fps_mode vfr ${X264} -bf 2 -g 60 ${AAC} OUT`],
  "irregular.mkv": [`${picture("30")} -vf ${SHAKEN} -fps_mode vfr ${X264} -bf 2 -g 60 OUT`],
  "picture-late.mp4": [
    `${picture("25")} ${TONE} ${X264} -bf 2 -g 60 ${AAC} OUT`,
    "-itsoffset 0.7 -i IN -i IN -map 0:v -map 1:a -c copy OUT",
  ],
  "before-zero.mp4": [`${picture("25")} ${TONE} ${X264} -bf 2 -g 75 ${AAC} OUT`, "-ss 2 -i IN -c copy OUT"],
  "interlaced.mp4": [
    `${picture("50")} -vf tinterlace=interleave_top,fieldorder=tff -flags +ilme+ildct ${X264} -g 50 OUT`,
  ],
  "sound-longer.mp4": [`-f lavfi -i testsrc2=s=160x96:r=25:d=3 ${TONE} ${X264} -g 30 ${AAC} OUT`],
  "late.ts": [`${picture("25")} ${TONE} ${X264} -bf 2 -g 60 ${AAC} -output_ts_offset 3600 -f mpegts OUT`],
  "old.avi": [`${picture("25")} ${TONE} -c:v mpeg4 -bf 1 -g 30 -c:a mp2 OUT`],
  "broadcast.mpg": [`${picture("25")} ${TONE} -c:v mpeg2video -g 12 -bf 2 -c:a mp2 OUT`],
};

const made = async (dir: string, name: string): Promise<string> => {
  let file = "";
  for (const [index, command] of (SOURCES[name] ?? []).entries()) {
    const next = join(dir, `${index}-${name}`);
    await ffmpeg(...command.split(" ").map((word) => ({ IN: file, OUT: next })[word] ?? word));
    file = next;
  }
  return file;
};

const tools = findFfprobe(await findFfmpeg(null));

interface Looked {
  readonly plan: Plan;
  readonly url: string;
}
const look = async (file: string): Promise<Looked> => {
  const protocols = ["file"];
  const first = await probeSource(tools, { url: file, protocols });
  const url = first !== null && isIndexed(first.container) ? file : `${file}.mkv`;
  if (url !== file) {
    const args = rewrapArguments({ input: { url: file, protocols }, file: url, sound: "copy", audio: null, texts: [] });
    await ffmpeg(...args.slice(args.indexOf("-fflags"))); // progress is told to nobody
  }
  const source = await probeSource(tools, { url, protocols });
  assert.ok(source);
  const { streamIndex, endSeconds } = source.video;
  const seconds = endSeconds ?? source.originSeconds + (source.durationSeconds ?? 0);
  const plan = planOf(source, "h264", await lastPictureEnd(tools, { url, protocols }, { streamIndex, seconds }));
  assert.ok(plan);
  return { plan, url };
};

const frames = async ({ plan, url }: Looked, from: number, until: number, isWhole = false): Promise<string[]> => {
  const { source, rate, pictureFrames } = plan;
  const { video, originSeconds } = source;
  const input = { url, protocols: ["file"] };
  const first = Math.min(from, Math.max(0, pictureFrames - Math.ceil(hertz(rate))));
  const seconds = originSeconds + secondsAt(first, rate) - (video.isInterlaced ? 0.25 : 0);
  const seekSeconds =
    isWhole || from === 0 ? null : await keyFrameBefore(tools, input, { streamIndex: video.streamIndex, seconds });
  const options: ChunkOptions = {
    input,
    video,
    originSeconds,
    rate,
    from,
    until,
    seekSeconds,
    pictureFrames,
    preset: "ultrafast",
  };
  const graph = ["-filter_complex", chunkGraph(options, plan.rungs.slice(0, 1)), "-map", "[o0]"];
  const text = await ffmpeg(
    ...sourceArguments(input, options),
    ...graph,
    "-fps_mode",
    "passthrough",
    "-f",
    "framemd5",
    "-",
  );
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return lines.map((line) => line.split(",").at(-1)?.trim() ?? "");
};

for (const name of Object.keys(SOURCES)) {
  test(`chunks of ${name} have exactly the frames of a whole run`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "castellan-exact-"));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const looked = await look(await made(dir, name));
    const { frameCount, rate } = looked.plan;
    const whole = await frames(looked, 0, frameCount, true);
    assert.equal(whole.length, frameCount);
    assert.ok(new Set(whole).size > frameCount / 4, "a picture that stands still shows no seam");
    const cuts = [0, 2, 6].map((seconds) => frameFrom(seconds, rate)).filter((frame) => frame < frameCount);
    const parts = await Promise.all(cuts.map((from, i) => frames(looked, from, cuts[i + 1] ?? frameCount)));
    assert.deepEqual(
      parts.map((part) => part.length),
      cuts.map((from, i) => (cuts[i + 1] ?? frameCount) - from),
    );
    const differing = parts.flat().flatMap((md5, frame) => (md5 === whole[frame] ? [] : [frame]));
    assert.deepEqual(differing, []);
  });
}
