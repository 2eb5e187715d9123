import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { cpuMs } from "../../test/support/cpu.ts";
import { seeded } from "../../test/support/seeded.ts";
import { readSmil, SMIL_BYTES_MAX, type Smil } from "./smil.ts";

const read = (text: string | Uint8Array, path = "subdir/example2a.smil", prefix = "/i/"): Smil =>
  readSmil(path, typeof text === "string" ? Buffer.from(text) : text, { prefix });
const refusalOf = (text: string | Uint8Array): string => {
  try {
    read(text);
  } catch (error) {
    return `${codeOf(error)}: ${(error as Error).message}`;
  }
  return assert.fail("it was read");
};
const pathsOf = (text: string, path?: string): string[] => read(text, path).media.map((media) => media.path);

const DOCTYPE = '<!DOCTYPE smil PUBLIC "-//W3C//DTD SMIL 2.0//EN" "http://www.w3.org/2001/SMIL20/SMIL20.dtd">';
const smil = (head: string, body: string): string => `<?xml version="1.0"?>
${DOCTYPE}
<smil xmlns="http://www.w3.org/2001/SMIL20/Language">
<head>${head}</head>
<body><switch id="whatever">${body}</switch></body>
</smil>`;

test("the guide's HLS example is read: paths count from the host that httpBase names", () => {
  const text = smil(
    '<meta name="title" content="Event" /><meta name="httpBase" content="http://example.akamaihd.net/" />',
    `<video src="subdir/example2a_300000.mp4" system-bitrate="300000"/>
     <video src="subdir/example2a_500000.mp4" system-bitrate="500000"/>`,
  );
  assert.deepEqual(read(text), {
    media: [
      { kind: "video", path: "subdir/example2a_300000.mp4", bitrateBps: 300_000, language: null },
      { kind: "video", path: "subdir/example2a_500000.mp4", bitrateBps: 500_000, language: null },
    ],
  });
});

test("the guide's server-side and combined examples are read: HDBase as a folder, server-src before src", () => {
  const serverSide = smil(
    '<meta name="HDBase" content="/subdir/" />',
    '<video src="video.300k.mp4" system-bitrate="300000"/>',
  );
  assert.deepEqual(pathsOf(serverSide, "elsewhere/example2a.ssmil"), ["subdir/video.300k.mp4"]);
  const combined = smil(
    '<meta name="HDBase" content="http://example.akamaihd.net/" /><meta name="server-HDBase" content="/subdir/" />',
    `<video src="subdir/example2b.smil/bitrate=300000" server-src="video.300k.mp4" system-bitrate="300000"/>
     <video src="subdir/example2b.smil/bitrate=500000" server-src="video.500k.mp4" system-bitrate="500000"/>`,
  );
  assert.deepEqual(pathsOf(combined), ["subdir/video.300k.mp4", "subdir/video.500k.mp4"]);
});

test("references count from the SMIL's folder or base, and from the root where they have a host", () => {
  const cases: Readonly<Record<string, string>> = {
    "x.mp4": "a/b/x.mp4",
    "./c/x.mp4": "a/b/c/x.mp4",
    "../x.mp4": "a/x.mp4",
    "/x.mp4": "x.mp4",
    "/i/d/x.mp4": "d/x.mp4",
    "http://host/i/d/x.mp4?start=3": "d/x.mp4",
    "mp4:x.mp4": "a/b/x.mp4",
    "my%20film%20%C3%BC.mp4": "a/b/my film ü.mp4",
    "100%.mp4": "a/b/100%.mp4",
    "Tom &amp; Jerry.mp4": "a/b/Tom & Jerry.mp4",
  };
  for (const [source, path] of Object.entries(cases)) {
    assert.deepEqual(pathsOf(smil("", `<video src="${source}"/>`), "a/b/list.smil"), [path], source);
  }
  const based = (meta: string): string[] => pathsOf(smil(meta, '<video src="x.mp4"/>'));
  assert.deepEqual(based('<meta base="rtmp://host/vod/"/>'), ["vod/x.mp4"]);
  assert.deepEqual(based('<meta name="base" content="media"/>'), ["subdir/media/x.mp4"]);
  assert.deepEqual(based('<meta name="httpBase" content="http://h"/>'), ["x.mp4"]);
  assert.equal(read('<smil><video src="http://h/vod/x.mp4"/></smil>', "l.smil", "/vod/").media[0]?.path, "x.mp4");
});

test("audio is told with its language, text streams are passed over; an entry twice counts once", () => {
  const text = `<smil><body><switch>
    <video src="v.mp4" systemBitrate="900000.4"><param name="x" value="y"/></video>
    <video src="v.mp4" system-bitrate="bogus"/>
    <audio src="a.m4a" system-language="fr" system-bitrate="64000"/>
    <textstream src="../../t.vtt" system-language="en"><param name="isWowzaLiveStream" value="false"/></textstream>
  </switch></body></smil>`;
  assert.deepEqual(read(text), {
    media: [
      { kind: "video", path: "subdir/v.mp4", bitrateBps: null, language: null },
      { kind: "audio", path: "subdir/a.m4a", bitrateBps: 64_000, language: "fr" },
    ],
  });
  assert.match(refusalOf('<smil><body><textstream src="t.vtt"/></body></smil>'), /names no video and no audio/);
});

test("entity bombs, external entities and whatever is no SMIL are refused with a reason", () => {
  const bomb = `<!DOCTYPE smil [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><smil><video src="&b;"/></smil>`;
  const external = `<!DOCTYPE smil [<!ENTITY x SYSTEM "file:///etc/passwd">]><smil><video src="&x;"/></smil>`;
  for (const text of [bomb, external]) assert.match(refusalOf(text), /^MEDIA_DAMAGED: .*DOCTYPE declares something/);
  assert.match(refusalOf(smil("", '<video src="&unknown;.mp4"/>')), /MEDIA_DAMAGED: .*undefined entity/);
  assert.match(refusalOf(smil("", "")), /MEDIA_DAMAGED: .*names no video/);
  assert.match(refusalOf(""), /MEDIA_DAMAGED/);
  assert.match(refusalOf("not xml"), /MEDIA_DAMAGED/);
  assert.match(
    refusalOf(smil("", '<video src="x.mp4">')),
    /MEDIA_DAMAGED: .*unexpected close tag|MEDIA_DAMAGED: .*tag/,
  );
  for (const [source, reason] of [
    ["../../x.mp4", /leads out of the source/],
    ["a%00.mp4", /a NUL/],
    ["a%5cb.mp4", /a backslash/],
    ["/", /a part is empty/],
    ["", /names no video/],
  ] as const) {
    assert.match(refusalOf(smil("", `<video src="${source}"/>`)), reason);
  }
  assert.match(refusalOf(Buffer.from([0x3c, 0xff, 0xfe])), /MEDIA_DAMAGED: .*not UTF-8/);
  assert.match(refusalOf(Buffer.alloc(SMIL_BYTES_MAX + 1)), /^MEDIA_UNSUPPORTED: .*at most 262144 bytes/);
  const many = Array.from({ length: 101 }, (_, n) => `<video src="${n}.mp4"/>`).join("");
  assert.match(refusalOf(smil("", many)), /MEDIA_DAMAGED: .*more than 100 entries/);
  assert.match(refusalOf(`<smil>${"<a>".repeat(40)}`), /MEDIA_DAMAGED: .*nested deeper than 32/);
});

test("whatever is in a file, reading ends soon, with paths below the root or a refusal of the catalogue", () => {
  const { int } = seeded(31);
  const pieces = [
    "<smil>",
    "</smil>",
    '<video src="',
    '"/>',
    "..",
    "/",
    "a.mp4",
    "&amp;",
    "&x;",
    "<!DOCTYPE x>",
    "<!--",
    "-->",
    "%2e%2e",
    "<switch>",
  ];
  for (let round = 0; round < 5_000; round += 1) {
    const text = `<smil>${Array.from({ length: int(14) }, () => pieces[int(pieces.length)]).join("")}</smil>`;
    try {
      for (const { path } of read(text).media) {
        assert.ok(!path.split("/").some((part) => ["", ".", ".."].includes(part)), path);
      }
    } catch (error) {
      assert.ok(codeOf(error) !== undefined, text);
    }
  }
  for (const piece of ["<", "<a ", "&", "<![CDATA[", "<!--", "a=", '"', "<a>"]) {
    const tookMs = cpuMs(() => assert.match(refusalOf(`<smil>${piece.repeat(60_000)}`), /MEDIA_/));
    assert.ok(tookMs < 1_000, `${piece}: ${tookMs} ms`);
  }
});
