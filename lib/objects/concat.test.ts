import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { stitch } from "../../domain/mp4/stitch.ts";
import { frameLines, mediaFile } from "../../test/support/media-file.ts";
import { quietLog } from "../log/log.ts";
import type { ContentSource } from "../source/port.ts";
import { ConcatSource, type GrowingMovie, openStitched } from "./concat.ts";
import { openObjects } from "./open.ts";
import { openParts } from "./parts.ts";
import type { ObjectStore } from "./port.ts";
import { stitchedStream } from "./stitched-stream.ts";

const ENCODER = "-c:v libx264 -preset ultrafast -bf 2 -g 20 -keyint_min 20 -sc_threshold 0 -flags +cgop";
const CHUNK_FRAMES = 60;
const chunk = (index: number): string => {
  const [first, end] = [index * CHUNK_FRAMES, (index + 1) * CHUNK_FRAMES];
  const trim = `trim=start_frame=${first}:end_frame=${end},setpts=PTS-STARTPTS`;
  return `-f lavfi -i testsrc2=s=160x90:r=10 -vf ${trim} -r 10 ${ENCODER} -f mp4`;
};
const SOUND =
  "-f lavfi -i sine=440:r=48000:d=18 -f lavfi -i sine=880:r=48000:d=18 -map 0 -map 1 -c:a aac -b:a 64k -f mp4";

interface Stage {
  readonly store: ObjectStore;
  readonly movie: GrowingMovie;
}

const begin = async (t: TestContext): Promise<Stage> => {
  const root = await mkdtemp(join(tmpdir(), "castellan-objects-"));
  t.after(() => rm(root, { recursive: true }));
  const store = await openObjects({ kind: "filesystem", root, bucketPrefix: "test" }, { log: quietLog });
  t.after(() => store.close());
  const chunks = [0, 1, 2].map((index) => `title/r1/chunk-${index}.mp4`);
  for (const [index, key] of chunks.entries()) {
    await store.put({ bucket: "segments", key }, await mediaFile(chunk(index)));
  }
  const audio = "title/r1/audio.mp4";
  await store.put({ bucket: "segments", key: audio }, await mediaFile(SOUND));
  return { store, movie: { chunks, audio, segmentSeconds: 6 } };
};

const md5 = (bytes: Uint8Array): string => createHash("md5").update(bytes).digest("hex");

test("any range of the imaginary file is what the whole of it has there", async (t) => {
  const { store, movie } = await begin(t);
  const object = await openStitched(store.source("segments"), movie);
  t.after(() => object.close());
  const { sizeBytes } = object.stat;
  const whole = Buffer.alloc(sizeBytes);
  await object.readRange(0, whole);
  const { head, extents } = object.stitched;
  const edges = [0, head.length, ...[...extents].map(({ lengthBytes }) => lengthBytes), sizeBytes];
  for (const edge of edges) {
    for (const [from, to] of [
      [edge - 3, edge + 5],
      [edge - 70_000, edge + 70_000],
    ] as const) {
      const [offset, end] = [Math.max(0, Math.min(from, sizeBytes)), Math.min(sizeBytes, Math.max(0, to))];
      const target = Buffer.alloc(Math.max(0, end - offset));
      await object.readRange(offset, target);
      assert.ok(target.equals(whole.subarray(offset, offset + target.length)), `${offset} to ${end}`);
    }
  }
  await assert.rejects(object.readRange(sizeBytes - 1, Buffer.alloc(2)), { code: "SOURCE_TRUNCATED" });
});

test("ffmpeg finds the same packets in the imaginary file and in the one that is written for good", async (t) => {
  const { store, movie } = await begin(t);
  const source = store.source("segments");
  const object = await openStitched(source, movie);
  t.after(() => object.close());
  const whole = Buffer.alloc(object.stat.sizeBytes);
  await object.readRange(0, whole);
  const { all, movies } = await openParts(source, movie);
  const stitched = stitch(movies, { layout: "final", segmentSeconds: 6, audioUntil: "pictures" });
  const name = { bucket: "segments", key: "title/r1/1080p.mp4" } as const;
  const { sizeBytes } = await store.put(name, stitchedStream(source, all, stitched));
  assert.equal(sizeBytes, stitched.sizeBytes);
  const { bytes } = await store.getBytes(name, { bytesMax: sizeBytes });
  const packets = (file: Buffer) => frameLines("-i in -map 0 -c copy -f framecrc -", file);
  const found = await packets(bytes);
  assert.equal(found.filter((line) => line.startsWith("0,")).length, 3 * CHUNK_FRAMES);
  assert.deepEqual(await packets(whole), found);
});

test("a movie that grows is another version of its path, and what is known of its parts is not read again", async (t) => {
  const { store, movie } = await begin(t);
  let chunks = movie.chunks.slice(0, 1);
  const opened: string[] = [];
  const segments = store.source("segments");
  const counted: ContentSource = {
    kind: segments.kind,
    capabilities: segments.capabilities,
    stat: (path) => segments.stat(path),
    open: (path) => {
      opened.push(path);
      return segments.open(path);
    },
    list: (path) => segments.list(path),
    fetchTo: (path, file) => segments.fetchTo(path, file),
    close: () => segments.close(),
  };
  const source = new ConcatSource(counted, async (path) =>
    path === "title/1080p.growing.mp4" ? { ...movie, chunks } : null,
  );
  t.after(() => source.close());
  const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => source.stat("title/1080p.growing.mp4")));
  assert.ok(first);
  for (const other of others) assert.deepEqual(other, first);
  assert.deepEqual(await source.stat("title/1080p.growing.mp4"), first);
  assert.deepEqual(opened.sort(), [movie.audio, movie.chunks[0]]);
  opened.length = 0;
  chunks = movie.chunks.slice(0, 2);
  const second = await source.stat("title/1080p.growing.mp4");
  assert.ok(second.version !== first.version && second.sizeBytes > first.sizeBytes);
  assert.deepEqual(opened, [movie.chunks[1]]);
  const file = join(tmpdir(), `castellan-concat-${process.pid}.mp4`);
  t.after(() => rm(file, { force: true }));
  assert.deepEqual(await source.fetchTo("title/1080p.growing.mp4", file), second);
  assert.deepEqual(await source.stat(movie.chunks[0] ?? ""), await segments.stat(movie.chunks[0] ?? ""));
  await assert.rejects(source.stat("title/none.mp4"), { code: "SOURCE_NOT_FOUND" });
});

test("a part that was replaced after it was opened is told, not mixed in", async (t) => {
  const { store, movie } = await begin(t);
  const object = await openStitched(store.source("segments"), movie);
  t.after(() => object.close());
  const key = movie.chunks[1] ?? "";
  await store.put({ bucket: "segments", key }, await mediaFile(chunk(2)));
  const whole = Buffer.alloc(object.stat.sizeBytes);
  await assert.rejects(object.readRange(0, whole), { code: "SOURCE_CHANGED" });
});

test("a part that goes missing while a rung is written fails the write, and nothing has its name", async (t) => {
  const { store, movie } = await begin(t);
  const source = store.source("segments");
  const { all, movies } = await openParts(source, movie);
  const stitched = stitch(movies, { layout: "final", segmentSeconds: 6 });
  await store.delete("segments", [movie.chunks[2] ?? ""]);
  const name = { bucket: "segments", key: "title/r1/1080p.mp4" } as const;
  await assert.rejects(store.put(name, stitchedStream(source, all, stitched)), { code: "SOURCE_NOT_FOUND" });
  assert.equal(await store.head(name), null);
});

test("the written file's bytes do not depend on how they are read", async (t) => {
  const { store, movie } = await begin(t);
  const source = store.source("segments");
  const { all, movies } = await openParts(source, movie);
  const stitched = stitch(movies, { layout: "final", segmentSeconds: 6 });
  const parts = await Promise.all(
    all.map(async ({ path }) => (await store.getBytes({ bucket: "segments", key: path }, { bytesMax: 2 ** 24 })).bytes),
  );
  const plain = Buffer.concat([
    stitched.head,
    ...[...stitched.extents].map(({ part, offset, lengthBytes }) =>
      parts[part]!.subarray(offset, offset + lengthBytes),
    ),
  ]);
  const streamed = Buffer.concat(await stitchedStream(source, all, stitched).toArray());
  assert.equal(md5(streamed), md5(plain));
});
