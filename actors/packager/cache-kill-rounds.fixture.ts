/** kill -9 in the middle of everything that the caches do, and what the next life makes of it. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import {
  FILE_COUNT,
  fileBytes,
  INPUT_BYTES_MAX,
  openBoth,
  SEGMENT_BYTES_MAX,
  SEGMENT_COUNT,
  segmentBytes,
  segmentOf,
} from "./cache-killed.fixture.ts";
import { diskBytes, filesBelow, rowsOf, tempFolder } from "./caches.fixture.ts";

const SCRIPT = join(import.meta.dirname, "cache-killed.fixture.ts");

interface Served {
  readonly kept: number;
  readonly fetched: number;
}

const runUntilKilled = async (t: TestContext, args: readonly string[], steps: number): Promise<void> => {
  const child = spawn(process.execPath, [SCRIPT, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => void child.kill("SIGKILL"));
  let done = 0;
  child.stdout.on("data", (dots: Buffer) => {
    done += dots.length;
    if (done >= steps) child.kill("SIGKILL");
  });
  const [status, signal] = await once(child, "exit");
  assert.equal(signal, "SIGKILL", `ended by itself: ${status}`);
};

const namesIn = (dir: string): string[] => [...filesBelow(dir).keys()].sort();

/** All that is served is whole and right; folder, index and limits agree. */
const checkAfter = async (root: string, mode: "whole" | "ranges"): Promise<Served> => {
  const { index, source, input, segments } = await openBoth(root, mode);
  const inputDir = join(root, "input");
  const segmentDir = join(root, "segments");
  await Promise.all([input.store.settled(), segments.store.settled()]);
  for (const [dir, table] of [
    [inputDir, "inputfile"],
    [segmentDir, "segmentfile"],
  ] as const) {
    assert.deepEqual(
      rowsOf(join(root, "cacheDB.db"), table).map((row) => row.filename),
      namesIn(dir),
    );
  }
  assert.ok(diskBytes(inputDir) <= INPUT_BYTES_MAX, `${diskBytes(inputDir)} B of input`);
  assert.ok(diskBytes(segmentDir) <= SEGMENT_BYTES_MAX, `${diskBytes(segmentDir)} B of segments`);
  let kept = input.store.usage().entryCount;
  for (let file = 0; file < FILE_COUNT; file += 1) {
    const object = await input.open(`f${file}`);
    const bytes = Buffer.alloc(object.stat.sizeBytes);
    await object.readRange(0, bytes);
    assert.ok(bytes.equals(fileBytes(file)), `f${file} is not what it was`);
    await object.close();
  }
  for (let segment = 0; segment < SEGMENT_COUNT; segment += 1) {
    const bytes = await segments.get(segmentOf(segment));
    if (bytes) kept += 1;
    assert.ok(!bytes || bytes.equals(segmentBytes(segment)), `segment ${segment} is not what it was`);
  }
  await Promise.all([input.close(), segments.close()]);
  index.close();
  return { kept, fetched: source.countOf("fetch") + source.countOf("read") };
};

/** Rounds over one folder, each of them a life, a kill and a look. */
export const surviveKills = async (
  t: TestContext,
  { rounds, seed }: { rounds: number; seed: number },
): Promise<void> => {
  const { int } = seeded(seed);
  for (const mode of ["whole", "ranges"] as const) {
    const root = tempFolder(t);
    let kept = 0;
    for (let round = 0; round < rounds; round += 1) {
      await runUntilKilled(t, [root, mode, String(int(2 ** 31))], 1 + int(120));
      const served = await checkAfter(root, mode);
      kept += served.kept;
    }
    assert.ok(kept > 0, "something is left to be looked at");
    t.diagnostic(`${mode}: ${rounds} kills (seed ${seed}), ${kept} entries left in all`);
  }
};
