import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { tempDir } from "../../test/support/platform.ts";
import { seeded } from "../../test/support/seeded.ts";
import { readKept, writeKept } from "./kept-file.ts";

const WRITER = join(import.meta.dirname, "kept-file.fixture.ts");
const ROUNDS = 12;

test("a text is whole in whatever moment its writer is killed", { timeout: 120_000 }, async (t) => {
  const path = join(await tempDir(t), "kept.json");
  const random = seeded(5);
  for (let round = 0; round < ROUNDS; round += 1) {
    const writer = spawn(process.execPath, [WRITER, path, String(round * 1_000)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    t.after(() => void writer.kill("SIGKILL"));
    const ended = once(writer, "exit");
    await Promise.race([once(writer.stdout, "data"), ended.then(() => assert.fail("the writer ended by itself"))]);
    await pause(random.next() * 30); // any moment is as good
    writer.kill("SIGKILL");
    await ended;
    const [sizeBytes = "", letters = ""] = ((await readKept(path)) ?? "").split(" ");
    assert.equal(letters, letters.charAt(0).repeat(Number(sizeBytes)), `round ${round}`);
    assert.ok(letters.length > 0);
  }
});

test("a text that can't be written leaves the former one, and nothing beside it", async (t) => {
  const dir = await tempDir(t);
  const path = join(dir, "folder", "kept.json");
  assert.equal(await readKept(path), undefined);
  await writeKept(path, "one");
  assert.equal(statSync(path).mode & 0o777, 0o600);
  mkdirSync(join(dir, "taken", "x"), { recursive: true });
  await assert.rejects(writeKept(join(dir, "taken"), "two"));
  assert.deepEqual(readdirSync(dir).sort(), ["folder", "taken"]);
  assert.equal(readFileSync(path, "utf8"), "one");
});
