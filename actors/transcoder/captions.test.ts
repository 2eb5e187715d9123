import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { captionedBy } from "../../test/media/patches.ts";
import { ffmpeg, startScene } from "./transcoder.fixture.ts";

const FRAMES_PER_SECOND = 10;
const FROM_SECONDS = 64;
const words = (text: string): string[] => text.split(" ");

const odd = (byte: number): number => {
  const ones = byte.toString(2).replaceAll("0", "").length;
  return ones % 2 === 1 ? byte : byte | 0x80;
};
const pair = (hex: string): string =>
  hex.replace(/../g, (byte) => odd(Number.parseInt(byte, 16)).toString(16).padStart(2, "0"));
/** Shows a word of two letters and takes it away again after three seconds: one pair for each frame. */
const said = (word: string, codes: { readonly mode: string; readonly row: string }): string[] => {
  const { mode, row } = codes;
  const letters = Buffer.from(word).toString("hex");
  const shown = [`${mode}20`, `${mode}20`, `${mode}2e`, `${row}70`, `${row}70`, letters, `${mode}2f`, `${mode}2f`];
  return [...shown, ...Array<string>(30 - shown.length).fill("0000"), `${mode}2c`, `${mode}2c`];
};
const FIELDS = [
  [...said("HI", { mode: "14", row: "14" }), ...said("UP", { mode: "1c", row: "1c" })],
  [...said("YO", { mode: "15", row: "14" }), ...said("ME", { mode: "1d", row: "1c" })],
];

/** Without any caption in its first minute, and with all four channels behind it. */
const filmOf = async (t: TestContext): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-captions-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const [plain, captioned, film] = ["plain.h264", "captioned.h264", "film.mp4"].map((name) => join(dir, name));
  const picture = `-f lavfi -i testsrc2=s=128x72:r=${FRAMES_PER_SECOND}:d=74 -c:v libx264 -preset ultrafast -g 50 -bf 0`;
  await ffmpeg(...words(`${picture} -bsf:v h264_metadata=aud=insert -f h264 ${plain}`));
  const patch = captionedBy((frame) => {
    const at = frame - FROM_SECONDS * FRAMES_PER_SECOND;
    return at < 0 ? null : FIELDS.map((pairs) => pair(pairs[at] ?? "0000"));
  });
  await writeFile(captioned ?? "", patch(await readFile(plain ?? "")));
  await ffmpeg(...words(`-r ${FRAMES_PER_SECOND} -f h264 -i ${captioned} -c copy ${film}`));
  return film ?? "";
};

test("captions that begin after a minute are found, in both fields, and are no longer in the picture", async (t) => {
  const scene = await startScene(t);
  const titleId = await scene.attach(await filmOf(t));
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const set = await scene.set(titleId);
  assert.ok(set);
  assert.deepEqual(
    set.subtitles.map(({ id, name, language, isSdh }) => [id, name, language, isSdh]),
    ["Captions", "Captions (CC2)", "Captions (CC3)", "Captions (CC4)"].map((name, id) => [id, name, "und", true]),
  );
  const cuesOf = async (path: string): Promise<string[]> => {
    const text = await readFile(scene.file(path), "utf8");
    return text.trim().split("\n\n").slice(1);
  };
  const cues = await Promise.all(set.subtitles.map(({ path }) => cuesOf(path)));
  assert.deepEqual(
    cues.map((each) => each.map((cue) => cue.split("\n")[1])),
    [["HI"], ["UP"], ["YO"], ["ME"]],
  );
  for (const [track, [cue = ""]] of cues.entries()) {
    const [, from, to] = (/^01:(\d\d\.\d{3}) --> 01:(\d\d\.\d{3})\n/.exec(cue) ?? []).map(Number);
    // The frames in which a channel says "show", and "take away", are 6 and 30 of its own; second channels 32 later.
    const own = FROM_SECONDS - 60 + (track % 2 === 1 ? 3.2 : 0);
    assert.ok(Math.abs((from ?? 0) - (own + 0.6)) < 0.05 && Math.abs((to ?? 0) - (own + 3)) < 0.05, cue);
  }
  const [rung] = set.rungs;
  const left = await ffmpeg(
    ...words(`-f lavfi -i movie=${scene.file(rung?.path ?? "")}[out+subcc] -map 0:s -c copy -f rcwt -`),
  );
  assert.ok(left.length <= 11, "a rung has captions in its picture, of which its playlists say that there are none");
});

test("captions that can't be kept are left out, and the title is made without them", async (t) => {
  const scene = await startScene(t);
  const titleId = randomUUID();
  // An object in the place of their folder.
  await scene.objects.put({ bucket: "segments", key: `${titleId}/r1/subtitles` }, Buffer.from("in the way"));
  await scene.attach(await filmOf(t), { titleId, revision: 1 });
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  assert.deepEqual((await scene.set(titleId))?.subtitles, []);
  const sql = "select state from job where kind = 'transcode.captions'";
  assert.deepEqual((await scene.db.asOwner(sql)).rows, [{ state: "dead" }]);
});
