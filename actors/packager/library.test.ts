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

const libraryOf = (paths: readonly string[], indexBytesMax = 64 * 2 ** 20) => {
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
  (await library.open("v.mp4")).letGo();
  await turnsPass();
  now.ms = 2_000;
  const again = library.open("v.mp4");
  library.forget(() => true);
  const title = await again;
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
