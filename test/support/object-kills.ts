/** Rounds of killing a process with -9 in the middle of its puts. */
import assert from "node:assert/strict";
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import { STAGING } from "../../lib/objects/staging.ts";
import { bytesOf } from "../../lib/source/suite-stage.ts";
import { seeded } from "./seeded.ts";

/** Several pieces of a write, and of another length for each version. */
export const versionBytes = (version: number): Buffer => {
  const bytes = bytesOf(version, 3_000_000 + (version % 97));
  bytes.writeUInt32BE(version, 0);
  return bytes;
};

const KILL_MS_MAX = 250; // some puts of 3 MB, each with two syncs

interface Round {
  readonly root: string;
  readonly from: number;
  readonly killMs: number;
}

/** Starts the process, kills it, and gives the last version that it said was kept. */
const killOne = async ({ root, from, killMs }: Round): Promise<number> => {
  const fixture = join(import.meta.dirname, "../../lib/objects/put.fixture.ts");
  const options = { stdio: ["ignore", "pipe", "inherit"] as ["ignore", "pipe", "inherit"] };
  const child: ChildProcessByStdio<null, Readable, null> = spawn(
    process.execPath,
    [fixture, JSON.stringify({ root, from })],
    options,
  );
  let kept = from - 1;
  const exited = once(child, "exit");
  for await (const line of createInterface(child.stdout)) {
    if (line === "begun") setTimeout(() => child.kill("SIGKILL"), killMs);
    else kept = Number(line);
  }
  const [, signal] = await exited;
  assert.equal(signal, "SIGKILL");
  return kept;
};

export interface KillCounts {
  /** Rounds that a kill left a file of in the staging folder: it did come in the middle of a put. */
  readonly broken: number;
  readonly puts: number;
}

/** The first put makes the folder: a kill may come before it. */
const stagedIn = (root: string): Promise<string[]> =>
  readdir(join(root, STAGING)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
    return [];
  });

/** After each kill the object is one version, whole, and none older than the last one that was said to be kept. */
export const killRounds = async (root: string, rounds: number): Promise<KillCounts> => {
  const random = seeded(rounds);
  let next = 1;
  let broken = 0;
  for (let round = 0; round < rounds; round += 1) {
    const kept = await killOne({ root, from: next, killMs: random.int(KILL_MS_MAX) });
    const dayLater = { nowMs: () => Date.now() + 25 * 3_600_000 };
    const left = await stagedIn(root);
    broken += left.length > 0 ? 1 : 0;
    const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
    assert.deepEqual(await stagedIn(root), left, "what may still be written is not swept");
    const name = { bucket: "segments", key: "title/rung.mp4" } as const;
    const there = await store.head(name);
    if (there !== null) {
      const { bytes } = await store.getBytes(name, { bytesMax: 2 ** 24 });
      const version = bytes.readUInt32BE(0);
      assert.ok(bytes.equals(versionBytes(version)), `round ${round}: version ${version} is not whole`);
      assert.ok(version === kept || version === kept + 1, `round ${round}: ${version} is there, ${kept} was kept`);
      next = version + 1;
    } else assert.ok(kept < next, `round ${round}: ${kept} was kept, and nothing is there`);
    await store.close();
    const clocked = { log: quietLog, clock: dayLater };
    await (await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, clocked)).close();
    assert.deepEqual(await stagedIn(root), [], "what a kill has left is swept a day later");
  }
  return { broken, puts: next - 1 };
};
