import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { before, test } from "node:test";
import { boxOf, edit, numbersOf, topLevel, typeOf, u32 } from "../../test/media/boxes.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { describedOtherwise } from "../../test/media/patches.ts";
import { fileReader, readerOf } from "../../test/media/reader.ts";
import { MovieError } from "./movie.ts";
import { openMovie } from "./open-movie.ts";

const KIB = 1024;
let plain = Buffer.alloc(0);
let dir = "";
before(async () => {
  dir = await sharedMediaDir();
  plain = readFileSync(await makeInput("moov-last", dir));
});
const input = async (name: string): Promise<Buffer> => readFileSync(await makeInput(name, dir));

const refused = async (bytes: Buffer, reason: RegExp, problem = "damaged"): Promise<void> => {
  await assert.rejects(openMovie(readerOf(bytes)), (error) => {
    assert.ok(error instanceof MovieError, String(error));
    assert.match(error.message, reason);
    assert.equal(error.problem, problem);
    return true;
  });
};

test("a file is opened with two or three reads, none of them media", async () => {
  const first = fileReader(await makeInput("moov-first", dir));
  await openMovie(first);
  assert.deepEqual(first.reads, [[0, 64 * KIB]]);
  const last = fileReader(await makeInput("moov-last", dir));
  await openMovie(last);
  const moovAt = last.sizeBytes - (topLevel(plain).at(-1)?.length ?? 0);
  assert.deepEqual(last.reads, [
    [0, 64 * KIB],
    [moovAt, last.sizeBytes - moovAt],
  ]);
});

test("a moov that does not fit into the first read is read once more, exactly", async () => {
  const [ftyp, free, mdat, moov] = topLevel(plain);
  assert.ok(ftyp && free && mdat && moov);
  const grown = edit(moov, "moov", (box) => boxOf("moov", box.subarray(8), boxOf("free", Buffer.alloc(100 * KIB))));
  const reader = readerOf(Buffer.concat([ftyp, grown, free, mdat])); // its chunk offsets are those of other bytes now
  const movie = await openMovie(reader);
  assert.deepEqual(reader.reads.slice(1), [[ftyp.length, grown.length]]);
  assert.ok(movie.heapBytes < 20 * KIB, "the free space is not kept");
});

test("the last box may run to the end of the file, whichever it is", async () => {
  const whole = await openMovie(readerOf(plain));
  const open = Buffer.from(plain);
  open.writeUInt32BE(0, open.lastIndexOf("moov") - 4);
  assert.deepEqual((await openMovie(readerOf(open))).durationSeconds, whole.durationSeconds);
  const first = await input("moov-first");
  const at = topLevel(first).findIndex((box) => typeOf(box) === "mdat");
  first.writeUInt32BE(
    0,
    topLevel(first)
      .slice(0, at)
      .reduce((sum, box) => sum + box.length, 0),
  );
  assert.equal((await openMovie(readerOf(first))).video[0]?.table.sampleCount, 200);
});

test("what is no MP4 is unsupported, what was one is damaged", async () => {
  await refused(Buffer.alloc(0), /no MP4/, "unsupported");
  await refused(Buffer.from("short"), /no MP4/, "unsupported");
  await refused(Buffer.alloc(100_000, 0x47), /no MP4/, "unsupported");
  await refused(plain.subarray(0, plain.length - 1), /a box of \d+ bytes/);
  await refused(topLevel(plain)[0] ?? Buffer.alloc(0), /no moov/);
});

test("box sizes below a header, beyond the parent or the file are damage, at every depth", async () => {
  for (const type of ["ftyp", "mdat", "moov", "trak", "mdia", "minf", "stbl", "stsd", "avc1", "avcC"]) {
    for (const size of [2, 7, 0x7fff_ffff, 0xffff_ffff]) {
      const bytes = Buffer.from(plain);
      const moovAt = bytes.lastIndexOf("moov");
      bytes.writeUInt32BE(size, bytes.indexOf(type, type === "ftyp" || type === "mdat" ? 0 : moovAt) - 4);
      await refused(bytes, /bytes/);
    }
  }
  const large = Buffer.concat([u32(1), Buffer.from("free"), u32(0xffff_ffff, 0xffff_ffff)]);
  await refused(Buffer.concat([plain.subarray(0, 32), large, plain]), /a box of/);
});

test("a moov over 256 MiB is refused before it is read", async () => {
  const header = Buffer.concat([boxOf("ftyp", Buffer.alloc(8)), u32(257 * 2 ** 20), Buffer.from("moov")]);
  const reads: number[] = [];
  const reader = {
    sizeBytes: 2 ** 40,
    read: async (offset: number, length: number) => {
      reads.push(length);
      const bytes = Buffer.alloc(length);
      header.copy(bytes, 0, offset);
      return bytes;
    },
  };
  await assert.rejects(openMovie(reader), (error) => error instanceof MovieError && error.problem === "unsupported");
  assert.ok(reads.length <= 2 && Math.max(...reads) <= 64 * KIB);
});

test("a file of ten thousand boxes and one, or of as many small fragments, is given up within a second", async () => {
  const started = process.cpuUsage();
  await refused(
    Buffer.concat([boxOf("ftyp"), ...Array.from({ length: 10_001 }, () => boxOf("free"))]),
    /no moov within/,
  );
  const fragmented = await input("no-samples");
  const moofs = Buffer.concat(Array.from({ length: 210_000 }, () => boxOf("moof")));
  await refused(Buffer.concat([fragmented, moofs]), /more than 200000 boxes/, "unsupported");
  const { user, system } = process.cpuUsage(started);
  assert.ok(user + system < 1_000_000, `${user + system} µs`);
});

test("more than 64 tracks, a timescale of 0 and a film of more than ten days are refused", async () => {
  const many = edit(plain, "moov", (moov) =>
    boxOf(
      "moov",
      ...topLevel(moov.subarray(8)).flatMap((box) => (typeOf(box) === "trak" ? Array(33).fill(box) : [box])),
    ),
  );
  await refused(many, /66 tracks/, "unsupported");
  const zero = (path: string) =>
    edit(plain, path, (box) => {
      box.writeUInt32BE(0, 20);
      return box;
    });
  await refused(zero("moov/mvhd"), /mvhd: a timescale of 0/);
  await refused(zero("moov/trak/mdia/mdhd"), /mdhd: a timescale of 0/);
  const slow = edit(plain, "moov/trak/mdia/mdhd", (mdhd) => {
    mdhd.writeUInt32BE(1, 20);
    return mdhd;
  });
  assert.ok((await openMovie(readerOf(slow))).durationSeconds > 100_000);
  await refused(
    edit(slow, "moov/trak/mdia/minf/stbl/stts", () => boxOf("stts", u32(0, 1, 1000, 10_000))),
    /it lasts/,
  );
});

test("boxes that must be there are named where they are missing", async () => {
  for (const type of ["tkhd", "hdlr", "mdhd", "stbl", "stsd", "stts", "stsc", "stsz", "stco", "avcC", "esds"]) {
    const bytes = Buffer.from(plain);
    for (let at = bytes.indexOf(type, bytes.lastIndexOf("moov")); at >= 0; at = bytes.indexOf(type, at))
      bytes.write("none", at);
    await refused(bytes, new RegExp(`without (.*/)?${type === "stco" ? "co64" : type === "stsz" ? "stz2" : type}`));
  }
});

test("tracks are served in the file's order, enabled ones first; what is not served is told", async () => {
  const { ignored } = await openMovie(readerOf(await input("timecode")));
  assert.deepEqual(ignored, ["tmcd"]);
  const disabled = await openMovie(readerOf(await input("tracks-disabled")));
  assert.deepEqual(
    disabled.video.map(({ id }) => id),
    [2, 1],
  );
});

test("a codec that changes within a track is unsupported; descriptions that say the same are one", async () => {
  await refused(describedOtherwise(plain), /codec changes/, "unsupported");
  const outside = edit(plain, "moov/trak/mdia/minf/stbl/stsc", (stsc) => {
    stsc.writeUInt32BE(3, 24);
    return stsc;
  });
  await refused(outside, /sample description 3 of 1/);
});

test("media in another file are not looked for in this one", async () => {
  const elsewhere = edit(plain, "moov/trak/mdia/minf/dinf/dref", () =>
    boxOf("dref", u32(0, 1), boxOf("url ", u32(0), Buffer.from("other.mp4\0"))),
  );
  await refused(elsewhere, /avc1 in another file, mp4a in another file/, "unsupported");
});

test("a track of another kind breaks nothing, whatever is in it", async () => {
  const hint = boxOf(
    "trak",
    boxOf("tkhd", Buffer.alloc(84)),
    boxOf("mdia", boxOf("hdlr", u32(0, 0), Buffer.from("hint"))),
  );
  const movie = await openMovie(readerOf(edit(plain, "moov", (moov) => boxOf("moov", moov.subarray(8), hint))));
  assert.deepEqual([movie.ignored, movie.video.length, movie.audio.length], [["hint"], 1, 1]);
});

test("sound with a cover, a disabled picture or none is sound; one whose film can't be shown is unsupported", async () => {
  const entry = "moov/trak/mdia/minf/stbl/stsd/avc1";
  const as = (type: string, bytes: Buffer = plain): Buffer => edit(bytes, entry, (box) => boxOf(type, box.subarray(8)));
  await refused(as("mp4v"), /none of its pictures can be served: track 1 \(vide\): mp4v/, "unsupported");
  const cover = await openMovie(readerOf(as("jpeg")));
  assert.deepEqual([cover.video.length, cover.audio.length, cover.ignored, cover.unserved], [0, 1, ["jpeg"], []]);
  const disabled = edit(plain, "moov/trak/tkhd", (box) => {
    const changed = Buffer.from(box);
    changed.writeUInt8(changed.readUInt8(11) & ~1, 11);
    return changed;
  });
  const sound = await openMovie(readerOf(as("mp4v", disabled)));
  assert.deepEqual([sound.video.length, sound.unserved], [0, ["track 1 (vide): mp4v"]]);
});

test("a compressed moov is unsupported", async () => {
  await refused(
    Buffer.concat([boxOf("ftyp"), boxOf("moov", boxOf("cmov", Buffer.alloc(8)))]),
    /compressed/,
    "unsupported",
  );
});

test("the index is what it says it is in bytes, and stays so when it is used", async () => {
  const { video, audio, heapBytes } = await openMovie(readerOf(plain));
  const moovBytes = topLevel(plain).at(-1)?.length ?? 0;
  assert.ok(heapBytes > moovBytes && heapBytes < moovBytes + 10 * KIB, `${heapBytes} for ${moovBytes}`);
  const tables = [...video, ...audio].map(({ table }) => table);
  const before = tables.map((table) => table.heapBytes);
  for (const table of tables) table.samples(0, table.sampleCount);
  assert.deepEqual(
    tables.map((table) => table.heapBytes),
    before,
  );
  assert.deepEqual(numbersOf(video[0]?.codec.sampleEntry ?? Buffer.alloc(4), 0)[0], video[0]?.codec.sampleEntry.length);
});

test("an error of the source is passed on as it is", async () => {
  const failing = { sizeBytes: 1000, read: () => Promise.reject(new Error("the disk is gone")) };
  await assert.rejects(openMovie(failing), /the disk is gone/);
});
