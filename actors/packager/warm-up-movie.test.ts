import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { probe } from "../../test/media/ffprobe.ts";
import { WARM_UP_CLIP } from "./warm-up-clip.ts";
import { loopedMovie } from "./warm-up-movie.ts";

test("a looped clip is a film so many times as long, by ffprobe", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "castellan-loop-"));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const clip = inflateSync(Buffer.from(WARM_UP_CLIP, "base64"));
  const counts: number[][] = [];
  for (const [name, bytes] of [
    ["once.mp4", clip],
    ["ten.mp4", loopedMovie(clip, 10)],
  ] as const) {
    await writeFile(join(folder, name), bytes);
    // Without its edit list, which says how long one round is.
    const { packets } = await probe(join(folder, name), ["-ignore_editlist", "1"]);
    const keys = packets.filter(({ stream_index, flags }) => stream_index === 0 && flags.startsWith("K")).length;
    counts.push(
      [0, 1].map((index) => packets.filter(({ stream_index }) => stream_index === index).length).concat(keys),
    );
  }
  assert.deepEqual(
    counts[1],
    counts[0]?.map((count) => count * 10),
  );
});
