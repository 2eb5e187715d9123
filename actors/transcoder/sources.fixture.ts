/** Awkward sources: how each is made, and what becomes of it. ffprobe tells what is true of the rungs. */
import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { probe } from "../../test/media/ffprobe.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { ffmpeg, framesOf, gridOf, type Scene } from "./transcoder.fixture.ts";

/** What is true of the title; what is not named is that of a plain one: 192x108, 8 s, 25 frames/s, one sound. */
export interface Outcome {
  readonly size?: string;
  readonly frames?: number;
  readonly rate?: string;
  /** Channels of each sound track. */
  readonly sounds?: readonly number[];
  readonly subtitles?: number;
  readonly dynamicRange?: string;
}
export interface AwkwardSource {
  /** Of the shared media, or a command with OUT at its end, or the very bytes. */
  readonly from:
    | { readonly input: string }
    | { readonly command: string; readonly as: string }
    | { readonly bytes: string };
  readonly codec?: "h264" | "hevc" | "all";
  readonly ends: Outcome | RegExp;
}

const X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";
const BOTH = "-f lavfi -i testsrc2=s=192x108:r=25:d=4 -f lavfi -i sine=r=48000:d=4";
const X265 =
  "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le -tag:v hvc1 -x265-params log-level=none:colorprim=bt2020";
const HDR10 =
  `${X265}:colormatrix=bt2020nc:transfer=smpte2084:hdr10=1:max-cll=1000,400:` +
  "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";
const HLG = `${X265}:colormatrix=bt2020nc:transfer=arib-std-b67`;
const PICTURE = "-f lavfi -i testsrc2=s=192x108:r=25:d=4";

const input = (name: string, ends: Outcome | RegExp = {}): AwkwardSource => ({ from: { input: name }, ends });
const made = (as: string, command: string, ends: Outcome | RegExp = {}): AwkwardSource => ({
  from: { command: `${command} OUT`, as },
  ends: ends instanceof RegExp ? ends : { frames: 100, ...ends },
});

const MUTE: Outcome = { sounds: [] };

/** A share of each kind, for every run of the tests. */
export const SOME: Readonly<Record<string, AwkwardSource>> = {
  "moov last": input("moov-last"),
  "fragmented, without an index": input("fragmented-without-mfra"),
  "video late": input("video-late", { frames: 213 }),
  "begins before zero": input("starts-before-zero", { frames: 125 }),
  "turned by 90 degrees": input("rotation-90", { size: "108x192" }),
  anamorphic: input("anamorphic", { size: "272x108" }),
  interlaced: input("interlaced"), // of 12.5 pictures a second
  "captions in the picture": input("captions-608", { ...MUTE, subtitles: 1 }),
  "text of MP4": input("mov-text", { subtitles: 1 }),
  "one frame": input("one-frame", { ...MUTE, frames: 1 }),
  "sides that are odd": input("avc-4-4-4-odd", { ...MUTE, frames: 50, size: "640x358" }),
  "a transport stream": input("transport-stream"),
  "a second language that is the default": made(
    "a.mkv",
    `${BOTH} -map 0 -map 1 -map 1 ${X264} -c:a ac3 -ac:a:0 6 -ac:a:1 2 -metadata:s:a:0 language=eng ` +
      "-metadata:s:a:1 language=nor -disposition:a:0 0 -disposition:a:1 default",
    { sounds: [2, 2, 6] },
  ),
  "5.1 besides stereo": made("a.mkv", `${BOTH} ${X264} -c:a ac3 -ac 6`, { sounds: [2, 6] }),
  "HDR10 as H.264": made("a.mp4", `${PICTURE} ${HDR10}`, MUTE),
  "sound alone": input("audio-only", /it has sound alone/),
  "cut off behind its index": input("truncated", {}),
  "its index is missing": input("without-moov", /can't be transcoded/),
  "no sample at all": input("no-samples", /can't be transcoded/),
  "an empty file": { from: { bytes: "" }, ends: /can't be transcoded/ },
  "a playlist that names other files": {
    from: { bytes: "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n" },
    ends: /can't be transcoded/,
  },
};

export const MORE: Readonly<Record<string, AwkwardSource>> = {
  "moov first": input("moov-first"),
  fragmented: input("fragmented"),
  "fragmented with sidx": input("fragmented-sidx"),
  "64-bit mdat": input("mdat-64-bit"),
  "several edits": { from: { input: "edit-list-several" }, ends: { frames: -1 } },
  "sound late": input("audio-late", { frames: 212 }),
  "no B-frames": input("without-b-frames"),
  "three B-frames": input("b-frames-3"),
  "open groups": input("open-gop"),
  "irregular times": { from: { input: "vfr" }, ends: { frames: -1, rate: "" } },
  "23.976": input("rate-23.976", { frames: 192, rate: "24000/1001" }),
  "29.97": input("rate-29.97", { frames: 240, rate: "30000/1001" }),
  "50": input("rate-50", { frames: 400, rate: "50/1" }),
  "59.94": input("rate-59.94", { frames: 480, rate: "60000/1001" }),
  "groups of 10 s": { from: { input: "gop-10-s" }, ends: { frames: -1 } },
  "one key frame": input("one-key-frame"),
  "HEVC of 10 bits": input("hevc-10-bit", MUTE),
  "HEVC with sets in band": input("hevc-hev1", MUTE),
  "AV1 of 10 bits": { from: { input: "av1-10-bit-coloured" }, ends: { frames: -1, sounds: [] } },
  "16x16": input("16x16", { ...MUTE, size: "16x16" }),
  cropped: input("cropped", { ...MUTE, frames: 50, size: "642x362" }),
  "8K, one frame": input("7680x4320", { ...MUTE, frames: 1, size: "3840x2160" }),
  "turned by 180 degrees": input("rotation-180"),
  "turned by 270 degrees": input("rotation-270", { size: "108x192" }),
  "timescale 1": { from: { input: "timescale-1" }, ends: { frames: 192, sounds: [], rate: "24/1" } },
  "timescale 10 million": input("timescale-10-million"),
  "two languages": input("two-languages", { sounds: [2, 2] }),
  "WebVTT in MP4": { from: { input: "webvtt" }, ends: { subtitles: -1 } },
  "a time code track": input("timecode"),
  chapters: input("chapters"),
  "two pictures": input("two-videos"),
  "MPEG-4 part 2": input("mpeg-4-part-2"),
  "H.264 of 10 bits": input("avc-10-bit", MUTE),
  "VP9 and Opus": made("a.webm", `${BOTH} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus`),
  "MPEG-2 in a program stream": made("a.mpg", `${BOTH} -c:v mpeg2video -c:a mp2`),
  "an AVI": made("a.avi", `${BOTH} -c:v mpeg4 -bf 1 -c:a libmp3lame`),
  "a Flash video": made("a.flv", `${BOTH} ${X264} -c:a aac`),
  "a Windows video": made("a.wmv", `${BOTH} -c:v wmv2 -c:a wmav2`),
  "sound without loss": made("a.mkv", `${BOTH} ${X264} -c:a flac`),
  "HLG as HEVC": { ...made("a.mp4", `${PICTURE} ${HLG}`, { ...MUTE, dynamicRange: "hlg" }), codec: "hevc" },
  "HDR10 as HEVC": { ...made("a.mp4", `${PICTURE} ${HDR10}`, { ...MUTE, dynamicRange: "hdr10" }), codec: "hevc" },
  "bytes of nothing": { from: { bytes: "\u0000\u0001noise".repeat(5_000) }, ends: /can't be transcoded/ },
  encrypted: input("encrypted", /./),
};

const folderOf = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-awkward-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};
const fileOf = async (t: TestContext, { from }: AwkwardSource): Promise<string> => {
  if ("input" in from) return makeInput(from.input, await sharedMediaDir());
  const file = join(await folderOf(t), "as" in from ? from.as : "file.bin");
  if ("bytes" in from) await writeFile(file, from.bytes, "latin1");
  else await ffmpeg(...from.command.split(" ").map((word) => (word === "OUT" ? file : word)));
  return file;
};

/** -1: it is only looked at whether rungs and set agree. */
const agrees = (expected: number | undefined, otherwise: number, found: number): boolean =>
  expected === -1 || found === (expected ?? otherwise);

/** Runs it through the transcoder and holds its end against what is expected. */
export const runSource = async (t: TestContext, scene: Scene, source: AwkwardSource): Promise<void> => {
  const { codec, ends } = source;
  const titleId = await scene.attach(await fileOf(t, source), codec ? { codec } : {});
  const end = await scene.ended(titleId);
  if (ends instanceof RegExp) {
    assert.equal(end.name, "transcode.failed");
    assert.match(String(end.payload.reason), ends);
    assert.doesNotMatch(String(end.payload.reason), /unexpected|\/tmp|undefined/);
    return;
  }
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const set = await scene.set(titleId);
  assert.ok(set);
  assert.equal(set.state, "complete");
  const [rung] = set.rungs;
  assert.ok(rung?.path);
  assert.equal(`${rung.width}x${rung.height}`, ends.size ?? "192x108");
  const rate = `${set.frameRate.num}/${set.frameRate.den}`;
  assert.equal(rate, ends.rate === "" ? rate : (ends.rate ?? "25/1"));
  assert.ok(agrees(ends.frames, 200, set.frameCount), `${set.frameCount} frames`);
  assert.deepEqual(
    set.audio.map(({ channels }) => channels),
    ends.sounds ?? [2],
  );
  assert.ok(agrees(ends.subtitles, 0, set.subtitles.length), `${set.subtitles.length} subtitles`);
  assert.equal(rung.dynamicRange, ends.dynamicRange ?? "sdr");
  for (const one of set.rungs) await checkRung(scene.file(one.path ?? ""), set, one);
};

type Set = NonNullable<Awaited<ReturnType<Scene["set"]>>>;

const checkRung = async (file: string, set: Set, rung: Set["rungs"][number]): Promise<void> => {
  const { streams } = await probe(file);
  assert.deepEqual(
    streams.map(({ codec_type }) => codec_type),
    ["video", ...set.audio.map(() => "audio")],
  );
  const sounds = streams.slice(1).map((stream) => stream as { channels?: number; tags?: { language?: string } });
  assert.deepEqual(
    sounds.map(({ channels, tags }) => [tags?.language, channels]),
    set.audio.map(({ language, channels }) => [language, channels]),
  );
  const [video] = streams;
  assert.equal(`${video?.codec_name} ${video?.width}x${video?.height}`, `${rung.codec} ${rung.width}x${rung.height}`);
  assert.equal((video as { side_data_list?: unknown[] }).side_data_list, undefined, "nothing is left to be turned");
  const { shown, keys } = await framesOf(file);
  const millis = (seconds: number): number => Math.round(seconds * 1000);
  assert.deepEqual(shown.map(millis), gridOf(set.frameCount, set.frameRate).map(millis));
  const frameSeconds = set.frameRate.den / set.frameRate.num;
  for (const [k, at] of keys.entries()) {
    assert.ok(at - 2 * k > -0.001 && at - 2 * k < frameSeconds, `key frame ${k} at ${at} s`);
  }
  const last = keys.length * 2;
  assert.ok(Math.ceil(last / frameSeconds - 1e-6) >= set.frameCount, `none at ${last} s`);
};
