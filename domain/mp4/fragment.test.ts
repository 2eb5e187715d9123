import assert from "node:assert/strict";
import { test } from "node:test";
import { decodedFrames, encode, packetsOf, readTrack } from "../../test/support/lavfi.ts";
import { seeded } from "../../test/support/seeded.ts";
import { buildChunk, lengthenLastSample } from "./chunk.ts";
import { parseFragment, type Sample } from "./fragment.ts";
import { childrenOf, findBox } from "./walk.ts";

const chunk = (samples: readonly Sample[], options: { first?: boolean } = {}): Buffer =>
  buildChunk(samples, {
    sequenceNumber: 1,
    kind: "video",
    baseDts: samples[0]?.dts ?? 0,
    first: options.first ?? false,
  });
const samplesIn = (bytes: Buffer): Sample[] => {
  const moof = findBox(bytes, ["moof"], 0) ?? assert.fail("no moof");
  const mdat = findBox(bytes, ["mdat"], 0) ?? assert.fail("no mdat");
  return parseFragment(moof, mdat);
};
const sample = (fields: Partial<Sample> = {}): Sample => ({
  dts: 0,
  duration: 3_600,
  compositionOffset: 0,
  key: true,
  data: Buffer.from("abc"),
  ...fields,
});

test("times before a 33-bit wrap are read as negative ones", async () => {
  const { samples } = await encode({ kind: "video", seconds: 2, shift: -1 });
  assert.deepEqual([samples[0]?.dts, samples[25]?.dts, samples.length], [-90_000, 0, 50]);
});

test("audio keeps the encoder's priming in front of time 0", async () => {
  const { samples } = await encode({ kind: "audio", seconds: 1 });
  assert.deepEqual(
    samples.slice(0, 3).map(({ dts, duration, key }) => [dts, duration, key]),
    [
      [-1_024, 1_024, true],
      [0, 1_024, true],
      [1_024, 1_024, true],
    ],
  );
});

test("chunks of our own decode to the frames of the encoder's own file", async () => {
  const { init, samples } = await encode({ kind: "video", seconds: 2 });
  const chunks = [samples.slice(0, 7), samples.slice(7, 8), samples.slice(8)];
  const file = Buffer.concat([init, ...chunks.map((part, i) => chunk(part, { first: i === 0 }))]);
  assert.equal((await decodedFrames(file)).length, 50);
  assert.deepEqual(
    (await packetsOf(file)).map(({ dts, key }) => ({ dts, key })),
    samples.map(({ dts, key }) => ({ dts, key })),
  );
  assert.deepEqual(readTrack(file).samples, samples);
});

test("a chunk begins a segment with styp, holds composition offsets only where there are any, and 64-bit times", () => {
  const dts = 1_732_186_800 * 90_000;
  const plain = chunk([sample({ dts })]);
  const shifted = chunk([sample({ dts, compositionOffset: -7_200 }), sample({ dts: dts + 3_600, key: false })]);
  assert.deepEqual(
    [...childrenOf(chunk([sample()], { first: true }), 0)].map(({ type }) => type),
    ["styp", "moof", "mdat"],
  );
  assert.deepEqual(
    [...childrenOf(plain, 0)].map(({ type, box }) => [type, box.length]),
    [
      ["moof", 100],
      ["mdat", 11],
    ],
  );
  assert.deepEqual(samplesIn(plain), [sample({ dts })]);
  assert.deepEqual(samplesIn(shifted), [
    sample({ dts, compositionOffset: -7_200 }),
    sample({ dts: dts + 3_600, key: false }),
  ]);
});

test("the last sample of a chunk can be lengthened and shortened in place", () => {
  for (const first of [true, false]) {
    for (const compositionOffset of [0, 3_600]) {
      const bytes = chunk([sample({ compositionOffset }), sample({ dts: 3_600, key: false })], { first });
      lengthenLastSample(bytes, 900);
      lengthenLastSample(bytes, -100);
      assert.deepEqual(samplesIn(bytes), [
        sample({ compositionOffset }),
        sample({ dts: 3_600, key: false, duration: 4_400 }),
      ]);
    }
  }
});

for (const seed of [11, 12, 13]) {
  test(`whatever samples go into a chunk come out of it (seed ${seed})`, () => {
    const random = seeded(seed);
    for (let round = 0; round < 200; round += 1) {
      let dts = random.int(2) === 0 ? -random.int(2 ** 31) : random.int(2 ** 30) * 2 ** 20;
      const samples = Array.from({ length: 1 + random.int(30) }, () => {
        const duration = 1 + random.int(10_000);
        const data = Buffer.alloc(random.int(200), random.int(256));
        dts += duration;
        return { dts: dts - duration, duration, compositionOffset: random.int(9) - 4, key: random.int(5) === 0, data };
      });
      assert.deepEqual(samplesIn(chunk(samples, { first: random.int(2) === 0 })), samples);
    }
  });
}

test("damaged fragments end in an error or in samples inside of their mdat", async () => {
  const { samples } = await encode({ kind: "video", seconds: 2 });
  const whole = chunk(samples.slice(0, 10));
  const moofBytes = whole.readUInt32BE(0);
  const random = seeded(21);
  for (let round = 0; round < 5_000; round += 1) {
    const bytes = Buffer.from(whole);
    for (let hits = 1 + random.int(3); hits > 0; hits -= 1) bytes[random.int(moofBytes)] = random.int(256);
    const [moof, mdat] = [bytes.subarray(0, moofBytes), bytes.subarray(moofBytes)];
    try {
      const total = parseFragment(moof, mdat).reduce((sum, { data }) => sum + data.length, 0);
      assert.ok(total <= mdat.length * 10);
    } catch (error) {
      assert.ok(error instanceof Error && error.name !== "AssertionError", String(error));
    }
  }
});

test("a fragment that claims a great number of samples is refused before they are read", () => {
  const bytes = chunk([sample()]);
  const trun = bytes.indexOf("trun") - 4;
  bytes.writeUInt32BE(0xffffffff, trun + 12);
  assert.throws(() => samplesIn(bytes), /4294967295 samples in a fragment/);
});
