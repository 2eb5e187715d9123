import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { ALL_FORMATS, BufferSource, EncodedPacketSink, Input } from "mediabunny";
import { INPUTS } from "../../test/media/inputs.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { decodedFrames, type Judged, judgedPackets } from "./judge.fixture.ts";
import { TsSegment } from "./segment.ts";
import { AV, makeSegments, type OpenFile, openFile, segmentInputs } from "./segments.fixture.ts";
import { assertClock, assertContinuous, packetsOf, pesOf } from "./walk.fixture.ts";

const OFFSET_TICKS = 900_000;
/** Inputs of all kinds of containers, times, pictures and sounds that a transport stream takes. */
const NAMES = [
  ...["moov-last", "fragmented", "fragmented-dash", "quicktime", "video-late", "audio-late", "b-frames-3", "open-gop"],
  ...["vfr", "one-key-frame", "intra-only", "rate-23.976", "timescale-1", "timescale-10-million", "one-frame"],
  ...["video-only", "hevc-hvc1", "hevc-hev1", "hevc-10-bit", "avc-in-band-entry", "captions-608", "16x16"],
  ...["audio-only", "5.1", "22-khz", "he-aac-v2", "ac-3", "e-ac-3", "mp3"],
];

const inputFile = async (name: string): Promise<string> => {
  assert.ok(INPUTS[name], name);
  return makeInput(name, await sharedMediaDir());
};

const judgedAs = ({ cut }: OpenFile, container: "mp4" | "ts"): Judged => {
  const video = cut.video?.track.codec;
  const audio = cut.audio[0]?.track.codec;
  return {
    container,
    video: video ? (video.fourcc.startsWith("h") ? "hevc" : "h264") : null,
    audio: audio ? (/^mp4a\.40/.test(audio.codecs) ? "adts" : "other") : null,
  };
};

/** First bytes of NAL units. */
const unitHeads = (unit: Buffer): number[] =>
  unit
    .toString("latin1")
    .split("\0\0\0\x01")
    .slice(1)
    .map((nal) => nal.charCodeAt(0));

/** More than what rounding to ticks may do. */
const isOff = (ticks: number): boolean => Math.abs(ticks) > 1;

for (const name of NAMES) {
  test(`${name}: all samples come through byte for byte, at their times, decodable, without a jump`, async () => {
    const path = await inputFile(name);
    const file = await openFile(path);
    const segments = await makeSegments(file);
    const stream = Buffer.concat(segments);
    const exact = segmentInputs(file).map((input) => new TsSegment(input).exactBytes);
    assert.deepEqual(
      exact,
      segments.map(({ length }) => length),
    );
    assertContinuous(stream);
    assertClock(stream);
    const [source, made] = await Promise.all([
      judgedPackets(await readFile(path), judgedAs(file, "mp4")),
      judgedPackets(stream, judgedAs(file, "ts")),
    ]);
    for (const [index, packets] of source.entries()) {
      const found = made[index] ?? [];
      assert.deepEqual(
        found.map(({ hash }) => hash),
        packets.map(({ hash }) => hash),
      );
      const late = found.map(({ pts }, at) => pts - OFFSET_TICKS - (packets[at]?.pts ?? 0));
      assert.deepEqual(late.filter(isOff), []);
      for (const [at, { dts }] of found.entries()) assert.ok(dts > (found[at - 1]?.dts ?? -1), `DTS of packet ${at}`);
    }
    assert.deepEqual(
      await decodedFrames(stream, judgedAs(file, "ts")),
      source.map(({ length }) => length),
    );
  });
}

test("each segment begins with PAT, PMT and a key frame with delimiter and parameter sets", async () => {
  const units = { "moov-last": [9, 7, 8], "hevc-hvc1": [35, 32, 33, 34] };
  for (const [name, types] of Object.entries(units)) {
    for (const segment of await makeSegments(await openFile(await inputFile(name)))) {
      const [pat, pmt, first] = packetsOf(segment);
      assert.deepEqual([pat?.pid, pmt?.pid, first?.pid, first?.randomAccess], [0, 0x1000, 0x100, true]);
      const [key] = pesOf(segment);
      const found = unitHeads(key?.payload ?? Buffer.alloc(0)).map((head) =>
        types.length === 3 ? head & 31 : (head >> 1) & 63,
      );
      assert.deepEqual(found.slice(0, types.length), types, name);
      assert.equal(found.filter((type) => type === types[1]).length, 1, "once");
    }
  }
});

test("sets and delimiters that samples have are kept, once, and nothing is put in beside them", async () => {
  const file = await openFile(await inputFile("captions-608"));
  const stream = Buffer.concat(await makeSegments(file));
  for (const { payload } of pesOf(stream)) {
    const delimiters = unitHeads(payload).filter((head) => (head & 31) === 9);
    assert.equal(delimiters.length, 1);
    assert.equal(unitHeads(payload)[0], delimiters[0]);
  }
});

test("audio comes before the picture whose decode time it precedes, and never long before it", async () => {
  const stream = Buffer.concat(await makeSegments(await openFile(await inputFile("moov-last"))));
  let video = 0;
  for (const { pid, dts } of pesOf(stream)) {
    if (pid === 0x100) video = dts;
    else assert.ok(dts >= video - 9_000 && dts <= video + 45_000, `audio ${dts} behind video ${video}`);
  }
});

test("the first, a middle and the last segment alone have picture and sound where the source has them", async () => {
  const path = await inputFile("moov-last");
  const file = await openFile(path);
  const segments = await makeSegments(file);
  const [video = [], audio = []] = await judgedPackets(await readFile(path), judgedAs(file, "mp4"));
  for (const index of [0, 1, segments.length - 1]) {
    const made = await judgedPackets(segments[index] ?? Buffer.alloc(0), judgedAs(file, "ts"));
    for (const [source, found] of [video, audio].map((packets, at) => [packets, made[at] ?? []] as const)) {
      const first = source.find(({ hash }) => hash === found[0]?.hash);
      assert.ok(first && found[0] && !isOff(found[0].pts - OFFSET_TICKS - first.pts), `segment ${index}`);
    }
  }
});

test("segments of video alone and of audio alone stand for themselves", async () => {
  const file = await openFile(await inputFile("moov-last"));
  for (const wanted of [
    { ...AV, audio: false },
    { ...AV, video: false },
  ]) {
    const stream = Buffer.concat(await makeSegments(file, wanted));
    assertContinuous(stream);
    assertClock(stream);
    const judged = judgedAs(file, "ts");
    const only = { ...judged, ...(wanted.video ? { audio: null } : { video: null }) };
    assert.deepEqual(await decodedFrames(stream, only), [wanted.video ? 200 : 376]);
  }
});

test("mediabunny finds the same packets and key frames", async () => {
  const file = await openFile(await inputFile("b-frames-3"));
  const stream = Buffer.concat(await makeSegments(file));
  const input = new Input({ formats: ALL_FORMATS, source: new BufferSource(stream) });
  const counts: Record<string, number> = {};
  for (const track of await input.getTracks()) {
    for await (const packet of new EncodedPacketSink(track as never).packets()) {
      counts[track.type] = (counts[track.type] ?? 0) + 1;
      if (track.type === "video" && packet.type === "key") counts.keys = (counts.keys ?? 0) + 1;
    }
  }
  assert.deepEqual(counts, { video: 200, audio: 376, keys: 4 });
});
