import assert from "node:assert/strict";
import { test } from "node:test";
import { isContentPath, parseContentPath } from "./content-path.ts";

const ID = "0199c2a0-1111-7abc-8def-0123456789ab";
const content = (form: "hls" | "dash", leaf: unknown, isPublic = false, maxHeight: number | null = null) => ({
  ...{ kind: "content", form, contentId: ID, isPublic, maxHeight },
  leaf,
});

test("addresses of titles are read", () => {
  const cases: readonly (readonly [string, unknown])[] = [
    [`/hls/${ID}/master.m3u8`, content("hls", { kind: "master", container: "ts" })],
    [`/hls/${ID}/cmaf.m3u8`, content("hls", { kind: "master", container: "fmp4" })],
    [`/public/hls/${ID}/4k.m3u8`, content("hls", { kind: "rung", rung: "4k" }, true)],
    [`/upto/720/hls/${ID}/4k.m3u8`, content("hls", { kind: "rung", rung: "4k" }, false, 720)],
    [`/upto/720/dash/${ID}/manifest.mpd`, content("dash", { kind: "mpd" }, false, 720)],
    [`/hls/${ID}/1080p-hevc.m3u8`, content("hls", { kind: "rung", rung: "1080p-hevc" })],
    [`/dash/${ID}/manifest.mpd`, content("dash", { kind: "mpd" })],
    [
      `/dash/${ID}/720p/init_0_a2.mp4`,
      content("dash", {
        kind: "part",
        rung: "720p",
        leaf: { kind: "init", rendition: 0, tracks: { video: false, audio: 1 } },
      }),
    ],
    [
      `/hls/${ID}/subtitle_3_pt-BR.m3u8`,
      content("hls", { kind: "text", leaf: { kind: "subtitles", id: 3, language: "pt-BR" } }),
    ],
    [`/hls/${ID}/storyboard.vtt`, content("hls", { kind: "storyboard" })],
    [`/hls/${ID}/storyboard-1-0.jpg`, content("hls", { kind: "sprite", name: "storyboard-1-0.jpg" })],
    [
      `/images/${ID}/r2/poster.jpg`,
      { kind: "object", bucket: "thumbnails", key: `${ID}/r2/poster.jpg`, extension: "jpg", isFinal: true },
    ],
    [
      `/images/${ID}/artwork/cover.png`,
      { kind: "object", bucket: "thumbnails", key: `${ID}/artwork/cover.png`, extension: "png", isFinal: false },
    ],
    [
      `/previews/${ID}/r1/preview-7.mp4`,
      { kind: "object", bucket: "trailers", key: `${ID}/r1/preview-7.mp4`, extension: "mp4", isFinal: true },
    ],
  ];
  for (const [path, expected] of cases) {
    assert.ok(isContentPath(path), path);
    assert.deepEqual(parseContentPath(path), expected, path);
  }
});

test("each thing has one address, and what is of files alone has none below a title", () => {
  const names = [
    ...["index.m3u8/x", "480p/master.m3u8", "480p/manifest.mpd", "480p/clearkey", "480p/key_0.bin", "clearkey"],
    ...["480p/segment-0.ts", "480p/segment01_0_av.ts", "480p/segment1_1_av.ts", "480p/index.m3u8", "key.1.bin"],
    ...["480p/subtitle_0_en.m3u8", "480p/x/segment1_0_av.ts", "480_p.m3u8", "-.m3u8", "", "480p/"],
  ];
  for (const name of names) assert.ok("refusal" in parseContentPath(`/hls/${ID}/${name}`), name);
  assert.ok("refusal" in parseContentPath(`/dash/${ID}/480p/segment1_0_v.ts`));
  assert.ok("refusal" in parseContentPath(`/public/previews/${ID}/r1/preview-7.mp4`));
  assert.ok("refusal" in parseContentPath(`/images/${ID}/r0/poster.jpg`));
  assert.ok("refusal" in parseContentPath(`/upto/720/images/${ID}/r2/poster.jpg`));
  for (const bound of ["upto/0", "upto/07", "upto/7", "upto/123456", "upto/720/public", "public/upto/720", "upto"]) {
    assert.equal(isContentPath(`/${bound}/hls/${ID}/4k.m3u8`), false, bound);
    assert.ok("refusal" in parseContentPath(`/${bound}/hls/${ID}/4k.m3u8`), bound);
  }
  for (const path of ["/i/film.mp4/master.m3u8", "/hls/film.mp4/master.m3u8", `/hls/${ID}`, `/hls/${ID.slice(1)}/x`]) {
    assert.equal(isContentPath(path), false, path);
  }
});
