import assert from "node:assert/strict";
import { test } from "node:test";
import { runFfmpeg } from "../../test/support/media-file.ts";
import { seeded } from "../../test/support/seeded.ts";
import type { VideoCodec } from "../mp4/movie.ts";
import { NalError } from "./nal-reader.ts";
import { isSliced, sliceReader } from "./slice.ts";

const PICTURE = "-f lavfi -i testsrc2=s=320x184:r=25,noise=alls=20:allf=t -frames:v 20";

/** NAL units of a stream with start codes. */
const unitsOf = (stream: Buffer): Buffer[] => {
  const starts: number[] = [];
  for (let at = stream.indexOf("000001", 0, "hex"); at >= 0; at = stream.indexOf("000001", at + 3, "hex"))
    starts.push(at + 3);
  return starts.map((start, index) => {
    let end = (starts[index + 1] ?? stream.length + 3) - 3;
    while (stream[end - 1] === 0) end -= 1;
    return stream.subarray(start, end);
  });
};

/** Bits of each slice header as ffmpeg reads them, without emulation prevention, from the unit's first bit. */
const headerBits = (trace: string): number[] => {
  const all: number[] = [];
  let bits: number | null = null;
  for (const line of trace.split("\n")) {
    const [, text = ""] = /^\[trace_headers @ \w+\] (.*)$/.exec(line) ?? [];
    const [, position, code] = /^(\d+)\s+\S.*?\s([01]*) = -?\d+$/.exec(text) ?? [];
    const isHeading = /^[A-Z]/.test(text);
    if (isHeading && bits !== null) {
      all.push(bits);
      bits = null;
    }
    if (/^Slice (Segment )?Header/.test(text)) bits = 0;
    else if (bits !== null && position !== undefined && code !== undefined) bits = Number(position) + code.length;
  }
  return bits === null ? all : [...all, bits];
};

/** Bytes as stored that hold so many bytes without emulation prevention. */
const storedBytes = (unit: Buffer, wanted: number): number => {
  let [at, zeros, read] = [0, 0, 0];
  for (; read < wanted; at += 1) {
    if (zeros >= 2 && unit[at] === 3) zeros = 0;
    else {
      zeros = unit[at] === 0 ? zeros + 1 : 0;
      read += 1;
    }
  }
  return at;
};

const codecOf = (fourcc: string): VideoCodec => ({
  kind: "video",
  fourcc,
  codecs: fourcc,
  sampleEntry: Buffer.alloc(0),
  width: 320,
  height: 180,
  nalLengthBytes: 4,
  parameterSets: [],
  sampleAspectRatio: [1, 1],
});

const streamOf = async (encoder: string, format: "h264" | "hevc"): Promise<Buffer> => {
  const { out } = await runFfmpeg(`-v error ${PICTURE} ${encoder} -f ${format} out`);
  return out ?? assert.fail("no stream");
};

const H264: readonly (readonly [name: string, encoder: string])[] = [
  [
    "B-frames, weighted prediction, several slices",
    "-c:v libx264 -bf 3 -x264-params slices=4:weightp=2:weightb=1:ref=4",
  ],
  ["no CABAC, no deblocking, 8 slices", "-c:v libx264 -profile:v baseline -x264-params slices=8:no-deblock=1"],
  ["interlaced", "-c:v libx264 -flags +ildct+ilme -x264-params tff=1:bframes=2"],
  ["4:4:4 at 10 bits, lossless", "-c:v libx264 -pix_fmt yuv444p10 -profile:v high444"],
  ["scaling lists, intra refresh", "-c:v libx264 -x264-params cqm=jvt:intra-refresh=1:keyint=10"],
  ["grey", "-c:v libx264 -pix_fmt gray -x264-params weightp=2"],
  ["another encoder", "-c:v libopenh264 -slices 3"],
  [
    "explicitly weighted fades",
    "-vf fade=in:0:18 -c:v libx264 -x264-params weightp=2:bframes=3:b-pyramid=strict:ref=6",
  ],
];
const HEVC: readonly (readonly [name: string, encoder: string])[] = [
  ["wavefronts, several slices", "-c:v libx265 -x265-params log-level=none:slices=3:wpp=1:ctu=16"],
  ["weighted fades, no SAO", "-vf fade=in:0:18 -c:v libx265 -x265-params log-level=none:weightb=1:bframes=4:no-sao=1"],
  ["open GOP, temporal layers", "-c:v libx265 -x265-params log-level=none:open-gop=1:keyint=8:temporal-layers=2"],
  ["4:4:4 at 12 bits", "-pix_fmt yuv444p12 -c:v libx265 -x265-params log-level=none:tskip=1:cbqpoffs=2:crqpoffs=-2"],
  [
    "grey, scaling lists, no deblocking",
    "-pix_fmt gray -c:v libx265 -x265-params log-level=none:scaling-list=default:no-deblock=1",
  ],
  ["reference sets told by difference", "-c:v libx265 -preset slower -x265-params log-level=none:ref=6:bframes=8"],
  ["tiles of another encoder", "-c:v libkvazaar -kvazaar-params tiles=2x2,owf=0,wpp=0,gop=8"],
  ["slices for tiles", "-c:v libkvazaar -kvazaar-params tiles=2x2,slices=tiles,owf=0,wpp=0,gop=lp-g4d3t1"],
];

for (const [format, fourcc, cases] of [
  ["h264", "avc1", H264],
  ["hevc", "hvc1", HEVC],
] as const) {
  for (const [name, encoder] of cases) {
    test(`slice headers end where ffmpeg says that they do: ${format}, ${name}`, async () => {
      const stream = await streamOf(encoder, format);
      const { stderr } = await runFfmpeg(`-f ${format} -i in -c copy -bsf:v trace_headers -f null -`, stream);
      const reader = sliceReader(codecOf(fourcc));
      const units = unitsOf(stream);
      const clear = units.map((unit) => reader.clearBytes(unit, 0, unit.length));
      const slices = units.filter((_, index) => clear[index] !== 0);
      assert.ok(slices.length >= 20);
      assert.deepEqual(
        clear.filter((bytes) => bytes !== 0),
        headerBits(stderr).map((bits, index) => storedBytes(slices[index] ?? assert.fail(), Math.ceil(bits / 8))),
      );
    });
  }
}

test("damaged units end in a NalError or in a length inside of the unit, at once", async () => {
  const random = seeded(61);
  for (const [format, fourcc, encoder] of [
    ["h264", "avc1", "-c:v libx264 -bf 2 -x264-params slices=2"],
    ["hevc", "hvc1", "-c:v libx265 -x265-params log-level=none"],
  ] as const) {
    const units = unitsOf(await streamOf(encoder, format));
    for (let round = 0; round < 300; round += 1) {
      const reader = sliceReader(codecOf(fourcc));
      for (const unit of units.slice(0, 12)) {
        const bytes = Buffer.from(unit.subarray(0, random.int(4) === 0 ? random.int(unit.length + 1) : unit.length));
        for (let hits = random.int(4); hits > 0 && bytes.length > 0; hits -= 1)
          bytes[random.int(Math.min(40, bytes.length))] = random.int(256);
        try {
          assert.ok(reader.clearBytes(bytes, 0, bytes.length) <= bytes.length);
        } catch (error) {
          assert.ok(error instanceof NalError, String(error));
        }
      }
    }
  }
});

test("only codecs made of NAL units have slices", () => {
  assert.deepEqual(
    ["avc1", "avc3", "hvc1", "hev1", "av01", "vp09"].map((fourcc) => isSliced(codecOf(fourcc))),
    [true, true, true, true, false, false],
  );
  assert.throws(() => sliceReader(codecOf("av01")), /no slices in av01/);
});
