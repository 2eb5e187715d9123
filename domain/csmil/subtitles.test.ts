import assert from "node:assert/strict";
import { test } from "node:test";
import { parseQuery } from "./query.ts";
import { parsePackagerPath } from "./request.ts";
import { isOwnSubtitle, type SubtitlePlace, subtitleLanguage, subtitlePaths, subtitlePlace } from "./subtitles.ts";

const OPTIONS = { prefix: "/i/", childManifestFilename: "index_0_av.m3u8", sanitize: "refuse" } as const;
const placeOf = (path: string, query: string): SubtitlePlace => {
  const request = parsePackagerPath(`/i/${path}/master.m3u8`, OPTIONS);
  const asked = parseQuery(query);
  if ("refusal" in request || "refusal" in asked) return assert.fail();
  return subtitlePlace(request.set, asked.subtitles);
};
const GUIDE = "dir1/dir2/video_,100k,200k,500k,.mp4.csmil";
const first = (query: string, language = "en", path = GUIDE): string | undefined =>
  subtitlePaths(placeOf(path, query), language)[0];

test("the guide's table of subtitle queries gives the guide's files", () => {
  assert.equal(first("subtitle_file_pattern=langcode_identifier"), "dir1/dir2/en_video.vtt");
  assert.equal(first("subtitle_file_pattern=langcode_identifier", "zh"), "dir1/dir2/zh_video.vtt");
  assert.equal(first("subtitle_file_pattern=identifier_langcode"), "dir1/dir2/video_en.vtt");
  assert.equal(first("subtitle_file_pattern=identifier_langcode.abc"), "dir1/dir2/video_en.abc");
  assert.equal(first(""), "dir1/dir2/video_en.vtt");
  const named = "subtitle_file_pattern=identifier_langcode&subtitle_identifier=subtitles";
  assert.equal(first(named), "dir1/dir2/subtitles_en.vtt");
  assert.equal(first(`${named}&subtitle_location=dir3`), "dir1/dir2/dir3/subtitles_en.vtt");
  assert.equal(first(`${named}&subtitle_location=/dir3`), "dir3/subtitles_en.vtt");
  assert.equal(first(`${named}&subtitle_location=/`), "subtitles_en.vtt");
});

test("media identifiers of files, sets and SMIL files at any depth", () => {
  assert.equal(first("", "en", "hello.mp4"), "hello_en.vtt");
  assert.equal(first("subtitle_location=subs", "en", "hello.mp4"), "subs/hello_en.vtt");
  assert.equal(first("", "pt-BR", "a/b/list.smil"), "a/b/list_pt-BR.vtt");
  assert.equal(first("", "en", "v/,1480611_1,1480611_2,.mp4.csmil"), "v/1480611_1_en.vtt");
  assert.equal(first("", "en", "v/Größe - ,1,2,.mp4.csmil"), "v/Größe_en.vtt");
});

test("without an extension the known ones are tried in order", () => {
  assert.deepEqual(subtitlePaths(placeOf("x.mp4", ""), "en"), ["x_en.vtt", "x_en.dfxp", "x_en.srt", "x_en.ttml"]);
});

test("the language of a file is known by its name", () => {
  const language = (query: string, name: string) => subtitleLanguage(placeOf(GUIDE, query), name);
  assert.equal(language("", "video_en.vtt"), "en");
  assert.equal(language("", "video_zh-Hant.dfxp"), "zh-Hant");
  assert.equal(language("subtitle_file_pattern=langcode_identifier", "en_video.vtt"), "en");
  assert.equal(language("subtitle_file_pattern=identifier.langcode.xyz", "video.fr.xyz"), "fr");
  for (const name of [
    "video_en.mp4",
    "video_.vtt",
    "video.vtt",
    "other_en.vtt",
    "video_100k.vtt.vtt",
    "en_video.vtt",
    "vtt",
  ]) {
    assert.equal(language("", name), null, name);
  }
});

test("a film's own subtitles lie beside it under its name and a language, and those of other films never do", () => {
  const isOwn = (path: string, file: string): boolean => {
    const request = parsePackagerPath(`/i/${path}/master.m3u8`, OPTIONS);
    return "refusal" in request ? assert.fail() : isOwnSubtitle(request.set, file);
  };
  for (const name of ["video_en.vtt", "video.pt-BR.srt", "en-video.ttml", "video_-_zh-Hant.abc", "video_en"]) {
    assert.equal(isOwn(GUIDE, `dir1/dir2/${name}`), true, name);
  }
  assert.equal(isOwn("movie.mp4", "movie_en.vtt"), true);
  assert.equal(isOwn("a/list.smil", "a/list_en.vtt"), true);
  const others = [
    "dir1/dir2/video2_en.vtt",
    "dir1/dir2/video_two_en.vtt",
    "dir1/dir2/video_trailer.vtt",
    "dir1/dir2/videos-en.vtt",
    "dir1/dir2/video.vtt",
    "dir1/dir2/other_en.vtt",
    "dir1/dir2/my-video_en.vtt",
    "dir1/dir2/dir3/video_en.vtt",
    "dir1/video_en.vtt",
    "video_en.vtt",
  ];
  for (const file of others) assert.equal(isOwn(GUIDE, file), false, file);
  assert.equal(isOwn("movie.mp4", "a/movie_en.vtt"), false);
});
