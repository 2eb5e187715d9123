/** What playlists and manifests say of bit rates, beside the bytes that are served. */
import assert from "node:assert/strict";
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import HLS from "hls-parser";
import { topLevel, typeOf } from "../../test/media/boxes.ts";
import { INPUTS } from "../../test/media/inputs.ts";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { mediaFile } from "../../test/support/media-file.ts";
import { tempDir } from "../../test/support/platform.ts";
import { startTestPackager } from "./packager.fixture.ts";

let media = "";
before(async () => {
  media = await sharedMediaDir();
});

const VARIED = [
  "moov-first",
  "fragmented",
  "without-b-frames",
  "vfr",
  "rate-29.97",
  "rate-59.94",
  "gop-10-s",
  "one-key-frame",
  "one-frame",
  "intra-only",
  "timescale-1",
  "hevc-hvc1",
  "16x16",
  "video-only",
  "audio-only",
  "5.1",
  "22-khz",
  "44-khz",
  "mp3",
  "ac-3",
  "opus",
  "two-languages",
  "audio-late",
  "starts-before-zero",
] as const;

const fileOf = (input: string): string => `${input}.${INPUTS[input]?.extension ?? "mp4"}`;

const archive = async (t: TestContext, inputs: readonly string[]): Promise<string> => {
  const folder = await tempDir(t);
  for (const input of inputs) await copyFile(await makeInput(input, media), join(folder, fileOf(input)));
  return folder;
};

const textAt = async (url: URL): Promise<string> => {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url.href);
  return answer.text();
};

/** The highest rate of segments that last half a target duration at least; of a shorter list, of all of it. */
const servedBps = async (list: URL): Promise<number> => {
  const parsed = HLS.parse(await textAt(list));
  assert.ok(!parsed.isMasterPlaylist);
  let [peak, bits, seconds] = [0, 0, 0];
  for (const { uri, duration } of parsed.segments) {
    const answer = await fetch(new URL(uri, list), { method: "HEAD" });
    const ownBits = 8 * Number(answer.headers.get("content-length"));
    assert.ok(answer.status === 200 && ownBits > 0, uri);
    if (duration >= parsed.targetDuration / 2) peak = Math.max(peak, ownBits / duration);
    bits += ownBits;
    seconds += duration;
  }
  return Math.max(peak, bits / Math.max(seconds, 0.001));
};

const LARGE_BPS = 100_000;
const isTrue = (toldBps: number, realBps: number): boolean =>
  toldBps >= realBps - 1 && toldBps <= realBps * (realBps < LARGE_BPS ? 1.3 : 1.15) + 1_000;

/** Of every variant that a multivariant playlist lists, with the audio of its group. */
const problemsOf = async (at: URL): Promise<string[]> => {
  const answer = await fetch(at);
  if (answer.status === 415) return []; // it has no place in the container
  const master = HLS.parse(await answer.text());
  assert.ok(master.isMasterPlaylist);
  const problems: string[] = [];
  for (const { uri, bandwidth, audio, isIFrameOnly } of master.variants) {
    const others = isIFrameOnly ? [] : audio.flatMap((entry) => (entry.uri ? [new URL(entry.uri, at)] : []));
    const group = await Promise.all(others.map(servedBps));
    const real = (await servedBps(new URL(uri, at))) + Math.max(0, ...group);
    if (!isTrue(bandwidth, real))
      problems.push(`${at.pathname}${at.search} ${uri}: ${bandwidth} of ${Math.round(real)}`);
  }
  return problems;
};

const MASTERS = ["master.m3u8?set-akamai-hls-revision=5&__a__=on", "cmaf.m3u8", "cmaf.m3u8?attributes=off"];

test("BANDWIDTH is never below what is served, and little above it, in TS, CMAF and lists of key frames", async (t) => {
  const { url } = await startTestPackager(t, { folder: await archive(t, VARIED) });
  const problems: string[] = [];
  for (const input of VARIED) {
    for (const name of MASTERS) problems.push(...(await problemsOf(new URL(`/i/${fileOf(input)}/${name}`, url))));
  }
  assert.deepEqual(problems, []);
});

test("a last segment of one frame does not make the rate", async (t) => {
  const folder = await tempDir(t);
  const film = "-f lavfi -i testsrc2=s=320x180:r=25:d=6.04 -c:v libx264 -bf 0 -force_key_frames 0,6 -g 999 -f mp4";
  await writeFile(join(folder, "film.mp4"), await mediaFile(film));
  const { url } = await startTestPackager(t, { folder });
  const list = HLS.parse(await textAt(new URL("/i/film.mp4/index_0_v.m3u8", url)));
  assert.ok(!list.isMasterPlaylist);
  assert.deepEqual(
    list.segments.map(({ duration }) => duration),
    [6, 0.04],
  );
  for (const name of MASTERS) assert.deepEqual(await problemsOf(new URL(`/i/film.mp4/${name}`, url)), []);
});

test("a long file, whose segments are not all counted, is told as truly", async (t) => {
  const folder = await tempDir(t);
  const noise = "geq=lum='if(lt(mod(T,20),4),random(1)*255,128)':cb=128:cr=128";
  const film =
    `-f lavfi -i color=s=64x36:r=10:d=150,${noise} -f lavfi -i sine=440:d=150 ` +
    "-c:v libx264 -preset ultrafast -g 10 -c:a aac -b:a 48k -f mp4";
  await writeFile(join(folder, "film.mp4"), await mediaFile(film));
  const { url } = await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "1" } });
  for (const name of MASTERS) assert.deepEqual(await problemsOf(new URL(`/i/film.mp4/${name}`, url)), []);
});

test("a picture that goes with sound alone counts", async (t) => {
  const folder = await archive(t, ["audio-only", "moov-first"]);
  for (const name of ["audio-only.jpg", "moov-first.png"]) await writeFile(join(folder, name), Buffer.alloc(30_000, 7));
  const { url } = await startTestPackager(t, { folder });
  for (const file of ["audio-only.m4a", "moov-first.mp4"]) {
    assert.deepEqual(await problemsOf(new URL(`/i/${file}/master.m3u8?__a__=on`, url)), []);
  }
  assert.ok((await servedBps(new URL("/i/audio-only.m4a/index.m3u8", url))) > 80_000);
});

test("what is encrypted sample by sample is told with what that adds", async (t) => {
  const env = { CASTERPAK_ENCRYPTION_METHOD: "cenc", CASTERPAK_ENCRYPTION_SECRET: "sixteen characters or more" };
  const { url } = await startTestPackager(t, { folder: await archive(t, ["moov-first"]), env });
  const at = new URL("/i/moov-first.mp4/cmaf.m3u8", url);
  const master = HLS.parse(await textAt(at));
  assert.ok(master.isMasterPlaylist);
  let real = 0;
  for (const name of ["v", "a"]) {
    const list = HLS.parse(await textAt(new URL(`cmaf_0_${name}.m3u8`, at)));
    assert.ok(!list.isMasterPlaylist);
    const rates = list.segments.map(async ({ uri, duration }) => {
      const body = await (await fetch(new URL(uri, at))).arrayBuffer();
      return duration >= list.targetDuration / 2 ? (8 * body.byteLength) / duration : 0;
    });
    real += Math.max(...(await Promise.all(rates)));
  }
  const told = master.variants[0]?.bandwidth ?? 0;
  assert.ok(isTrue(told, real), `${told} of ${real}`);
});

test("FRAME-RATE is the highest that a file goes on with, and an exact one where it is constant", async (t) => {
  const inputs = ["vfr", "rate-29.97", "timescale-600", "rate-59.94", "timescale-1"];
  const { url } = await startTestPackager(t, { folder: await archive(t, inputs) });
  const told = inputs.map(async (input) =>
    /FRAME-RATE=([\d.]+)/.exec(await textAt(new URL(`/i/${input}.mp4/cmaf.m3u8`, url)))?.at(1),
  );
  assert.deepEqual(await Promise.all(told), ["25.000", "29.970", "25.000", "59.940", "1.000"]);
});

/** All its samples, which are what `mdat` has. */
const mediaBytes = async (file: string): Promise<number> => {
  const boxes = topLevel(await readFile(file)).filter((box) => typeOf(box) === "mdat");
  return boxes.reduce((sum, { length }) => sum + length - 8, 0);
};

test("b= compares media's own rates, or those that a SMIL file tells", async (t) => {
  const folder = await archive(t, ["moov-first"]);
  const smil = '<smil><body><switch><video src="moov-first.mp4" system-bitrate="700000"/></switch></body></smil>';
  await writeFile(join(folder, "set.smil"), smil);
  const { url } = await startTestPackager(t, { folder });
  const statusOf = async (path: string): Promise<number> => (await fetch(`${url}/i/${path}`)).status;
  const bits = 8 * (await mediaBytes(join(folder, "moov-first.mp4")));
  const kbps = Math.round(bits / 8.021 / 1_000);
  assert.equal(await statusOf(`moov-first.mp4/master.m3u8?b=0-${kbps + 1}`), 200);
  assert.equal(await statusOf(`moov-first.mp4/master.m3u8?b=${kbps + 2}-`), 404);
  assert.equal(await statusOf("set.smil/master.m3u8?b=700-700"), 200);
  assert.equal(await statusOf("set.smil/master.m3u8?b=0-699"), 404);
});
