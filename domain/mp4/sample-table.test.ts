import assert from "node:assert/strict";
import { test } from "node:test";
import { boxOf, u32 } from "../../test/media/boxes.ts";
import { type KnownSamples, stblOf, type TableLayout } from "../../test/media/tables.ts";
import { type Random, seeded } from "../../test/support/seeded.ts";
import { boxesIn } from "./box-view.ts";
import { MovieError } from "./movie.ts";
import { CompactTable } from "./sample-table.ts";

const FILE_BYTES = 2 ** 40;
const BITS = [4, 8, 16, 32] as const;

/** Values that change now and then, so that tables have runs of all lengths. */
const lazily = (count: number, random: Random, value: () => number): number[] => {
  let current = value();
  const rate = [1, 3, 40, 1000][random.int(4)] ?? 1;
  return Array.from({ length: count }, () => {
    if (random.int(rate) === 0) current = value();
    return current;
  });
};

const randomSamples = (random: Random, { sizeBits, isWide }: TableLayout): KnownSamples => {
  const count = 1 + random.int(700);
  const chunks: number[] = [];
  let left = count;
  for (const samples of lazily(count, random, () => 1 + random.int(9))) {
    if (left === 0) break;
    chunks.push(Math.min(left, samples));
    left -= Math.min(left, samples);
  }
  return {
    duration: lazily(count, random, () => random.int(4) * 512),
    composition: lazily(count, random, () => random.int(5) * 512 - 1024),
    size: lazily(count, random, () => (random.int(10) === 0 ? 0 : random.int(2 ** Math.min(sizeBits, 20)))),
    sync:
      random.int(3) === 0
        ? null
        : Array.from({ length: count }, (_, index) => index).filter(() => random.int(20) === 0),
    chunks,
    chunkOffset: chunks.map(() => random.int(isWide ? 2 ** 39 : 2 ** 32)),
  };
};

/** The same, expanded in the plainest way. */
const expanded = ({ duration, composition, size, sync, chunks, chunkOffset }: KnownSamples) => {
  const dts = [0];
  for (const ticks of duration) dts.push((dts.at(-1) ?? 0) + ticks);
  const offset: number[] = [];
  chunks.forEach((count, chunk) => {
    let at = chunkOffset[chunk] ?? 0;
    for (let index = 0; index < count; index += 1) {
      offset.push(at);
      at += size[offset.length - 1] ?? 0;
    }
  });
  const keys = sync?.length === 0 ? [0] : sync;
  return { dts, offset, composition, size, isSync: size.map((_, sample) => !keys || keys.includes(sample)) };
};

const assertRange = (table: CompactTable, known: ReturnType<typeof expanded>, first: number, end: number): void => {
  const samples = table.samples(first, end);
  assert.deepEqual([samples.first, samples.count], [first, end - first]);
  assert.deepEqual([...samples.size], known.size.slice(first, end));
  assert.deepEqual([...samples.offset], known.offset.slice(first, end));
  assert.deepEqual([...samples.dts], known.dts.slice(first, end + 1));
  assert.deepEqual([...samples.compositionOffset], known.composition.slice(first, end));
  assert.deepEqual([...samples.sync], known.isSync.slice(first, end).map(Number));
  const bytes = known.size.slice(first, end).reduce((sum, one) => sum + one, 0);
  assert.equal(table.sizeBytes(first, end), bytes);
};

test("any range of any table is what expanding the whole table gives, in any order of asking", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const random = seeded(seed);
    const layout = { sizeBits: BITS[random.int(4)] ?? 32, isWide: random.int(2) === 0 };
    const samples = randomSamples(random, layout);
    const known = expanded(samples);
    const table = new CompactTable(stblOf(samples, layout), FILE_BYTES);
    if (random.int(2) === 0) table.detach();
    const { sampleCount } = table;
    assert.deepEqual([sampleCount, table.endDts], [samples.size.length, known.dts.at(-1)]);
    for (let asked = 0; asked < 12; asked += 1) {
      const first = random.int(sampleCount);
      assertRange(table, known, first, first + random.int(sampleCount - first + 1));
      const sample = random.int(sampleCount);
      assert.equal(table.dtsOf(sample), known.dts[sample]);
      assert.equal(table.ptsOf(sample), (known.dts[sample] ?? 0) + (known.composition[sample] ?? 0));
      const time = random.int(table.endDts + 600) - 300 + random.int(2) / 2;
      const at = known.dts.slice(0, -1).findIndex((dts) => dts >= time);
      assert.equal(table.sampleAt(time), at < 0 ? sampleCount : at, `seed ${seed}, time ${time}`);
    }
    assertRange(table, known, 0, sampleCount);
    assert.equal(table.dtsOf(sampleCount), table.endDts);
  }
});

test("a table knows how much memory it holds, wherever its bytes are", () => {
  const layout = { sizeBits: 32, isWide: false } as const;
  const count = 10_000;
  const samples = {
    ...randomSamples(seeded(3), layout),
    duration: Array.from({ length: count }, () => 512),
    composition: Array.from({ length: count }, (_, index) => index % 3),
    size: Array.from({ length: count }, (_, index) => index),
    chunks: Array.from({ length: count }, () => 1),
    chunkOffset: Array.from({ length: count }, () => 1000),
    sync: [0, 50, 100],
  };
  const table = new CompactTable(stblOf(samples, layout), FILE_BYTES);
  const raw = 8 + count * 8 + count * 4 + 12 + count * 4; // stts, ctts, stsz, stsc, stco
  assert.equal(table.rawBytes, raw);
  assert.ok(table.heapBytes > raw && table.heapBytes < raw * 1.1, String(table.heapBytes));
});

const ONE: KnownSamples = {
  duration: [512],
  composition: [0],
  size: [10],
  sync: null,
  chunks: [1],
  chunkOffset: [100],
};
const PLAIN: TableLayout = { sizeBits: 32, isWide: false };
/** The table of one sample with one box in another's place. */
const withBox = (box: Buffer, fileBytes = FILE_BYTES): CompactTable => {
  const type = box.toString("latin1", 4, 8);
  const others = stblOf(ONE, PLAIN)
    .children()
    .filter((child) => child.type !== (type === "stz2" ? "stsz" : type));
  const [stbl] = boxesIn(boxOf("stbl", box, ...others.map(({ whole }) => whole)), 0, "test");
  assert.ok(stbl);
  return new CompactTable(stbl, fileBytes);
};
const refused =
  (reason: RegExp, problem = "damaged") =>
  (error: unknown) =>
    error instanceof MovieError && error.problem === problem && reason.test(error.message);

test("counts are believed only as far as their boxes have bytes", () => {
  const many = 0x3fff_ffff;
  for (const type of ["stts", "ctts", "stss", "stsc", "stco"])
    assert.throws(() => withBox(boxOf(type, u32(0, many, 1, 1))), refused(/don't fit|ends before/), type);
  assert.throws(() => withBox(boxOf("stsz", u32(0, 0, 2 ** 20, 1))), refused(/don't fit/));
  assert.throws(() => withBox(boxOf("stsz", u32(0, 0, 2 ** 31))), refused(/2147483648 samples/, "unsupported"));
  assert.throws(() => withBox(boxOf("stsz", u32(0, 1000, 2 ** 24)), 1e6), refused(/more than the file/));
  assert.throws(() => withBox(boxOf("stz2", u32(0, 12, 1))), refused(/sizes of 12 bits/));
});

test("chunks that never advance, lead nowhere or lie outside the file are damage", () => {
  assert.throws(() => withBox(boxOf("stsc", u32(0, 2, 1, 0, 1, 1, 1, 1))), refused(/stsc: chunks/));
  assert.throws(() => withBox(boxOf("stsc", u32(0, 1, 5, 1, 1))), refused(/stsc: chunks/));
  assert.throws(() => withBox(boxOf("stsc", u32(0, 1, 0, 1, 1))), refused(/stsc: chunks/));
  assert.throws(() => withBox(boxOf("stsc", u32(0, 1, 1, 0, 1))), refused(/0 of 1 samples/));
  assert.throws(() => withBox(boxOf("stco", u32(0, 0))), refused(/stsc: chunks/));
  assert.throws(() => withBox(boxOf("stco", u32(0, 1, 95)), 100), refused(/ends at byte 105 of 100/));
});

test("times that can't be are damage: too few, negative, beyond 2^53; a duration of 0 is none", () => {
  assert.throws(() => withBox(boxOf("stts", u32(0, 0))), refused(/0 of 1 samples/));
  assert.throws(() => withBox(boxOf("stts", u32(0, 1, 1, -1))), refused(/negative duration/));
  const many = { ...ONE, size: Array.from({ length: 5_000_000 }, () => 1), chunks: [5_000_000] };
  const huge = { ...many, duration: Array.from({ length: 5_000_000 }, () => 2 ** 31) };
  assert.throws(() => new CompactTable(stblOf({ ...huge, composition: [0] }, PLAIN), FILE_BYTES), refused(/2\^53/));
  const still = withBox(boxOf("stts", u32(0, 1, 1, 0)));
  assert.deepEqual([still.endDts, still.sampleAt(0), still.sampleAt(1)], [0, 0, 1]);
});

test("sync samples out of order or out of the track are damage; a table without any leaves the first", () => {
  assert.throws(() => withBox(boxOf("stss", u32(0, 1, 0))), refused(/stss: sample 0/));
  assert.throws(() => withBox(boxOf("stss", u32(0, 1, 2))), refused(/stss: sample 2 after 0 of 1/));
  assert.throws(() => withBox(boxOf("stss", u32(0, 2, 1, 1))), refused(/stss: sample 1 after 1/));
  assert.deepEqual([...(withBox(boxOf("stss", u32(0, 0))).syncSamples ?? [])], [0]);
});

test("more samples in one segment than can be held are refused", () => {
  const many = Array.from({ length: 2 ** 21 + 1 }, () => 1);
  const table = new CompactTable(
    stblOf({ ...ONE, size: many, duration: many, chunks: [many.length] }, PLAIN),
    FILE_BYTES,
  );
  assert.throws(() => table.samples(0, many.length), refused(/samples in one segment/, "unsupported"));
  assert.equal(table.samples(5, 10).count, 5);
});

test("100 minutes of film are indexed in milliseconds: what is not asked for is not walked", () => {
  const frames = 144_000;
  const known: KnownSamples = {
    duration: Array.from({ length: frames }, () => 512),
    composition: Array.from(
      { length: frames },
      (_, index) => ([1024, 2560, 1024, 0, 512][index % 5] ?? 0) + (index & 1),
    ),
    size: Array.from({ length: frames }, (_, index) => 1000 + (index % 977)),
    sync: Array.from({ length: frames / 48 }, (_, index) => index * 48),
    chunks: Array.from({ length: frames }, () => 1),
    chunkOffset: Array.from({ length: frames }, (_, index) => index * 2000),
  };
  const stbl = stblOf(known, PLAIN);
  const times = Array.from({ length: 15 }, () => {
    const started = performance.now();
    const table = new CompactTable(stbl, FILE_BYTES);
    assert.equal(table.samples(72_000, 72_144).count, 144);
    return performance.now() - started;
  });
  const best = Math.min(...times); // on a machine that does much else at the time
  assert.ok(best < 10, `${best} ms`); // 0.3 ms on two cores of 2023
});
