import assert from "node:assert/strict";
import { test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { type Random, seeded } from "../../test/support/seeded.ts";
import type { RangeReader, Samples } from "../mp4/movie.ts";
import { handMade, lengthPrefixed, slice } from "./hand-made.fixture.ts";
import type { SegmentInput } from "./segment.ts";
import { TsSegment } from "./segment.ts";
import { makeSegment, openFile, segmentInputs } from "./segments.fixture.ts";
import { TS_SCRATCH_BYTES } from "./source-window.ts";
import { assertContinuous, packetsOf, pesOf } from "./walk.fixture.ts";

const fileOf = async (name: string) => openFile(await makeInput(name, await sharedMediaDir()));

/** A file with some bytes changed, or whole stretches of noise. */
const damagedReader = ({ sizeBytes, read }: RangeReader, random: Random): RangeReader => ({
  sizeBytes,
  read: async (offset, length) => {
    const bytes = await read(offset, length);
    const flips = random.int(200);
    for (let flip = 0; flip < flips; flip += 1) bytes[random.int(length)] = random.int(256);
    const noiseAt = random.int(length);
    if (random.int(4) === 0)
      bytes.fill([0, 1, 0xff][random.int(3)] ?? 0, noiseAt, noiseAt + random.int(length - noiseAt));
    return bytes;
  },
});

const withLengths = (input: SegmentInput, nalLengthBytes: number): SegmentInput => {
  const { program } = input;
  return { ...input, program: { ...program, video: program.video && { ...program.video, nalLengthBytes } } };
};

test("a segment of damaged samples has its size, whole packets, no jump, and ends", async () => {
  const random = seeded(27);
  for (const name of ["moov-last", "hevc-hvc1", "captions-608", "5.1"]) {
    const file = await fileOf(name);
    for (let round = 0; round < 60; round += 1) {
      for (const input of segmentInputs(file)) {
        const made = await makeSegment(damagedReader(file.reader, random), input);
        assert.equal(made.length, new TsSegment(input).exactBytes);
        assertContinuous(made);
      }
    }
  }
});

test("samples whose lengths are taken for shorter ones than they have are damaged samples", async () => {
  const file = await fileOf("moov-last");
  for (const lengthBytes of [1, 2]) {
    for (const input of segmentInputs(file)) {
      const short = withLengths(input, lengthBytes);
      assert.equal(new TsSegment(short).exactBytes, null);
      const made = await makeSegment(file.reader, short);
      assertContinuous(made);
      const windows = { sourceBytes: TS_SCRATCH_BYTES + 90_000, slotBytes: 10_000, releases: true };
      assert.ok((await makeSegment(file.reader, short, windows)).equals(made));
    }
  }
});

/** The same units behind shorter lengths; those that are too long for one byte are left out. */
const shortened = async (reader: RangeReader, samples: Samples, lengthBytes: number) => {
  const pieces: Buffer[] = [];
  for (let index = 0; index < samples.count; index += 1) {
    const bytes = await reader.read(samples.offset[index] ?? 0, samples.size[index] ?? 0);
    const units: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 4 + bytes.readUInt32BE(at))
      units.push(bytes.subarray(at + 4, at + 4 + bytes.readUInt32BE(at)));
    const kept = units.filter(({ length }) => length < 256);
    pieces.push(Buffer.concat(kept.map((unit) => lengthPrefixed(unit, lengthBytes))));
  }
  const file = Buffer.concat(pieces);
  let end = 0;
  const offset = Float64Array.from(pieces, ({ length }) => {
    end += length;
    return end - length;
  });
  return {
    reader: {
      sizeBytes: file.length,
      read: async (at: number, length: number) => Buffer.from(file.subarray(at, at + length)),
    },
    samples: { ...samples, offset, size: Uint32Array.from(pieces, ({ length }) => length) },
  };
};

test("NAL lengths of one, two and four bytes give the same access units", async () => {
  const file = await fileOf("16x16");
  for (const input of segmentInputs(file)) {
    assert.ok(input.video);
    const units: Buffer[][] = [];
    for (const lengthBytes of [1, 2, 4]) {
      const { reader, samples } = await shortened(file.reader, input.video, lengthBytes);
      const made = await makeSegment(reader, withLengths({ ...input, video: samples }, lengthBytes));
      assertContinuous(made);
      units.push(pesOf(made).map(({ payload }) => payload));
    }
    assert.deepEqual(units[0], units[2]);
    assert.deepEqual(units[1], units[2]);
  }
});

const unitOf = async (sample: Buffer): Promise<Buffer> => {
  const { reader, input } = handMade({ video: [{ time: 0, bytes: sample }], endSeconds: 0.04 });
  const made = await makeSegment(reader, input);
  assert.equal(made.length, new TsSegment(input).exactBytes);
  assert.equal(packetsOf(made).length % 16, 2);
  return pesOf(made)[0]?.payload ?? Buffer.alloc(0);
};
const hexOf = (unit: Buffer): string => unit.toString("hex");
const FRONT = "0000000109f0";

test("a length beyond the sample is cut at its end, and what is too short for one is left out", async () => {
  const unit = slice(20).subarray(4);
  const beyond = Buffer.concat([Buffer.from("7fffffff", "hex"), unit]);
  assert.ok(hexOf(await unitOf(beyond)).endsWith(`00000001${hexOf(unit)}`));
  const negative = Buffer.concat([Buffer.from("ffffffff", "hex"), unit]);
  assert.ok(hexOf(await unitOf(negative)).endsWith(`00000001${hexOf(unit)}`));
  for (const rest of ["00", "0000", "000000", "00000005"])
    assert.ok(hexOf(await unitOf(Buffer.concat([slice(20), Buffer.from(rest, "hex")]))).endsWith(hexOf(unit)), rest);
});

test("units without a byte are padding, and a sample of nothing else is a delimiter and parameter sets", async () => {
  const made = hexOf(await unitOf(Buffer.concat([Buffer.alloc(8), slice(20)])));
  assert.ok(made.startsWith(FRONT));
  assert.ok(made.endsWith(`000000000000000000000001${hexOf(slice(20).subarray(4))}`));
  const empty = hexOf(await unitOf(Buffer.alloc(40)));
  assert.match(empty, new RegExp(`^${FRONT}0000000167[0-9a-f]+0000000168[0-9a-f]{10}(?:00){36}$`));
  for (const size of [1, 2, 3, 4]) assert.ok(hexOf(await unitOf(Buffer.alloc(size))).startsWith(FRONT));
});

test("one range of the file that several samples share is sent for each of them", async () => {
  const { reader, input } = handMade({
    video: [0, 0.04, 0.08].map((time) => ({ time, bytes: slice(300, true), isSync: true })),
    endSeconds: 0.12,
  });
  assert.ok(input.video);
  const once = { ...input, video: { ...input.video, offset: new Float64Array(3) } };
  assert.ok((await makeSegment(reader, once)).equals(await makeSegment(reader, input)));
});

test("audio frames that are longer than ADTS can tell are cut", async () => {
  const { reader, input } = handMade({ audio: [{ time: 0, bytes: Buffer.alloc(9_000, 7) }], endSeconds: 0.02 });
  const made = await makeSegment(reader, input);
  assert.equal(pesOf(made)[0]?.payload.length, 8_191);
});
