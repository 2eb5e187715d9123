import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { findFfmpeg } from "../ffmpeg/binary.ts";
import { PidFiles } from "../ffmpeg/pid-files.ts";
import { collectOutput } from "../ffmpeg/process.ts";
import { quietLog } from "../log/log.ts";
import { ensureDemoClip } from "./demo.ts";
import { readFrameCounter } from "./frame-counter.ts";

const ffmpeg = await findFfmpeg(process.env.FFMPEG_PATH ?? null);

/** Luma planes of a clip's frames, scaled to a size. */
const decode = async (file: string, width: number, height: number): Promise<Uint8Array[]> => {
  const chunks: Buffer[] = [];
  const args = ["-loglevel", "level+error", "-i", file, "-vf", `scale=${width}:${height}`, "-pix_fmt", "gray"];
  await collectOutput({
    ffmpeg,
    args: [...args, "-f", "rawvideo", "pipe:3"],
    outputCount: 1,
    log: quietLog,
    pidFiles: new PidFiles(path.join(tmpdir(), "none")),
    deadlineMs: 60_000,
    onData: (bytes) => chunks.push(bytes),
  });
  const all = Buffer.concat(chunks);
  const size = width * height;
  return Array.from({ length: all.length / size }, (_, i) => all.subarray(i * size, (i + 1) * size));
};

test("the demo clip is made once, and every frame's counter can be read back at any size", async (t) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), "demo-"));
  t.after(() => rm(dataDir, { recursive: true }));
  const clip = {
    ffmpeg,
    dataDir,
    tenant: "default",
    name: "demo",
    log: quietLog,
    picture: { width: 640, height: 360, rate: "25", seconds: 2 },
  };
  const folder = await ensureDemoClip(clip);
  assert.equal(folder, path.join(dataDir, "objects", "media", "default", "demo"));
  assert.deepEqual(await readdir(folder), ["demo.mp4"]);
  const file = path.join(folder, "demo.mp4");
  const { mtimeMs } = await stat(file);
  for (const [width, height] of [
    [640, 360],
    [320, 180],
    [160, 90],
  ] as const) {
    const frames = await decode(file, width, height);
    const counters = frames.map((luma) => readFrameCounter({ width, height, luma }));
    assert.deepEqual(
      counters,
      Array.from({ length: 50 }, (_, i) => i),
      `${width}x${height}`,
    );
  }
  await ensureDemoClip(clip);
  assert.equal((await stat(file)).mtimeMs, mtimeMs);
});

test("a picture without a counter reads as null", () => {
  const size = { width: 160, height: 90 };
  assert.equal(readFrameCounter({ ...size, luma: new Uint8Array(160 * 90).fill(128) }), null);
  const noise = Uint8Array.from({ length: 160 * 90 }, (_, i) => (i * 7919) % 251);
  assert.equal(readFrameCounter({ ...size, luma: noise }), null);
});
