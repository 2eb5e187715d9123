/** Pictures of a real rung; judges: ffmpeg's own decoders for JPEG, mediabunny for MP4. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { promisify } from "node:util";
import { ALL_FORMATS, FilePathSource, Input } from "mediabunny";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { makeLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { makePictures, type PictureTask } from "./pictures.ts";

const run = promisify(execFile);
const log = makeLog({ level: "silent", format: "json", nodeId: "test" });
const ffmpeg = await findFfmpeg(null);
const CONTENT = "01890000-0000-7000-8000-000000000001";
const SECONDS = 24;

interface Scene {
  readonly objects: ObjectStore;
  readonly folder: string;
  file(bucket: string, key: string): string;
  make(task?: Partial<PictureTask>): ReturnType<typeof makePictures>;
}

/** A rung as the transcoder leaves it: black for 8 s, then a moving test picture; key frames every 2 s; a tone. */
const scene = async (t: TestContext): Promise<Scene> => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-pictures-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const objects = await openObjects(
    { kind: "filesystem", root: join(folder, "objects"), bucketPrefix: "plexbd" },
    { log },
  );
  t.after(() => objects.close());
  await objects.ping();
  const rung = join(folder, "rung.mp4");
  const graph = "color=black:s=320x180:r=25:d=8[a];testsrc2=s=320x180:r=25:d=16[b];[a][b]concat=n=2:v=1:a=0";
  const coding =
    "-c:v libx264 -preset ultrafast -g 50 -keyint_min 50 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -shortest";
  const inputs = ["-f", "lavfi", "-i", graph, "-f", "lavfi", "-i", `sine=440:r=48000:d=${SECONDS}`];
  await run(ffmpeg.path, ["-v", "error", ...inputs, ...coding.split(" "), "-movflags", "+faststart", rung]);
  await objects.putFile({ bucket: "segments", key: `${CONTENT}/r1/480p.mp4` }, rung);
  const tools = {
    objects,
    folder: join(folder, "work"),
    label: "e1",
    signal: t.signal,
    progress: () => {},
    ffmpeg: async (args: readonly string[]) => void (await run(ffmpeg.path, [...args])),
  };
  const task: PictureTask = {
    contentId: CONTENT,
    revision: 1,
    durationSeconds: SECONDS,
    hasAudio: true,
    rungs: [{ path: `${CONTENT}/r1/480p.mp4`, width: 320, height: 180, dynamicRange: "sdr" }],
  };
  return {
    objects,
    folder,
    file: (bucket, key) => join(folder, "objects", `plexbd-${bucket}`, key),
    make: (other = {}) => makePictures({ ...task, ...other }, tools),
  };
};

/** Grey bytes of a picture of a known size: ffmpeg decodes it, or fails. */
const greyOf = async (file: string): Promise<Buffer> => {
  const args = ["-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "gray", "-"];
  return (await run(ffmpeg.path, args, { encoding: "buffer", maxBuffer: 2 ** 26 })).stdout;
};
const meanOf = (bytes: Uint8Array): number => bytes.reduce((sum, value) => sum + value, 0) / bytes.length;

const textOf = async (objects: ObjectStore, key: string): Promise<string> =>
  (await objects.getBytes({ bucket: "thumbnails", key }, { bytesMax: 2 ** 20 })).bytes.toString();

test("posters are full pictures, and none is of the black beginning", async (t) => {
  const { make, file } = await scene(t);
  const { posters } = await make();
  assert.ok(posters.length >= 3, `${posters.length} posters`);
  for (const { path, width, height, atSeconds } of posters) {
    const grey = await greyOf(file("thumbnails", path));
    assert.equal(grey.length, width * height);
    assert.ok(atSeconds >= 8 && meanOf(grey) > 30, `${atSeconds} s, ${meanOf(grey)}`);
  }
});

test("pictures of an HDR rung are as bright as its H.264 rungs: 1000 cd/m2 is white", async (t) => {
  const { make, file, objects, folder } = await scene(t);
  // 1000 cd/m2 is 0.752 of the PQ curve (SMPTE ST 2084), of ten bits in limited range 723.
  const flat = "color=s=64x36:r=5:d=6,format=yuv420p10le,geq=lum=723:cb=512:cr=512";
  const signalled =
    "log-level=none:keyint=10:min-keyint=10:scenecut=0:transfer=smpte2084:colorprim=bt2020:colormatrix=bt2020nc";
  const coded = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", signalled];
  const rung = join(folder, "hdr.mp4");
  await run(ffmpeg.path, ["-v", "error", "-f", "lavfi", "-i", flat, ...coded, rung]);
  const path = `${CONTENT}/r1/480p-hevc.mp4`;
  await objects.putFile({ bucket: "segments", key: path }, rung);
  const rungs = [{ path, width: 64, height: 36, dynamicRange: "hdr10" }] as const;
  const { posters } = await make({ rungs, durationSeconds: 6, hasAudio: false });
  assert.ok(posters.length > 0);
  for (const { path } of posters) {
    const mean = meanOf(await greyOf(file("thumbnails", path)));
    assert.ok(mean > 250, `${mean} of 255`);
  }
});

test("the storyboard's sheet has the picture of each cue where its text says", async (t) => {
  const { make, file, objects } = await scene(t);
  const { storyboardPath } = await make();
  const cues = [...(await textOf(objects, storyboardPath)).matchAll(/(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)/g)];
  assert.equal(cues.length, 6); // every 4 s of 24
  const grey = await greyOf(file("thumbnails", `${CONTENT}/r1/${cues[0]?.[1]}`));
  const sheetWidth = 6 * 160;
  assert.equal(grey.length, sheetWidth * 90);
  const means = cues.map((cue) => {
    const [x = 0, y = 0, width = 0, height = 0] = cue.slice(2).map(Number);
    const rows = Array.from({ length: height }, (_, row) => {
      const start = (y + row) * sheetWidth + x;
      return grey.subarray(start, start + width);
    });
    return meanOf(Buffer.concat(rows));
  });
  assert.deepEqual(
    means.map((mean) => mean > 30),
    [false, false, true, true, true, true],
    String(means),
  );
});

test("the preview is short, small and without sound; a short title has no trailer", async (t) => {
  const { make, file } = await scene(t);
  const { previewPath, trailerPath } = await make();
  using input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(file("trailers", previewPath)) });
  const duration = await input.computeDuration();
  assert.ok(duration > 5.5 && duration < 6.5, `${duration} s`);
  assert.equal((await input.getAudioTracks()).length, 0);
  const video = await input.getPrimaryVideoTrack();
  assert.equal(video?.displayHeight, 180, "never larger than the rung");
  assert.equal(trailerPath, null);
});

test("a long title has a trailer with sound", async (t) => {
  const { make, file } = await scene(t);
  // The task's word: the rung itself is as short as before, so that clips lie within it.
  const { trailerPath } = await make({ durationSeconds: 120 });
  assert.ok(trailerPath);
  using input = new Input({ formats: ALL_FORMATS, source: new FilePathSource(file("trailers", trailerPath)) });
  assert.equal((await input.getAudioTracks()).length, 1);
  assert.ok((await input.computeDuration()) > 5);
});

test("two runs write under different names, and leave no file of their work behind", async (t) => {
  const { make, folder, objects } = await scene(t);
  await make();
  for await (const { key } of objects.list("thumbnails")) assert.match(key, /-e1/);
  await assert.rejects(run("stat", [join(folder, "work")]));
});
