import assert from "node:assert/strict";
import { readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";
import { LogFile } from "./log-file.ts";

const LINE = `${"x".repeat(99)}\n`;

test("a log never has more than two files of its bound, and no line is torn", async (t) => {
  const dir = await tempDir(t);
  const file = await LogFile.open(join(dir, "access.log"), 1_000);
  for (let count = 0; count < 57; count += 1) await file.write(LINE);
  await file.close();
  assert.deepEqual((await readdir(dir)).sort(), ["access.log", "access.log.1"]);
  const [now, before] = await Promise.all(
    ["access.log", "access.log.1"].map((name) => readFile(join(dir, name), "utf8")),
  );
  assert.equal(now, LINE.repeat(7));
  assert.equal(before, LINE.repeat(10));
});

test("a log that was moved away goes on under its own name, whoever moved it", async (t) => {
  const path = join(await tempDir(t), "access.log");
  const [one, other] = await Promise.all([LogFile.open(path, 1_000_000), LogFile.open(path, 1_000_000)]);
  await one.write("a\n");
  await rename(path, `${path}.old`);
  await other.write("b\n"); // into the moved one, and then it notices
  await other.write("c\n");
  await one.write("d\n");
  await one.write("e\n");
  await Promise.all([one.close(), other.close()]);
  assert.equal(await readFile(`${path}.old`, "utf8"), "a\nb\nd\n");
  assert.equal(await readFile(path, "utf8"), "c\ne\n");
});
