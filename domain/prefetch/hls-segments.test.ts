import assert from "node:assert/strict";
import { test } from "node:test";
import { playlistKind, playlistSegments } from "./playlist-segments.ts";

const hls = (lines: readonly string[], target = "/films/a/media.m3u8") =>
  playlistSegments({ host: "cdn.acme.example", target, kind: "hls", text: lines.join("\n") });

test("the simple media playlist of RFC 8216bis §9.1 has its three segments, those of another host left out", () => {
  const simple = [
    "#EXTM3U",
    "#EXT-X-TARGETDURATION:10",
    "#EXT-X-VERSION:3",
    "#EXTINF:9.009,",
    "http://media.example.com/first.ts",
    "#EXTINF:9.009,",
    "http://media.example.com/second.ts",
    "#EXTINF:3.003,",
    "http://media.example.com/third.ts",
    "#EXT-X-ENDLIST",
  ];
  const own = playlistSegments({
    host: "media.example.com",
    target: "/a.m3u8",
    kind: "hls",
    text: simple.join("\r\n"),
  });
  assert.deepEqual(own, [["/first.ts", "/second.ts", "/third.ts"]]);
  assert.deepEqual(hls(simple), []);
});

test("a live media playlist (§9.2) tells nothing: it has no end", () => {
  const live = [
    "#EXTM3U",
    "#EXT-X-VERSION:3",
    "#EXT-X-TARGETDURATION:8",
    "#EXT-X-MEDIA-SEQUENCE:2680",
    "#EXTINF:7.975,",
    "fileSequence2680.ts",
    "#EXTINF:7.941,",
    "fileSequence2681.ts",
  ];
  assert.deepEqual(hls(live), []);
  assert.deepEqual(hls([...live, "#EXT-X-ENDLIST"]), [
    ["/films/a/fileSequence2680.ts", "/films/a/fileSequence2681.ts"],
  ]);
});

test("a multivariant playlist (§9.4), I-frames alone, and what is no playlist tell nothing", () => {
  assert.deepEqual(hls(["#EXTM3U", "#EXT-X-STREAM-INF:BANDWIDTH=1280000", "low.m3u8", "#EXT-X-ENDLIST"]), []);
  assert.deepEqual(hls(["#EXTM3U", "#EXT-X-I-FRAMES-ONLY", "#EXTINF:4,", "a.ts", "#EXT-X-ENDLIST"]), []);
  assert.deepEqual(hls(["#EXTINF:4,", "a.ts", "#EXT-X-ENDLIST"]), []);
  assert.deepEqual(hls(["<html>"]), []);
});

test("init segments stand before what needs them; keys, parts, hints, gaps and byte ranges add nothing", () => {
  const rendition = hls([
    "\uFEFF#EXTM3U",
    '#EXT-X-KEY:METHOD=AES-128,URI="https://keys.example/key"',
    '#EXT-X-MAP:URI="init,1.mp4?v=1",BYTERANGE="100@0"',
    "#EXTINF:4,",
    "1.m4s?t=a%20b",
    '#EXT-X-PART:DURATION=1,URI="2.0.m4s"',
    "# a comment",
    "",
    "#EXTINF:4,Title, with a comma",
    "../b/./2.m4s",
    "#EXTINF:4,",
    "#EXT-X-GAP",
    "3.m4s",
    "not-a-segment.m4s",
    '#EXT-X-MAP:URI="/films/init2.mp4"',
    "#EXT-X-BYTERANGE:100@0",
    "#EXTINF:4,",
    "//cdn.acme.example/whole.mp4",
    "#EXT-X-BYTERANGE:100@100",
    "#EXTINF:4,",
    "/whole.mp4",
    '#EXT-X-PRELOAD-HINT:TYPE=PART,URI="4.0.m4s"',
    "#EXT-X-ENDLIST",
  ]);
  assert.deepEqual(rendition, [
    ["/films/a/init,1.mp4?v=1", "/films/a/1.m4s?t=a%20b", "/films/b/2.m4s", "/films/init2.mp4", "/whole.mp4"],
  ]);
});

test("variables of the playlist are put in (§4.4.2.3), and what has unknown ones is left out", () => {
  const rendition = hls([
    "#EXTM3U",
    '#EXT-X-DEFINE:NAME="path",VALUE="x/y"',
    '#EXT-X-DEFINE:QUERYPARAM="token"',
    "#EXTINF:4,",
    "{$path}/1.ts",
    "#EXTINF:4,",
    "2.ts?t={$token}",
    "#EXT-X-ENDLIST",
  ]);
  assert.deepEqual(rendition, [["/films/a/x/y/1.ts"]]);
});

test("other hosts, ports and schemes, and endless names, are not followed", () => {
  const uris = ["https://other.example/1.ts", "//cdn.acme.example:81/1.ts", "data:text/plain,1", "file:///etc/passwd"];
  const odd = [...uris, "http://user@cdn.acme.example/1.ts", `${"a".repeat(3_000)}.ts`, "http://[/"];
  const lines = odd.flatMap((uri) => ["#EXTINF:4,", uri]);
  assert.deepEqual(hls(["#EXTM3U", ...lines, "#EXTINF:4,", "2.ts", "#EXT-X-ENDLIST"]), [["/films/a/2.ts"]]);
});

test("a playlist has 50,000 segments at most, and 4 MiB", () => {
  const lines = Array.from({ length: 60_000 }, (_, n) => `#EXTINF:2,\n${n}.ts`);
  const [rendition] = hls(["#EXTM3U", ...lines, "#EXT-X-ENDLIST"]);
  assert.equal(rendition?.length, 50_000);
  assert.equal(rendition?.at(-1), "/films/a/49999.ts");
  assert.deepEqual(hls(["#EXTM3U", `#${"x".repeat(4 * 1024 * 1024)}`, "#EXTINF:2,", "1.ts", "#EXT-X-ENDLIST"]), []);
});

test("a playlist is known by its media type, else by its name", () => {
  const kinds = [
    ["/a", "application/vnd.apple.mpegurl; charset=utf-8"],
    ["/a", "audio/mpegurl"],
    ["/a", "application/dash+xml"],
    ["/a.m3u8", "application/octet-stream"],
    ["/a.MPD", undefined],
    ["/a.ts", "video/mp2t"],
  ] as const;
  assert.deepEqual(
    kinds.map(([path, type]) => playlistKind(path, type)),
    ["hls", "hls", "dash", "hls", "dash", undefined],
  );
});
