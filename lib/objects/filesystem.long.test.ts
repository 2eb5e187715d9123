import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { killRounds } from "../../test/support/object-kills.ts";

const ROUNDS = 100;

test(`${ROUNDS} kills in the middle of puts leave the old object or the new one, and nothing else for long`, async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-store-"));
  t.after(() => rm(folder, { recursive: true }));
  const { broken, puts } = await killRounds(join(folder, "objects"), ROUNDS);
  t.diagnostic(`${puts} puts, ${broken} of ${ROUNDS} kills in the middle of one`);
  assert.ok(broken > ROUNDS / 4, `only ${broken} kills came in the middle of a put`);
});
