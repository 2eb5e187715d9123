import assert from "node:assert/strict";
import { test } from "node:test";
import { mediaPlaylist } from "../../test/origin/edge.ts";
import { isOlder, looksLikePlaylist, positionOf } from "./position.ts";

test("a media playlist's position is its first and last segment number", () => {
  const media = (mediaSequence: number, lastNumber: number) => ({ kind: "media", mediaSequence, lastNumber });
  assert.deepEqual(positionOf("v0/media.m3u8", mediaPlaylist(7, 12)), media(7, 12));
  assert.deepEqual(positionOf("v0/media.m3u8", mediaPlaylist(7, 12).replaceAll("\n", "\r\n")), media(7, 12));
  assert.deepEqual(positionOf("v0/media.m3u8", "#EXTM3U\n#EXTINF:2,\na.ts\n"), media(0, 0));
  const skipped = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:5\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:2,\n8.m4s\n";
  assert.deepEqual(positionOf("v0/media.m3u8", skipped), media(5, 8));
});

test("a manifest's position is its publish time; a multivariant playlist has none", () => {
  const manifest = '<?xml version="1.0"?>\n<MPD\n type="dynamic" publishTime="2026-11-20T10:00:00.250Z">';
  const publishMs = Date.UTC(2026, 10, 20, 10, 0, 0, 250);
  assert.deepEqual(positionOf("manifest.mpd", manifest), { kind: "manifest", publishMs });
  assert.equal(positionOf("manifest.mpd", "<MPD>"), undefined);
  assert.equal(positionOf("master.m3u8", "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nv0/media.m3u8\n"), undefined);
});

test("the last segment decides which playlist is older", () => {
  const at = (first: number, last: number) => positionOf("a.m3u8", mediaPlaylist(first, last))!;
  assert.equal(isOlder(at(1, 10), at(2, 11)), true);
  assert.equal(isOlder(at(2, 11), at(2, 11)), false);
  assert.equal(isOlder(at(1, 12), at(9, 11)), false);
  assert.equal(isOlder({ kind: "manifest", publishMs: 1 }, { kind: "manifest", publishMs: 2 }), true);
  assert.equal(isOlder({ kind: "manifest", publishMs: 1 }, at(1, 2)), false);
});

test("an error page with status 200 is no playlist", () => {
  assert.equal(looksLikePlaylist("a.m3u8", "\uFEFF#EXTM3U\n"), true);
  assert.equal(looksLikePlaylist("a.m3u8", "<html>"), false);
  assert.equal(looksLikePlaylist("a.m3u8", ""), false);
  assert.equal(looksLikePlaylist("a.mpd", "<?xml version='1.0'?><MPD/>"), true);
  assert.equal(looksLikePlaylist("a.mpd", "<html>"), false);
});
