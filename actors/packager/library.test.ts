import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { FakeSource } from "./fake-source.fixture.ts";
import { Library } from "./library.ts";

let movie: Buffer = Buffer.alloc(0);
before(async () => {
  movie = await readFile(await makeInput("moov-first", await sharedMediaDir()));
});

const libraryOf = (paths: readonly string[], indexBytesMax = 64 * 2 ** 20, openingBytesMax = 64 * 2 ** 20) => {
  const source = new FakeSource();
  for (const path of paths) source.put(path, movie);
  const now = { ms: 0 };
  const clock = { nowMs: () => now.ms };
  const library = new Library({
    source,
    clock,
    log: quietLog,
    segmentSeconds: 6,
    indexBytesMax,
    openingBytesMax,
    recheckMs: 1_000,
    epoch: "",
  });
  return { library, source, now };
};

/** Until everybody who is to be told of something has been. */
const turnsPass = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));

test("twenty viewers of a file that nobody has asked for read its index once", async () => {
  const { library, source } = libraryOf(["v.mp4"]);
  const titles = await Promise.all(Array.from({ length: 20 }, () => library.open("v.mp4")));
  assert.equal(new Set(titles).size, 1);
  assert.equal(library.readCount, 1);
  assert.equal(source.countOf("open v.mp4"), 1);
  library.close();
  for (const title of titles.slice(1)) title.letGo();
  await turnsPass();
  assert.equal(source.openCount, 1, "somebody holds it");
  titles[0]?.letGo();
  assert.equal(source.openCount, 0);
});

test("a set of more files than are opened at a time is opened", async () => {
  const paths = Array.from({ length: 100 }, (_, index) => `v${index}.mp4`);
  const { library } = libraryOf(paths);
  const titles = await Promise.all(paths.map((path) => library.open(path)));
  assert.deepEqual(
    titles.map(({ path }) => path),
    paths,
  );
});

test("a file that falls out of memory while it is looked at again is open for who asked for it", async () => {
  const { library, source, now } = libraryOf(["v.mp4"]);
  const known = await library.open("v.mp4");
  known.letGo();
  await turnsPass();
  now.ms = 2_000;
  const again = library.open("v.mp4");
  library.forgetReplaced([known]); // as others do that take its room
  const title = await again;
  assert.equal(title, known);
  assert.equal(source.openCount, 1);
  await title.object.readRange(0, Buffer.alloc(8));
  title.letGo();
  await turnsPass();
  assert.equal(source.openCount, 0);
});

test("one that is too large to be kept is served, and closed afterwards", async () => {
  const { library, source } = libraryOf(["v.mp4"], 1);
  const title = await library.open("v.mp4");
  await turnsPass();
  assert.equal(source.openCount, 1);
  title.letGo();
  assert.equal(source.openCount, 0);
});

test("who waits for an index that is being read when its file is purged gets one that was read afterwards", async () => {
  const { library, source } = libraryOf(["v.mp4", "other.mp4"]);
  source.misbehave("v.mp4", { stallAfter: 0 });
  const stalled = source.stalled();
  const before = [library.open("v.mp4"), library.open("v.mp4")];
  await stalled;
  assert.equal(
    library.forget((path) => path === "v.mp4"),
    0,
  );
  const stalledAgain = source.stalled();
  const after = library.open("v.mp4");
  await stalledAgain;
  source.behave();
  const titles = await Promise.all([...before, after]);
  assert.equal(library.readCount, 2);
  assert.equal(new Set(titles).size, 1);
  assert.equal(library.recent("v.mp4"), titles[0]);
  await turnsPass();
  assert.equal(source.openCount, 1, "what was read before the purge is closed");
  for (const title of titles) title.letGo();
});

test("what was looked at when its file was purged is not taken for the file after it", async () => {
  const { library, source, now } = libraryOf(["v.mp4"]);
  const old = await library.open("v.mp4");
  now.ms = 2_000;
  const again = library.open("v.mp4");
  library.forget(() => true);
  const title = await again;
  assert.notEqual(title, old);
  assert.equal(library.readCount, 2);
  for (const one of [old, title]) one.letGo();
  library.close();
  await turnsPass();
  assert.equal(source.openCount, 0);
});

test("what is made of a purged file is told from what is made of it once it is opened again", async () => {
  const { library } = libraryOf(["v.mp4"]);
  const before = await library.open("v.mp4");
  assert.equal(before.isForgotten, false);
  library.forget(() => true);
  assert.equal(before.isForgotten, true);
  const after = await library.open("v.mp4");
  assert.equal(after.version, before.version);
  assert.notEqual(after.serial, before.serial);
  assert.equal(after.isForgotten, false);
});

test("a purge of other files disturbs no opening", async () => {
  const { library } = libraryOf(["v.mp4"]);
  const opening = library.open("v.mp4");
  library.forget((path) => path === "other.mp4");
  (await opening).letGo();
  assert.equal(library.readCount, 1);
});

test("many whose file was replaced under them read its new index once", async () => {
  const { library } = libraryOf(["v.mp4"]);
  const old = await library.open("v.mp4");
  const viewer = async (): Promise<void> => {
    library.forgetReplaced([old]);
    (await library.open("v.mp4")).letGo();
  };
  await viewer();
  await Promise.all(Array.from({ length: 20 }, viewer));
  assert.equal(library.readCount, 2);
  old.letGo();
});

test("files that are opened at the same moment hold so many bytes together, and are all opened", async () => {
  const paths = Array.from({ length: 40 }, (_, index) => `v${index}.mp4`);
  const budgetBytes = 100_000; // the first read of a file takes 64 KiB
  const { library, source } = libraryOf(paths, undefined, budgetBytes);
  for (const path of paths) source.misbehave(path, { stallAfter: 0 });
  const stalled = source.stalled();
  const opened = Promise.all(paths.map((path) => library.open(path)));
  await stalled;
  await turnsPass();
  assert.equal(source.countOf("read "), 1, "there is room for one");
  source.behave();
  assert.equal((await opened).length, paths.length);
});

test("a file whose boxes are more than all may hold is opened", async () => {
  const { library } = libraryOf(["v.mp4"], undefined, 1);
  (await library.open("v.mp4")).letGo();
});
