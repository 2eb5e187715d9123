import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { listedNumbers } from "../../test/support/frames.ts";
import { liveSource } from "../../test/support/source.ts";
import { canListProcesses, ingestPids, playable, putClip, startWorld, tempDir, until } from "./streamers.fixture.ts";

/** A streamer in a process of its own; kill -9 is meant to hit it. */
const ownProcess = async (
  t: TestContext,
  dataDir: string,
  url: string,
): Promise<{ base: string; kill(): Promise<void> }> => {
  const script = path.join(import.meta.dirname, "streamer-process.fixture.ts");
  const child = spawn(process.execPath, [script, dataDir, url], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => void child.kill("SIGKILL"));
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { base: `${String(line).trim()}/live/default/test.stream/v0`, kill };
};
const listed = async (base: string): Promise<number[]> => {
  const response = await fetch(`${base}/media.m3u8`);
  await response.text();
  return response.ok ? listedNumbers(base) : [];
};

test("kill -9 of the node leaves no ffmpeg behind; started again it goes on with the next numbers", async (t) => {
  if (!canListProcesses) return t.skip("skipped: needs /proc");
  const dataDir = await tempDir(t);
  const source = await liveSource(t);
  const address = new URL(source.url).host;
  const { base, kill } = await ownProcess(t, dataDir, source.url);
  const before = await until("segments", async () => {
    const numbers = await listed(base);
    return numbers.length >= 2 && numbers;
  });
  assert.ok(ingestPids(address).length > 0);
  await kill();
  await until("its ffmpeg is gone", () => ingestPids(address).length === 0);
  const world = await startWorld(t, { dataDir });
  const after = await listedNumbers(await playable(world));
  const [last = 0, first = 0] = [before.at(-1), after[0]];
  assert.ok(first > last && first - last < 60, `${last} ${first}`);
  assert.equal(world.report("test.stream")?.anchorEpoch, 1);
});

test("kill -9 while a loop is being played: the same loop goes on at the wall clock's place", async (t) => {
  const dataDir = await tempDir(t);
  await putClip(dataDir, "clip");
  const { base, kill } = await ownProcess(t, dataDir, "pl:///clip");
  await until("segments", async () => (await listed(base)).length > 0);
  await kill();
  const world = await startWorld(t, { dataDir });
  const numbers = await listedNumbers(await playable(world));
  const nowNumber = Math.floor((Date.now() - 1_700_000_000_000) / 1000);
  assert.ok(Math.abs((numbers.at(-1) ?? 0) - nowNumber) < 10, `${numbers.at(-1)} ${nowNumber}`);
});
