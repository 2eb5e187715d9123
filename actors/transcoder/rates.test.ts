/** What x264 and x265 make of the arguments: rates, signalling, parameter sets. */
import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import type { Movie } from "../../domain/mp4/movie.ts";
import { openMovie } from "../../domain/mp4/open-movie.ts";
import { stitch } from "../../domain/mp4/stitch.ts";
import { type ChunkOptions, chunkArguments } from "../../domain/transcode/video-arguments.ts";
import { findFfmpeg } from "../../lib/ffmpeg/binary.ts";
import { PidFiles } from "../../lib/ffmpeg/pid-files.ts";
import { findFfprobe, probeSource } from "../../lib/ffmpeg/probe.ts";
import { runTranscode } from "../../lib/ffmpeg/transcode.ts";
import { quietLog } from "../../lib/log/log.ts";
import { probe } from "../../test/media/ffprobe.ts";
import { readerOf } from "../../test/media/reader.ts";
import { segmentRates } from "./chunk.ts";
import { type Plan, planOf } from "./plan.ts";
import { ffmpeg, startScene } from "./transcoder.fixture.ts";

const found = await findFfmpeg(null);
const tools = findFfprobe(found);
const words = (text: string): string[] => text.split(" ");

interface Encoded {
  readonly plan: Plan;
  readonly files: readonly string[];
}
/** The chunk `from` to `until` of a source that a command makes, in all rungs. */
const encode = async (
  t: TestContext,
  made: {
    readonly command: string;
    readonly codec: "h264" | "hevc" | "all";
    readonly from?: number;
    readonly until?: number;
  },
): Promise<Encoded> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-rates-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const url = join(dir, "source.mkv");
  await ffmpeg(...words(`${made.command} ${url}`));
  const input = { url, protocols: ["file"] };
  const source = await probeSource(tools, input);
  const plan = source && planOf(source, made.codec, null);
  assert.ok(plan);
  const { video, originSeconds } = plan.source;
  const options: ChunkOptions = {
    ...{ input, video, originSeconds, rate: plan.rate, seekSeconds: null, pictureFrames: plan.pictureFrames },
    ...{ from: made.from ?? 0, until: made.until ?? plan.frameCount, preset: "veryfast" },
  };
  const outputs = plan.rungs.map((rung) => ({ rung, file: join(dir, `${rung.name}.mp4`), rateShare: 1 }));
  const pidFiles = new PidFiles(join(dir, "pids"));
  const args = chunkArguments(options, outputs);
  await runTranscode({ ffmpeg: found, pidFiles, log: quietLog }, { args, signal: t.signal });
  return { plan, files: outputs.map(({ file }) => file) };
};

const trackOf = async (file: string) => {
  const [track] = (await openMovie(readerOf(await readFile(file)))).video;
  assert.ok(track);
  return track;
};

test("no segment of noise is above its rung's rate, and easy content is far below", async (t) => {
  const noise = "-f lavfi -i nullsrc=s=320x180:r=25:d=14,geq=random(1)*255:128:128 -c:v ffv1";
  const easy = "-f lavfi -i testsrc=s=320x180:r=25:d=14 -c:v ffv1";
  const share = async (command: string, codec: "h264" | "hevc"): Promise<number> => {
    const { plan, files } = await encode(t, { command, codec });
    const [rung] = plan.rungs;
    const rates = segmentRates(await trackOf(files[0] ?? ""), 0, plan.rate);
    assert.ok(rung);
    assert.equal(rates.length, 3);
    return Math.max(...rates) / (rung.kbps * 1000);
  };
  const noisy = [await share(noise, "h264"), await share(noise, "hevc")];
  const calm = [await share(easy, "h264"), await share(easy, "hevc")];
  for (const part of noisy) assert.ok(part > 0.7 && part <= 1, `noise needs its rate, and no more: ${noisy}`);
  for (const part of calm) assert.ok(part < 0.5, `easy content: ${calm}`);
});

test("a last segment that is short is no exception: it is encoded again until it is within its rate", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-rates-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const film = join(dir, "noise.mkv");
  await ffmpeg(...words(`-f lavfi -i nullsrc=s=160x90:r=25:d=3.2,geq=random(1)*255:128:128 -c:v ffv1 ${film}`));
  const scene = await startScene(t);
  const titleId = await scene.attach(film);
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const [rung] = (await scene.set(titleId))?.rungs ?? [];
  assert.ok(rung?.path);
  // One segment of 80 frames: its rate is its bytes over 3.2 s, whoever counts them.
  const packets = (await probe(scene.file(rung.path))).packets as readonly { readonly size?: string }[];
  const bits = packets.reduce((sum, { size }) => sum + 8 * Number(size), 0);
  assert.equal(packets.length, 80);
  assert.ok(bits / 3.2 <= rung.maxBitsPerSecond && bits / 3.2 > 0.5 * rung.maxBitsPerSecond, `${bits / 3.2}`);
});

const X265 = "-c:v libx265 -preset ultrafast -pix_fmt yuv420p10le";
const HDR10 =
  "log-level=none:colorprim=bt2020:colormatrix=bt2020nc:transfer=smpte2084:hdr10=1:max-cll=1000,400:" +
  "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)";

test("HEVC keeps HDR10 with its metadata, H.264 beside it is BT.709 of eight bits", async (t) => {
  const command = `-f lavfi -i testsrc2=s=1280x720:r=25:d=0.4 ${X265} -x265-params ${HDR10}`;
  const { plan, files } = await encode(t, { command, codec: "all" });
  assert.deepEqual(
    plan.rungs.map(({ name, dynamicRange, bitDepth }) => `${name} ${dynamicRange} ${bitDepth}`),
    ["720p sdr 8", "720p-hevc hdr10 10", "480p sdr 8"],
  );
  const about = await Promise.all(
    files.map(async (url) => {
      const source = await probeSource(tools, { url, protocols: ["file"] });
      return source?.video.colour;
    }),
  );
  const sdr = { dynamicRange: "sdr", bitDepth: 8, masterDisplay: null, contentLight: null };
  assert.deepEqual(about, [sdr, plan.source.video.colour, sdr]);
  assert.deepEqual(plan.source.video.colour, {
    dynamicRange: "hdr10",
    bitDepth: 10,
    masterDisplay: "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)",
    contentLight: { max: 1000, average: 400 },
  });
});

test("chunks of a rung fit together, whatever is in the picture and however short one is", async (t) => {
  const command = "-f lavfi -i testsrc2=s=640x360:r=25:d=8 -c:v ffv1";
  for (const codec of ["h264", "hevc"] as const) {
    const chunks: Movie[] = [];
    for (const [from, until] of [
      [0, 150],
      [150, 151],
    ] as const) {
      const { files } = await encode(t, { command, codec, from, until });
      chunks.push(await openMovie(readerOf(await readFile(files[0] ?? ""))));
    }
    const { frameCount, pictureSeconds } = stitch({ chunks, audio: null }, { layout: "final", segmentSeconds: 6 });
    assert.deepEqual([frameCount, pictureSeconds], [151, 151 / 25], codec);
  }
});
