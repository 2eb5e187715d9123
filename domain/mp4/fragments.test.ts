import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { boxOf, edit, topLevel, typeOf, u32 } from "../../test/media/boxes.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { fileReader, readerOf } from "../../test/media/reader.ts";
import { MovieError, type Samples } from "./movie.ts";
import { openMovie } from "./open-movie.ts";

const MOVIE_BYTES = 100_000;
let dir = "";
let head = Buffer.alloc(0);
before(async () => {
  dir = await sharedMediaDir();
  head = readFileSync(await makeInput("no-samples", dir)); // ftyp and moov of a video and an audio track, ids 1 and 2
});

const TRACK = 1;
interface Traf {
  readonly track?: number;
  readonly tfhd?: { readonly flags: number; readonly fields?: readonly number[] };
  readonly time?: readonly number[];
  readonly runs: readonly { readonly flags: number; readonly fields: readonly number[] }[];
}
const trafOf = ({ track = TRACK, tfhd = { flags: 0x2_0000 }, time, runs }: Traf): Buffer =>
  boxOf(
    "traf",
    boxOf("tfhd", u32(tfhd.flags, track, ...(tfhd.fields ?? []))),
    time ? boxOf("tfdt", u32(time.length === 2 ? 0x100_0000 : 0, ...time)) : Buffer.alloc(0),
    ...runs.map(({ flags, fields }) => boxOf("trun", u32(flags, ...fields))),
  );
const moofOf = (...trafs: readonly Traf[]): Buffer => boxOf("moof", boxOf("mfhd", u32(0, 1)), ...trafs.map(trafOf));

/** A file of these boxes behind the init segment, filled up to a size; trex of the first track as given. */
const fileOf = (boxes: readonly Buffer[], trex: readonly number[] = [1, 512, 100, 0]): Buffer => {
  const init = edit(head, "moov/mvex/trex", (box, index) => (index === 0 ? boxOf("trex", u32(0, 1, ...trex)) : box));
  const bytes = Buffer.concat([init, ...boxes]);
  return Buffer.concat([bytes, boxOf("mdat", Buffer.alloc(MOVIE_BYTES - bytes.length - 8))]);
};
const headBytes = (): number => fileOf([]).indexOf("mdat") - 4;

const samplesOf = async (bytes: Buffer): Promise<Samples> => {
  const { table } = (await openMovie(readerOf(bytes))).video[0] ?? assert.fail("no video");
  return table.samples(0, table.sampleCount);
};
const columns = ({ dts, size, offset, compositionOffset, sync }: Samples) => ({
  dts: [...dts],
  size: [...size],
  offset: [...offset],
  composition: [...compositionOffset],
  sync: [...sync],
});

test("defaults of trex are overridden by tfhd, and those by what a run tells of each sample", async () => {
  const at = headBytes();
  const moofs = [
    moofOf({ time: [0], runs: [{ flags: 0x1, fields: [2, 40] }] }),
    moofOf({ tfhd: { flags: 0x2_0038, fields: [256, 50, 0x101_0000] }, runs: [{ flags: 0x5, fields: [2, 40, 0] }] }),
    moofOf({ runs: [{ flags: 0xf01, fields: [2, 40, 7, 8, 0x1_0000, -9, 10, 11, 0, 12] }] }),
  ];
  const [first = 0, second = 0] = moofs.map((moof) => moof.length);
  assert.deepEqual(columns(await samplesOf(fileOf(moofs))), {
    dts: [0, 512, 1024, 1280, 1536, 1543, 1553],
    size: [100, 100, 50, 50, 8, 11],
    offset: [
      ...[at + 40, at + 140],
      ...[at + first + 40, at + first + 90],
      ...[at + first + second + 40, at + first + second + 48],
    ],
    composition: [0, 0, 0, 0, -9, 12],
    sync: [1, 1, 1, 0, 0, 1],
  });
});

test("data are counted from the moof, from a place that is told, or from the end of the track's before", async () => {
  const at = headBytes();
  const told = moofOf({ tfhd: { flags: 0x1, fields: [0, 3000] }, time: [0], runs: [{ flags: 0x1, fields: [2, 5] }] });
  assert.deepEqual([...(await samplesOf(fileOf([told]))).offset], [3005, 3105]);
  const behind = moofOf(
    { track: 2, tfhd: { flags: 0x10, fields: [30] }, time: [0], runs: [{ flags: 0x1, fields: [3, 200] }] },
    { tfhd: { flags: 0 }, time: [0], runs: [{ flags: 0, fields: [2] }] },
  );
  assert.deepEqual([...(await samplesOf(fileOf([behind]))).offset], [at + 290, at + 390]);
  const runs = moofOf({
    time: [0],
    runs: [
      { flags: 0x1, fields: [1, 60] },
      { flags: 0, fields: [1] },
      { flags: 1, fields: [1, 900] },
    ],
  });
  assert.deepEqual([...(await samplesOf(fileOf([runs]))).offset], [at + 60, at + 160, at + 900]);
});

test("a hole in decode times lengthens the sample before it; a rounding back shortens it", async () => {
  const run = [{ flags: 0x1, fields: [2, 40] }];
  const moofs = [
    moofOf({ time: [0], runs: run }),
    moofOf({ time: [5000], runs: run }),
    moofOf({ time: [0, 6023], runs: run }),
  ];
  assert.deepEqual([...(await samplesOf(fileOf(moofs))).dts], [0, 512, 5000, 5512, 6023, 6535, 7047]);
  const back = fileOf([moofOf({ time: [5000], runs: run }), moofOf({ time: [1000], runs: run })]);
  await assert.rejects(openMovie(readerOf(back)), /back in time/);
});

test("counts without bytes behind them are refused", async () => {
  const refused = async (boxes: readonly Buffer[], reason: RegExp, trex?: readonly number[]): Promise<void> =>
    assert.rejects(
      openMovie(readerOf(fileOf(boxes, trex))),
      (error) => error instanceof MovieError && reason.test(error.message),
    );
  const many = (flags: number, ...fields: number[]) => [moofOf({ time: [0], runs: [{ flags, fields }] })];
  await refused(many(0x1, 0x7fff_ffff, 40), /behind the end of the file/);
  await refused(many(0x1, 0x7fff_ffff, 40), /samples without a size/, [1, 512, 0, 0]);
  await refused(many(0x201, 0x7fff_ffff, 40, 1), /don't fit/);
  await refused(many(0x1, 1, -0x7fff_ffff), /before the file/);
  await refused(many(0x1, 1, MOVIE_BYTES), /behind the end|cut off/);
  await refused([boxOf("moof", boxOf("traf"))], /traf without tfhd/);
});

test("samples that moov describes come before those of fragments", async () => {
  const movie = await openMovie(fileReader(await makeInput("fragmented-after-moov-samples", dir)));
  const { table } = movie.video[0] ?? assert.fail();
  assert.deepEqual([...(table.syncSamples ?? [])], [0, 50, 100, 150]);
});

test("the fragments of a live recording begin at zero, by whole seconds, in all tracks alike", async () => {
  const { video, audio } = await openMovie(fileReader(await makeInput("fragmented-late-start", dir)));
  const [first, second] = [...video, ...audio].map(
    ({ table, shift, timescale }) => (table.ptsOf(0) + shift) / timescale,
  );
  assert.ok(Math.abs(first ?? 9) < 0.51 && Math.abs(second ?? 9) < 0.51, `${first} ${second}`);
  assert.ok(Math.abs((first ?? 0) - (second ?? 0) - 1024 / 48_000) < 0.001);
});

const offsetsOf = (file: Buffer): number[] => {
  let at = 0;
  return topLevel(file).flatMap((box) => {
    at += box.length;
    return typeOf(box) === "moof" ? [at - box.length] : [];
  });
};

test("an index is used to read fragments side by side, and gives the same table as walking", async () => {
  const walked = await openMovie(fileReader(await makeInput("fragmented-without-mfra", dir)));
  for (const name of ["fragmented", "fragmented-sidx", "fragmented-sidx-that-lies"]) {
    const file = readFileSync(await makeInput(name, dir));
    const inner = readerOf(file);
    let waiting = 0;
    let most = 0;
    const movie = await openMovie({
      sizeBytes: file.length,
      read: async (offset, length) => {
        waiting += 1;
        most = Math.max(most, waiting);
        await new Promise(setImmediate);
        waiting -= 1;
        return inner.read(offset, length);
      },
    });
    assert.ok(most >= offsetsOf(file).length, name); // of four fragments, in eight lanes
    const [ours, theirs] = [movie, walked].map(({ video }) => video[0]?.table ?? assert.fail());
    assert.ok(ours && theirs);
    assert.deepEqual(ours.samples(0, 200).size, theirs.samples(0, 200).size);
    assert.deepEqual(ours.samples(0, 200).dts, theirs.samples(0, 200).dts);
  }
});

test("a fragment takes one read where it has the size of the one before it", async () => {
  const reader = fileReader(await makeInput("fragmented-without-mfra", dir));
  await openMovie(reader);
  const moofs = offsetsOf(readFileSync(await makeInput("fragmented-without-mfra", dir)));
  assert.ok(reader.reads.length <= 3 + 2 * moofs.length, JSON.stringify(reader.reads));
  const bytes = reader.reads.slice(1).reduce((sum, [, length]) => sum + length, 0);
  assert.ok(bytes < reader.sizeBytes / 4, `${bytes} of ${reader.sizeBytes}`);
});
