/** Every playlist and manifest of real files, as the packager serves it, before parsers that are not ours. */
import assert from "node:assert/strict";
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, type TestContext, test } from "node:test";
import HLS from "hls-parser";
import { makeInput, sharedMediaDir } from "../../test/media/make.ts";
import { playlistProblems } from "../../test/support/hls-grammar.ts";
import { mediaFile } from "../../test/support/media-file.ts";
import { tempDir } from "../../test/support/platform.ts";
import { xmlErrors } from "../../test/support/xml.ts";
import { startTestPackager } from "./packager.fixture.ts";

HLS.setOptions({ strictMode: true });

let media = "";
before(async () => {
  media = await sharedMediaDir();
});

const INPUTS = {
  "a/set_1.mp4": "moov-first",
  "a/set_2.mp4": "two-languages",
  "a/silent.mp4": "video-only",
  "a/sound.m4a": "audio-only",
  "a/vfr.mp4": "vfr",
  "a/long gop.mp4": "gop-10-s",
  "a/text.mp4": "mov-text",
} as const;
const SETS = [
  "a/set_1.mp4",
  "a/set_,2,1,.mp4.csmil",
  "a/list.smil",
  "a/silent.mp4",
  "a/sound.m4a",
  "a/vfr.mp4",
  "a/long%20gop.mp4",
  "a/text.mp4",
];
const QUERIES = [
  "",
  "?set-akamai-hls-revision=4",
  "?set-akamai-hls-revision=5",
  "?__a__=on&bwcorrection=10",
  "?start=3",
];

const archive = async (t: TestContext): Promise<string> => {
  const folder = await tempDir(t);
  await mkdir(join(folder, "a"));
  for (const [path, input] of Object.entries(INPUTS)) await copyFile(await makeInput(input, media), join(folder, path));
  await writeFile(
    join(folder, "a/list.smil"),
    '<smil><body><switch><video src="set_1.mp4"/><video src="silent.mp4"/><audio src="sound.m4a"/></switch></body></smil>',
  );
  return folder;
};

const playlistAt = async (url: URL): Promise<string> => {
  const answer = await fetch(url);
  const text = await answer.text();
  assert.equal(answer.status, 200, `${url}: ${text}`);
  assert.deepEqual(playlistProblems(text), [], String(url));
  return text;
};
/** Everything that a playlist names. */
const named = (text: string, base: URL): URL[] =>
  [...text.matchAll(/^(?!#)(.+?)\r?$|URI="([^"]+)"/gm)].map(([, line, quoted]) => new URL(line ?? quoted ?? "", base));

test("masters and all media playlists below them, of every kind of set and query, pass a grammar and a parser", async (t) => {
  const { url } = await startTestPackager(t, { folder: await archive(t) });
  const seen = new Set<string>();
  for (const set of SETS) {
    for (const name of ["master.m3u8", "cmaf.m3u8"]) {
      for (const query of QUERIES) {
        const at = new URL(`/i/${set}/${name}${query}`, url);
        const master = await playlistAt(at);
        assert.ok(HLS.parse(master).isMasterPlaylist, String(at));
        for (const child of named(master, at)) {
          if (seen.has(child.href)) continue;
          seen.add(child.href);
          const list = HLS.parse(await playlistAt(child));
          assert.ok(!list.isMasterPlaylist && list.endlist && list.segments.length > 0, child.href);
          const last = list.segments.at(-1);
          assert.ok(last && named(`${last.uri}\n`, child).length === 1);
          const segment = await fetch(named(`${last.uri}\n`, child)[0]!, { method: "HEAD" });
          assert.equal(segment.status, 200, `${child.href}: ${last.uri}`);
        }
      }
    }
  }
  assert.ok(seen.size > 60, `${seen.size} media playlists`);
});

test("target durations are one within a set, whatever audio it has", async (t) => {
  const { url } = await startTestPackager(t, { folder: await archive(t) });
  const at = new URL("/i/a/set_,2,1,.mp4.csmil/cmaf.m3u8", url);
  const targets = new Set<string | undefined>();
  for (const child of named(await playlistAt(at), at)) {
    const text = await playlistAt(child);
    if (!text.includes("I-FRAMES-ONLY")) targets.add(/TARGETDURATION:(\d+)/.exec(text)?.[1]);
  }
  assert.equal(targets.size, 1);
});

test("a set whose files end so far apart that their own target durations differ has playlists of its own", async (t) => {
  const folder = await tempDir(t);
  for (const seconds of [10, 13]) {
    const film = `-f lavfi -i testsrc2=s=64x36:r=25:d=${seconds} -c:v libx264 -force_key_frames 0,6 -g 999 -f mp4`;
    await writeFile(join(folder, `film_${seconds}.mp4`), await mediaFile(film));
  }
  const { url } = await startTestPackager(t, { folder });
  const at = new URL("/i/film_,10,13,.mp4.csmil/master.m3u8", url);
  const children = named(await playlistAt(at), at);
  assert.equal(children.length, 2);
  for (const child of children) assert.match(await playlistAt(child), /TARGETDURATION:7\n/, child.href);
  const own = new URL("/i/film_10.mp4/index_0_av.m3u8", url);
  assert.match(await playlistAt(own), /TARGETDURATION:6\n/);
});

test("MPDs of every kind of set are XML, and valid by the schema where DASH_SCHEMA names it", async (t) => {
  const { url } = await startTestPackager(t, { folder: await archive(t) });
  for (const set of SETS) {
    for (const query of ["", "?start=3&end=5"]) {
      const answer = await fetch(`${url}/i/${set}/manifest.mpd${query}`);
      assert.equal(answer.status, 200, set);
      const errors = await xmlErrors(await answer.text(), process.env.DASH_SCHEMA);
      if (errors === null) return t.skip("skipped: needs xmllint");
      assert.equal(errors.replace("- validates\n", ""), "", set);
    }
  }
});

const statusOf = async (url: string): Promise<number> => (await fetch(url)).status;

test("playlists of tracks and subtitles that are not there are 404, whatever else the file has", async (t) => {
  const folder = await archive(t);
  const { url } = await startTestPackager(t, { folder });
  const absent = [
    ...["index_0_a2", "cmaf_0_a2", "subtitle_0_de", "subtitle_9_en", "subtitle_1_en"].map(
      (name) => `set_1.mp4/${name}`,
    ),
    ...["index_0_a", "cmaf_0_a"].map((name) => `silent.mp4/${name}`),
    ...["index_0_v", "cmaf_0_v", "iframes_0_v", "cmaf_iframes_0_v"].map((name) => `sound.m4a/${name}`),
    ...["subtitle_1_de", "subtitle_2_en"].map((name) => `text.mp4/${name}`),
  ];
  for (const path of absent) assert.equal(await statusOf(`${url}/i/a/${path}.m3u8`), 404, path);
  assert.equal(await statusOf(`${url}/i/a/set_2.mp4/index_0_a2.m3u8`), 200);
});

test("a start behind the end is refused by masters as by what is below them", async (t) => {
  const { url } = await startTestPackager(t, { folder: await archive(t) });
  for (const name of ["master.m3u8", "cmaf.m3u8", "manifest.mpd", "index.m3u8"]) {
    assert.equal(await statusOf(`${url}/i/a/set_1.mp4/${name}?start=500`), 400, name);
    assert.equal(await statusOf(`${url}/i/a/set_1.mp4/${name}?start=5`), 200, name);
  }
});

test("two languages of subtitles are two representations of an MPD", async (t) => {
  const folder = await archive(t);
  for (const language of ["en", "de"])
    await writeFile(join(folder, `a/set_${language}.vtt`), "WEBVTT\n\n00:01.000 --> 00:02.000\nyes\n");
  const { url } = await startTestPackager(t, { folder });
  const query = "subtitle_file_pattern=identifier_langcode.vtt&subtitle_identifier=set";
  const text = await (await fetch(`${url}/i/a/set_,1,2,.mp4.csmil/manifest.mpd?${query}`)).text();
  const ids = [...text.matchAll(/<Representation id="(subtitle[^"]*)"/g)].map(([, id]) => id);
  assert.deepEqual(ids.sort(), ["subtitle_0_de", "subtitle_0_en"]);
});
