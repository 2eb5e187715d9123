import assert from "node:assert/strict";
import { before, test } from "node:test";
import HLS from "hls-parser";
import { encode, type Track } from "../../test/support/lavfi.ts";
import { feed, presentationOf, type Setup } from "../../test/support/presentation.ts";
import type { Presentation } from "../live/presentation.ts";
import { mediaPlaylist, multivariantPlaylist, targetDurationOf } from "./playlist.ts";

HLS.setOptions({ strictMode: true });

let large: Track;
let small: Track;
let tone: Track;

before(async () => {
  [large, small, tone] = await Promise.all([
    encode({ kind: "video", seconds: 12, width: 128, height: 72 }),
    encode({ kind: "video", seconds: 12 }),
    encode({ kind: "audio", seconds: 12 }),
  ]);
});

const START = 433_046_700; // segment number
const playing = (setup: Setup = {}): Presentation => {
  const presentation = presentationOf({ segmentMs: 4_000, names: ["v0", "v1", "a0"], ...setup });
  const tracks = { v0: large, v1: small, a0: tone };
  presentation.setResidual(250.4);
  for (const [name, track] of Object.entries(tracks)) presentation.setInit(name, track.init, track.info);
  const atTicks = START * presentation.grid.segmentTicks;
  feed(
    presentation,
    Object.entries(tracks).map(([name, track]) => ({ name, track, atTicks })),
  );
  return presentation;
};
const listOf = (presentation: Presentation, name: string): string =>
  mediaPlaylist(presentation, presentation.rendition(name) ?? assert.fail());

test("a multivariant playlist, whole", () => {
  const text = multivariantPlaylist(playing(), { declaredBps: { v0: 800_000, v1: 300_000, a0: 96_000 } });
  assert.equal(
    text,
    `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="main",DEFAULT=YES,AUTOSELECT=YES,CHANNELS="2",URI="a0/media.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=1129000,AVERAGE-BANDWIDTH=923000,CODECS="${large.info.codec},mp4a.40.2",\
RESOLUTION=128x72,FRAME-RATE=25.000,AUDIO="audio"
v0/media.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=486000,AVERAGE-BANDWIDTH=408000,CODECS="${small.info.codec},mp4a.40.2",\
RESOLUTION=64x36,FRAME-RATE=25.000,AUDIO="audio"
v1/media.m3u8
`,
  );
});

test("a media playlist of video, whole", () => {
  // 433046700 × 4 s since 1970 is 2024-11-21T11:00:00Z; a quarter of a second of residual comes on top.
  assert.equal(
    mediaPlaylist(playing(), playing().rendition("v0") ?? assert.fail(), { initUri: () => "init.mp4?v=01234567" }),
    `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:433046700
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4?v=01234567"
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:00.250Z
#EXTINF:4.00000,
433046700.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:04.250Z
#EXTINF:4.00000,
433046701.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:08.250Z
#EXTINF:4.00000,
433046702.m4s
`,
  );
});

test("a media playlist of audio, whole: its segments begin at the first frame behind each boundary", () => {
  assert.equal(
    listOf(playing(), "a0"),
    `#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:433046700
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:00.250Z
#EXTINF:4.01067,
433046700.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:04.261Z
#EXTINF:3.98933,
433046701.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-11-21T11:00:08.250Z
#EXTINF:4.01067,
433046702.m4s
`,
  );
});

test("a strict parser takes every playlist, at every moment of a stream's life and every frame rate", async () => {
  const rates = [
    { num: 25, den: 1 },
    { num: 30_000, den: 1_001 },
    { num: 24_000, den: 1_001 },
    { num: 50, den: 1 },
    { num: 60, den: 1 },
  ];
  for (const frameRate of rates) {
    const [picture, sound] = await Promise.all([
      encode({ kind: "video", seconds: 9, ...frameRate }),
      encode({ kind: "audio", seconds: 12 }),
    ]);
    const presentation = presentationOf({ frameRate, segmentMs: 2_000, windowSegments: 2, names: ["v0", "a0"] });
    presentation.setInit("v0", picture.init, picture.info);
    presentation.setInit("a0", sound.init, sound.info);
    let seen = 0;
    const targets = new Set<number>();
    presentation.onChange(() => {
      if (!presentation.ready) return;
      seen += 1;
      const master = HLS.parse(multivariantPlaylist(presentation, { declaredBps: { v0: 100_000, a0: 48_000 } }));
      assert.ok(master.isMasterPlaylist);
      for (const rendition of presentation.renditions) {
        const list = HLS.parse(mediaPlaylist(presentation, rendition));
        assert.ok(!list.isMasterPlaylist);
        targets.add(list.targetDuration);
        for (const { duration } of list.segments) assert.ok(Math.round(duration) <= list.targetDuration);
      }
    });
    const atTicks = START * presentation.grid.segmentTicks;
    feed(presentation, [
      { name: "v0", track: picture, atTicks },
      { name: "a0", track: sound, atTicks, to: 420 },
    ]);
    assert.ok(seen >= 5, String(seen));
    assert.deepEqual([...targets], [2]);
  }
});

test("the target duration is that of the longest segment there can be, rounded", () => {
  const targets = [
    [4_000, 25, 1],
    [4_000, 30_000, 1_001],
    [1_000, 25, 1],
    [10_000, 24_000, 1_001],
    [7_000, 25, 2],
  ] as const;
  assert.deepEqual(
    targets.map(([segmentMs, num, den]) =>
      targetDurationOf(presentationOf({ segmentMs, frameRate: { num, den } }).grid),
    ),
    [4, 4, 1, 10, 7],
  );
});

test("a playlist lists no more than its window, the newest", () => {
  const presentation = playing({ segmentMs: 1_000, windowSegments: 4 });
  const numbers = [...listOf(presentation, "v0").matchAll(/^(\d+)\.m4s$/gm)].map(
    ([, number]) => Number(number) - START,
  );
  assert.deepEqual(numbers, [8, 9, 10, 11]);
  assert.match(listOf(presentation, "v0"), /#EXT-X-MEDIA-SEQUENCE:433046708\n/);
});
