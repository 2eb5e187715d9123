import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMs } from "../../test/support/cpu.ts";
import { gridOf, renditionOf } from "../../test/support/rendition.ts";
import { seeded } from "../../test/support/seeded.ts";
import { segmentInterval } from "../vod/selection.ts";
import { CUES_MAX, type Cue, SUBTITLE_BYTES_MAX, type TimedText, timestamp } from "./cue.ts";
import { readSubtitle } from "./read.ts";
import { cuesOfSamples, type TextSample } from "./samples.ts";
import { webvttFile, webvttSegment } from "./write.ts";

const read = (text: string | Buffer): TimedText => readSubtitle(Buffer.from(text)) ?? assert.fail("not read");
const cue = (startSeconds: number, endSeconds: number, text: string, more: Partial<Cue> = {}): Cue => ({
  startSeconds,
  endSeconds,
  text,
  settings: "",
  id: "",
  ...more,
});

test("WebVTT is read with its identifiers, settings and blocks, and without notes", () => {
  const text = `\ufeffWEBVTT - a title
X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000

STYLE
::cue { color: lime }

REGION
id:fred width:40%

NOTE a note
of two lines

first
00:01.500 --> 00:00:03.000 line:90% position:10%,line-left  bogus align:start
Hello <i>there</i> &amp; you
second line

01:00:00.000 --> 01:00:02.000
late

00:04.000 --> 00:04.000
no time at all

00:05.000 --> nonsense
never
`;
  assert.deepEqual(read(text), {
    blocks: ["STYLE\n::cue { color: lime }", "REGION\nid:fred width:40%"],
    cues: [
      cue(1.5, 3, "Hello <i>there</i> &amp; you\nsecond line", {
        settings: "line:90% position:10%,line-left align:start",
        id: "first",
      }),
      cue(3_600, 3_602, "late"),
    ],
  });
});

test("a file that does not keep to the grammar gives what can be read of it", () => {
  const messy =
    "WEBVTT\r\n00:01.0 --> 00:02,5\r\none\r\n00:03.000 --> 00:04.000\r\ntwo\r\n\r\n00:09.000 --> 00:08.000\r\nno";
  assert.deepEqual(read(messy).cues, [cue(1, 2.5, "one"), cue(3, 4, "two")]);
  assert.deepEqual(read("WEBVTT\n\n00:01.000 --> 00:02.000\nbefore\nan --> arrow").cues, [cue(1, 2, "before")]);
  assert.deepEqual(read("WEBVTT").cues, []);
  assert.equal(readSubtitle(Buffer.from("hello")), null);
  assert.equal(readSubtitle(Buffer.from("")), null);
  assert.equal(readSubtitle(Buffer.alloc(SUBTITLE_BYTES_MAX + 1)), null);
});

test("SubRip is read: with commas, markup, coordinates, missing blank lines, and in old encodings", () => {
  const text = `1
00:00:01,000 --> 00:00:02,500 X1:40 X2:600 Y1:20 Y2:50
{\\an8}<font color="#ff0000">Red</font> <I>slanted</I> <b>5 < 6 & 7</b>

2
00:00:03,000 --> 00:00:04,000
two
lines
3
00:00:05,000 --> 00:00:06,000
three
`;
  const cues = [cue(1, 2.5, "Red <i>slanted</i> <b>5 &lt; 6 &amp; 7</b>"), cue(3, 4, "two\nlines"), cue(5, 6, "three")];
  assert.deepEqual(read(text).cues, cues);
  assert.deepEqual(read(text.replaceAll("\n", "\r\n")).cues, cues);
  assert.deepEqual(read(Buffer.from(`\ufeff${text}`, "utf16le")).cues, cues);
  assert.deepEqual(read(Buffer.from("1\n00:00:01,000 --> 00:00:02,000\nGrüße", "latin1")).cues, [cue(1, 2, "Grüße")]);
});

test("DFXP is read: clock times, offsets, frames, ticks, breaks, nested times, and no styling", () => {
  const text = `<?xml version="1.0" encoding="UTF-8"?>
<!-- <p begin="1s" end="2s">no</p> -->
<tt xmlns="http://www.w3.org/2006/04/ttaf1" xmlns:ttp="http://www.w3.org/2006/04/ttaf1#parameter"
    ttp:frameRate="25" ttp:tickRate="10000000" xml:lang="en">
  <head><styling><style id="s1" tts:color="red"/></styling></head>
  <body begin="10s">
    <div>
      <p begin="00:00:01.500" end="00:00:03" region="r" style="s1">Hello<br/>
        <span tts:fontStyle="italic">there</span> &amp; you, 5 &lt; 6</p>
      <p begin="00:00:04:05" dur="2s"><metadata>no</metadata>frames</p>
      <p begin='60000000t' end='7.25s'>ticks &#65;&#x42;<![CDATA[ <c> ]]></p>
      <p begin="1m" end="1h"><span begin="1s" end="2s">one</span><span begin="2s" end="3s">two</span></p>
      <p begin="bogus">no end</p>
    </div>
    <div begin="100s"><p begin="1500ms" end="50f">in a later div</p></div>
  </body>
</tt>`;
  assert.deepEqual(read(text).cues, [
    cue(11.5, 13, "Hello\nthere &amp; you, 5 &lt; 6"),
    cue(14.2, 16.2, "frames"),
    cue(16, 17.25, "ticks AB &lt;c&gt;"),
    cue(71, 72, "one"),
    cue(72, 73, "two"),
    cue(111.5, 112, "in a later div"),
  ]);
});

test("TTML with prefixes, a frame rate multiplier is read", () => {
  const text = `<tt:tt xmlns:tt="http://www.w3.org/ns/ttml" ttp:frameRate="30" ttp:frameRateMultiplier="1000 1001">
<tt:body>
<tt:div><tt:p begin="30f" end="60f">a</tt:p></tt:div></tt:body></tt:tt>`;
  const [only] = read(text).cues;
  assert.ok(Math.abs((only?.startSeconds ?? 0) - 1.001) < 1e-9 && Math.abs((only?.endSeconds ?? 0) - 2.002) < 1e-9);
});

const u16 = (value: number): Buffer => Buffer.from([value >> 8, value & 0xff]);
const box = (type: string, body: Buffer): Buffer => {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(8 + body.length);
  return Buffer.concat([size, Buffer.from(type, "latin1"), body]);
};
const sample = (startSeconds: number, endSeconds: number, bytes: Uint8Array): TextSample => {
  return { startSeconds, endSeconds, bytes };
};

test("samples of tx3g are cues, and empty ones are nothing", () => {
  const text = (value: string): Buffer => Buffer.concat([u16(Buffer.byteLength(value)), Buffer.from(value)]);
  const utf16 = Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from("Grüße", "utf16le").swap16()]);
  const samples = [
    sample(0, 1, text("")),
    sample(1, 2.5, Buffer.concat([text("a <b> & c\r\nline"), box("styl", Buffer.alloc(14))])),
    sample(3, 4, Buffer.concat([u16(utf16.length), utf16])),
    sample(4, 5, Buffer.from([0, 200, 65])), // says more than it has
    sample(5, 6, Buffer.from([0])),
  ];
  assert.deepEqual(cuesOfSamples("tx3g", samples)?.cues, [
    cue(1, 2.5, "a &lt;b&gt; &amp; c\nline"),
    cue(3, 4, "Grüße"),
    cue(4, 5, "A"),
  ]);
});

test("samples of wvtt are cues; one that goes on in the next sample is one", () => {
  const vttc = (payload: string, settings = "", id = ""): Buffer =>
    box(
      "vttc",
      Buffer.concat([
        ...(id === "" ? [] : [box("iden", Buffer.from(id))]),
        ...(settings === "" ? [] : [box("sttg", Buffer.from(settings))]),
        box("payl", Buffer.from(payload)),
      ]),
    );
  const samples = [
    sample(0, 1, box("vtte", Buffer.alloc(0))),
    sample(1, 2, vttc("<i>long</i>", "line:0")),
    sample(2, 3, Buffer.concat([vttc("<i>long</i>", "line:0"), vttc("short", "", "7")])),
    sample(3, 4, vttc("short", "", "8")),
    sample(4, 5, Buffer.from([0, 0, 0, 4, 1, 2, 3, 4, 5])), // a size that can't be
  ];
  assert.deepEqual(cuesOfSamples("wvtt", samples)?.cues, [
    cue(1, 3, "<i>long</i>", { settings: "line:0" }),
    cue(2, 3, "short", { id: "7" }),
    cue(3, 4, "short", { id: "8" }),
  ]);
  const document =
    '<tt xmlns="http://www.w3.org/ns/ttml"><body><div><p begin="4s" end="9s">in parts</p></div></body></tt>';
  const parts = [sample(4, 6, Buffer.from(document)), sample(6, 8, Buffer.from(document))];
  assert.deepEqual(cuesOfSamples("stpp", parts)?.cues, [cue(4, 8, "in parts")]);
  assert.equal(cuesOfSamples("c608", []), null);
});

const TEXT: TimedText = {
  blocks: ["STYLE\n::cue { color: lime }"],
  cues: [cue(0.5, 2, "one"), cue(5, 13, "spans", { id: "x", settings: "line:0" }), cue(12, 12.5, "at a cut")],
};

test("a segment, whole: the map moves the cues to where the media are, and what spans is repeated", () => {
  const { plan } = renditionOf();
  const segments = Array.from({ length: plan.count }, (_, n) => webvttSegment(TEXT, segmentInterval(plan, n)));
  const head = "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\nSTYLE\n::cue { color: lime }\n";
  const spans = "\nx\n00:00:05.000 --> 00:00:13.000 line:0\nspans\n";
  assert.deepEqual(segments, [
    `${head}\n00:00:00.500 --> 00:00:02.000\none\n${spans}`,
    `${head}${spans}`,
    `${head}${spans}\n00:00:12.000 --> 00:00:12.500\nat a cut\n`,
    head,
  ]);
});

test("a whole file, of a part of the presentation: times count from there", () => {
  assert.equal(
    webvttFile({ ...TEXT, blocks: [] }, { startSeconds: 6, endSeconds: 12.25 }),
    "WEBVTT\n\nx\n00:00:00.000 --> 00:00:06.250 line:0\nspans\n\n00:00:06.000 --> 00:00:06.250\nat a cut\n",
  );
  assert.equal(timestamp(360_000.0004), "100:00:00.000");
});

test("what is written is read again as it was, and every cue is in each segment that it is shown in", () => {
  const { int, next } = seeded(21);
  for (let round = 0; round < 60; round += 1) {
    const cues = Array.from({ length: int(40) }, (_, n) => {
      const start = Math.round(next() * 50_000) / 1_000;
      return cue(start, start + (1 + int(9_000)) / 1_000, `cue ${n}\nline`, int(2) ? { id: `i${n}` } : {});
    }).sort((one, other) => one.startSeconds - other.startSeconds);
    const whole = webvttFile({ blocks: [], cues }, { startSeconds: 0, endSeconds: 1_000 });
    const times = (list: readonly Cue[]) =>
      list.map(
        ({ startSeconds, endSeconds, text, id }) => `${timestamp(startSeconds)} ${timestamp(endSeconds)} ${text} ${id}`,
      );
    assert.deepEqual(times(read(whole).cues), times(cues));
    const { plan } = renditionOf({ starts: gridOf(60, 6) });
    for (let n = 0; n < plan.count; n += 1) {
      const { startSeconds, endSeconds } = segmentInterval(plan, n);
      const shown = cues.filter((one) => one.startSeconds < endSeconds && one.endSeconds > startSeconds);
      assert.deepEqual(
        times(read(webvttSegment({ blocks: [], cues }, { startSeconds, endSeconds })).cues),
        times(shown),
      );
    }
  }
});

test("whatever is in a file, reading ends soon and gives no more than the limits", () => {
  const { int } = seeded(77);
  const pieces = [
    "<",
    ">",
    "<p begin='1s' end='2s'>",
    "</p>",
    "<tt>",
    "<span>",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "-->",
    "\n",
    "\n\n",
  ];
  pieces.push(
    "00:00:01.000 --> 00:00:02.000\n",
    "WEBVTT\n",
    "STYLE\n",
    '"',
    "'",
    "=",
    "a",
    "<!--",
    "<![CDATA[",
    "<br/>",
    "{\\",
  );
  for (let round = 0; round < 3_000; round += 1) {
    const text = Array.from({ length: int(30) }, () => pieces[int(pieces.length)]).join("");
    for (const found of [readSubtitle(Buffer.from(text)), readSubtitle(Buffer.from(`WEBVTT\n\n${text}`))]) {
      for (const { text: shown, startSeconds, endSeconds } of found?.cues ?? []) {
        assert.ok(!shown.includes("\n\n") && !shown.includes("-->") && shown !== "" && endSeconds > startSeconds);
      }
    }
  }
  const long = 400_000;
  const hostile = [
    "<",
    "<a ",
    "<a b=",
    "<a b='",
    "<!",
    "<![CDATA[",
    "&",
    "a=",
    "<p>",
    "-->\n",
    "00:",
    "{\\",
    " ",
    "<i",
  ];
  for (const piece of hostile) {
    const repeated = piece.repeat(Math.ceil(long / piece.length));
    for (const text of [
      `<tt>${repeated}`,
      `<tt><${repeated}>`,
      `WEBVTT\n\n${repeated}`,
      `1\n00:01 --> 00:02\n${repeated}`,
    ]) {
      const tookMs = cpuMs(() => void readSubtitle(Buffer.from(text)));
      assert.ok(tookMs < 1_000, `${piece}: ${tookMs} ms`);
    }
  }
  const many = `WEBVTT\n\n${"00:01.000 --> 00:02.000\nx\n\n".repeat(CUES_MAX + 10)}`;
  assert.equal(read(many).cues.length, CUES_MAX);
});
