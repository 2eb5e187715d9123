import assert from "node:assert/strict";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";
import { linesInto } from "./log-lines.fixture.ts";
import { VideoFolder } from "./video-folder.ts";

test("a folder is looked at each time: missing, a file, there", async (t) => {
  const path = join(await tempDir(t), "videos");
  const folder = new VideoFolder(path);
  assert.match((await folder.fault()) ?? "", /ENOENT/);
  writeFileSync(path, "");
  assert.equal(await folder.fault(), "it is no folder");
  rmSync(path);
  mkdirSync(path);
  assert.equal(await folder.fault(), null);
});

test("a folder that is missing is a warning where packaging is all there is, and no nagging where it is one role of many", async (t) => {
  const { log, lines } = linesInto("debug");
  const named = new VideoFolder(join(await tempDir(t), "videos"));
  await named.complain(log, { isAlone: true });
  await named.complain(log, { isAlone: false });
  await new VideoFolder("/mnt/data/videos").complain(log, { isAlone: false });
  await new VideoFolder(import.meta.dirname).complain(log, { isAlone: true });
  assert.deepEqual(
    lines.map(({ level }) => level),
    [40, 30, 20],
  );
  for (const { msg } of lines) assert.match(String(msg), /CASTERPAK_FILESYSTEM_VIDEOPARENTPATH/);
});
