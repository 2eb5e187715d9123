import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { ffmpeg, type Scene, startScene } from "./transcoder.fixture.ts";

const words = (text: string): string[] => text.split(" ");
const BOTH = "-f lavfi -i testsrc2=s=128x72:r=25:d=7 -f lavfi -i sine=d=7";
const MAPPED = "-map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast -bf 2 -c:a aac";

/** A film with a subtitle file beside it, in a container. */
const filmOf = async (
  t: TestContext,
  of: {
    readonly name: string;
    readonly text: string;
    readonly bytes: string | Buffer;
    readonly as?: string;
    readonly options: string;
  },
): Promise<string> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-subtitles-"));
  t.after(() => rm(dir, { recursive: true, force: true }));
  const [text, film] = [join(dir, of.text), join(dir, of.name)];
  await writeFile(text, of.bytes);
  await ffmpeg(...words(`${BOTH} ${of.as ?? ""} -i ${text} ${MAPPED} ${of.options} ${film}`.replaceAll("  ", " ")));
  return film;
};
const completed = async (scene: Scene, file: string) => {
  const titleId = await scene.attach(file);
  const end = await scene.ended(titleId);
  assert.equal(end.name, "transcode.complete", JSON.stringify(end.payload));
  const set = await scene.set(titleId);
  const started = scene.told.find((one) => one.titleId === titleId && one.name === "transcode.started");
  assert.ok(set && started);
  return { set, media: started.payload.media as { readonly notes: readonly string[] } };
};

test("text of a source without an index is copied with it, and shown as long as it can be read", async (t) => {
  const bytes = "1\n00:00:01,000 --> 00:00:02,000\nfirst\n\n2\n00:00:03,500 --> 00:00:04,000\nsecond\n";
  const options = "-c:s text -metadata:s:s:0 language=fre -metadata:s:s:0 title=Français";
  const film = await filmOf(t, { name: "film.nut", text: "text.srt", bytes, options });
  const scene = await startScene(t);
  const { set, media } = await completed(scene, film);
  assert.deepEqual(
    set.subtitles.map(({ id, language, name }) => [id, language, name]),
    [[0, "fre", "Français"]],
  );
  assert.deepEqual(media.notes, []);
  const text = await readFile(scene.file(set.subtitles[0]?.path ?? ""), "utf8");
  const cues = [...text.matchAll(/^(\S+) --> (\S+)\n(.+)$/gm)].map(([, from, to, line]) => [from, to, line]);
  const seconds = (stamp = ""): number => stamp.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  assert.deepEqual(
    cues.map(([, , line]) => line),
    ["first", "second"],
  );
  // A container without durations: each stays until the next, or five seconds.
  for (const [i, [from, to]] of [
    [1, 3.5],
    [3.5, 8.5],
  ].entries()) {
    const [shown, gone] = [seconds(cues[i]?.[0]), seconds(cues[i]?.[1])];
    assert.ok(Math.abs(shown - (from ?? 0)) < 0.05 && Math.abs(gone - (to ?? 0)) < 0.05, `${shown} to ${gone}`);
  }
});

/** A presentation graphic stream that shows nothing: its segment "end", at a time of 90 kHz. */
const segment = (seconds: number): Buffer => {
  const head = Buffer.from("50470000000000000000800000", "hex");
  head.writeUInt32BE(seconds * 90_000, 2);
  return head;
};
const PICTURES = { text: "pictures.sup", bytes: Buffer.concat([1, 2, 3].map(segment)), options: "-c:s copy" } as const;

test("subtitles that are no text are left out, and the title says so and why", async (t) => {
  const scene = await startScene(t);
  const why = "left out: subtitles that are pictures of text, which WebVTT can't show,";
  // In transport streams the packets are called something else, which nobody looks into.
  const cases = [
    [{ ...PICTURES, name: "film.mkv" }, `${why} hdmv_pgs_subtitle (stream 2)`],
    [{ ...PICTURES, name: "film.ts", as: "-c:s dvbsub" }, `${why} dvb_subtitle (stream 2)`],
    [
      { ...PICTURES, name: "film.ts", as: "-c:s libzvbi_teletextdec" },
      "left out: teletext, which doesn't say which of its pages are subtitles, dvb_teletext (stream 2)",
    ],
  ] as const;
  for (const [of, note] of cases) {
    const { set, media } = await completed(scene, await filmOf(t, of));
    assert.deepEqual([set.subtitles, set.audio.length, media.notes], [[], 1, [note]]);
  }
});
