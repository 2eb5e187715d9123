import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { EMPTY, type Kept, StateFile } from "./state-file.ts";

const tempDir = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(path.join(tmpdir(), "state-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};
const withEpoch = (leaseEpoch: number): Kept => ({ ...EMPTY, leaseEpochs: [["default/a.stream", leaseEpoch]] });

test("what was written last is read back, and nothing else lies beside it", async (t) => {
  const dir = await tempDir(t);
  const file = path.join(dir, "run", "streamer-0.json");
  const state = new StateFile(file, quietLog);
  assert.deepEqual(await state.read(), EMPTY);
  await Promise.all(Array.from({ length: 50 }, (_, i) => state.write(withEpoch(i))));
  assert.deepEqual(await new StateFile(file, quietLog).read(), withEpoch(49));
  assert.deepEqual(await readdir(path.dirname(file)), ["streamer-0.json"]);
});

test("a file that can't be read is put aside and the streamer starts without streams", async (t) => {
  const dir = await tempDir(t);
  const file = path.join(dir, "streamer-0.json");
  for (const text of ["", "{", '{"version":2}', '{"version":1,"streams":[{}],"leaseEpochs":[]}']) {
    await writeFile(file, text);
    assert.deepEqual(await new StateFile(file, quietLog).read(), EMPTY, text);
    assert.equal(await readFile(`${file}.unreadable`, "utf8"), text);
  }
});

test("a disk that takes nothing stops no command", async (t) => {
  const dir = await tempDir(t);
  const file = path.join(dir, "streamer-0.json");
  await mkdir(`${file}.tmp`); // open for writing fails
  await new StateFile(file, quietLog).write(withEpoch(1));
  assert.deepEqual(await new StateFile(file, quietLog).read(), EMPTY);
});
