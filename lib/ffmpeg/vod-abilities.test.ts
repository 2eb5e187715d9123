import assert from "node:assert/strict";
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { findFfmpeg } from "./binary.ts";
import { missingAbilities } from "./vod-abilities.ts";

// One test alone: the lists of the first ffmpeg are kept for the process.
test("an ffmpeg without an encoder, a filter and a format of captions is told by their names", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-abilities-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const whole = await findFfmpeg(null);
  const older = join(dir, "ffmpeg");
  await writeFile(older, `#!/bin/sh\n"${whole.path}" "$@" | grep -v -e ' libx265 ' -e ' zscale ' -e ' rcwt '\n`);
  await chmod(older, 0o755);
  assert.deepEqual(await missingAbilities({ ...whole, path: older }), ["libx265", "zscale", "rcwt"]);
});
