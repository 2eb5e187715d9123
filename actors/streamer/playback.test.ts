import assert from "node:assert/strict";
import { test } from "node:test";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { collectOutput } from "../../lib/ffmpeg/process.ts";
import { quietLog } from "../../lib/log/log.ts";
import { counterOf, listedNumbers } from "../../test/support/frames.ts";
import { liveSource } from "../../test/support/source.ts";
import {
  canListProcesses,
  ffmpeg,
  ingestPids,
  playable,
  putClip,
  startWorld,
  tempDir,
  until,
} from "./streamers.fixture.ts";

const SIZE = { width: 160, height: 90 };

test("pl:/// is played by ffmpeg from the streamer's own listener, picture and sound", async (t) => {
  const dataDir = await tempDir(t);
  await putClip(dataDir, "clip");
  const world = await startWorld(t, { dataDir });
  await world.start({ url: "pl:///clip" });
  const base = await playable(world);
  const chunks: Buffer[] = [];
  await collectOutput({
    ffmpeg,
    args: [
      ...["-loglevel", "level+error", "-i", new URL("../test.stream/master.m3u8", base).href, "-t", "3"],
      ...["-f", "framecrc", "pipe:3"],
    ],
    outputCount: 1,
    log: quietLog,
    pidFiles: new PidFiles(`${dataDir}/none`),
    deadlineMs: 60_000,
    onData: (bytes) => chunks.push(bytes),
  });
  const lines = Buffer.concat(chunks).toString().split("\n");
  assert.equal(lines.filter((line) => line.startsWith("0,")).length, 75);
  assert.ok(lines.filter((line) => line.startsWith("1,")).length >= 130);
});

test("origins of a loop show the same frame under the same number, and the number tells which", async (t) => {
  const dataDir = await tempDir(t);
  await putClip(dataDir, "clip", 4);
  const world = await startWorld(t, { dataDir, streamers: 2 });
  const loopStartedAt = 1_700_000_000_000;
  await world.start({ url: "pl:///clip", loopStartedAt });
  const bases = [await playable(world)];
  await world.start({ url: "pl:///clip", loopStartedAt }, { ordinal: 1 });
  bases.push(await playable(world, "test.stream", 1));
  const numbers = await until("six common segments", async () => {
    const [one = [], two = []] = await Promise.all(bases.map(listedNumbers));
    const common = one.filter((number) => two.includes(number));
    return common.length >= 6 && common;
  });
  for (const number of numbers) {
    // Segments of a second, 25 frames each, of a loop of four.
    const expected = (number % 4) * 25;
    for (const base of bases) assert.equal(await counterOf(base, number, SIZE), expected, `${base} ${number}`);
  }
});

test("origins of one multicast name the same frames alike before and after one's ffmpeg was killed", async (t) => {
  if (!canListProcesses) return t.skip("skipped: needs /proc");
  const source = await liveSource(t);
  const world = await startWorld(t, { streamers: 2 });
  await Promise.all([0, 1].map((ordinal) => world.start({ url: source.url }, { ordinal })));
  const bases = await Promise.all([0, 1].map((ordinal) => playable(world, "test.stream", ordinal)));
  const seen = new Map<string, number | null>();
  const look = async (): Promise<void> => {
    for (const base of bases) {
      for (const number of await listedNumbers(base)) {
        const key = `${base} ${number}`;
        if (!seen.has(key)) seen.set(key, await counterOf(base, number, SIZE));
      }
    }
  };
  await look();
  const startCounts = [0, 1].map((ordinal) => world.report("test.stream", ordinal)?.startCount ?? 0);
  const [killed] = ingestPids(new URL(source.url).host);
  assert.ok(killed);
  process.kill(killed, "SIGKILL");
  const restarted = await until("a restart", () =>
    [0, 1].find((ordinal) => (world.report("test.stream", ordinal)?.startCount ?? 0) > (startCounts[ordinal] ?? 0)),
  );
  await until("live again", () => world.report("test.stream", restarted)?.state === "live");
  const last = world.report("test.stream", restarted)?.lastSegmentNumber ?? 0;
  await until("four more segments", async () => {
    await look();
    return (world.report("test.stream", restarted)?.lastSegmentNumber ?? 0) >= last + 4;
  });
  const [one = "", two = ""] = bases;
  const numbers = [...seen.keys()].filter((key) => key.startsWith(one)).map((key) => Number(key.split(" ")[1]));
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => (numbers[0] ?? 0) + i),
    "no number is missing",
  );
  const common = numbers.filter((number) => seen.has(`${two} ${number}`));
  assert.ok(common.length >= 5);
  const counters = common.map((number) => [seen.get(`${one} ${number}`), seen.get(`${two} ${number}`)]);
  // A slate has no counter; wherever both show the source they show the same frame.
  for (const [a, b] of counters) assert.ok(a === null || b === null || a === b, `${a} ${b}`);
  assert.ok(counters.filter(([a, b]) => a !== null && a === b).length >= 4);
});
