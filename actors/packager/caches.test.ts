import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager } from "./packager.fixture.ts";

test("a cache whose place is a file is named by its variable", async (t) => {
  const file = join(await tempDir(t), "file");
  writeFileSync(file, "");
  const on = { CASTERPAK_CACHE_SEGMENT_CACHE: "on", CASTERPAK_FILESYSTEM_CACHE_INPUT: "on" };
  const places = {
    CASTERPAK_OUTPUT_SEGMENTPARENTPATH: file,
    CASTERPAK_INPUT_VIDEOCACHEPATH: file,
    CASTERPAK_CACHE_DATABASE: join(file, "cacheDB.db"),
  };
  for (const [variable, place] of Object.entries(places)) {
    const starting = startTestPackager(t, { env: { ...on, [variable]: place } });
    await assert.rejects(starting, new RegExp(`^ConfigError: ${variable}: can't be used: `));
  }
});
