import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { brokenArrow } from "../source/arrows.ts";
import { importsOf } from "../source/source.ts";
import { missingRooms, tooLong } from "../source/tidy.ts";
import { makeActor } from "./rooms.ts";

test("a new actor has every room, follows the arrows, and its name must be free and well formed", (t) => {
  const root = mkdtempSync(join(tmpdir(), "castellan-new-actor-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  mkdirSync(join(root, "contracts"));
  const files = makeActor(root, "cloud-recorder");
  assert.deepEqual(missingRooms("cloud-recorder", root), []);
  for (const file of files) {
    const text = readFileSync(join(root, file), "utf8");
    assert.deepEqual(tooLong({ file, text }), []);
    assert.deepEqual(
      importsOf(file, text).flatMap((one) => brokenArrow(file, one) ?? []),
      [],
    );
  }
  assert.throws(() => makeActor(root, "cloud-recorder"), /actors\/cloud-recorder is there already/);
  for (const name of ["", "Recorder", "../x", "a_b", "-a"]) assert.throws(() => makeActor(root, name), /is no actor's/);
});
