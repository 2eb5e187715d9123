import assert from "node:assert/strict";
import { copyFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import type { ErrorCode } from "../../contracts/errors.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { TestClock } from "./caches.fixture.ts";
import { type LoggedLines, linesInto } from "./log-lines.fixture.ts";
import { startTestPackager } from "./packager.fixture.ts";
import { RefusalLog } from "./refusals.ts";

const caught = ({ lines }: LoggedLines, level: number) =>
  lines
    .filter((line) => line.level === level && String(line.msg).startsWith("caught"))
    .map(({ msg, code, reason, path }) => [msg, code, reason, path]);

test("a 404 is told to who debugs, with its address, code and reason", async (t) => {
  const logged = linesInto("debug");
  const { url } = await startTestPackager(t, { log: logged.log });
  assert.equal((await fetch(`${url}/i/no/movie.mp4/master.m3u8?hdnts=x`)).status, 404);
  const address = "/i/no/movie.mp4/master.m3u8";
  const reason = "There is no file no/movie.mp4.";
  assert.deepEqual(caught(logged, 20), [[`caught 404 for ${address}`, "SOURCE_NOT_FOUND", reason, address]]);
  const quiet = linesInto("info");
  const other = await startTestPackager(t, { log: quiet.log });
  assert.equal((await fetch(`${other.url}${address}`)).status, 404);
  assert.deepEqual(caught(quiet, 20), []);
});

test("a file that can't be served is told once, and again when another one is in its place", async (t) => {
  const logged = linesInto("info");
  const { url, folder } = await startTestPackager(t, { log: logged.log });
  const file = join(folder, "text.mp4");
  const ask = async () => assert.equal((await fetch(`${url}/i/text.mp4/master.m3u8`)).status, 415);
  writeFileSync(file, "no movie at all");
  for (let time = 0; time < 3; time += 1) await ask();
  assert.equal(caught(logged, 40).length, 1);
  utimesSync(file, 1_700_000_000, 1_700_000_000);
  for (let time = 0; time < 3; time += 1) await ask();
  const lines = caught(logged, 40);
  assert.equal(lines.length, 2);
  assert.equal(lines[0]?.[0], "caught 415 for /i/text.mp4/master.m3u8");
  assert.match(String(lines[0]?.[2]), /^text\.mp4 /);
});

test("a film without a picture that can be served is 415, and tracks that are left out are told of once per file", async (t) => {
  const logged = linesInto("info");
  const { url, folder } = await startTestPackager(t, { log: logged.log });
  const media = await sharedMediaDir();
  copyFileSync(await makeInput("mpeg-4-part-2", media), join(folder, "old.mp4"));
  copyFileSync(await makeInput("mpeg-4-part-2-besides", media), join(folder, "both.mp4"));
  for (const leaf of ["master.m3u8", "cmaf.m3u8", "manifest.mpd", "index_0_a.m3u8", "segment1_0_a.ts"]) {
    assert.equal((await fetch(`${url}/i/old.mp4/${leaf}`)).status, 415, leaf);
    assert.equal((await fetch(`${url}/i/both.mp4/${leaf}`)).status, 200, leaf);
  }
  const [refusal, ...more] = caught(logged, 40);
  assert.match(String(refusal?.[2]), /^old\.mp4 .*none of its pictures can be served: track 1 \(vide\): mp4v/);
  assert.deepEqual(more, []);
  const told = logged.lines.filter(({ msg }) => String(msg).includes("served without"));
  assert.deepEqual(
    told.map(({ level, path, tracks }) => [level, path, tracks]),
    [[40, "both.mp4", ["track 2 (vide): mp4v"]]],
  );
});

test("failures are told now and then, and never more of them than the log can take", () => {
  const logged = linesInto("info");
  const clock = new TestClock();
  const log = new RefusalLog({ log: logged.log, clock, versionOf: () => undefined });
  const note = (path: string, code: ErrorCode = "SOURCE_FAILED"): void =>
    log.note(`/i/${path}/x`, { code, data: { path } });
  const count = () => logged.lines.length;
  for (let time = 0; time < 100; time += 1) note("a.mp4");
  assert.equal(count(), 1);
  note("a.mp4", "SOURCE_TIMEOUT");
  assert.equal(count(), 2);
  for (let file = 0; file < 10_000; file += 1) note(`${file}.mp4`);
  assert.equal(count(), 50);
  clock.ms += 10_000;
  note("a.mp4");
  assert.equal(count(), 51);
});
