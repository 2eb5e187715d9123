import assert from "node:assert/strict";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { demoClipArguments } from "../../lib/demo/demo.ts";
import { readFrameCounter } from "../../lib/demo/frame-counter.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { collectOutput, runFfmpeg } from "../../lib/ffmpeg/process.ts";
import { quietLog } from "../../lib/log/log.ts";
import { loopLists } from "./loop-list.ts";
import { LoopStore } from "./loop-store.ts";

const ffmpeg = await findFfmpeg(process.env.FFMPEG_PATH ?? null);

const world = async (t: TestContext) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), "loop-"));
  t.after(() => rm(dataDir, { recursive: true, force: true }));
  const run = { ffmpeg, log: quietLog, pidFiles: new PidFiles(path.join(dataDir, "run", "ffmpeg")) };
  const folder = path.join(dataDir, "objects", "media", "default", "mix");
  await mkdir(folder, { recursive: true });
  const clip = async (name: string, picture: { width: number; height: number; rate: string; seconds: number }) => {
    await runFfmpeg({ ...run, args: demoClipArguments(path.join(folder, name), picture), deadlineMs: 60_000 });
  };
  const another = () => new LoopStore({ ...run, dataDir });
  return { dataDir, run, folder, clip, store: another(), another };
};
const collect = async (run: Awaited<ReturnType<typeof world>>["run"], args: readonly string[]): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  const onData = (bytes: Buffer) => chunks.push(bytes);
  await collectOutput({ ...run, args, outputCount: 1, deadlineMs: 60_000, onData });
  return Buffer.concat(chunks);
};

test("lists of a loop, from its middle", () => {
  const clips = [
    { fileName: "a.mov", gopCount: 1800 },
    { fileName: "b.mov", gopCount: 1800 },
  ];
  const { top, hour } = loopLists(clips, { gopSeconds: 1.001, startGop: 1900, hourName: "hour" });
  const lines = top.split("\n");
  assert.deepEqual(lines.slice(0, 6), [
    "ffconcat version 1.0",
    "file b.mov",
    "inpoint 100.100000",
    "duration 1701.700000",
    "file hour",
    "duration 3603.600000",
  ]);
  assert.equal(lines.length, 4 + 2 * 8760 + 1);
  assert.equal(hour, "ffconcat version 1.0\nfile a.mov\nduration 1801.800000\nfile b.mov\nduration 1801.800000\n");
  const fromStart = loopLists(clips, { gopSeconds: 1, startGop: 0, hourName: "hour" });
  assert.equal(fromStart.top.split("\n").slice(0, 3).join(), "ffconcat version 1.0,file a.mov,duration 1800.000000");
});

test("files of other sizes, rates and tracks become one loop without a seam, wherever it starts", async (t) => {
  const { run, folder, clip, store } = await world(t);
  await clip("1.mp4", { width: 320, height: 180, rate: "25", seconds: 2 });
  await clip("2.mp4", { width: 160, height: 120, rate: "30000/1001", seconds: 1.2 });
  await runFfmpeg({
    ...run,
    args: [
      "-loglevel",
      "level+error",
      "-i",
      path.join(folder, "1.mp4"),
      "-an",
      "-c",
      "copy",
      path.join(folder, "3.mkv"),
    ],
    deadlineMs: 60_000,
  });
  await writeFile(path.join(folder, "4.txt"), "no media");
  await writeFile(path.join(folder, ".hidden.mp4"), "no media");
  await mkdir(path.join(folder, "5.mp4"));

  const loop = await store.open("default", "mix", null);
  assert.deepEqual(
    { ...loop, clips: loop.clips.map(({ gopCount }) => gopCount) },
    { clips: [2, 1, 2], frameRate: { num: 25, den: 1 }, gopFrames: 25, gopCount: 5, width: 320, height: 180 },
  );
  const startGop = 1;
  const list = await store.writeLists(loop, "default/mix.stream", startGop);
  const input = ["-loglevel", "level+error", "-copyts", "-f", "concat", "-i", list, "-t", "12"];
  const packets = (await collect(run, [...input, "-map", "0:v", "-c", "copy", "-f", "framecrc", "pipe:3"]))
    .toString()
    .split("\n")
    .filter((line) => /^0,/.test(line))
    .map((line) => line.split(","));
  assert.deepEqual(
    packets.map((fields) => Number(fields[2])),
    packets.map((_, i) => i * 3600),
  );
  assert.ok(packets.length >= 300);
  const luma = await collect(run, [...input, "-map", "0:v", "-pix_fmt", "gray", "-f", "rawvideo", "pipe:3"]);
  const size = 320 * 180;
  for (let n = 0; n < 300; n++) {
    const position = (n + startGop * 25) % 125; // 50 frames of clip 1, 25 of clip 2, 50 of clip 3
    if (position >= 50 && position < 75) continue; // of another rate and shape
    const frame = { width: 320, height: 180, luma: luma.subarray(n * size, (n + 1) * size) };
    assert.equal(readFrameCounter(frame), position < 50 ? position : position - 75, `frame ${n}`);
  }
});

test("a file is conformed once, however many streams play it; what nobody uses is swept away", async (t) => {
  const { dataDir, clip, store, another } = await world(t);
  await clip("1.mp4", { width: 160, height: 90, rate: "25", seconds: 1 });
  const [one, two] = await Promise.all([store.open("default", "mix", null), store.open("default", "mix", null)]);
  assert.deepEqual(one, two);
  const made = path.join(dataDir, "run", "loops");
  assert.deepEqual(
    await readdir(made),
    one.clips.map(({ fileName }) => fileName),
  );
  await writeFile(path.join(made, "x.mov.12.part"), "cut off");
  await utimes(path.join(made, "x.mov.12.part"), 0, 0);
  await writeFile(path.join(made, "y.mov.34.part"), "being written");
  await store.writeLists(one, "default/a.stream", 0);
  await store.sweep(Date.now());
  assert.equal((await readdir(made)).length, 4);
  await rm(path.join(made, "y.mov.34.part"));
  // Streams play it for a month; then the node is started again and none does.
  for (const name of await readdir(made)) await utimes(path.join(made, name), 0, 0);
  await store.sweep(Date.now());
  await another().sweep(Date.now());
  assert.equal((await readdir(made)).length, 3);
  await another().sweep(Date.now() + 15 * 86_400_000);
  assert.deepEqual(await readdir(made), []);
});

test("a missing, an empty and a useless folder are PLAYLIST_NOT_FOUND", async (t) => {
  const { folder, store } = await world(t);
  const notFound = { code: "PLAYLIST_NOT_FOUND" };
  await assert.rejects(store.files("default", "nothing"), notFound);
  await assert.rejects(store.files("default", "mix"), notFound);
  await writeFile(path.join(folder, "1.mp4"), "no media");
  await assert.rejects(store.open("default", "mix", null), notFound);
});
