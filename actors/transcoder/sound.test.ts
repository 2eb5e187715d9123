/** Sound against picture: a click is heard with each flash that is seen, at the beginning and at the end of a title. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { ffmpeg, type Scene, startScene } from "./transcoder.fixture.ts";

const FRAMES_PER_SECOND = 25;
const SAMPLE_RATE = 48_000;
const SECONDS = 9;

/** White for one frame at 0.48 s of every second, else black. */
const flashes = (seconds = SECONDS): string => {
  const at = `eq(mod(n,${FRAMES_PER_SECOND}),12)`;
  return `-f lavfi -i color=black:s=64x36:r=${FRAMES_PER_SECOND}:d=${seconds},drawbox=c=white:t=fill:enable='${at}'`;
};
/** A burst of 20 ms at 0.48 s of every second, else silence. */
const clicks = (seconds = SECONDS, rate = 44_100): string => {
  const isOn = "between(mod(t,1),0.48,0.4999)";
  return `-f lavfi -i aevalsrc=0.8*sin(8000*t)*${isOn}:s=${rate}:d=${seconds}`
    .replaceAll(",0", "\\,0")
    .replace("t,1", "t\\,1");
};
const CODED = "-c:v libx264 -preset ultrafast -bf 2 -g 50 -pix_fmt yuv420p -c:a aac -b:a 64k";
const BOTH = `${flashes()} ${clicks()} ${CODED}`;

/** Commands that make it; `OUT` is the file, `IN` the one that the command before made. */
const SOURCES: Readonly<Record<string, readonly string[]>> = {
  "priming.mp4": [`${BOTH} OUT`],
  "priming.mkv": [`${BOTH} OUT`],
  "opus.webm": [
    `${flashes()} ${clicks(SECONDS, 48_000)} -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus OUT`,
  ],
  "edits-of-both.mp4": [`${BOTH} OUT`, "-ss 2.3 -i IN -c copy OUT"],
  "before-zero.mkv": [`${BOTH} OUT`, "-ss 1.7 -i IN -c copy OUT"],
  "sound-late.mp4": [`${BOTH} OUT`, "-i IN -itsoffset 3 -i IN -map 0:v -map 1:a -c copy OUT"],
  "sound-early.mp4": [`${BOTH} OUT`, "-itsoffset 2 -i IN -i IN -map 0:v -map 1:a -c copy OUT"],
  "sound-hardly-early.mkv": [
    `${BOTH} OUT`,
    "-itsoffset 0.06 -i IN -itsoffset 0.06 -i IN -map 0:v -map 1:a -c copy OUT",
  ],
  "sound-ends-early.mp4": [`${flashes()} ${clicks(4)} ${CODED} OUT`],
  "sound-longer.mp4": [`${flashes(5)} ${clicks(9)} ${CODED} OUT`],
  "late.ts": [`${BOTH} -output_ts_offset 3600 -f mpegts OUT`],
  "old.avi": [`${flashes()} ${clicks()} -c:v mpeg4 -bf 1 -g 30 -c:a mp2 OUT`],
  "a-hole-in-the-sound.mkv": [
    `${flashes()} ${clicks()} -map 0 -map 1 -af aselect='not(between(t,2.2,5.1))' ${CODED} OUT`,
  ],
};

const made = async (dir: string, name: string): Promise<string> => {
  let file = "";
  for (const [index, command] of (SOURCES[name] ?? []).entries()) {
    const next = join(dir, `${index}-${name}`);
    await ffmpeg(...command.split(" ").map((word) => ({ IN: file, OUT: next })[word] ?? word));
    file = next;
  }
  return file;
};

const { path } = await findFfmpeg(null);
const bytesOf = async (file: string, options: string): Promise<Buffer> => {
  const args = ["-v", "error", "-i", file, ...options.split(" "), "-f", "rawvideo", "-"];
  return (await promisify(execFile)(path, args, { encoding: "buffer", maxBuffer: 2 ** 26 })).stdout;
};
/** Seconds at which each run of what is over `least` begins; runs are at least so many values apart. */
const beginnings = (values: ArrayLike<number>, of: { least: number; apart: number; perSecond: number }): number[] => {
  const at: number[] = [];
  let last = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i += 1) {
    if (Math.abs(values[i] ?? 0) < of.least) continue;
    if (i - last > of.apart) at.push(i / of.perSecond);
    last = i;
  }
  return at;
};

interface Seen {
  readonly flashes: readonly number[];
  readonly clicks: readonly number[];
  readonly samples: number;
  readonly frames: number;
}
const look = async (scene: Scene, file: string): Promise<Seen> => {
  const titleId = await scene.attach(file);
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const rung = scene.file((await scene.set(titleId))?.rungs[0]?.path ?? "");
  const grey = await bytesOf(rung, "-map 0:v -vf scale=1:1:flags=area,format=gray -fps_mode passthrough");
  const pcm = (await bytesOf(rung, "-map 0:a -ac 1 -c:a pcm_s16le")).subarray();
  const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2);
  return {
    flashes: beginnings(grey, { least: 128, apart: 1, perSecond: FRAMES_PER_SECOND }),
    clicks: beginnings(samples, { least: 6_000, apart: SAMPLE_RATE / 4, perSecond: SAMPLE_RATE }),
    samples: samples.length,
    frames: grey.length,
  };
};

/** Where sound was moved against the picture, in seconds; else each flash has its click, as far as both go. */
const MOVED: Readonly<Record<string, number>> = { "sound-late.mp4": 3, "sound-early.mp4": -2 };
const FLASHES: Readonly<Record<string, number>> = { "edits-of-both.mp4": 7, "sound-longer.mp4": 5 };
const CLICKS: Readonly<Record<string, number>> = {
  ...{ "edits-of-both.mp4": 7, "sound-ends-early.mp4": 4, "a-hole-in-the-sound.mkv": 6 },
};

test("a click is heard with each flash, wherever sound and picture begin and end", { concurrency: 3 }, async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-sound-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const scene = await startScene(t);
  const each = Object.keys(SOURCES).map((name) =>
    t.test(name, async () => {
      const { flashes, clicks, samples, frames } = await look(scene, await made(dir, name));
      const moved = MOVED[name] ?? 0;
      assert.equal(flashes.length, FLASHES[name] ?? SECONDS);
      assert.equal(clicks.length, CLICKS[name] ?? SECONDS);
      for (const at of clicks) {
        const nearest = flashes.map((flash) => Math.abs(flash + moved - at)).sort((a, b) => a - b)[0] ?? 0;
        const isAlone = at > (flashes.at(-1) ?? 0) + moved + 0.5; // a click behind the last picture
        if (!isAlone) assert.ok(nearest <= 1 / FRAMES_PER_SECOND, `a click at ${at} s, flashes at ${flashes}`);
        const since = at - (clicks[0] ?? 0);
        assert.ok(Math.abs(since - Math.round(since)) < 0.002, `clicks at ${clicks}`);
      }
      const longer = samples / SAMPLE_RATE - frames / FRAMES_PER_SECOND;
      assert.ok(longer >= 0 && longer < 0.05, `sound of ${samples} samples for ${frames} frames`);
    }),
  );
  await Promise.all(each);
});

test("a track without any sound in it is silence, in the beginning of a long title too", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-sound-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const film = join(dir, "film.mkv");
  const sounds = "-f lavfi -i sine=d=125 -map 0 -map 1 -map 1";
  const picture = "-f lavfi -i testsrc2=s=64x36:r=24:d=125";
  await ffmpeg(...`${picture} ${sounds} ${CODED} -bsf:a:1 noise=drop=1 ${film}`.split(" "));
  const scene = await startScene(t);
  const titleId = await scene.attach(film);
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const rung = scene.file((await scene.set(titleId))?.rungs[0]?.path ?? "");
  const loudest = async (track: number): Promise<number> => {
    const pcm = await bytesOf(rung, `-map 0:a:${track} -ac 1 -ar 8000 -c:a pcm_s16le`);
    return new Int16Array(pcm.buffer, pcm.byteOffset, pcm.length / 2).reduce((most, value) => Math.max(most, value), 0);
  };
  assert.ok((await loudest(0)) > 1_000);
  assert.equal(await loudest(1), 0);
});
