/** Sets of renditions: cut at the same places in every rendition and format, each with its file's samples. */
import assert from "node:assert/strict";
import path from "node:path";
import { after, before, test } from "node:test";
import { startTestPackager } from "../../actors/packager/packager.fixture.ts";
import { tempDir } from "../support/platform.ts";
import { textOf } from "./client.ts";
import { assertRepresentations } from "./dash.ts";
import { assertPlayed, assertPlayedToAnEnd } from "./expected.ts";
import { assertFmp4, assertSameCuts, assertTs } from "./formats.ts";
import { assertIFrames } from "./iframes.ts";
import { parsedList } from "./lists.ts";
import { made, rendition, sound } from "./media.ts";
import { play } from "./play.ts";
import type { Subject } from "./subjects.ts";
import { truthOf } from "./truth.ts";

const WIDTHS = [64, 128, 192];
/** Key frames every so many frames, of which there are 25 in a second. */
const SETS = { shared: [50, 50, 50], differing: [25, 50, 75] };
const CUTS = { shared: [0, 2, 4, 6, 8, 10], differing: [0, 6] };

let folder = "";
let close: () => Promise<void> = async () => {};
before(async () => {
  folder = await tempDir({
    after: (clean) => {
      close = clean;
    },
  });
  for (const [name, gops] of Object.entries(SETS)) {
    for (const [index, width] of WIDTHS.entries()) {
      await rendition(path.join(folder, `${name}_${width}.mp4`), { width, gop: gops[index] ?? 0 });
    }
  }
});
after(() => close());

for (const name of ["shared", "differing"] as const) {
  test(`three renditions with ${name} key frames: the same cuts in all of them, as TS, fMP4 and DASH`, async (t) => {
    const packager = await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" } });
    const url = `${packager.url}/i/${name}_,${WIDTHS.join()},.mp4.csmil`;
    const subjects: Subject[] = [];
    for (const [index, width] of WIDTHS.entries()) {
      const file = path.join(folder, `${name}_${width}.mp4`);
      const truth = await truthOf(file, { reader: "mediabunny" });
      subjects.push({ name, url, path: file, truth, lateSeconds: 0, rendition: index });
    }
    const streams = [];
    for (const subject of subjects) {
      streams.push(await assertTs(subject), await assertFmp4(subject));
      await assertIFrames(subject, { inTs: true });
    }
    const [first = assert.fail(), ...others] = streams;
    const starts = first.segments.map(({ video }) =>
      Math.round(Math.min(...video.map(({ ptsSeconds }) => ptsSeconds))),
    );
    assert.deepEqual(starts, CUTS[name]);
    for (const other of others) for (const kind of ["video", "audio"] as const) assertSameCuts(other, first, kind);

    const [lowest = assert.fail()] = subjects;
    const pictures = subjects.map(({ truth }) => truth.video ?? assert.fail());
    const [sound = assert.fail()] = lowest.truth.audio;
    const representations = new Map([
      ...pictures.map((track, index) => [`${index}_v`, track] as const),
      ["0_a", sound],
    ]);
    await assertRepresentations(lowest, representations);

    for (const master of ["master.m3u8", "cmaf.m3u8"]) {
      const list = parsedList(`${url}/${master}`, await textOf(`${url}/${master}`));
      assert.ok(list.isMasterPlaylist);
    }
    const [ts = [], fmp4 = [], dash = []] = await play(
      ["master.m3u8", "cmaf.m3u8", "manifest.mpd"].map((leaf) => `${url}/${leaf}`),
    );
    const expectation = { subject: lowest, label: name };
    const sounds = subjects.map(({ truth }) => truth.audio[0] ?? assert.fail());
    assertPlayed(ts, { ...expectation, tracks: [...pictures, ...sounds], container: "ts" });
    assertPlayed(fmp4, { ...expectation, tracks: [...pictures, sound], container: "fmp4" });
    assertPlayedToAnEnd(dash, { ...expectation, tracks: [...pictures, sound], container: "fmp4" });
  });
}

test("sound by itself in a set with pictures is cut where they are", async (t) => {
  const packager = await startTestPackager(t, { folder, env: { CASTERPAK_OUTPUT_SEGMENTDURATION: "2" } });
  await sound(path.join(folder, "mixed_1.mp4"), { seconds: 12 });
  await rendition(path.join(folder, "mixed_2.mp4"), { width: 64, gop: 50 });
  const url = `${packager.url}/i/mixed_,1,2,.mp4.csmil`;
  const subjects: Subject[] = [];
  for (const index of [0, 1]) {
    const file = path.join(folder, `mixed_${index + 1}.mp4`);
    const truth = await truthOf(file, { reader: "mediabunny" });
    subjects.push({ name: "mixed", url, path: file, truth, lateSeconds: 0, rendition: index });
  }
  const [first = assert.fail(), film = assert.fail()] = subjects;
  const alone = { ...first, frameSeconds: 1024 / 48_000 };
  const pictures = await assertFmp4(film);
  assert.equal(pictures.segments.length, 6);
  for (const stream of [await assertFmp4(alone), await assertTs(alone), await assertTs(film)])
    assertSameCuts(stream, pictures, "audio");
  const [played = []] = await play([`${url}/manifest.mpd`]);
  assert.deepEqual(
    played.map(({ kind }) => kind),
    ["video", "audio"],
  );
});

test("a second sound without a place in a transport stream is offered in fMP4 and in DASH alone", async (t) => {
  const packager = await startTestPackager(t, { folder });
  const film = await rendition(path.join(folder, "film.mp4"), { width: 64, gop: 50 });
  const file = path.join(folder, "opus.mp4");
  await made(file, `-i ${film} -map 0:v -map 0:a -map 0:a -c copy -c:a:1 libopus -metadata:s:a:1 language=deu`);
  const url = `${packager.url}/i/opus.mp4`;
  const languages = async (leaf: string) =>
    [...(await textOf(`${url}/${leaf}`)).matchAll(/(?:LANGUAGE|lang)="(\w+)"/g)].map(([, language]) => language);
  assert.deepEqual(await languages("master.m3u8"), []);
  assert.ok((await languages("cmaf.m3u8")).includes("de"));
  assert.ok((await languages("manifest.mpd")).includes("de"));
  const [ts = []] = await play([`${url}/master.m3u8`]);
  assert.deepEqual(
    ts.map(({ kind }) => kind),
    ["video", "audio"],
  );
});
