import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import type { Samples, VideoCodec } from "../mp4/movie.ts";
import type { ProtectionScheme } from "./protection.ts";
import { SubsampleScan, UNREAD_CLEAR_BYTES } from "./subsamples.ts";

const codec: VideoCodec = {
  kind: "video",
  fourcc: "avc1",
  codecs: "",
  sampleEntry: Buffer.alloc(0),
  width: 16,
  height: 16,
  nalLengthBytes: 4,
  parameterSets: [],
  sampleAspectRatio: [1, 1],
};
/** Without parameter sets no slice header can be read: the clear bytes are those of the fallback. */
const slice = (bytes: number): Buffer => unit(bytes, 0x41);
const supplement = (bytes: number): Buffer => unit(bytes, 0x06);
const unit = (bytes: number, header: number): Buffer => {
  const out = Buffer.alloc(4 + bytes, 0x77);
  out.writeUInt32BE(bytes);
  if (bytes > 0) out[4] = header;
  return out;
};

const samplesOf = (list: readonly Buffer[]): Samples => {
  let at = 0;
  return {
    first: 0,
    count: list.length,
    size: Uint32Array.from(list, ({ length }) => length),
    offset: Float64Array.from(list, ({ length }) => {
      at += length;
      return at - length;
    }),
    dts: new Float64Array(list.length + 1),
    compositionOffset: new Int32Array(list.length),
    sync: new Uint8Array(list.length),
  };
};

/** Pairs of clear and protected bytes of each sample. */
const subsamplesOf = (list: readonly Buffer[], scheme: ProtectionScheme = "cenc"): [number, number][][] => {
  const scan = new SubsampleScan(codec, scheme, list.length);
  scan.scan(samplesOf(list), { bytes: Buffer.concat(list), fileOffset: 0 });
  const { starts, clearBytes, protectedBytes } = scan.finish();
  return list.map((_, index) =>
    Array.from(clearBytes.subarray(starts[index], starts[index + 1]), (clear, entry): [number, number] => [
      clear,
      protectedBytes[(starts[index] ?? 0) + entry] ?? -1,
    ]),
  );
};
const HEAD = 4 + UNREAD_CLEAR_BYTES;

test("lengths, headers and other units stay clear; cenc protects whole blocks at the end of each slice", () => {
  const sample = Buffer.concat([supplement(30), slice(UNREAD_CLEAR_BYTES + 40), slice(UNREAD_CLEAR_BYTES + 16)]);
  assert.deepEqual(subsamplesOf([sample, slice(20), Buffer.alloc(0), Buffer.concat([slice(1_000), supplement(9)])]), [
    [
      [34 + HEAD + 8, 32],
      [HEAD, 16],
    ],
    [[24, 0]],
    [],
    [
      [HEAD + 8, 736],
      [13, 0],
    ],
  ]);
});

test("a sample without bytes has nothing to protect, wherever its table says that it is", () => {
  const list = [slice(300), Buffer.alloc(0)];
  const samples = samplesOf(list);
  samples.offset[1] = 1_000_000;
  const scan = new SubsampleScan(codec, "cbcs", 2);
  scan.scan(samples, { bytes: Buffer.concat(list), fileOffset: 0 });
  assert.deepEqual([...scan.finish().starts], [0, 1, 1]);
});

test("cbcs protects to the end of the slice, and nothing of one with less than a block", () => {
  const sample = Buffer.concat([slice(UNREAD_CLEAR_BYTES + 15), slice(UNREAD_CLEAR_BYTES + 41)]);
  assert.deepEqual(subsamplesOf([sample], "cbcs"), [[[HEAD + 15 + HEAD, 41]]]);
});

test("more clear bytes than an entry tells are told by several", () => {
  assert.deepEqual(subsamplesOf([Buffer.concat([supplement(140_000), slice(UNREAD_CLEAR_BYTES + 16)])]), [
    [
      [65_535, 0],
      [65_535, 0],
      [140_004 + HEAD - 2 * 65_535, 16],
    ],
  ]);
});

test("of more slices than a sample can tell, the small ones stay clear", () => {
  const sizes = Array.from({ length: 100 }, (_, index) => UNREAD_CLEAR_BYTES + (index % 5 === 0 ? 4_000 : 100));
  const [entries = []] = subsamplesOf([Buffer.concat(sizes.map(slice))]);
  assert.ok(entries.length <= 40);
  assert.equal(entries.filter(([, bytes]) => bytes === 4_000).length, 20);
  assert.equal(
    entries.reduce((sum, [clear, bytes]) => sum + clear + bytes, 0),
    sizes.reduce((sum, bytes) => sum + bytes + 4, 0),
  );
});

test("a sample that is damaged stays clear from there on; one of megabytes of metadata is refused", () => {
  const broken = Buffer.concat([slice(UNREAD_CLEAR_BYTES + 16), Buffer.from([0, 0, 1, 0, 0x41, 1, 2, 3])]);
  assert.deepEqual(subsamplesOf([broken, slice(UNREAD_CLEAR_BYTES + 16)]), [
    [
      [HEAD, 16],
      [8, 0],
    ],
    [[HEAD, 16]],
  ]);
  assert.throws(() => subsamplesOf([supplement(41 * 65_535)]), /megabytes of metadata/);
});

test("whatever is in samples, their subsamples add up to them", () => {
  const random = seeded(71);
  for (let round = 0; round < 300; round += 1) {
    const list = Array.from({ length: random.int(20) }, () =>
      Buffer.concat(
        Array.from({ length: random.int(60) }, () => (random.int(3) === 0 ? supplement : slice)(random.int(700))),
      ),
    );
    for (const scheme of ["cenc", "cbcs"] as const) {
      const sums = subsamplesOf(list, scheme).map((entries) => entries.flat().reduce((sum, bytes) => sum + bytes, 0));
      assert.deepEqual(
        sums,
        list.map(({ length }) => length),
      );
    }
  }
});
