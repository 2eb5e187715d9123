import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { type TestContext, test } from "node:test";
import type { StreamSpec } from "../../contracts/streamer.ts";
import { liveSourceArguments } from "../../lib/demo/frame-counter.ts";
import { counterOf, listedNumbers } from "../../test/support/frames.ts";
import { ffmpeg, playable, startWorld, until, type World } from "./streamers.fixture.ts";

const SIZE = { width: 160, height: 90 };
let port = 30_000 + (process.pid % 10_000);

/** A source by unicast that can be stopped and started again at another time. */
const source = (t: TestContext) => {
  port += 1;
  const target = `udp://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const start = (options: { offsetSeconds?: number; audio?: boolean; rate?: string; width?: number } = {}): void => {
    const { width = 320, rate = "25", ...rest } = options;
    const picture = { width, height: (width * 9) / 16, rate, ...rest };
    child = spawn(ffmpeg.path, liveSourceArguments(`${target}?pkt_size=1316`, picture), { stdio: "ignore" });
  };
  const stop = (): void => void child?.kill("SIGKILL");
  const signal = (name: NodeJS.Signals): void => void child?.kill(name);
  t.after(() => stop());
  return { url: target, start, stop, signal };
};

const state = (world: World): string | undefined => world.report("test.stream")?.state;
/** Numbers and first-frame counters of all segments that appear until `count` have. */
const collect = async (base: string, count: number): Promise<Map<number, number | null>> => {
  const seen = new Map<number, number | null>();
  await until(`${count} segments`, async () => {
    for (const number of await listedNumbers(base)) {
      if (!seen.has(number)) seen.set(number, await counterOf(base, number, SIZE));
    }
    return seen.size >= count;
  });
  return seen;
};
const assertConsecutive = (numbers: readonly number[]): void => {
  const [first = 0] = numbers;
  assert.deepEqual(
    numbers,
    numbers.map((_, i) => first + i),
  );
};

test("a lost source shows the slate, and the same numbers go on when it comes back at another time", async (t) => {
  const { url, start, stop } = source(t);
  const world = await startWorld(t);
  start();
  await world.start({ url });
  const base = await playable(world);
  stop();
  await until("slate", () => state(world) === "slate" || state(world) === "backoff");
  start({ offsetSeconds: 50_000 });
  await until("live again", () => state(world) === "live");
  const report = world.report("test.stream");
  assert.ok(report?.anchorEpoch && report.anchorEpoch >= 2);
  const from = report?.lastSegmentNumber ?? 0;
  await until("three more segments", () => (world.report("test.stream")?.lastSegmentNumber ?? 0) >= from + 3);
  assertConsecutive(await listedNumbers(base));
  const counters = [...(await collect(base, 1)).values()];
  assert.ok(counters.some((counter) => counter === null) && counters.at(-1) !== null, counters.join());
});

test("a source whose time goes back is taken up again, under numbers that never do", async (t) => {
  const { url, start, stop } = source(t);
  const world = await startWorld(t);
  start({ offsetSeconds: 50_000 });
  await world.start({ url });
  const base = await playable(world);
  stop();
  start({ offsetSeconds: 10 }); // within the net time-out: ffmpeg sees nothing but the step
  await until("a moved anchor", () => (world.report("test.stream")?.anchorEpoch ?? 0) >= 2);
  await until("live again", () => state(world) === "live");
  const from = world.report("test.stream")?.lastSegmentNumber ?? 0;
  await until("three more segments", () => (world.report("test.stream")?.lastSegmentNumber ?? 0) >= from + 3);
  assertConsecutive(await listedNumbers(base));
});

test("a source that pauses for a while is taken up again where it stands", async (t) => {
  const { url, start, signal } = source(t);
  const world = await startWorld(t);
  start();
  await world.start({ url });
  const base = await playable(world);
  signal("SIGSTOP");
  await until("slate", () => state(world) === "slate");
  signal("SIGCONT");
  await until("live again", () => state(world) === "live");
  const from = world.report("test.stream")?.lastSegmentNumber ?? 0;
  await until("three more segments", () => (world.report("test.stream")?.lastSegmentNumber ?? 0) >= from + 3);
  assertConsecutive(await listedNumbers(base));
});

test("a source without audio gets silence, and its audio when that comes", async (t) => {
  const { url, start, stop } = source(t);
  const world = await startWorld(t);
  start({ audio: false });
  await world.start({ url });
  const base = await playable(world);
  const audio = base.replace(/v0$/, "a0");
  assert.ok((await listedNumbers(audio)).length > 0);
  stop();
  start({ audio: true, offsetSeconds: 3_000 });
  const before = world.report("test.stream")?.startCount ?? 0;
  await until("a run with audio", () => {
    const report = world.report("test.stream");
    return (report?.startCount ?? 0) > before && report?.state === "live";
  });
  const from = world.report("test.stream")?.lastSegmentNumber ?? 0;
  await until("three more segments", () => (world.report("test.stream")?.lastSegmentNumber ?? 0) >= from + 3);
  for (const rendition of [base, audio]) assertConsecutive(await listedNumbers(rendition));
});

test("under an anchor that a 33-bit wrap took off the GOP grid, key frames lie where it says", async (t) => {
  const { url, start } = source(t);
  const world = await startWorld(t);
  start();
  await world.start({ url });
  const base = await playable(world);
  const [number = 0] = await listedNumbers(base);
  const counter = (await counterOf(base, number, SIZE)) ?? assert.fail();
  const kept = JSON.parse(await readFile(`${world.dataDir}/run/streamer-0.json`, "utf8")) as {
    streams: { anchor: NonNullable<StreamSpec["anchor"]> }[];
  };
  const anchor = kept.streams[0]?.anchor ?? assert.fail();
  // The same instant 10 frames further on in stream time: every segment begins 10 frames earlier in the source.
  const moved = { ...anchor, offsetTicks: anchor.offsetTicks + 36_000, residualMs: anchor.residualMs - 400 };
  await world.start({ url, anchor: moved, payload: { url, netTimeout: "600ms" } }, { leaseEpoch: 2 });
  const again = await playable(world);
  const [later = 0] = await listedNumbers(again);
  assert.equal(await counterOf(again, later, SIZE), counter + (later - number) * 25 - 10);
});

test("a source of another rate and size than expected is learnt, and cut on its own grid", async (t) => {
  const { url, start } = source(t);
  const world = await startWorld(t);
  start({ rate: "30000/1001", width: 160 });
  await world.start({ url, payload: { url, ladder: [{ height: 720, videoKbps: 500 }] } });
  const base = await playable(world);
  const master = await (await fetch(new URL("master.m3u8", base))).text();
  assert.match(master, /RESOLUTION=160x90,FRAME-RATE=29\.970/);
  const media = await (await fetch(`${base}/media.m3u8`)).text();
  assert.match(media, /#EXTINF:1\.00100,/);
});

test("a source that never comes: failed, and live as soon as it is there", async (t) => {
  const { url, start } = source(t);
  const world = await startWorld(t);
  await world.start({ url });
  await until("starting", () => state(world) === "starting");
  start();
  await playable(world);
  await until("live", () => state(world) === "live");
});
