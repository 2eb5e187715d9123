import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { NextSegments } from "./next-segments.ts";
import { type PlaylistKind, playlistSegments } from "./playlist-segments.ts";

const HOST = "cdn.acme.example";
const media = (names: readonly string[], end = "#EXT-X-ENDLIST"): string =>
  ["#EXTM3U", ...names.flatMap((name) => ["#EXTINF:4,", name]), end].join("\n");
const film = (name: string, count: number) => ({
  host: HOST,
  target: `/${name}/media.m3u8`,
  kind: "hls" as const,
  text: media(Array.from({ length: count }, (_, n) => `${n}.ts`)),
});

test("after a segment come the next ones of the same rendition, as many as there are", () => {
  const next = new NextSegments();
  assert.ok(next.learn(film("a", 4)));
  assert.deepEqual(next.after(HOST, "/a/0.ts"), ["/a/1.ts"]);
  assert.deepEqual(next.after(HOST, "/a/1.ts", 8), ["/a/2.ts", "/a/3.ts"]);
  assert.deepEqual(next.after(HOST, "/a/3.ts"), []);
  assert.deepEqual(next.after(HOST, "/a/3.ts?x"), []);
  assert.deepEqual(next.after("other.example", "/a/0.ts"), []);
});

test("a playlist that changes is learnt anew, and one that became live or unreadable is forgotten", () => {
  const next = new NextSegments();
  next.learn(film("a", 4));
  next.learn({ ...film("a", 2), text: media(["0.ts", "9.ts"]) });
  assert.deepEqual([next.after(HOST, "/a/0.ts"), next.after(HOST, "/a/1.ts"), next.segmentCount], [["/a/9.ts"], [], 2]);
  assert.ok(!next.learn({ ...film("a", 2), text: media(["0.ts", "9.ts"], "") }));
  assert.deepEqual([next.after(HOST, "/a/0.ts"), next.segmentCount, next.sizeBytes], [[], 0, 0]);
});

test("a segment of two playlists follows the one that was learnt last, and outlives the other", () => {
  const next = new NextSegments();
  next.learn({ ...film("a", 0), text: media(["/s.ts", "1.ts"]) });
  next.learn({ ...film("b", 0), text: media(["/s.ts", "2.ts"]) });
  next.forget(HOST, "/a/media.m3u8");
  assert.deepEqual(next.after(HOST, "/s.ts"), ["/b/2.ts"]);
  next.forget(HOST, "/b/media.m3u8");
  assert.deepEqual([next.segmentCount, next.sizeBytes], [0, 0]);
});

test("memory is bounded: the playlist that was used longest ago is forgotten first", () => {
  const measured = new NextSegments();
  measured.learn(film("a", 100));
  const next = new NextSegments({ bytesMax: 2.5 * measured.sizeBytes });
  next.learn(film("a", 100));
  next.learn(film("b", 100));
  next.after(HOST, "/a/5.ts");
  next.learn(film("c", 100));
  assert.deepEqual(
    ["a", "b", "c"].map((name) => next.after(HOST, `/${name}/0.ts`).length),
    [1, 0, 1],
  );
  assert.deepEqual([next.segmentCount, next.sizeBytes], [200, 2 * measured.sizeBytes]);
  assert.ok(!next.learn(film("d", 1_000)), "one that is larger than all there is");
  assert.equal(next.segmentCount, 200);
});

const MPD_TEXT = `<?xml version="1.0"?><MPD type="static" mediaPresentationDuration="PT1M"><BaseURL>b/</BaseURL>
  <Period start="PT0S"><AdaptationSet><SegmentTemplate timescale="10" media="$RepresentationID$/$Time$.m4s?a=1&amp;b=$$"
  initialization="$RepresentationID$/i.mp4">
  <SegmentTimeline><S t="0" d="20" r="4"/><S d="7" r="-1"/></SegmentTimeline>
  </SegmentTemplate><Representation id="v" bandwidth="1"/><Representation id="w" bandwidth="2"/>
  </AdaptationSet></Period></MPD>`;
const HLS_HEAD = '#EXTM3U\n#EXT-X-DEFINE:NAME="a",VALUE="b"\n#EXT-X-MAP:URI="i.mp4"';
const HLS_TEXT = `${HLS_HEAD}\n${media(["{$a}/1.ts", "2.ts?x=1"])}`;
const SPLICES = [
  "<",
  ">",
  "&#x110000;",
  '"',
  "$",
  "-1",
  "1e309",
  "\0",
  "\n",
  "<S d='1' r='99999999'/>",
  "//x/",
  "{$",
  "]]>",
];

test("damaged playlists give targets of the same host or nothing, within the limits, and never an error", () => {
  const random = seeded(20_260);
  for (let round = 0; round < 4_000; round += 1) {
    const kind: PlaylistKind = random.int(2) === 0 ? "hls" : "dash";
    let text = kind === "hls" ? HLS_TEXT : MPD_TEXT;
    for (let damage = random.int(4); damage >= 0; damage -= 1) {
      const at = random.int(text.length + 1);
      const splice = SPLICES[random.int(SPLICES.length)]!;
      text = text.slice(0, at) + (random.int(3) > 0 ? splice : "") + text.slice(at + random.int(12));
    }
    const renditions = playlistSegments({ host: HOST, target: "/films/x", kind, text });
    const targets = renditions.flat();
    assert.ok(targets.length <= 50_000, text);
    for (const target of targets.slice(0, 100)) {
      assert.match(target, /^\/[\x21-\x7e]{0,2047}$/, text);
      assert.equal(new URL(`http://${HOST}${target}`).host, HOST, text);
    }
  }
});

test("hostile texts of full length are read in linear time", () => {
  const size = 1024 * 1024;
  const texts = [
    "<",
    "<a",
    "<a ",
    "<a b='1' ",
    "&#",
    "<![CDATA[",
    "<!--",
    " ",
    '#EXT-X-MAP:URI="',
    "A=",
    "{$a}",
    "\n#EXTINF:",
  ];
  for (const text of texts) {
    const long = text.repeat(size / text.length);
    for (const prefix of ["#EXTM3U\n#EXTINF:1,\n", "#EXTM3U\n#EXT-X-MAP:", "<MPD>", "<MPD "]) {
      const kind = prefix.startsWith("#") ? "hls" : "dash";
      assert.deepEqual(playlistSegments({ host: HOST, target: "/x", kind, text: prefix + long }), []);
    }
  }
});

test("a host or a target that is none gives nothing, and a default port is none", () => {
  const text = media(["1.ts"]);
  const of = (host: string, target: string) => playlistSegments({ host, target, kind: "hls", text }).flat();
  const bad = [
    ["", "/a"],
    ["a b", "/a"],
    ["a@b", "/a"],
    [HOST, "a"],
    [HOST, ""],
    [HOST, `/${"a".repeat(3_000)}`],
  ] as const;
  for (const [host, target] of bad) assert.deepEqual(of(host, target), [], `${host} ${target.slice(0, 20)}`);
  assert.deepEqual(of("CDN.acme.example:443", "/b/a"), ["/b/1.ts"]);
});
