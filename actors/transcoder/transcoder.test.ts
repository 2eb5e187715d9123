import assert from "node:assert/strict";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { cancelJob, replayJobs } from "../../lib/jobs/jobs.ts";
import { probe } from "../../test/media/ffprobe.ts";
import { slotsFor } from "./slots.ts";
import { ffmpeg, framesOf, gridOf, startScene } from "./transcoder.fixture.ts";

const folder = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-sources-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  return dir;
};
const millis = (seconds: number): number => Math.round(seconds * 1000);
const words = (text: string): string[] => text.split(" ");
const X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p";

test("a title plays while it grows, and is complete with exact rungs", async (t) => {
  const dir = await folder(t);
  const film = join(dir, "film.mp4");
  const pictures = "-f lavfi -i testsrc2=s=1280x720:r=24000/1001:d=20 -f lavfi -i sine=b=2:d=20";
  await ffmpeg(...words(`${pictures} ${X264} -g 100 -bf 2 -c:a aac -b:a 64k -metadata:s:a:0 language=deu ${film}`));
  const scene = await startScene(t);
  const titleId = await scene.attach(film);
  const growing = await scene.until(() => scene.set(titleId), "a set", 30_000);
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  assert.deepEqual(
    scene.told.map(({ name }) => name),
    ["transcode.started", "transcode.playable", "transcode.complete"],
  );
  const set = await scene.set(titleId);
  assert.ok(set);
  assert.equal(set.state, "complete");
  assert.ok(growing.state === "complete" || (growing.rungs[0]?.chunks.length ?? 0) > 0);
  assert.deepEqual(set.frameRate, { num: 24_000, den: 1001 });
  assert.equal(set.frameCount, 480);
  assert.deepEqual(
    set.rungs.map(({ name, width, height, codec }) => `${name} ${codec} ${width}x${height}`),
    ["720p h264 1280x720", "480p h264 852x480"],
  );
  assert.deepEqual(set.audio, [{ language: "deu", name: "deu", channels: 2, isDefault: true }]);
  for (const rung of set.rungs) {
    const { shown, keys } = await framesOf(scene.file(rung.path ?? ""));
    assert.deepEqual(shown.map(millis), gridOf(480, set.frameRate).map(millis));
    const grid = [0, 48, 96, 144, 192, 240, 288, 336, 384, 432].map((frame) => (frame * 1001) / 24_000);
    assert.deepEqual(keys.map(millis), grid.map(millis));
    const { streams } = await probe(scene.file(rung.path ?? ""));
    assert.deepEqual(
      streams.map(({ codec_type }) => codec_type),
      ["video", "audio"],
    );
  }
  const isSwept = async () => ((await readdir(join(scene.dir, "transcoder"))).length === 0 ? true : undefined);
  await scene.until(isSwept, "an empty folder");
});

test("a long title plays before all of its sound is there, by the same frames of sound", async (t) => {
  const film = join(await folder(t), "film.mp4");
  const sound = "-f lavfi -i aevalsrc=sin(880*t*(1+t/50))+0.3*random(0):s=44100:d=150 -c:a aac -b:a 96k";
  await ffmpeg(...words(`-f lavfi -i testsrc2=s=64x36:r=24:d=150 ${sound} ${X264} ${film}`));
  const scene = await startScene(t, { slots: 1 });
  const titleId = await scene.attach(film);
  const growing = await scene.until(async () => scene.set(titleId), "the first set");
  assert.equal(growing.state, "growing");
  assert.match(growing.audioPath ?? "", /audio-head/);
  await scene.ended(titleId);
  const keys = await scene.keys("segments", `${titleId}/r1/audio-`);
  const packets = async (part: RegExp): Promise<string[]> => {
    const key = keys.find((one) => part.test(one)) ?? "";
    const said = await ffmpeg("-i", scene.file(key), ...words("-map 0:a -c copy -f framemd5 -"));
    return said.split("\n").filter((line) => /^0,/.test(line));
  };
  const [head, whole] = [await packets(/audio-head/), await packets(/audio-\d/)];
  const until = Math.floor((60 * 48_000) / 1_024); // of the 65 s that were made
  assert.ok(head.length > until && whole.length > 2 * until);
  assert.deepEqual(head.slice(0, until), whole.slice(0, until));
});

test("what cannot be transcoded fails with a reason for people, and leaves nothing", async (t) => {
  const dir = await folder(t);
  const noise = join(dir, "noise.mp4");
  await ffmpeg(...words(`-f lavfi -i anoisesrc=d=1 -c:a pcm_s16le -f s16le ${noise}`));
  const tone = join(dir, "tone.m4a");
  await ffmpeg(...words(`-f lavfi -i sine=d=2 -c:a aac ${tone}`));
  const scene = await startScene(t);
  const [first, second] = [await scene.attach(noise), await scene.attach(tone)];
  const reasons = await Promise.all([first, second].map(async (id) => (await scene.ended(id)).payload));
  assert.deepEqual(
    reasons.map(({ code }) => code),
    ["SOURCE_UNREADABLE", "SOURCE_UNREADABLE"],
  );
  assert.match(String(reasons[1]?.reason), /it has sound alone/);
  for (const id of [first, second]) assert.equal(await scene.set(id), undefined);
});

test("a deleted title's jobs end, and a newer source takes the place of an older one", async (t) => {
  const dir = await folder(t);
  const film = join(dir, "film.mp4");
  await ffmpeg(...words(`-f lavfi -i testsrc2=s=640x360:r=25:d=30 ${X264} ${film}`));
  const scene = await startScene(t, { slots: 1 });
  const gone = await scene.attach(film);
  await scene.until(async () => scene.told.find(({ titleId }) => titleId === gone), "a plan");
  await scene.delete(gone);
  const states = async (titleId: string) => {
    const sql = "select revision, state from transcode where title_id = $1 order by revision";
    return (await scene.db.asOwner<{ revision: number; state: string }>(sql, [titleId])).rows.map(
      ({ revision, state }) => `${revision} ${state}`,
    );
  };
  await scene.until(async () => ((await states(gone))[0] === "1 cancelled" ? true : undefined), "the end of it");
  const titleId = await scene.attach(film);
  await scene.until(async () => scene.told.find((one) => one.titleId === titleId), "a plan");
  await scene.attach(film, { titleId, revision: 2 });
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete");
  assert.deepEqual(await states(titleId), ["1 cancelled", "2 complete"]);
  assert.equal((await scene.set(titleId))?.revision, 2);
  const left = "select from job where state not in ('done', 'cancelled') and kind ~ 'chunk'";
  await scene.until(async () => ((await scene.db.asOwner(left)).rowCount === 0 ? true : undefined), "no job left");
  const done = "select from job where kind ~ 'chunk' and result ? 'index'";
  const { rowCount } = await scene.db.asOwner(done);
  assert.ok(rowCount >= 3 && rowCount < 9, `${rowCount} chunks of three were made`);
});

test("a job of a transcode that somebody cancels ends all of it", async (t) => {
  const film = join(await folder(t), "film.mp4");
  await ffmpeg(...words(`-f lavfi -i testsrc2=s=640x360:r=25:d=30 ${X264} ${film}`));
  const scene = await startScene(t, { slots: 1 });
  const titleId = await scene.attach(film);
  const queued = `select job_id as id from job_queue where kind = 'transcode.chunk' and subject_id = $1
    and holder is null order by priority desc limit 1`;
  const job = await scene.until(
    async () => (await scene.db.asOwner<{ id: string }>(queued, [titleId])).rows[0],
    "a chunk that waits",
  );
  assert.equal(await scene.db.tenantTx(scene.tenantId, (tx) => cancelJob(tx, job.id)), true);
  const { name, payload } = await scene.ended(titleId);
  assert.equal(name, "transcode.failed");
  assert.match(String(payload.reason), /cancelled/);
});

test("a dead job that is replayed brings its transcode back, and it is made whole", async (t) => {
  const film = join(await folder(t), "film.mp4");
  await ffmpeg(...words(`-f lavfi -i testsrc2=s=320x180:r=25:d=8 ${X264} ${film}`));
  const scene = await startScene(t);
  const broken = await scene.attach(join(import.meta.dirname, "transcoder.test.ts"));
  const failed = await scene.ended(broken);
  assert.equal(failed.name, "transcode.failed");
  // What was wrong with it is mended: here the source itself.
  const of = "select source_path as path from transcode where title_id = $1";
  const [source] = (await scene.db.asOwner<{ path: string }>(of, [broken])).rows;
  await scene.objects.putFile({ bucket: "sources", key: source?.path ?? "" }, film);
  const dead = "select id from job where subject_id = $1 and state = 'dead'";
  const [job] = (await scene.db.asOwner<{ id: string }>(dead, [broken])).rows;
  await scene.db.tenantTx(scene.tenantId, (tx) => replayJobs(tx, { jobId: job?.id ?? "", countMax: 1 }));
  await scene.until(
    async () => scene.told.find(({ name, titleId: id }) => id === broken && name === "transcode.complete"),
    "the replayed title to be complete",
  );
  assert.equal((await scene.set(broken))?.state, "complete");
});

test("chunks go once nobody needs them any more, rungs and subtitles stay", async (t) => {
  const dir = await folder(t);
  const film = join(dir, "film.mkv");
  const srt = join(dir, "text.srt");
  const { writeFile } = await import("node:fs/promises");
  await writeFile(srt, "1\n00:00:01,000 --> 00:00:02,000\nfirst\n\n2\n00:00:03,000 --> 00:00:04,000\n<i>second</i>\n");
  const inputs = `-f lavfi -i testsrc2=s=320x180:r=25:d=13 -f lavfi -i sine=d=13 -i ${srt}`;
  await ffmpeg(
    ...words(`${inputs} -map 0 -map 1 -map 2 ${X264} -c:a flac -c:s srt -metadata:s:s:0 language=fre ${film}`),
  );
  const scene = await startScene(t, { partsKeptMs: 0 });
  const titleId = await scene.attach(film);
  assert.equal((await scene.ended(titleId)).name, "transcode.complete");
  const left = await scene.until(async () => {
    const keys = await scene.keys("segments", `${titleId}/`);
    return keys.some((key) => key.includes("/chunks/")) ? undefined : keys;
  }, "tidied");
  const shown = left.map((key) => key.slice(titleId.length + 1).replace(/-\d+\./, "-E."));
  assert.deepEqual(shown, ["r1/source-E.mp4", "r1/subtitles/2-E.vtt", "set.json"]);
  const set = await scene.set(titleId);
  assert.deepEqual(
    set?.subtitles.map(({ id, language, path }) => [id, language, path.replace(/-\d+\./, "-E.")]),
    [[0, "fre", `${titleId}/r1/subtitles/2-E.vtt`]],
  );
});

test("slots: as configured, else two, or one where memory is scarce", () => {
  const GiB = 2 ** 30;
  assert.equal(slotsFor(7, { totalBytes: 2 * GiB, limitBytes: 0 }), 7);
  assert.equal(slotsFor(undefined, { totalBytes: 16 * GiB, limitBytes: 0 }), 2);
  assert.equal(slotsFor(null, { totalBytes: 4 * GiB, limitBytes: 0 }), 1);
  assert.equal(slotsFor(null, { totalBytes: 64 * GiB, limitBytes: 4 * GiB }), 1);
  assert.equal(slotsFor(null, { totalBytes: 64 * GiB, limitBytes: Number.MAX_SAFE_INTEGER }), 2);
});
