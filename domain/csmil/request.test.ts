import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { AUDIO_ONLY, AV, type Leaf, leafName, leafOf, VIDEO_ONLY } from "./leaf.ts";
import { encodedPath, relativeReference } from "./path.ts";
import { type PackagerRequest, type PathOptions, parsePackagerPath } from "./request.ts";

const OPTIONS: PathOptions = { prefix: "/i/", childManifestFilename: "index_0_av.m3u8", sanitize: "refuse" };
const parse = (path: string, options: Partial<PathOptions> = {}) => parsePackagerPath(path, { ...OPTIONS, ...options });
const read = (path: string, options: Partial<PathOptions> = {}): PackagerRequest => {
  const request = parse(path, options);
  return "refusal" in request ? assert.fail(`${path}: ${request.reason}`) : request;
};
const refusalOf = (path: string, options: Partial<PathOptions> = {}): string => {
  const request = parse(path, options);
  return "refusal" in request ? `${request.refusal}: ${request.reason}` : assert.fail(`${path} was taken`);
};
/** As playlists name it. */
const urlOf = (path: string, leaf: Leaf): string => `/i/${encodedPath(path)}/${leafName(leaf)}`;
const MASTER: Leaf = { kind: "master", container: "ts" };

test("a csmil path at the root names a file for each bitrate, as the seed's README has it", () => {
  assert.deepEqual(read("/i/my_video_,highdef,medium,low,.mp4.csmil/master.m3u8"), {
    set: {
      kind: "csmil",
      path: "my_video_,highdef,medium,low,.mp4.csmil",
      files: ["my_video_highdef.mp4", "my_video_medium.mp4", "my_video_low.mp4"],
      key: "csmil\nmy_video_highdef.mp4\nmy_video_low.mp4\nmy_video_medium.mp4",
      identifier: "my_video",
    },
    leaf: MASTER,
  });
});

test("csmil sets as they occur name these files", () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    "movies/example2a_,300000,500000,_event1.mp4": [
      "movies/example2a_300000_event1.mp4",
      "movies/example2a_500000_event1.mp4",
    ],
    "a/b/c/movie_,1,.mp4": ["a/b/c/movie_1.mp4"],
    "a/movie_,,1,,2,,.mp4": ["a/movie_1.mp4", "a/movie_2.mp4"], // empty tokens are skipped
    "v/,1480611_16974214,1480611_16974213,.mp4": ["v/1480611_16974214.mp4", "v/1480611_16974213.mp4"],
    "v/news_,L,H,Q.mp4": ["v/news_LQ.mp4", "v/news_HQ.mp4"], // a suffix need not begin with a dot
    "v/a_,1,1,2,.mp4": ["v/a_1.mp4", "v/a_2.mp4"], // none twice
    "Prod/,NBC/758/a_med.mp4,NBC/758/a_low.mp4,": ["Prod/NBC/758/a_med.mp4", "Prod/NBC/758/a_low.mp4"],
    "news/debate_full.mp4,,": ["news/debate_full.mp4"], // a set of one, named by its prefix
    "Tom, Dick/movie_,1,2,.mp4": ["Tom, Dick/movie_1.mp4", "Tom, Dick/movie_2.mp4"],
    "fünf/größe %25 ,1,2,.mp4": ["fünf/größe % 1.mp4", "fünf/größe % 2.mp4"],
  };
  for (const [path, files] of Object.entries(cases)) {
    assert.deepEqual(read(`/i/${path}.csmil/master.m3u8`).set.files, files, path);
  }
});

test("the same bitrates in any order are the same set", () => {
  const { int } = seeded(4);
  for (let round = 0; round < 200; round += 1) {
    const tokens = Array.from({ length: 1 + int(20) }, () => String(int(5_000)));
    const shuffled = tokens.map((token) => [int(1e9), token] as const).sort((one, other) => one[0] - other[0]);
    const key = (list: readonly string[]) => read(`/i/d/x_,${list.join(",")},.mp4.csmil/master.m3u8`).set.key;
    assert.equal(key(tokens), key(shuffled.map(([, token]) => token)));
    assert.notEqual(key(tokens), key([...tokens, "5001"]));
  }
});

test("every leaf below a file, a csmil set and a SMIL file has one canonical name and is read back from it", () => {
  const second = { video: false, audio: 1 };
  const leaves: readonly (readonly [string, Leaf])[] = [
    ["master.m3u8", MASTER],
    ["cmaf.m3u8", { kind: "master", container: "fmp4" }],
    ["manifest.mpd", { kind: "mpd" }],
    ["index_0_av.m3u8", { kind: "media", container: "ts", rendition: 0, tracks: AV }],
    ["index_12_v.m3u8", { kind: "media", container: "ts", rendition: 12, tracks: VIDEO_ONLY }],
    ["index_1_a.m3u8", { kind: "media", container: "ts", rendition: 1, tracks: AUDIO_ONLY }],
    ["index_1_a2.m3u8", { kind: "media", container: "ts", rendition: 1, tracks: second }],
    ["cmaf_0_av.m3u8", { kind: "media", container: "fmp4", rendition: 0, tracks: AV }],
    ["cmaf_2_a2.m3u8", { kind: "media", container: "fmp4", rendition: 2, tracks: second }],
    ["iframes_0_v.m3u8", { kind: "iframes", container: "ts", rendition: 0 }],
    ["cmaf_iframes_3_v.m3u8", { kind: "iframes", container: "fmp4", rendition: 3 }],
    ["segment1_0_av.ts", { kind: "segment", container: "ts", rendition: 0, tracks: AV, number: 1 }],
    ["segment1000_2_a.ts", { kind: "segment", container: "ts", rendition: 2, tracks: AUDIO_ONLY, number: 1000 }],
    ["segment7_1_a2.m4s", { kind: "segment", container: "fmp4", rendition: 1, tracks: second, number: 7 }],
    ["segment7_1_v.m4s", { kind: "segment", container: "fmp4", rendition: 1, tracks: VIDEO_ONLY, number: 7 }],
    ["init_0_v.mp4", { kind: "init", rendition: 0, tracks: VIDEO_ONLY }],
    ["init_4_av.mp4", { kind: "init", rendition: 4, tracks: AV }],
    ["iframe9_0_v.ts", { kind: "iframe", container: "ts", rendition: 0, number: 9 }],
    ["iframe9_0_v.m4s", { kind: "iframe", container: "fmp4", rendition: 0, number: 9 }],
    ["subtitle_0_en.m3u8", { kind: "subtitles", id: 0, language: "en" }],
    ["subtitle3_1_zh-Hant.vtt", { kind: "subtitle", id: 1, language: "zh-Hant", number: 3 }],
    ["subtitle_1_pt-BR.vtt", { kind: "subtitleFile", id: 1, language: "pt-BR" }],
    ["key_0.bin", { kind: "key", rendition: 0 }],
    ["clearkey", { kind: "clearkey" }],
  ];
  for (const [name, leaf] of leaves) {
    assert.equal(leafName(leaf), name);
    for (const path of ["movie.mp4", "a/b c/movie.mp4", "a/m_,1,2,.mp4.csmil", "a/x.smil"]) {
      const url = `/i/${encodedPath(path)}/${name}`;
      const request = read(url);
      assert.deepEqual(request.leaf, leaf, name);
      assert.equal(request.set.path, path);
      assert.equal(urlOf(request.set.path, request.leaf), url);
    }
  }
});

test("aliases stand for what their canonical names stand for", () => {
  const leaf = (path: string, options: Partial<PathOptions> = {}) => read(path, options).leaf;
  assert.deepEqual(leaf("/i/x.mp4/index.m3u8"), leaf("/i/x.mp4/index_0_av.m3u8"));
  assert.deepEqual(leaf("/i/x.mp4/segment-0.ts"), leaf("/i/x.mp4/segment1_0_av.ts"));
  assert.deepEqual(leaf("/i/x.mp4/segment-99.ts"), leaf("/i/x.mp4/segment100_0_av.ts"));
  const renamed = { childManifestFilename: "media.m3u8" };
  assert.deepEqual(leaf("/i/x.mp4/media.m3u8", renamed), leaf("/i/x.mp4/index_0_av.m3u8", renamed));
  assert.match(refusalOf("/i/x.mp4/media.m3u8"), /^NOT_FOUND/);
  assert.deepEqual(leaf("/vod/x.mp4/master.m3u8", { prefix: "/vod/" }), MASTER);
});

test("a file itself and names that nothing has are not found", () => {
  const names = [
    "x.mp4",
    "a/x.mp4",
    "master.m3u8",
    "x.mp4/index_a_av.m3u8",
    "x.mp4/segment0_0_av.ts",
    "x.mp4/MASTER.m3u8",
  ];
  names.push("x.mp4/segment01_0_av.ts", "x.mp4/segment1_00_av.ts", "x.mp4/segment1_0_a1.ts", "x.mp4/segment1_0_va.ts");
  names.push(
    "x.mp4/segment-01.ts",
    "x.mp4/segment1_0_av.ts.exe",
    "x.mp4/segment12345678901_0_av.ts",
    "x.mp4/key_0.txt",
  );
  names.push("x.mp4/iframe1_0_av.ts", "x.mp4/subtitle_0_.vtt", "x.mp4/subtitle_en.m3u8", "x.mp4/init_0_v.mp4.mp4");
  for (const name of names) assert.match(refusalOf(`/i/${name}`), /^NOT_FOUND/, name);
  for (const path of ["/", "/x/master.m3u8", "/i", "i/x.mp4/master.m3u8"]) assert.match(refusalOf(path), /^NOT_FOUND/);
});

test("paths that no name may have are refused, whatever they are written as", () => {
  const cases: readonly (readonly [string, RegExp])[] = [
    ["../x.mp4/master.m3u8", /a part is "\.\."/],
    ["a/../x.mp4/master.m3u8", /a part is "\.\."/],
    ["a/%2e%2E/x.mp4/master.m3u8", /a part is "\.\."/],
    ["a/./x.mp4/master.m3u8", /a part is "\."/],
    ["a//x.mp4/master.m3u8", /a part is empty/],
    ["/x.mp4/master.m3u8", /a part is empty/],
    ["x.mp4/", /a part is empty/],
    ["a%2fx.mp4/master.m3u8", /an encoded slash/],
    ["..%2F..%2Fetc/master.m3u8", /an encoded slash/],
    ["a%5Cx.mp4/master.m3u8", /an encoded slash or backslash/],
    ["a\\x.mp4/master.m3u8", /a backslash/],
    ["x%00.mp4/master.m3u8", /a NUL/],
    ["x%0a.mp4/master.m3u8", /a control character/],
    ["x%7F.mp4/master.m3u8", /a control character/],
    ["x%.mp4/master.m3u8", /percent-encoding/],
    ["x%zz.mp4/master.m3u8", /percent-encoding/],
    ["x%c0%af.mp4/master.m3u8", /percent-encoding/], // an overlong slash
    ["%ff.mp4/master.m3u8", /percent-encoding/],
    ["%ed%a0%80.mp4/master.m3u8", /percent-encoding/], // half of a surrogate pair
    [`${"a".repeat(1_100)}/master.m3u8`, /longer than 1024 characters/],
    [`${"a/".repeat(5_000)}master.m3u8`, /longer than 8192 characters/],
    ["x.csmil/master.m3u8", /at least one bitrate/],
    ["x,.mp4.csmil/master.m3u8", /at least one bitrate/],
    [".csmil/master.m3u8", /at least one bitrate/],
    ["a/,,.csmil/master.m3u8", /a part is empty/],
    [`x_,${Array.from({ length: 101 }, (_, i) => i).join(",")},.mp4.csmil/master.m3u8`, /more than 100 bitrates/],
    // Harmless parts that join to something else.
    [".,.,/x.mp4.csmil/master.m3u8", /a part is "\.\."/],
    ["a/,.,./x.mp4.csmil/master.m3u8", /a part is "\.\."/],
    ["a/,/b,.mp4.csmil/master.m3u8", /a part is empty/],
  ];
  for (const [path, reason] of cases) {
    const refusal = refusalOf(`/i/${path}`);
    assert.match(refusal, /^PATH_REFUSED/, path);
    assert.match(refusal, reason, path);
  }
});

test("Unicode, spaces and signs in names are kept, and come back encoded", () => {
  for (const path of ["Größe & Maß.mp4", "映画/第1話.mp4", "a'b\"c#d?e+f;g=h.mp4", "100%.mp4", "🎬.mp4", "a:b.mp4"]) {
    const url = urlOf(path, MASTER);
    assert.match(url, /^[\w\-.~!$&'()*+,;=:@%/]+$/, url); // RFC 3986 §3.3
    assert.deepEqual(read(url).set.files, [path]);
  }
});

test("with sanitize=strip names lose what the seed takes out, and nothing slips through by it", () => {
  const strip = { sanitize: "strip" } as const;
  assert.deepEqual(read("/i/my%20films/Tom%20&%20Jerry_(1).mp4/master.m3u8", strip).set.files, [
    "myfilms/TomJerry_1.mp4",
  ]);
  assert.deepEqual(read("/i/a%20b/x%20_,h%20i,l'o,.mp4.csmil/master.m3u8", strip).set.files, [
    "ab/x_hi.mp4",
    "ab/x_lo.mp4",
  ]);
  assert.match(refusalOf("/i/.%20./x.mp4/master.m3u8", strip), /PATH_REFUSED: a part is "\.\."/);
  assert.match(refusalOf("/i/%20/x.mp4/master.m3u8", strip), /PATH_REFUSED: a part is empty/);
  assert.match(refusalOf("/i/映画.mp4/../master.m3u8", strip), /PATH_REFUSED: a part is "\.\."/);
});

test("relative references lead where they should, judged by the URL parser", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["my_video_,low,.mp4.csmil", "my_video_low.mp4"],
    ["a/b/x_,1,2,.mp4.csmil", "a/b/x_1.mp4"],
    ["a/,n/x,n/y,.csmil", "a/n/x"],
    ["a/b/list.smil", "c d/e#f.mp4"],
    ["a", "a:b.mp4"],
  ];
  for (const [from, to] of cases) {
    const there = new URL(relativeReference(from, to), `http://host/i/${encodedPath(from)}/master.m3u8`);
    assert.equal(there.pathname, new URL(`http://host/i/${encodedPath(to)}`).pathname, `${from} → ${to}`);
  }
  assert.equal(relativeReference("a/b/x_,1,2,.mp4.csmil", "a/b/x_1.mp4"), "../x_1.mp4");
});

test("any text is either read or refused, and what was read names no path out of the root", () => {
  const { int } = seeded(8);
  const pieces = [
    "..",
    ".",
    "/",
    "%2e",
    "%2f",
    "%00",
    ",",
    ",,",
    ".csmil",
    ".smil",
    ".mp4",
    "a",
    "ü",
    "%",
    "%20",
    "\\",
  ];
  pieces.push("/master.m3u8", "/segment1_0_av.ts", "/index_0_av.m3u8");
  for (let round = 0; round < 20_000; round += 1) {
    const path = `/i/${Array.from({ length: int(9) }, () => pieces[int(pieces.length)]).join("")}`;
    for (const sanitize of ["refuse", "strip"] as const) {
      const request = parse(path, { sanitize });
      if ("refusal" in request) continue;
      for (const file of request.set.files) {
        assert.ok(!file.split("/").some((part) => ["", ".", ".."].includes(part)) && !file.includes("\0"), path);
      }
    }
  }
});

test("leaf names are found without their file", () => {
  assert.deepEqual(leafOf("master.m3u8", "index_0_av.m3u8"), MASTER);
  assert.equal(leafOf("constructor", "index_0_av.m3u8"), null);
});
