import assert from "node:assert/strict";
import { test } from "node:test";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { seeded } from "../../test/support/seeded.ts";
import { MovieError } from "../mp4/movie.ts";
import { TsSegment } from "./segment.ts";
import { AV, makeSegment, makeSegments, newMemory, openFile, segmentInputs } from "./segments.fixture.ts";
import { TS_SCRATCH_BYTES } from "./source-window.ts";
import { assertContinuous } from "./walk.fixture.ts";

const fileOf = async (name: string, segmentSeconds = 2) =>
  openFile(await makeInput(name, await sharedMediaDir()), segmentSeconds);
const KiB = 1024;

test("both kernels make the same segments", async () => {
  const [simd, plain] = [newMemory("simd"), newMemory("plain")];
  assert.deepEqual([simd.kernel, plain.kernel], ["simd", "plain"]);
  for (const name of ["moov-last", "hevc-hvc1", "5.1", "e-ac-3", "vfr", "intra-only"]) {
    const file = await fileOf(name);
    const [a, b] = await Promise.all([
      makeSegments(file, AV, { memory: simd }),
      makeSegments(file, AV, { memory: plain }),
    ]);
    assert.ok(Buffer.concat(a).equals(Buffer.concat(b)), name);
  }
});

test("a segment is the same in whatever steps it is made, its source kept or read again", async () => {
  const random = seeded(11);
  for (const name of ["moov-last", "vfr", "two-languages", "audio-only", "timescale-1"]) {
    const file = await fileOf(name, 4);
    for (const input of segmentInputs(file)) {
      const whole = await makeSegment(file.reader, input);
      for (let round = 0; round < 8; round += 1) {
        const options = {
          slotBytes: 376 + random.int(64 * KiB),
          sourceBytes: TS_SCRATCH_BYTES + 80 * KiB + random.int(200 * KiB),
          wantedBytes: 1 + random.int(100 * KiB),
          gapBytes: [0, 1, 64 * KiB, Number.POSITIVE_INFINITY][random.int(4)] ?? 0,
          releases: random.int(2) === 1,
        };
        const made = await makeSegment(file.reader, input, options);
        assert.ok(made.equals(whole), `${name}: ${JSON.stringify(options)}`);
      }
    }
  }
});

test("packets of one slot each are enough, and a unit that is greater than a slot is made over several", async () => {
  const file = await fileOf("one-frame");
  const [input] = segmentInputs(file);
  assert.ok(input);
  const whole = await makeSegment(file.reader, input);
  assert.ok(whole.length > 10 * 188);
  for (const releases of [false, true])
    assert.ok((await makeSegment(file.reader, input, { slotBytes: 188, releases })).equals(whole));
});

test("segments that are made in any order, each alone, go on with one another's counters", async () => {
  const file = await fileOf("b-frames-3");
  const inputs = segmentInputs(file);
  const made: Buffer[] = [];
  for (const index of [3, 0, 2, 1]) made[index] = await makeSegment(file.reader, inputs[index] ?? assert.fail());
  assertContinuous(Buffer.concat(made));
  for (const input of inputs)
    assert.ok((await makeSegment(file.reader, input)).equals(made[input.segmentIndex] ?? assert.fail()));
});

test("one range is asked for where gaps don't matter, and only what is needed where they do", async () => {
  const file = await fileOf("two-languages", 100);
  const [input] = segmentInputs(file);
  assert.ok(input?.video && input.audio);
  const { video, audio } = input;
  const byteLength = 16 * 2 ** 20;
  const loose = new TsSegment(input).nextSource({ byteLength, gapBytes: Number.POSITIVE_INFINITY });
  const low = Math.min(video.offset[0] ?? 0, audio.offset[0] ?? 0);
  const ends = [video, audio].map(({ offset, size, count }) => (offset[count - 1] ?? 0) + (size[count - 1] ?? 0));
  assert.deepEqual(loose, [{ fileOffset: low, lengthBytes: Math.max(...ends) - low, at: 0 }]);
  const tight = new TsSegment(input).nextSource({ byteLength, gapBytes: 0 });
  assert.ok(tight.length > 1 && tight.length <= 64);
});

test("what does not fit into a source area is refused, not waited for", async () => {
  const file = await fileOf("one-frame");
  const [input] = segmentInputs(file);
  assert.ok(input);
  const segment = new TsSegment(input);
  assert.throws(() => segment.nextSource({ byteLength: TS_SCRATCH_BYTES + 100 }), MovieError);
});

test("a segment that is asked for out of turn says so", async () => {
  const [input] = segmentInputs(await fileOf("one-frame"));
  assert.ok(input);
  const segment = new TsSegment(input);
  assert.throws(() => segment.fill(newMemory(), 0, { at: 0, capacity: 188 }), /bug: nothing is read yet/);
  segment.nextSource({ byteLength: 2 ** 20 });
  assert.throws(() => segment.nextSource({ byteLength: 2 ** 20 }), /bug: what was read is not used up/);
});

test("a segment without samples has its tables, and nothing else", async () => {
  const file = await fileOf("one-frame");
  const [input] = segmentInputs(file);
  assert.ok(input);
  const made = await makeSegment(file.reader, { ...input, video: null, segmentIndex: 17 });
  assert.deepEqual([made.length, (made[3] ?? 0) & 15, (made[191] ?? 0) & 15], [376, 1, 1]);
});
