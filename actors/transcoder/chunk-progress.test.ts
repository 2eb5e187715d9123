/** A chunk's rungs come out while ffmpeg decodes: what it held back would be in memory, and look like a stall. */
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chunkArguments } from "../../domain/transcode/video-arguments.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { findFfprobe, probeSource } from "../../lib/ffmpeg/probe.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import { quietLog } from "../../lib/log/log.ts";
import { planOf } from "./plan.ts";
import { ffmpeg } from "./transcoder.fixture.ts";

for (const hasCaptions of [false, true]) {
  const sought = hasCaptions ? "captions are known of" : "captions are looked for";
  test(`pictures are encoded as they are decoded where ${sought}`, async (t) => {
    const dir = await mkdtemp(join(tmpdir(), "castellan-progress-"));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const file = join(dir, "film.mp4");
    await ffmpeg(..."-f lavfi -i testsrc2=s=640x360:r=25:d=16 -c:v libx264 -preset ultrafast".split(" "), file);
    const binary = await findFfmpeg(null);
    const input = { url: file, protocols: ["file"] };
    const source = await probeSource(findFfprobe(binary), input);
    const plan = source && planOf(source, "h264", null);
    assert.ok(plan);
    const { rungs, rate, frameCount, pictureFrames, source: known } = plan;
    const outputs = rungs.map((rung) => ({ rung, file: join(dir, `${rung.name}.mp4`), rateShare: 1 }));
    const video = { ...known.video, hasCaptions };
    const options = { input, video, originSeconds: known.originSeconds, rate, from: 0, until: frameCount };
    const seen: number[] = [];
    await runTranscode(
      { ffmpeg: binary, pidFiles: new PidFiles(join(dir, "pids")), log: quietLog },
      {
        // Told often: a fast machine is through half of it in less than half a second.
        args: chunkArguments({ ...options, seekSeconds: null, pictureFrames, preset: "slower" }, outputs).map(
          (word, at, all) => (all[at - 1] === "-stats_period" ? "0.05" : word),
        ),
        signal: new AbortController().signal,
        onProgress: ({ frame }) => void seen.push(frame ?? 0),
      },
    );
    assert.ok(seen.at(-1) === frameCount, "all frames are told at the end");
    assert.ok(
      seen.some((frame) => frame > 0 && frame < frameCount / 2),
      `frames as they were told: ${seen}`,
    );
  });
}
