import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuMs } from "../../test/support/cpu.ts";
import { renditionOf } from "../../test/support/rendition.ts";
import { seeded } from "../../test/support/seeded.ts";
import { childQuery, type MasterQuery, parseQuery } from "./query.ts";
import { ascending, variantsOf } from "./variants.ts";

const DEFAULTS: MasterQuery = {
  rates: null,
  preferredKbps: null,
  audioOnly: null,
  corrections: [],
  span: null,
  attributes: true,
  revision: 0,
  subtitles: { pattern: null, identifier: null, location: null },
};
const read = (query: string): MasterQuery => {
  const parsed = parseQuery(query);
  return "refusal" in parsed ? assert.fail(`${query}: ${parsed.reason}`) : parsed;
};
const NO_SUBTITLES = DEFAULTS.subtitles;

test("each query string of MSOD is read as the guide has it", () => {
  const cases: Readonly<Record<string, Partial<MasterQuery>>> = {
    "": {},
    "hdnts=exp=1~acl=/i/*~hmac=ab&v=123&null=0&id=x": {}, // of others
    "b=200,700": { rates: { values: [200, 700], ranges: [] } },
    "b=200-700": { rates: { values: [], ranges: [{ lowKbps: 200, highKbps: 700 }] } },
    "b=300-": { rates: { values: [], ranges: [{ lowKbps: 300, highKbps: Number.POSITIVE_INFINITY }] } },
    "b=0-700": { rates: { values: [], ranges: [{ lowKbps: 0, highKbps: 700 }] } },
    "b=0-300,1200-": {
      rates: {
        values: [],
        ranges: [
          { lowKbps: 0, highKbps: 300 },
          { lowKbps: 1_200, highKbps: Number.POSITIVE_INFINITY },
        ],
      },
    },
    "b=500,1000-2000": { rates: { values: [500], ranges: [{ lowKbps: 1_000, highKbps: 2_000 }] } },
    "__b__=500": { preferredKbps: 500 },
    "__a__=off": { audioOnly: false },
    "__a__=on": { audioOnly: true },
    "bwcorrection=5": { corrections: [5] },
    "bwcorrection=5 10-10": { corrections: [5, 10, -10] },
    "bwcorrection=5%2010%20-10": { corrections: [5, 10, -10] },
    "bwcorrection=5+10+-10": { corrections: [5, 10, -10] },
    "bwcorrection=%2B5%2B10-100": { corrections: [5, 10, -100] },
    "start=30&end=500": { span: { startSeconds: 30, endSeconds: 500 } },
    "start=0.0&end=3305.1": { span: { startSeconds: 0, endSeconds: 3_305.1 } },
    "start=30": { span: { startSeconds: 30, endSeconds: null } },
    "attributes=off": { attributes: false },
    "attributes=on": {},
    "set-akamai-hls-revision=4": { revision: 4 },
    "set-akamai-hls-revision=5": { revision: 5 },
    "set-akamai-hls-revision=1": {},
    "subtitle_file_pattern=langcode_identifier": {
      subtitles: { ...NO_SUBTITLES, pattern: { languageFirst: true, delimiter: "_", extension: null } },
    },
    "subtitle_file_pattern=identifier_langcode.abc": {
      subtitles: { ...NO_SUBTITLES, pattern: { languageFirst: false, delimiter: "_", extension: "abc" } },
    },
    "subtitle_file_pattern=identifier.langcode.vtt": {
      subtitles: { ...NO_SUBTITLES, pattern: { languageFirst: false, delimiter: ".", extension: "vtt" } },
    },
    "subtitle_identifier=ZW1939A016S00MA1D1_5d4e903d4a700&subtitle_location=%2Fplayback%2Fcaptions%2Fprod%2Fzw": {
      subtitles: {
        pattern: null,
        identifier: "ZW1939A016S00MA1D1_5d4e903d4a700",
        location: "/playback/captions/prod/zw",
      },
    },
    "subtitle_location=dir3/": { subtitles: { ...NO_SUBTITLES, location: "dir3" } },
    "subtitle_location=/": { subtitles: { ...NO_SUBTITLES, location: "/" } },
    "b=200&b=700": { rates: { values: [200], ranges: [] } },
  };
  for (const [query, told] of Object.entries(cases)) assert.deepEqual(read(query), { ...DEFAULTS, ...told }, query);
});

test("what is malformed is refused by name", () => {
  const cases: Readonly<Record<string, RegExp>> = {
    "b=": /b has "" in it/,
    "b=abc": /b has "abc" in it/,
    "b=200,,700": /b has "" in it/,
    "b=-700": /b has "-700" in it/,
    "b=700-200": /empty range "700-200"/,
    "b=1.5": /b has "1.5" in it/,
    "b=99999999999": /b has/,
    [`b=${"1,".repeat(200)}1`]: /more than 100/,
    "__b__=fast": /__b__ is no number/,
    "__a__=yes": /__a__ is neither/,
    "bwcorrection=": /bwcorrection has no values/,
    "bwcorrection=101": /from -100 to 100/,
    "bwcorrection=5,10": /bwcorrection has "5,10" in it/,
    "bwcorrection=5--10": /bwcorrection has "-" in it/,
    "start=abc": /start is no number/,
    "start=-1": /start is no number/,
    "end=10": /end needs start/,
    "start=10&end=10": /end is not after start/,
    "start=1e3": /start is no number/,
    "attributes=maybe": /attributes is neither/,
    "set-akamai-hls-revision=x": /set-akamai-hls-revision is no number/,
    "subtitle_file_pattern=langcode": /subtitle_file_pattern is neither/,
    "subtitle_file_pattern=langcodeidentifier": /subtitle_file_pattern is neither/,
    "subtitle_file_pattern=langcode_langcode": /subtitle_file_pattern is neither/,
    "subtitle_file_pattern=langcode/../identifier": /subtitle_file_pattern is neither/,
    "subtitle_file_pattern=langcode_identifier.a/b": /subtitle_file_pattern is neither/,
    "subtitle_identifier=../x": /subtitle_identifier is no name/,
    "subtitle_identifier=": /subtitle_identifier is no name/,
    "subtitle_location=/a/../b": /subtitle_location has a path in which a part is "\.\."/,
    "subtitle_location=a%00b": /subtitle_location has a path in which a NUL/,
    "subtitle_location=//a": /a part is empty/,
  };
  for (const [query, reason] of Object.entries(cases)) {
    const parsed = parseQuery(query);
    assert.ok("refusal" in parsed, query);
    assert.equal(parsed.refusal, "QUERY_REFUSED");
    assert.match(parsed.reason, reason, query);
  }
});

test("any query is read or refused, at once", () => {
  const { int } = seeded(6);
  const pieces = ["b=", "start=", "&", "-", ",", "9", "%", "%ff", "+", " ", "bwcorrection=", "subtitle_file_pattern="];
  pieces.push("langcode", "identifier", "_", ".", "off", "__a__=", "attributes=", "set-akamai-hls-revision=");
  for (let round = 0; round < 20_000; round += 1) {
    parseQuery(Array.from({ length: int(12) }, () => pieces[int(pieces.length)]).join(""));
  }
  for (const long of [" ", "+", "-", "1,", "1-", "9", "langcode"]) {
    const tookMs = cpuMs(() => {
      for (const name of ["b", "bwcorrection", "subtitle_file_pattern", "start", "subtitle_location"]) {
        parseQuery(`${name}=${long.repeat(4_000)}x`);
      }
    });
    assert.ok(tookMs < 1_000, `${long}: ${tookMs} ms`);
  }
});

test("what changes media playlists is passed on to them", () => {
  assert.equal(
    childQuery(read("b=200&start=30&end=500.5&set-akamai-hls-revision=5")),
    "start=30&end=500.5&set-akamai-hls-revision=5",
  );
  assert.equal(childQuery(read("start=30")), "start=30");
  assert.equal(childQuery(read("b=200&attributes=off")), "");
});

const KBPS = [200, 300, 700, 1_200, 1_800];
const set = ascending(
  [1_200, 200, 1_800, 700, 300].map((kbps) =>
    renditionOf({ uri: `m_${kbps}.mp4`, muxedPeakBps: kbps * 1_000 + 44, muxedAverageBps: kbps * 900 }),
  ),
);
const listed = (query: string, renditions = set) =>
  variantsOf(renditions, read(query)).map(
    ({ rendition, audioOnly }) => Math.round(rendition.muxedPeakBps / 1_000) * (audioOnly ? -1 : 1),
  );

test("filters and preference leave these renditions in this order", () => {
  const cases: Readonly<Record<string, readonly number[]>> = {
    "": KBPS,
    "b=200,700": [200, 700],
    "b=700,200": [200, 700],
    "b=200-700": [200, 300, 700],
    "b=300-": [300, 700, 1_200, 1_800],
    "b=0-700": [200, 300, 700],
    "b=0-300,1200-": [200, 300, 1_200, 1_800],
    "b=201-699": [300],
    "b=260": [300], // the nearest, as far as 100 kbit/s away
    "b=900": [],
    "b=900,1750": [1_800],
    "b=9000-": [],
    "__b__=700": [700, 200, 300, 1_200, 1_800],
    "__b__=9999": [1_800, 200, 300, 700, 1_200],
    "b=300-&__b__=550": [700, 300, 1_200, 1_800],
    "__a__=on": [...KBPS, -200],
    "__a__=off": KBPS,
    "b=700-&__a__=on": [700, 1_200, 1_800, -700], // bit rates are filtered first
    "__a__=on&__b__=100": [...KBPS, -200],
  };
  for (const [query, kbps] of Object.entries(cases)) assert.deepEqual(listed(query), kbps, query);
});

test("ranges are of the media's own rate, with both ends; a value may also be anything up to the peak", () => {
  const file = renditionOf({ uri: "f.mp4", mediaBps: 373_400, muxedAverageBps: 395_000, muxedPeakBps: 436_000 });
  const kept = (b: string): boolean => variantsOf([file], read(`b=${b}`)).length === 1;
  const cases = { "0-400": true, "373-373": true, "374-": false, "0-372": false, "436-": false, 273: true, 272: false };
  for (const [b, expected] of Object.entries({ ...cases, 536: true, 537: false })) assert.equal(kept(b), expected, b);
});

test("a list keeps the lowest audio, a single range does not", () => {
  const sound = (kbps: number) => renditionOf({ uri: `a_${kbps}.m4a`, video: null, muxedPeakBps: kbps * 1_000 });
  const mixed = ascending([...set, sound(128), sound(64)]);
  assert.deepEqual(listed("", mixed), [64, 128, ...KBPS]);
  assert.deepEqual(listed("b=200,700", mixed), [64, 200, 700]);
  assert.deepEqual(listed("b=700", mixed), [64, 700]);
  assert.deepEqual(listed("b=0-300,1200-", mixed), [64, 128, 200, 300, 1_200, 1_800]);
  assert.deepEqual(listed("b=200-300,1200-", mixed), [64, 200, 300, 1_200, 1_800]);
  assert.deepEqual(listed("b=200-700", mixed), [200, 300, 700]);
  assert.deepEqual(listed("__a__=on", mixed), [64, 128, ...KBPS]); // its own audio takes precedence
});

test("corrections go to variants in ascending order, the last one to the rest, and nothing is chosen by them", () => {
  const corrections = (query: string) =>
    variantsOf(set, read(query)).map(({ index, correction }) => [index, correction]);
  assert.deepEqual(corrections("bwcorrection=5 10-10"), [
    [0, 1.05],
    [1, 1.1],
    [2, 0.9],
    [3, 0.9],
    [4, 0.9],
  ]);
  assert.deepEqual(corrections("bwcorrection=-100"), [
    [0, 0],
    [1, 0],
    [2, 0],
    [3, 0],
    [4, 0],
  ]);
  assert.deepEqual(corrections("b=700-&bwcorrection=5 10&__b__=1800"), [
    [4, 1.1],
    [2, 1.05],
    [3, 1.1],
  ]);
});

test("the set is numbered the same, whatever order its files came in", () => {
  const { int } = seeded(3);
  const twins = [...set, renditionOf({ uri: "z.mp4", muxedPeakBps: 200_044, muxedAverageBps: 180_000 })];
  const expected = ascending(twins).map(({ uri }) => uri);
  for (let round = 0; round < 100; round += 1) {
    const shuffled = twins.map((one) => [int(1e9), one] as const).sort((one, other) => one[0] - other[0]);
    assert.deepEqual(
      ascending(shuffled.map(([, one]) => one)).map(({ uri }) => uri),
      expected,
    );
  }
});

test("the configured default decides about extracted audio where the query does not", () => {
  const count = (query: string) => variantsOf(set, read(query), { audioOnly: true }).length;
  assert.deepEqual([count(""), count("__a__=off"), count("__a__=on")], [6, 5, 6]);
});
