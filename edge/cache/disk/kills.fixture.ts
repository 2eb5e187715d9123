/** Rounds of killing a process that writes, and of looking at what it left. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Random } from "../../../test/support/seeded.ts";
import { openStore, versionThere } from "./disk.fixture.ts";
import { keyOf, MAX_BYTES } from "./writing.fixture.ts";

/** What was flushed last is much too new to have been dropped. */
const RECENT = 20;
const FLUSHES_MAX = 25;
const DEADLINE_MS = 60_000;

/** Lets a process write until some flushes were said, kills it; the last version that it said was flushed. */
const writeAndDie = async (folder: string, first: number, random: Random): Promise<number> => {
  const args = [path.join(import.meta.dirname, "writing.fixture.ts"), folder, String(first)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const deadline = setTimeout(() => child.kill("SIGKILL"), DEADLINE_MS);
  let flushed = first;
  let left = 1 + random.int(FLUSHES_MAX);
  try {
    for await (const line of createInterface(child.stdout)) {
      flushed = Number(line.split(" ")[1]);
      left -= 1;
      // Some microseconds later it is somewhere in the next writes.
      if (left === 0) setTimeout(() => child.kill("SIGKILL"), random.int(8));
    }
  } finally {
    clearTimeout(deadline);
    child.kill("SIGKILL");
    await exited;
  }
  assert.equal(left <= 0, true, "it was killed in the midst of its work, not by the deadline");
  return flushed;
};

/** How many objects were compared. Fails when one is not what was put, or one is missing that was flushed just then. */
export const surviveKills = async (folder: string, rounds: number, random: Random): Promise<number> => {
  let comparedCount = 0;
  let first = 1;
  for (let round = 0; round < rounds; round += 1) {
    const flushed = await writeAndDie(folder, first, random);
    const store = await openStore({ folder, maxBytes: MAX_BYTES });
    const there = new Map<string, number>();
    for (let n = 0; n < 300; n += 1) {
      const version = await versionThere(store, keyOf(n)); // compares the bytes
      if (version !== undefined) there.set(keyOf(n), version);
      assert.equal(store.has(keyOf(n)), version !== undefined, `${keyOf(n)} was torn`);
    }
    comparedCount += there.size;
    for (let version = Math.max(first, flushed - RECENT); version <= flushed; version += 1) {
      const isThere = (there.get(keyOf(version)) ?? -1) >= version;
      assert.ok(isThere, `round ${round}: ${keyOf(version)} was flushed as ${version}, and is not there`);
    }
    assert.ok(store.sizeBytes <= MAX_BYTES);
    await store.close();
    first = flushed + 1_000;
  }
  return comparedCount;
};
