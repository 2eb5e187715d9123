import assert from "node:assert/strict";
import { test } from "node:test";
import HLS from "hls-parser";
import { playlistProblems } from "../../test/support/hls-grammar.ts";
import { gridOf, renditionOf } from "../../test/support/rendition.ts";
import { seeded } from "../../test/support/seeded.ts";
import { AUDIO_ONLY, AV, VIDEO_ONLY } from "../csmil/leaf.ts";
import type { Rendition } from "../vod/rendition.ts";
import { segmentRange } from "../vod/selection.ts";
import {
  type MediaListOptions,
  targetDurationOf,
  vodIFramePlaylist,
  vodMediaPlaylist,
  vodSubtitlePlaylist,
} from "./vod-media.ts";

HLS.setOptions({ strictMode: true });

const TS: MediaListOptions = { container: "ts", tracks: AV, rendition: 0, base: "", query: "" };
const listOf = (rendition: Rendition, options: Partial<MediaListOptions> = {}): string =>
  vodMediaPlaylist(rendition, { ...TS, ...options });
const extinfs = (text: string): number[] =>
  [...text.matchAll(/^#EXTINF:([\d.]+),/gm)].map(([, value]) => Number(value));

const judged = (text: string): string => {
  assert.deepEqual(playlistProblems(text), []);
  const list = HLS.parse(text);
  assert.ok(!list.isMasterPlaylist && list.endlist);
  assert.equal(list.segments.length, extinfs(text).length);
  return text;
};

test("a media playlist is the README's, whole, when its base is absolute and no version is asked for", () => {
  const base = "http://this_application/i/my_video_highdef.mp4/";
  const segment = (n: number): string => `#EXTINF:10.000,\n${base}segment${n}_0_av.ts\n`;
  const text = listOf(renditionOf({ starts: gridOf(186.186, 10) }), { base });
  assert.equal(
    text,
    `#EXTM3U
#EXT-X-TARGETDURATION:10
#EXT-X-ALLOW-CACHE:YES
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:1
${Array.from({ length: 18 }, (_, n) => segment(n + 1)).join("")}#EXTINF:6.186,
${base}segment19_0_av.ts
#EXT-X-ENDLIST
`,
  );
  judged(text);
});

test("relative segments carry the file's version", () => {
  assert.equal(
    judged(listOf(renditionOf(), { rendition: 2, query: "v=abc" })),
    `#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-ALLOW-CACHE:YES
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:1
#EXTINF:6.000,
segment1_2_av.ts?v=abc
#EXTINF:6.000,
segment2_2_av.ts?v=abc
#EXTINF:6.000,
segment3_2_av.ts?v=abc
#EXTINF:2.000,
segment4_2_av.ts?v=abc
#EXT-X-ENDLIST
`,
  );
});

test("fMP4 of a second audio track, whole: its durations are those of its own frames", () => {
  const rendition = renditionOf({ audio: [{}, { language: "fr", sampleRate: 44_100 }] });
  assert.equal(
    judged(listOf(rendition, { container: "fmp4", tracks: { video: false, audio: 1 }, query: "v=abc" })),
    `#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:7
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init_0_a2.mp4?v=abc"
#EXTINF:6.014,
segment1_0_a2.m4s?v=abc
#EXTINF:5.991,
segment2_0_a2.m4s?v=abc
#EXTINF:5.990,
segment3_0_a2.m4s?v=abc
#EXTINF:1.997,
segment4_0_a2.m4s?v=abc
#EXT-X-ENDLIST
`,
  );
});

test("start and end leave whole segments under their own numbers", () => {
  const rendition = renditionOf({ starts: gridOf(60, 6) });
  const from = (startSeconds: number, endSeconds: number | null = null) =>
    segmentRange(rendition.plan, { startSeconds, endSeconds });
  assert.deepEqual(from(0), { first: 0, end: 10 });
  assert.deepEqual(from(6), { first: 1, end: 10 });
  assert.deepEqual(from(5.999, 6), { first: 0, end: 1 });
  assert.deepEqual(from(13, 24.001), { first: 2, end: 5 });
  assert.deepEqual(from(59.9, 1_000), { first: 9, end: 10 });
  assert.equal(from(60), null);
  assert.equal(
    judged(listOf(rendition, { range: from(13, 24) ?? assert.fail() })),
    `#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-ALLOW-CACHE:YES
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:3
#EXTINF:6.000,
segment3_0_av.ts
#EXTINF:6.000,
segment4_0_av.ts
#EXT-X-ENDLIST
`,
  );
});

test("keys: one for all behind the map, or one for each segment with its own IV", () => {
  const iv = "0123456789abcdef0123456789abcdef";
  const steady = judged(listOf(renditionOf(), { keys: [{ method: "AES-128", uri: "key_0.bin", iv }] }));
  assert.match(
    steady,
    /MEDIA-SEQUENCE:1\n#EXT-X-KEY:METHOD=AES-128,URI="key_0.bin",IV=0x0123456789abcdef0123456789abcdef\n#EXTINF/,
  );
  assert.equal(steady.match(/#EXT-X-KEY/g)?.length, 1);
  assert.match(steady, /VERSION:3/);

  const hex = (n: number): string => n.toString(16).padStart(32, "0");
  const changing = judged(listOf(renditionOf(), { keys: [{ method: "AES-128", uri: "key_0.bin", iv: hex }] }));
  const pairs = [...changing.matchAll(/IV=0x(\w+)\n#EXTINF:[\d.]+,\nsegment(\d+)_/g)];
  assert.deepEqual(
    pairs.map(([, value = "", n]) => [Number.parseInt(value, 16), Number(n)]),
    [1, 2, 3, 4].map((n) => [n, n]),
  );

  const drm = judged(
    listOf(renditionOf(), {
      container: "fmp4",
      tracks: VIDEO_ONLY,
      keys: [
        {
          method: "SAMPLE-AES",
          uri: "skd://a",
          iv: null,
          keyFormat: "com.apple.streamingkeydelivery",
          keyFormatVersions: "1",
        },
      ],
    }),
  );
  assert.match(drm, /#EXT-X-MAP:URI="init_0_v.mp4"\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI="skd:\/\/a",KEYFORMAT="com/);
  assert.match(judged(listOf(renditionOf(), { keys: [{ method: "SAMPLE-AES", uri: "k", iv }] })), /VERSION:5/);
});

test("revision 5 is asked of media playlists too", () => {
  assert.match(judged(listOf(renditionOf(), { leastVersion: 4 })), /#EXT-X-VERSION:4\n/);
  assert.match(judged(listOf(renditionOf(), { container: "fmp4", leastVersion: 4 })), /#EXT-X-VERSION:7\n/);
});

test("an I-frame playlist, whole: a segment for each key frame, shown until the next", () => {
  const rendition = renditionOf({ starts: [0, 6, 12, 14.5], video: { keyFrames: [0.08, 2.08, 4.08, 6, 8, 12] } });
  const options = { container: "ts", rendition: 0, base: "", query: "" } as const;
  assert.equal(
    judged(vodIFramePlaylist(rendition, options)),
    `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-ALLOW-CACHE:YES
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:4
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-I-FRAMES-ONLY
#EXTINF:2.080,
iframe1_0_v.ts
#EXTINF:2.000,
iframe2_0_v.ts
#EXTINF:1.920,
iframe3_0_v.ts
#EXTINF:2.000,
iframe4_0_v.ts
#EXTINF:4.000,
iframe5_0_v.ts
#EXTINF:2.500,
iframe6_0_v.ts
#EXT-X-ENDLIST
`,
  );
  assert.equal(
    judged(vodIFramePlaylist(rendition, { ...options, container: "fmp4", range: { first: 1, end: 2 }, query: "v=1" })),
    `#EXTM3U
#EXT-X-TARGETDURATION:4
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:7
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-I-FRAMES-ONLY
#EXT-X-MAP:URI="init_0_v.mp4?v=1"
#EXTINF:2.000,
iframe4_0_v.m4s?v=1
#EXTINF:4.000,
iframe5_0_v.m4s?v=1
#EXT-X-ENDLIST
`,
  );
});

test("an I-frame playlist of some key frames: each is shown until the next that is listed, under its own number", () => {
  const sound = renditionOf({ starts: [0, 6, 12], video: { keyFrames: [0, 6, 6.5] } });
  const rendition = {
    ...sound,
    video: sound.video && { ...sound.video, keyFrameIndexes: Uint32Array.of(0, 300, 325) },
  };
  const key = { method: "AES-128", uri: "k", iv: (number: number) => `${number}` } as const;
  const list = vodIFramePlaylist(rendition, { container: "ts", base: "", rendition: 0, query: "", keys: [key] });
  assert.equal(
    list.slice(list.indexOf("#EXT-X-I-FRAMES-ONLY")),
    `#EXT-X-I-FRAMES-ONLY
#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x1
#EXTINF:6.000,
iframe1_0_v.ts
#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x301
#EXTINF:0.500,
iframe301_0_v.ts
#EXT-X-KEY:METHOD=AES-128,URI="k",IV=0x326
#EXTINF:5.500,
iframe326_0_v.ts
#EXT-X-ENDLIST
`,
  );
});

test("an I-frame playlist with a key format says the version that knows it", () => {
  const key = { method: "SAMPLE-AES", uri: "key_0.bin", iv: "0".repeat(32), keyFormat: "identity" } as const;
  const options = { container: "ts", base: "", rendition: 0, query: "", keys: [key] } as const;
  assert.match(judged(vodIFramePlaylist(renditionOf(), options)), /#EXT-X-VERSION:5\n/);
});

test("a key frame that a damaged file shows after its end takes no time", () => {
  const sound = renditionOf();
  const late = Float64Array.of(0, 1_000_000);
  const rendition = { ...sound, video: sound.video && { ...sound.video, keyFrames: late } };
  const text = judged(vodIFramePlaylist(rendition, { container: "ts", base: "", rendition: 0, query: "" }));
  assert.match(text, /\niframe1_0_v.ts\n#EXTINF:0.000,\niframe2_0_v.ts\n/);
});

test("a subtitle's playlist is cut where the media are", () => {
  assert.equal(
    judged(
      vodSubtitlePlaylist(renditionOf().plan, {
        id: 1,
        language: "zh-Hant",
        base: "",
        query: "",
        range: { first: 2, end: 4 },
      }),
    ),
    `#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-ALLOW-CACHE:YES
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:3
#EXTINF:6.000,
subtitle3_1_zh-Hant.vtt
#EXTINF:2.000,
subtitle4_1_zh-Hant.vtt
#EXT-X-ENDLIST
`,
  );
});

test("whatever the times are, EXTINFs add up to the duration within a millisecond, and none is over the target", () => {
  const { next, int } = seeded(12);
  for (let round = 0; round < 300; round += 1) {
    const rate = [24_000 / 1_001, 25, 30_000 / 1_001, 50, 60_000 / 1_001, 90_000][int(6)]!;
    const starts = [int(2) * next()];
    const count = 1 + int(400);
    for (let n = 0; n < count; n += 1)
      starts.push(starts[n]! + (1 + int(200)) / rate + (int(9) === 0 ? next() * 20 : 0));
    const rendition = renditionOf({ starts, audio: [{ sampleRate: [22_050, 44_100, 48_000][int(3)]! }] });
    const duration = starts.at(-1)! - starts[0]!;
    for (const tracks of [AV, VIDEO_ONLY]) {
      const text = listOf(rendition, { tracks });
      const sum = extinfs(text).reduce((total, seconds) => total + Math.round(seconds * 1_000), 0) / 1_000;
      assert.ok(Math.abs(sum - duration) <= 0.001 + 1e-9, `${sum} of ${duration}`);
      assert.equal(extinfs(text).length, count);
      assert.deepEqual(playlistProblems(text), []);
    }
    const target = (tracks: typeof AV): string | undefined =>
      /TARGETDURATION:(\d+)/.exec(listOf(rendition, { tracks }))?.[1];
    assert.equal(target(AUDIO_ONLY), target(AV)); // RFC 8216 §6.2.4
    assert.deepEqual(playlistProblems(listOf(rendition, { tracks: AUDIO_ONLY })), []);
    const ticks = rendition.audio[0]!.segmentTicks;
    const sound = (ticks.at(-1)! - ticks[0]!) / rendition.audio[0]!.timescale;
    const sum = extinfs(listOf(rendition, { tracks: AUDIO_ONLY })).reduce((total, seconds) => total + seconds, 0);
    assert.ok(Math.abs(sum - sound) <= 0.001 + 1e-6);
  }
});

test("the target duration of a set is one for all its playlists", () => {
  const [one, other] = [renditionOf({ starts: [0, 6.3, 12] }), renditionOf({ starts: [0, 6.6, 12] })];
  assert.deepEqual([targetDurationOf([one]), targetDurationOf([one, other])], [6, 7]);
  assert.match(listOf(one, { targetDuration: 7 }), /TARGETDURATION:7/);
});

test("a thousand segments are written in well under a millisecond", () => {
  const rendition = renditionOf({ starts: gridOf(6_000, 6) });
  const options = { base: "https://vod.example.com/i/movies/big_1080.mp4/", query: "v=0123456789ab" };
  for (let round = 0; round < 200; round += 1) listOf(rendition, options);
  const times = Array.from({ length: 50 }, () => {
    const begun = performance.now();
    Buffer.from(listOf(rendition, options));
    return performance.now() - begun;
  });
  const best = Math.min(...times); // on a machine that does much else at the time
  assert.ok(best < 1, `${best} ms`);
});
