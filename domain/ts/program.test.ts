import assert from "node:assert/strict";
import { test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { mediaFile, runFfmpeg } from "../../test/support/media-file.ts";
import { adtsOf } from "./adts.ts";
import { probedStreams } from "./judge.fixture.ts";
import { tsProgram } from "./program.ts";
import { makeSegments, openFile, openFileBytes } from "./segments.fixture.ts";

const fileOf = async (name: string) => openFile(await makeInput(name, await sharedMediaDir()), 100);

test("codecs that have no place in a transport stream are named, and what has one is not", async () => {
  const reasons: Record<string, string> = {};
  for (const name of ["av1", "vp9", "opus", "flac", "moov-last", "mp3"]) {
    const { movie } = await fileOf(name);
    const program = tsProgram({ video: movie.video[0] ?? null, audio: movie.audio[0] ?? null });
    reasons[name] = program.kind === "program" ? "" : `${program.media} ${program.codecs}: ${program.reason}`;
  }
  assert.deepEqual(reasons, {
    av1: "video av01.0.00M.08: av01.0.00M.08 has no place in a transport stream: of video only H.264 and H.265 have one",
    vp9: "video vp09.00.10.08.01.02.02.02.00: vp09.00.10.08.01.02.02.02.00 has no place in a transport stream: of video only H.264 and H.265 have one",
    opus: "audio Opus: Opus has no place in a transport stream: of audio only AAC, AC-3, E-AC-3 and MP3 have one",
    flac: "audio fLaC: fLaC has no place in a transport stream: of audio only AAC, AC-3, E-AC-3 and MP3 have one",
    "moov-last": "",
    mp3: "",
  });
});

test("ADTS headers have the core's profile, rate and channels", () => {
  const cases: [config: string, header: string][] = [
    ["1190", "fff14c80001ffc"], // LC, 48 kHz, stereo
    ["1208", "fff15040001ffc"], // LC, 44.1 kHz, mono
    ["0990", "fff10c80001ffc"], // main
    ["2b098800", "fff15840001ffc"], // SBR told outright over LC at 24 kHz
    ["eb098800", "fff15840001ffc"], // PS
    ["131056e598", "fff15880001ffc"], // SBR told behind the core
    ["11b0", "fff14d80001ffc"], // 5.1
    ["11b8", "fff14dc0001ffc"], // 7.1 with four channels in front
    ["1780271110", "fff15c80001ffc"], // 20,002 Hz told as a number is nearest to 22,050
  ];
  for (const [config, header] of cases) {
    const adts = adtsOf(Buffer.from(config, "hex"));
    assert.equal("header" in adts ? adts.header.toString("hex") : adts.reason, header, config);
  }
});

test("what ADTS has no words for is refused", () => {
  const cases: [config: string, reason: RegExp][] = [
    ["f8e63000", /audio object type 39/], // ELD
    ["f9504000", /audio object type 42/], // USAC
    ["1194", /960 samples/],
    ["11e0", /channel configuration 12/], // 7.1 with two channels behind: no number, and tags that nobody tells
    ["1690", /sampling frequency index 13/],
  ];
  for (const [config, reason] of cases) {
    const adts = adtsOf(Buffer.from(config, "hex"));
    assert.ok("reason" in adts, config);
    assert.match(adts.reason, reason);
  }
});

/** A file of a second of noise in that layout. */
const noise = (layout: string): Promise<Buffer> =>
  mediaFile(`-f lavfi -i anoisesrc=d=1:a=0.1:r=48000,aformat=channel_layouts=${layout} -c:a aac -b:a 256k -f mp4`);

/** Hashes of what is heard, encoder's lead-in included. */
const heard = async (bytes: Buffer): Promise<string[]> => {
  const { stdout, stderr } = await runFfmpeg(
    "-v error -xerror -flags2 +skip_manual -i in -map 0:a -f framemd5 -",
    bytes,
  );
  assert.equal(stderr, "");
  const lines = stdout.toString().split("\n");
  return lines.flatMap((line) => (line.startsWith("0,") ? (line.split(",").at(-1) ?? "") : []));
};
test("channels that no number says are told in band, and a decoder hears the same", async () => {
  for (const layout of ["quad", "hexagonal", "6.1", "octagonal"]) {
    const source = await noise(layout);
    assert.deepEqual(
      await heard(Buffer.concat(await makeSegments(await openFileBytes(source)))),
      await heard(source),
      layout,
    );
  }
});

test("the PMT tells languages, kinds of streams and their descriptors", async () => {
  const told: string[] = [];
  for (const name of ["two-languages", "language-tag", "hevc-hvc1", "ac-3", "e-ac-3", "mp3", "moov-last"]) {
    const streams = await probedStreams(Buffer.concat(await makeSegments(await fileOf(name))));
    for (const { codec_name, codec_tag, id, tags } of streams)
      told.push([name, id, codec_name, codec_tag, tags?.language ?? "-"].join(" "));
  }
  assert.deepEqual(told, [
    "two-languages 0x100 h264 0x001b -",
    "two-languages 0x101 aac 0x000f eng",
    "language-tag 0x100 h264 0x001b -",
    "language-tag 0x101 aac 0x000f por",
    "hevc-hvc1 0x100 hevc 0x43564548 -", // HEVC
    "ac-3 0x101 ac3 0x332d4341 -", // AC-3
    "e-ac-3 0x101 eac3 0x33434145 -", // EAC3
    "mp3 0x101 mp3 0x0003 -",
    "moov-last 0x100 h264 0x001b -",
    "moov-last 0x101 aac 0x000f -",
  ]);
});
