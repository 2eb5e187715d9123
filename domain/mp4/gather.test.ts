import assert from "node:assert/strict";
import { test } from "node:test";
import { type Random, seeded } from "../../test/support/seeded.ts";
import { gather, gatherStep, largestSampleBytes, payloadSteps, type StepLimits } from "./gather.ts";
import type { Samples } from "./movie.ts";

/** Samples anywhere in a file, some behind each other, some empty, some used twice. */
const scattered = (random: Random, fileBytes: number): Samples => {
  const count = random.int(40);
  const size = Uint32Array.from({ length: count }, () => (random.int(8) === 0 ? 0 : random.int(300)));
  let next = random.int(fileBytes);
  const offset = Float64Array.from(size, (bytes) => {
    if (random.int(3) === 0) next += random.int(200);
    if (random.int(12) === 0 || next + bytes > fileBytes) next = random.int(fileBytes - bytes);
    next += bytes;
    return next - bytes;
  });
  return {
    first: 0,
    count,
    size,
    offset,
    dts: new Float64Array(count + 1),
    compositionOffset: new Int32Array(count),
    sync: new Uint8Array(count),
  };
};

const expected = (file: Buffer, parts: readonly Samples[]): Buffer =>
  Buffer.concat(
    parts.flatMap(({ size, offset }) =>
      [...size].map((bytes, i) => file.subarray(offset[i], (offset[i] ?? 0) + bytes)),
    ),
  );

const throughSteps = (file: Buffer, parts: readonly Samples[], limits: StepLimits): Buffer => {
  const windows: Buffer[] = [];
  const out = Buffer.alloc(limits.windowBytes);
  for (const step of payloadSteps(parts, limits)) {
    assert.ok(step.hi - step.lo <= limits.windowBytes && step.payloadBytes <= limits.windowBytes);
    const target = { bytes: file.subarray(step.lo, step.hi), fileOffset: step.lo, out, at: 0 };
    assert.equal(gatherStep(parts, step, target), step.payloadBytes);
    windows.push(Buffer.from(out.subarray(0, step.payloadBytes)));
  }
  return Buffer.concat(windows);
};

for (const seed of [31, 32, 33]) {
  test(`a payload is the same in one piece and in windows of any size (seed ${seed})`, () => {
    const random = seeded(seed);
    const file = Buffer.from(Uint8Array.from({ length: 20_000 }, () => random.int(256)));
    for (let round = 0; round < 300; round += 1) {
      const parts = Array.from({ length: 1 + random.int(3) }, () => scattered(random, file.length));
      const whole = expected(file, parts);
      const out = Buffer.alloc(whole.length);
      let at = 0;
      for (const samples of parts) at = gather(samples, { bytes: file, fileOffset: 0 }, { out, at });
      assert.deepEqual(out, whole);
      const limits = { windowBytes: 1 + random.int(random.int(2) === 0 ? 100 : 30_000), gapBytes: random.int(500) };
      assert.deepEqual(throughSteps(file, parts, limits), whole);
      if (Math.max(0, ...parts.flatMap(({ size }) => [...size])) <= limits.windowBytes)
        assert.ok([...payloadSteps(parts, { ...limits, wholeSamples: true })].every(({ piece }) => piece === null));
    }
  });
}

const at = (offset: number[], size: number[]): Samples => ({
  first: 0,
  count: size.length,
  size: Uint32Array.from(size),
  offset: Float64Array.from(offset),
  dts: new Float64Array(size.length + 1),
  compositionOffset: new Int32Array(size.length),
  sync: new Uint8Array(size.length),
});

test("interleaved tracks are one read; what is far away is another", () => {
  const video = at([0, 150, 300], [100, 100, 100]);
  const near = at([100, 250], [50, 50]);
  const far = at([10_000], [50]);
  const limits = { windowBytes: 100_000, gapBytes: 1_000 };
  const ranges = (parts: Samples[]) => [...payloadSteps(parts, limits)].map(({ lo, hi }) => [lo, hi]);
  assert.deepEqual(ranges([video, near]), [[0, 400]]);
  assert.deepEqual(ranges([video, far]), [
    [0, 400],
    [10_000, 10_050],
  ]);
  assert.deepEqual(ranges([]), []);
  assert.deepEqual([largestSampleBytes([video, at([0], [101])]), largestSampleBytes([])], [101, 0]);
});

test("a sample that must stay whole and is greater than a window is refused", () => {
  const limits = { windowBytes: 64, gapBytes: 0, wholeSamples: true };
  assert.throws(() => [...payloadSteps([at([0], [65])], limits)], /a sample of 65 bytes/);
});

test("whole samples without a byte are in a step all the same", () => {
  const samples = at([9], [0]);
  const limits = { windowBytes: 64, gapBytes: 0 };
  assert.deepEqual([...payloadSteps([samples], limits)], []);
  const [only, ...others] = payloadSteps([samples], { ...limits, wholeSamples: true });
  assert.deepEqual([only?.lo, only?.hi, only?.to, others], [0, 0, { part: 1, sample: 0 }, []]);
});

test("bytes that were not read are never taken for media", () => {
  const samples = at([10, 20], [10, 10]);
  const out = Buffer.alloc(100);
  for (const [fileOffset, length, room] of [
    [11, 50, 100],
    [0, 29, 100],
    [0, 50, 19],
  ] as const) {
    assert.throws(
      () => gather(samples, { bytes: Buffer.alloc(length), fileOffset }, { out: out.subarray(0, room), at: 0 }),
      /bug: 20 bytes from 10 of the file/,
    );
  }
});
