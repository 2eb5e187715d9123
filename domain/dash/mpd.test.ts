import assert from "node:assert/strict";
import { before, test } from "node:test";
import { encode, type Track } from "../../test/support/lavfi.ts";
import { feed, presentationOf } from "../../test/support/presentation.ts";
import { xmlErrors } from "../../test/support/xml.ts";
import type { Presentation } from "../live/presentation.ts";
import { clockMs, isDeepEnough, mpdOf } from "./mpd.ts";
import { element } from "./xml.ts";

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

const FIRST = 433_046_700; // segments of 4 s: 2024-11-21T11:00:00Z
const playing = (): Presentation => {
  const presentation = presentationOf({ segmentMs: 4_000, names: ["v0", "v1", "a0"], windowSegments: 15 });
  const tracks = { v0: large, v1: small, a0: tone };
  presentation.setResidual(250.4);
  for (const [name, track] of Object.entries(tracks)) presentation.setInit(name, track.init, track.info);
  feed(
    presentation,
    Object.entries(tracks).map(([name, track]) => ({ name, track, atTicks: FIRST * 360_000 })),
  );
  return presentation;
};

test("an MPD, whole", () => {
  const presentation = playing();
  const text = mpdOf(presentation, {
    firstNumber: FIRST,
    declaredBps: { v0: 800_000, v1: 300_000, a0: 96_000 },
    initUri: () => "init.mp4?v=01234567",
    zeroMs: 0,
  });
  assert.equal(
    text,
    `<?xml version="1.0" encoding="UTF-8"?>
<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011" type="dynamic" \
availabilityStartTime="2024-11-21T11:00:00.500Z" publishTime="2024-11-21T11:00:12.250Z" minimumUpdatePeriod="PT8S" \
minBufferTime="PT4S" timeShiftBufferDepth="PT12S" maxSegmentDuration="PT4.1S" suggestedPresentationDelay="PT12S">
  <Period id="p0" start="PT0S">
    <AdaptationSet id="1" contentType="video" mimeType="video/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="v0" codecs="${large.info.codec}" bandwidth="1030000" width="128" height="72" frameRate="25" \
sar="1:1">
        <SegmentTemplate timescale="90000" duration="360000" startNumber="433046700" \
presentationTimeOffset="155896812000000" initialization="v0/init.mp4?v=01234567" media="v0/$Number$.m4s"/>
      </Representation>
      <Representation id="v1" codecs="${small.info.codec}" bandwidth="387000" width="64" height="36" frameRate="25" \
sar="1:1">
        <SegmentTemplate timescale="90000" duration="360000" startNumber="433046700" \
presentationTimeOffset="155896812000000" initialization="v1/init.mp4?v=01234567" media="v1/$Number$.m4s"/>
      </Representation>
    </AdaptationSet>
    <AdaptationSet id="2" contentType="audio" mimeType="audio/mp4" segmentAlignment="true" startWithSAP="1">
      <Representation id="a0" codecs="mp4a.40.2" bandwidth="99000" audioSamplingRate="48000">
        <AudioChannelConfiguration schemeIdUri="urn:mpeg:dash:23003:3:audio_channel_configuration:2011" value="2"/>
        <SegmentTemplate timescale="48000" duration="192000" startNumber="433046700" \
presentationTimeOffset="83144966400000" initialization="a0/init.mp4?v=01234567" media="a0/$Number$.m4s"/>
      </Representation>
    </AdaptationSet>
  </Period>
  <UTCTiming schemeIdUri="urn:mpeg:dash:utc:http-iso:2014" value="time"/>
</MPD>
`,
  );
});

test("an XML parser takes it", async (t) => {
  const errors = await xmlErrors(mpdOf(playing(), { firstNumber: FIRST, zeroMs: 0 }));
  if (errors === null) return t.skip("skipped: needs xmllint");
  assert.equal(errors, "");
});

test("each segment's media lie where number and template say, relative to the offset", () => {
  for (const { segments, info } of playing().renditions) {
    const timescale = info?.timescale ?? 0;
    for (const { number, start } of segments) {
      const presented = start / timescale - FIRST * 4;
      const late = presented - (number - FIRST) * 4;
      assert.ok(late >= 0 && late < 0.0214, `${number}: ${late}`); // audio begins up to a frame later
    }
  }
});

test("whole numbers at 30000/1001 frames/s too: 4.004 s are written exactly", async () => {
  const frameRate = { num: 30_000, den: 1_001 };
  const [picture, sound] = await Promise.all([
    encode({ kind: "video", seconds: 5, ...frameRate }),
    encode({ kind: "audio", seconds: 6 }),
  ]);
  const presentation = presentationOf({ segmentMs: 4_000, frameRate });
  presentation.setInit("v0", picture.init, picture.info);
  presentation.setInit("a0", sound.init, sound.info);
  const text = mpdOf(presentation, { firstNumber: 432_614_100, zeroMs: 0 });
  assert.match(text, /frameRate="30000\/1001"/);
  assert.match(
    text,
    /timescale="90000" duration="360360" startNumber="432614100" presentationTimeOffset="155896817076000"/,
  );
  assert.match(
    text,
    /timescale="48000" duration="192192" startNumber="432614100" presentationTimeOffset="83144969107200"/,
  );
  assert.match(text, /maxSegmentDuration="PT4.104S" suggestedPresentationDelay="PT12.012S"/);
});

test("availabilityStartTime never changes: the clock that the MPD names follows the source's", () => {
  const presentation = playing();
  const start = /availabilityStartTime="([^"]+)"/;
  const startOf = () => start.exec(mpdOf(presentation, { firstNumber: FIRST, zeroMs: 0 }))?.[1] ?? "";
  const before = startOf();
  // A day at 100 ppm: 8.6 s, first one way, then the other.
  for (let seconds = 0; seconds < 2 * 86_400; seconds += 60) {
    const towards = seconds < 86_400 ? seconds : 2 * 86_400 - seconds;
    presentation.setResidual(250 - towards / 10);
    assert.equal(startOf(), before);
    const number = FIRST + Math.floor(seconds / 4);
    const dueMs = presentation.wallClockMs((number + 1) * 360_000); // the segment's last frame, on our clock
    const shownMs = clockMs(presentation, 0, dueMs);
    const availableMs = Date.parse(before) + (number + 1 - FIRST) * 4_000; // §A.3.2, on the MPD's clock
    assert.ok(availableMs >= shownMs && availableMs <= shownMs + 1_000, `${availableMs - shownMs} ms late`);
  }
});

test("attribute values are escaped", () => {
  assert.equal(element("A", { b: '<"&>', c: undefined, d: 0 }), '<A b="&#60;&#34;&#38;&#62;" d="0"/>');
});

test("a stream that has just begun has an MPD once a player finds its delay in it, and offers no more than it has", () => {
  const after = (segments: number, windowSegments: number) => {
    const presentation = presentationOf({ segmentMs: 4_000, names: ["v0"], windowSegments });
    presentation.setInit("v0", small.init, small.info);
    const to = segments * 100 + 25;
    feed(presentation, [{ name: "v0", track: small, atTicks: FIRST * 360_000, to }]);
    return presentation;
  };
  assert.deepEqual(
    [1, 2].map((segments) => isDeepEnough(after(segments, 15))),
    [false, false],
  );
  assert.equal(isDeepEnough(presentationOf({ segmentMs: 4_000, names: ["v0"] })), false);
  const offerOf = (presentation: Presentation): string => {
    assert.ok(isDeepEnough(presentation));
    return mpdOf(presentation, { firstNumber: FIRST, zeroMs: 0 });
  };
  const [begun, shallow] = [playing(), after(2, 2)]; // three segments of fifteen; a window of two
  assert.match(offerOf(begun), /timeShiftBufferDepth="PT12S" .*suggestedPresentationDelay="PT12S"/);
  assert.match(offerOf(shallow), /timeShiftBufferDepth="PT8S" .*suggestedPresentationDelay="PT8S"/);
});
