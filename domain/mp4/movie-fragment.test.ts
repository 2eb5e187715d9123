import assert from "node:assert/strict";
import { test } from "node:test";
import { clearSegment } from "../../test/support/fragmented.ts";
import { decodedFrames, encode, packetsOf, readTrack } from "../../test/support/lavfi.ts";
import { storedFile } from "../../test/support/stored-track.ts";
import { parseFragment } from "./fragment.ts";
import { initSegment } from "./init-segment.ts";
import type { Samples, Track } from "./movie.ts";
import { keyFrameSamples, planFragment, writeFragmentHead } from "./movie-fragment.ts";
import { childrenOf, findBox } from "./walk.ts";

const OFFSET_SECONDS = 10;

const all = (track: Track): Samples => track.table.samples(0, track.table.sampleCount);
const samplesIn = (bytes: Buffer) =>
  parseFragment(findBox(bytes, ["moof"], 0) ?? assert.fail(), findBox(bytes, ["mdat"], 0) ?? assert.fail());
const synthetic = (fields: Partial<Samples>): Samples => ({
  first: 0,
  count: 1,
  size: Uint32Array.of(3),
  offset: Float64Array.of(0),
  dts: Float64Array.of(0, 3_600),
  compositionOffset: Int32Array.of(0),
  sync: Uint8Array.of(1),
  ...fields,
});
const moofOf = (track: Track, samples: Samples): Buffer => {
  const plan = planFragment({ tracks: [{ track, samples }], sequenceNumber: 7 });
  const out = Buffer.alloc(plan.headBytes);
  writeFragmentHead(plan, out, 0);
  return findBox(out, ["moof"], 0) ?? assert.fail("no moof");
};
const boxHex = (moof: Buffer, type: string): string =>
  findBox(moof, ["traf", type])?.toString("hex", 8) ?? assert.fail(type);

test("init segment and segments decode to the source's frames and times, ten seconds later", async () => {
  for (const kind of ["video", "audio"] as const) {
    const source = await encode({ kind, seconds: 3 });
    const { bytes, tracks } = storedFile([source], { chunkSamples: 5, gapBytes: 100 });
    const [track] = tracks as [Track];
    const count = track.table.sampleCount;
    const cut = Math.floor(count / 3);
    const file = Buffer.concat([
      initSegment([track]),
      clearSegment(bytes, [{ track, samples: track.table.samples(0, cut) }], 1),
      clearSegment(bytes, [{ track, samples: track.table.samples(cut, count) }], 2),
    ]);
    const offset = OFFSET_SECONDS * track.timescale;
    assert.deepEqual(
      await packetsOf(file),
      source.samples.map(({ dts, duration, key }) => ({ dts: dts + offset, duration, key })),
    );
    assert.equal((await decodedFrames(file)).length, count);
    assert.deepEqual(
      readTrack(file).samples,
      source.samples.map((sample) => ({ ...sample, dts: sample.dts + offset })),
    );
  }
});

test("a muxed segment has the samples of the first track in front of those of the second", async () => {
  const sources = await Promise.all([encode({ kind: "video", seconds: 2 }), encode({ kind: "audio", seconds: 2 })]);
  const { bytes, tracks } = storedFile(sources);
  const out = clearSegment(
    bytes,
    tracks.map((track) => ({ track, samples: all(track) })),
  );
  const mdat = findBox(out, ["mdat"], 0) ?? assert.fail("no mdat");
  assert.deepEqual(mdat.subarray(8), Buffer.concat(sources.flatMap(({ samples }) => samples.map(({ data }) => data))));
  assert.deepEqual(
    samplesIn(out).map(({ data, compositionOffset, key }) => ({ data, compositionOffset, key })),
    sources.flatMap(({ samples }) =>
      samples.map(({ data, compositionOffset, key }) => ({ data, compositionOffset, key })),
    ),
  );
  assert.deepEqual(
    [...childrenOf(out, 0)].map(({ type }) => type),
    ["styp", "moof", "mdat"],
  );
});

test("what holds for all samples is told once: times, sizes, flags", async () => {
  const [track] = storedFile([await encode({ kind: "video", seconds: 2 })]).tracks as [Track];
  const three = { count: 3, offset: Float64Array.of(0, 3, 6), compositionOffset: new Int32Array(3) };
  const moof = (fields: Partial<Samples>): Buffer => moofOf(track, synthetic({ ...three, ...fields }));
  const even = moof({
    size: Uint32Array.of(3, 3, 3),
    dts: Float64Array.of(0, 10, 20, 30),
    sync: Uint8Array.of(1, 1, 1),
  });
  assert.equal(boxHex(even, "tfhd"), "00020038" + "00000001" + "0000000a" + "00000003" + "02000000");
  assert.equal(boxHex(even, "trun"), "01000001" + "00000003" + "0000006c");
  const gop = moof({
    size: Uint32Array.of(9, 3, 3),
    dts: Float64Array.of(0, 10, 20, 30),
    sync: Uint8Array.of(1, 0, 0),
  });
  assert.equal(boxHex(gop, "tfhd"), "00020028" + "00000001" + "0000000a" + "01010000");
  assert.equal(boxHex(gop, "trun"), "010002050000000300000078" + "020000000000000900000003" + "00000003");
  const uneven = moof({
    size: Uint32Array.of(3, 3, 3),
    dts: Float64Array.of(0, 10, 21, 30),
    sync: Uint8Array.of(1, 0, 1),
    compositionOffset: Int32Array.of(-1, 0, 5),
  });
  assert.equal(boxHex(uneven, "tfhd"), "00020010" + "00000001" + "00000003");
  assert.equal(
    boxHex(uneven, "trun").slice(24),
    ["0000000a02000000ffffffff", "0000000b0101000000000000", "000000090200000000000005"].join(""),
  );
});

test("the decode time has the edit list and the ten seconds in it, in 64 bits", async () => {
  const [track] = storedFile([await encode({ kind: "video", seconds: 2 })]).tracks as [Track];
  const tfdt = (fields: Partial<Track>, dts: number): string =>
    boxHex(moofOf({ ...track, ...fields }, synthetic({ dts: Float64Array.of(dts, dts + 1) })), "tfdt");
  assert.equal(tfdt({ timescale: 1_000, shift: -80 }, 0), `01000000${(9_920).toString(16).padStart(16, "0")}`);
  assert.equal(
    tfdt({ timescale: 10 ** 7, shift: 3 }, 2 ** 40),
    `01000000${(2 ** 40 + 10 ** 8 + 3).toString(16).padStart(16, "0")}`,
  );
  assert.throws(() => tfdt({ timescale: 10, shift: -101 }, 0), /times before zero/);
});

test("a segment without samples still tells its time", async () => {
  const [track] = storedFile([await encode({ kind: "audio", seconds: 2 })]).tracks as [Track];
  const out = clearSegment(Buffer.alloc(0), [{ track, samples: track.table.samples(30, 30) }]);
  assert.deepEqual(samplesIn(out), []);
});

test("more than 4 GiB have a 64-bit size, more than an offset can tell are refused", async () => {
  const [track] = storedFile([await encode({ kind: "video", seconds: 2 })]).tracks as [Track];
  const huge = synthetic({
    count: 2,
    size: Uint32Array.of(0xffffffff, 5),
    offset: new Float64Array(2),
    dts: Float64Array.of(0, 1, 2),
    sync: Uint8Array.of(1, 1),
    compositionOffset: new Int32Array(2),
  });
  const plan = planFragment({ tracks: [{ track, samples: huge }], sequenceNumber: 1 });
  const out = Buffer.alloc(plan.headBytes);
  writeFragmentHead(plan, out, 0);
  assert.equal(plan.totalBytes, plan.headBytes + 2 ** 32 + 4);
  assert.equal(out.toString("hex", plan.headBytes - 16), "00000001" + "6d646174" + "0000000100000014");
  const twice = [huge, huge].map((samples) => ({ track, samples }));
  assert.throws(() => planFragment({ tracks: twice, sequenceNumber: 1 }), /more than 2 GiB/);
  const slow = synthetic({ dts: Float64Array.of(0, 2 ** 33) });
  assert.throws(() => planFragment({ tracks: [{ track, samples: slow }], sequenceNumber: 1 }), /longer than 32 bits/);
});

test("a key frame alone is shown until the next one", async () => {
  const source = await encode({ kind: "video", seconds: 3 });
  const { bytes, tracks } = storedFile([source]);
  const [track] = tracks as [Track];
  const [first = 0, second = 0] = track.table.syncSamples ?? [];
  assert.ok(second > first);
  const samples = keyFrameSamples(track.table, first, track.table.ptsOf(second));
  const file = Buffer.concat([initSegment([track]), clearSegment(bytes, [{ track, samples }])]);
  assert.equal((await decodedFrames(file)).length, 1);
  const [ptsFirst, ptsSecond] = [track.table.ptsOf(first), track.table.ptsOf(second)];
  assert.deepEqual(
    readTrack(file).samples.map(({ dts, duration, compositionOffset }) => [dts, duration, compositionOffset]),
    [[OFFSET_SECONDS * track.timescale + ptsFirst, ptsSecond - ptsFirst, 0]],
  );
});
