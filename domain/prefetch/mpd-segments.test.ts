import assert from "node:assert/strict";
import { test } from "node:test";
import { playlistSegments } from "./playlist-segments.ts";

const dash = (text: string) =>
  playlistSegments({ host: "cdn.acme.example", target: "/films/a/manifest.mpd?x=1", kind: "dash", text });

const MPD = 'xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-live:2011"';

test("$Number$ with a duration: as many as fill the presentation, the last one shorter", () => {
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!-- after DASH-IF IOP: simple live profile, on demand -->
<MPD ${MPD} type="static" mediaPresentationDuration="PT10.5S" minBufferTime="PT2S">
  <Period id="1" start="PT0S">
    <AdaptationSet contentType="video" mimeType="video/mp4">
      <SegmentTemplate timescale="1000" duration="4000" startNumber="5"
        media="$RepresentationID$/$Number%05d$.m4s?b=$Bandwidth$&amp;c=$$"
        initialization="$RepresentationID$/init.mp4"/>
      <Representation id="v1" bandwidth="1000000"/>
      <Representation id="v2" bandwidth="2000000"/>
    </AdaptationSet>
  </Period>
</MPD>`;
  const of = (id: string, bandwidth: number): string[] => [
    `/films/a/${id}/init.mp4`,
    `/films/a/${id}/00005.m4s?b=${bandwidth}&c=$`,
    `/films/a/${id}/00006.m4s?b=${bandwidth}&c=$`,
    `/films/a/${id}/00007.m4s?b=${bandwidth}&c=$`,
  ];
  assert.deepEqual(dash(text), [of("v1", 1_000_000), of("v2", 2_000_000)]);
});

test("$Time$ with a timeline: repeats, gaps, repeats up to the next S and up to the Period's end", () => {
  const text = `<MPD ${MPD} mediaPresentationDuration="PT0H0M20S">
  <BaseURL>/media/</BaseURL>
  <Period>
    <AdaptationSet>
      <SegmentTemplate timescale="10" presentationTimeOffset="100" media="$RepresentationID$-$Time$.mp4">
        <SegmentTimeline>
          <S t="100" d="20" r="1"/>
          <S d="30"/>
          <S t="180" d="20" r="-1"/>
          <S t="220" d="40" r="-1"/>
        </SegmentTimeline>
      </SegmentTemplate>
      <Representation id="a" bandwidth="1"><BaseURL>audio/</BaseURL></Representation>
    </AdaptationSet>
  </Period>
</MPD>`;
  const times = [100, 120, 140, 180, 200, 220, 260];
  assert.deepEqual(dash(text), [times.map((time) => `/media/audio/a-${time}.mp4`)]);
});

test("a timeline of the AdaptationSet is that of its Representations, whose templates name the files", () => {
  const text = `<MPD ${MPD} mediaPresentationDuration="PT4S"><Period><AdaptationSet>
    <SegmentTemplate timescale="1" startNumber="7">
      <SegmentTimeline><S t="0" d="2" r="1"/></SegmentTimeline></SegmentTemplate>
    <Representation id="1" bandwidth="1">
      <SegmentTemplate initialization="i1.mp4" media="1_$Number$.m4s"/></Representation>
    <Representation id="2" bandwidth="1"><SegmentTemplate media="2_$Number$.m4s" startNumber="9"/></Representation>
  </AdaptationSet></Period></MPD>`;
  assert.deepEqual(dash(text), [
    ["/films/a/i1.mp4", "/films/a/1_7.m4s", "/films/a/1_8.m4s"],
    ["/films/a/2_9.m4s", "/films/a/2_10.m4s"],
  ]);
});

test("a SegmentList names its files; ranges of one file are one object", () => {
  const text = `<MPD ${MPD} mediaPresentationDuration="PT20S"><Period><AdaptationSet>
    <Representation id="1" bandwidth="1"><SegmentList duration="10">
      <Initialization sourceURL="seg-init.mp4"/><SegmentURL media="seg-1.mp4"/><SegmentURL media="seg-2.mp4"/>
    </SegmentList></Representation>
    <Representation id="2" bandwidth="1"><BaseURL>whole.mp4</BaseURL><SegmentList duration="10">
      <Initialization range="0-99"/><SegmentURL mediaRange="100-199"/><SegmentURL mediaRange="200-299"/>
    </SegmentList></Representation>
    <Representation id="3" bandwidth="1">
      <BaseURL>single.mp4</BaseURL><SegmentBase indexRange="100-199"/></Representation>
  </AdaptationSet></Period></MPD>`;
  assert.deepEqual(dash(text), [
    ["/films/a/seg-init.mp4", "/films/a/seg-1.mp4", "/films/a/seg-2.mp4"],
    ["/films/a/whole.mp4"],
  ]);
});

test("each Period ends by itself, where the next one begins, or with the presentation", () => {
  const period = (attributes: string, name: string): string => `<Period ${attributes}><AdaptationSet>
    <SegmentTemplate duration="2" media="${name}$Number$.m4s"/><Representation id="v" bandwidth="1"/>
  </AdaptationSet></Period>`;
  const text = `<MPD ${MPD} mediaPresentationDuration="PT1M">
    ${period('duration="PT4S"', "a")}${period("", "b")}${period('start="PT10S"', "c")}${period('start="PT57S"', "d")}
  </MPD>`;
  const names = dash(text).map((rendition) => [rendition[0], rendition.length]);
  assert.deepEqual(names, [
    ["/films/a/a1.m4s", 2],
    ["/films/a/b1.m4s", 3],
    ["/films/a/c1.m4s", 24],
    ["/films/a/d1.m4s", 2],
  ]);
});

const whole = (template: string, inner = "", attributes = 'type="static" mediaPresentationDuration="PT4S"') =>
  `<MPD ${attributes}>${inner}<Period><AdaptationSet><SegmentTemplate duration="2" ${template}/>
   <Representation id="1" bandwidth="1"/></AdaptationSet></Period></MPD>`;

test("dynamic MPDs, other hosts, unknown identifiers and endless Periods tell nothing", () => {
  const media = 'media="$Number$.m4s"';
  assert.deepEqual(dash(whole(media)), [["/films/a/1.m4s", "/films/a/2.m4s"]]);
  assert.deepEqual(dash(whole(`${media} endNumber="1"`)), [["/films/a/1.m4s"]]);
  assert.deepEqual(dash(whole(media, "", 'type="dynamic" mediaPresentationDuration="PT4S"')), []);
  assert.deepEqual(dash(whole(media, "<BaseURL>https://other.example/</BaseURL>")), []);
  assert.deepEqual(dash(whole('media="$SubNumber$.m4s"')), []);
  assert.deepEqual(dash(whole('media="$Number%99d$.m4s"')), []);
  assert.deepEqual(dash(whole('media="https://other.example/$Number$.m4s"')), []);
  assert.deepEqual(dash(whole(media, "", "")), []);
  assert.deepEqual(dash(whole(media, "", 'mediaPresentationDuration="P9999999D"')), []);
});

test("text that is no well-formed XML, has a DTD, or nests too deep tells nothing", () => {
  const good = whole('media="$Number$.m4s"');
  const bad = [
    "",
    "#EXTM3U",
    good.slice(0, -1),
    good.replace("</Period>", "</Periods>"),
    `${good}<MPD/>`,
    `<!DOCTYPE MPD [<!ENTITY a "aaaa">]>${good}`,
    `<!-- ${good}`,
    good.replace("<Period>", `<Period ${Array.from({ length: 70 }, (_, n) => `a${n}="1"`).join(" ")}>`),
    good.replace("<Period>", `${"<a>".repeat(40)}${"</a>".repeat(40)}<Period>`),
  ];
  for (const text of bad) assert.deepEqual(dash(text), [], text.slice(0, 60));
  assert.equal(dash(`\uFEFF<?xml version="1.0"?>\n<!-- > -->${good}\n`).length, 1);
});

test("a repeat without measure ends at 50,000 segments, over all representations together", () => {
  const text = `<MPD mediaPresentationDuration="PT4S"><Period><AdaptationSet>
    <SegmentTemplate media="$RepresentationID$/$Time$.m4s">
      <SegmentTimeline><S t="0" d="1" r="9007199254740991"/></SegmentTimeline>
    </SegmentTemplate>
    ${'<Representation id="x" bandwidth="1"/>'.repeat(3)}</AdaptationSet></Period></MPD>`;
  assert.deepEqual(
    dash(text).map(({ length }) => length),
    [50_000],
  );
});
