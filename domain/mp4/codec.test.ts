import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, u32 } from "../../test/media/boxes.ts";
import { boxesIn } from "./box-view.ts";
import { readCodec } from "./codec.ts";
import { type AudioCodec, type Codec, MovieError, type VideoCodec } from "./movie.ts";

const bytes = (hex: string): Buffer => Buffer.from(hex.replace(/\s/g, ""), "hex");
const codecOf = (entry: Buffer, handler: string, stsdVersion = 0): Codec | string =>
  readCodec(boxesIn(entry, 0, "test")[0] ?? assert.fail(), { handler, stsdVersion });

const visual = (type: string, boxes: readonly Buffer[], trailing = ""): Buffer => {
  const fields = Buffer.alloc(78, 0xee);
  fields.writeUInt16BE(1280, 24);
  fields.writeUInt16BE(720, 26);
  return boxOf(type, fields, ...boxes, bytes(trailing));
};
const video = (type: string, boxes: readonly Buffer[], trailing = ""): VideoCodec => {
  const codec = codecOf(visual(type, boxes, trailing), "vide");
  assert.ok(typeof codec === "object" && codec.kind === "video", String(codec));
  return codec;
};

interface Sound {
  readonly version?: number;
  readonly channels?: number;
  readonly rate?: number;
}
const sound = (
  type: string,
  boxes: readonly Buffer[],
  { version = 0, channels = 2, rate = 48_000 }: Sound = {},
): Buffer => {
  const fields = Buffer.alloc([28, 44, 64][version] ?? 28);
  fields.writeUInt16BE(1, 6);
  fields.writeUInt16BE(version, 8);
  fields.writeUInt16BE(version === 2 ? 3 : channels, 16);
  fields.writeUInt16BE(16, 18);
  if (version === 2) {
    fields.writeDoubleBE(rate, 32);
    fields.writeUInt32BE(channels, 40);
  } else fields.writeUInt16BE(rate, 24);
  return boxOf(type, fields, ...boxes);
};
const audio = (entry: Buffer, stsdVersion = 0): AudioCodec => {
  const codec = codecOf(entry, "soun", stsdVersion);
  assert.ok(typeof codec === "object" && codec.kind === "audio", String(codec));
  return codec;
};

/** `esds` with an object type and a decoder configuration. */
const esds = (objectType: number, configuration: string): Buffer => {
  const config = bytes(configuration);
  const specific = config.length > 0 ? Buffer.concat([Buffer.from([5, config.length]), config]) : config;
  const decoder = Buffer.concat([Buffer.from([4, 13 + specific.length, objectType, 0x15]), Buffer.alloc(11), specific]);
  const stream = Buffer.concat([Buffer.from([3, 3 + decoder.length, 0, 1, 0]), decoder]);
  return boxOf("esds", u32(0), stream);
};
const AVCC = boxOf("avcC", bytes("01 64001f ff e1 0004 67640011 01 0003 68ee3c"));

test("AVC tells its parameter sets, the bytes of a NAL unit's length, and profile, constraints and level", () => {
  const codec = video("avc1", [AVCC]);
  assert.deepEqual(
    [
      codec.codecs,
      codec.nalLengthBytes,
      codec.width,
      codec.height,
      codec.parameterSets.map((set) => set.toString("hex")),
    ],
    ["avc1.64001f", 4, 1280, 720, ["67640011", "68ee3c"]],
  );
  const two = boxOf("avcC", bytes("01 42c01e fd e0 00"));
  assert.deepEqual([video("avc3", [two]).nalLengthBytes, video("avc3", [two]).parameterSets], [2, []]);
  assert.throws(() => video("avc1", [boxOf("avcC", bytes("01 42c01e fe e0 00"))]), /length of 3 bytes/);
  assert.throws(() => video("avc1", [boxOf("avcC", bytes("01 42c01e ff e1 00ff 67"))]), /avcC ends before/);
});

test("HEVC tells profile space, tier, reversed flags and constraints, and sends VPS, SPS, PPS in this order", () => {
  const profile = "01 a1 60000000 b00000000000 5d f000 fc fd f8 f8 0000 0f";
  const arrays = "03 a2 0001 0002 4401 a1 0001 0002 4201 a0 0001 0002 4001";
  const codec = video("hvc1", [boxOf("hvcC", bytes(`${profile} ${arrays}`))]);
  assert.equal(codec.codecs, "hvc1.B1.6.H93.b0");
  assert.deepEqual(
    codec.parameterSets.map((set) => set.toString("hex")),
    ["4001", "4201", "4401"],
  );
  const main = "01 02 20000000 900000000000 1e f000 fc fd f8 f8 0000 0f 00";
  assert.equal(video("hev1", [boxOf("hvcC", bytes(main))]).codecs, "hev1.2.4.L30.90");
});

test("AV1 and VP9 tell depth and colours as their bindings say", () => {
  const nclx = (fields: string) => boxOf("colr", Buffer.from("nclx"), bytes(fields));
  const av1 = (config: string, ...boxes: Buffer[]) => video("av01", [boxOf("av1C", bytes(config)), ...boxes]).codecs;
  assert.equal(av1("81 04 0c 00"), "av01.0.04M.08");
  assert.equal(av1("81 04 0c 00", nclx("0001 0001 0001 00")), "av01.0.04M.08");
  assert.equal(av1("81 0d ce 00", nclx("0009 0010 0009 80")), "av01.0.13H.10.0.112.09.16.09.1");
  assert.equal(av1("81 48 60 00"), "av01.2.08M.12.0.000.01.01.01.0");
  assert.equal(av1("81 00 1c 00"), "av01.0.00M.08.1.110.01.01.01.0");
  const vp9 = (config: string) => video("vp09", [boxOf("vpcC", u32(0x100_0000), bytes(config))]).codecs;
  assert.equal(vp9("00 0a 82 01 01 01 0000"), "vp09.00.10.08.01.01.01.01.00");
  assert.equal(vp9("02 33 a3 09 10 09 0000"), "vp09.02.51.10.01.09.16.09.01");
});

test("the shape of samples is told in lowest terms", () => {
  const pasp = (across: number, down: number) =>
    video("avc1", [AVCC, boxOf("pasp", u32(across, down))]).sampleAspectRatio;
  assert.deepEqual([pasp(128, 90), pasp(0, 1), pasp(7, 7)], [[64, 45], [1, 1], [1, 1]]); // biome-ignore format: a table
  assert.deepEqual(
    [pasp(1, 2 ** 31), pasp(17, 1)],
    [
      [1, 1],
      [1, 1],
    ],
    "of a damaged box",
  );
  assert.deepEqual(video("avc1", [AVCC]).sampleAspectRatio, [1, 1]);
});

test("a QuickTime picture entry is sent without what only QuickTime knows", () => {
  const colr = (type: string) => boxOf("colr", Buffer.from(type), bytes("0001 0001 0001 00"));
  const boxes = [boxOf("gama", u32(1)), colr("nclc"), AVCC, boxOf("fiel", bytes("0100"))];
  const { sampleEntry } = video("avc1", boxes, "00000000");
  assert.deepEqual(sampleEntry.subarray(14, 32), Buffer.concat([bytes("0001"), Buffer.alloc(16)]));
  assert.deepEqual(sampleEntry.subarray(86), AVCC);
  assert.deepEqual(video("avc1", [AVCC, colr("nclx")]).sampleEntry.subarray(86 + AVCC.length), colr("nclx"));
});

test("the object type of AAC comes from its AudioSpecificConfig, however SBR and PS are told", () => {
  const aac = (config: string, rate = 48_000): readonly unknown[] => {
    const { codecs, sampleRate, channelCount, samplesPerFrame } = audio(sound("mp4a", [esds(0x40, config)], { rate }));
    return [codecs, sampleRate, channelCount, samplesPerFrame];
  };
  assert.deepEqual(aac("1190"), ["mp4a.40.2", 48_000, 2, 1024]);
  assert.deepEqual(aac("119056e500"), ["mp4a.40.2", 48_000, 2, 1024]); // SBR is told not to be there
  assert.deepEqual(aac("11b0"), ["mp4a.40.2", 48_000, 6, 1024]);
  assert.deepEqual(aac("11b8"), ["mp4a.40.2", 48_000, 8, 1024]);
  assert.deepEqual(aac("1194"), ["mp4a.40.2", 48_000, 2, 960]);
  assert.deepEqual(aac("1180"), ["mp4a.40.2", 48_000, 2, 1024]); // channels in the stream: those of the entry
  assert.deepEqual(aac("2b098800"), ["mp4a.40.5", 48_000, 1, 2048]);
  assert.deepEqual(aac("eb098800"), ["mp4a.40.29", 48_000, 2, 2048]);
  assert.deepEqual(aac("130856e598"), ["mp4a.40.5", 48_000, 1, 2048]);
  assert.deepEqual(aac("130856e59d4880"), ["mp4a.40.29", 48_000, 2, 2048]);
  assert.deepEqual(aac("1308"), ["mp4a.40.5", 48_000, 1, 2048]); // only the entry's rate tells
  assert.deepEqual(aac("1308", 24_000), ["mp4a.40.2", 24_000, 1, 1024]);
  assert.deepEqual(aac("17800bb808"), ["mp4a.40.2", 6_000, 1, 1024]); // a rate in 24 bits
  assert.deepEqual(aac("f9464000").slice(0, 3), ["mp4a.40.42", 48_000, 2]);
  assert.throws(() => aac("16"), /cut off|frequency/);
  assert.throws(() => aac("1680"), /frequency index 13/);
});

test("MPEG-2 AAC and MP3 in mp4a are named by their object type; what is no sound of ours is told", () => {
  assert.equal(audio(sound("mp4a", [esds(0x67, "1190")])).codecs, "mp4a.67");
  const mp3 = audio(sound("mp4a", [esds(0x6b, "")], { rate: 44_100 }));
  assert.deepEqual(
    [mp3.codecs, mp3.sampleRate, mp3.samplesPerFrame, mp3.audioSpecificConfig],
    ["mp4a.6b", 44_100, 1152, null],
  );
  assert.equal(audio(sound("mp4a", [esds(0x69, "")], { rate: 24_000 })).samplesPerFrame, 576);
  assert.equal(codecOf(sound("mp4a", [esds(0xdd, "00")]), "soun"), "mp4a.dd");
  assert.equal(codecOf(sound("mp4a", [esds(0x40, "")]), "soun"), "mp4a.40");
  assert.equal(codecOf(sound("sowt", []), "soun"), "sowt");
});

test("AC-3, E-AC-3, Opus and FLAC tell rate, channels and frame from their configuration", () => {
  const told = (type: string, box: Buffer): readonly unknown[] => {
    const codec = audio(sound(type, [box]));
    return [codec.codecs, codec.sampleRate, codec.channelCount, codec.samplesPerFrame];
  };
  assert.deepEqual(told("ac-3", boxOf("dac3", bytes("103dc0"))), ["ac-3", 48_000, 6, 1536]);
  assert.deepEqual(told("ec-3", boxOf("dec3", bytes("0c00200f00"))), ["ec-3", 48_000, 6, 1536]);
  assert.deepEqual(told("ec-3", boxOf("dec3", bytes("0c00200f0202"))), ["ec-3", 48_000, 8, 1536]); // and a pair behind
  assert.deepEqual(told("Opus", boxOf("dOps", bytes("00060138 0000bb80 0000 01 0402 000401020305"))), [
    "Opus",
    48_000,
    6,
    0,
  ]);
  const streaminfo = bytes("80000022 1000 1000 000000 000000 0ac442f0 00000000 00000000000000000000000000000000");
  assert.deepEqual(told("fLaC", boxOf("dfLa", u32(0), streaminfo)), ["fLaC", 44_100, 2, 4096]);
  assert.throws(() => told("ac-3", boxOf("dac3", bytes("ffffff"))), /rate code 3/);
  assert.throws(() => told("ec-3", boxOf("dec3", bytes("0c00"))), /cut off/);
  assert.throws(() => told("Opus", boxOf("free")), /Opus without dOps/);
});

test("QuickTime's sound entries of version 1 and 2, and those with wave, are sent as entries of version 0", () => {
  const wave = boxOf("wave", boxOf("frma", Buffer.from("mp4a")), boxOf("mp4a", u32(0)), esds(0x40, "1190"), u32(8, 0));
  const entries = [sound("mp4a", [wave], { version: 1 }), sound("mp4a", [esds(0x40, "1190")], { version: 2 })];
  for (const entry of [...entries, sound("mp4a", [esds(0x40, "1190")])])
    assert.deepEqual(audio(entry).sampleEntry, sound("mp4a", [esds(0x40, "1190")]));
  const iso = sound("mp4a", [esds(0x40, "1190")]);
  iso.writeUInt16BE(1, 16); // the standard's own version 1 has the fields of version 0
  assert.equal(audio(iso, 1).codecs, "mp4a.40.2");
  const fast = audio(sound("mp4a", [esds(0x40, "1010")], { version: 2, rate: 96_000 }));
  assert.deepEqual([fast.sampleRate, fast.sampleEntry.readUInt16BE(32)], [96_000, 0]); // does not fit into 16 bits
  assert.throws(() => audio(sound("mp4a", [], { version: 3 })), /version 3/);
});

test("timed text is served by its entry, in tracks of text; encrypted tracks are refused", () => {
  for (const type of ["tx3g", "wvtt", "stpp"]) {
    const entry = boxOf(type, Buffer.alloc(30));
    const codec = codecOf(entry, "text");
    assert.ok(typeof codec === "object");
    assert.deepEqual([codec.kind, codec.codecs, codec.sampleEntry], ["text", type, entry]);
  }
  assert.equal(codecOf(boxOf("tx3g", Buffer.alloc(30)), "meta"), "tx3g");
  assert.equal(codecOf(boxOf("text", Buffer.alloc(30)), "text"), "text");
  const unsupported = (error: unknown) => error instanceof MovieError && error.problem === "unsupported";
  for (const type of ["encv", "enca", "drms"])
    assert.throws(() => codecOf(boxOf(type, Buffer.alloc(90)), "vide"), unsupported);
});
