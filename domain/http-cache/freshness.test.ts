import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldList } from "./fields.ts";
import { imfDate } from "./http-date.ts";
import { type Case, freshness, NOW_WALL_MS, verdict } from "./storability.fixture.ts";

const CC = "Cache-Control";
const CDN = "CDN-Cache-Control";
const VALIDATOR = ["ETag", '"a"'];
const inSeconds = (seconds: number): string => imfDate(NOW_WALL_MS + seconds * 1_000);

type Row = readonly [what: string, fields: FieldList, lifetimeMs: number, one?: Case];
const lifetimes = (rows: readonly Row[]): void => {
  for (const [what, fields, lifetimeMs, one] of rows) {
    assert.equal(freshness([...fields, ...VALIDATOR], one).lifetimeMs, lifetimeMs, what);
  }
};

// RFC 9111 §4.2.1: "If the cache is shared and the s-maxage response directive is present, use its value, or if the
// max-age response directive is present, use its value, or if the Expires response header field is present, use its
// value minus the value of the Date response header field".
test("s-maxage comes before max-age before Expires minus Date", () => {
  lifetimes([
    ["s-maxage", [CC, "max-age=60, s-maxage=5", "Expires", inSeconds(600)], 5_000],
    ["in any order", [CC, "s-maxage=5, max-age=60"], 5_000],
    ["on any line", [CC, "max-age=60", CC, "s-maxage=5"], 5_000],
    ["a longer one too", [CC, "max-age=0, s-maxage=50", "Expires", inSeconds(-5)], 50_000],
    ["max-age", [CC, "max-age=60", "Expires", inSeconds(600)], 60_000],
    ["max-age=0", [CC, "max-age=0", "Expires", inSeconds(600)], 0],
    ["max-age and an invalid Expires", [CC, "max-age=60", "Expires", "0"], 60_000],
    ["Expires - Date", ["Expires", inSeconds(600), "Date", inSeconds(500)], 100_000],
    ["Expires before Date", ["Expires", inSeconds(300), "Date", inSeconds(400)], 0],
    ["without Date: since it came", ["Expires", inSeconds(600)], 600_000],
    ["an invalid Date counts as none", ["Expires", inSeconds(600), "Date", "foo"], 600_000],
    ["an extension changes nothing", [CC, "foobar, max-age=60"], 60_000],
    ["any case", [CC, "MaX-AgE=60"], 60_000],
  ]);
});

// RFC 9111 §4.2.1: "either the first occurrence should be used, or the response should be considered stale … Caches are
// encouraged to consider responses that have invalid freshness information to be stale". §5.2: "recipients ought to
// accept both forms" of an argument. §1.2.2: an overflowing value "MUST … be 2147483648 (2^31) or the greatest".
test("odd numbers are stale, large ones 2^31 seconds, and the first of several counts", () => {
  lifetimes([
    ["twice", [CC, "max-age=1, max-age=1800"], 1_000],
    ["on two lines", [CC, "max-age=1800", CC, "max-age=1"], 1_800_000],
    ["quoted", [CC, 'max-age="3600"'], 3_600_000],
    ["in another's quotes", [CC, 'extension="max-age=3600", max-age=1'], 1_000],
    ["in another's quotes, behind", [CC, 'max-age=1, extension="max-age=3600"'], 1_000],
    ["leading zeros", [CC, "max-age=003600"], 3_600_000],
    ["single quotes", [CC, "max-age='3600'"], 0],
    ["space before =", [CC, "max-age =3600"], 0],
    ["space behind =", [CC, "max-age= 3600"], 0],
    ["a fraction", [CC, "max-age=3600.0"], 0],
    ["negative", [CC, "max-age=-3600"], 0],
    ["letters", [CC, "max-age=100a"], 0],
    ["nothing", [CC, "max-age"], 0],
    ["nothing behind =", [CC, "max-age="], 0],
    ["2^31 - 1", [CC, "max-age=2147483647"], 2_147_483_647_000],
    ["2^31", [CC, "max-age=2147483648"], 2_147_483_648_000],
    ["more", [CC, "max-age=99999999999"], 2_147_483_648_000],
    ["an open quote", [CC, 'extension="a, max-age=3600'], 0],
  ]);
});

// RFC 9111 §5.3: "A cache recipient MUST interpret invalid date formats, especially the value "0", as representing a
// time in the past". §4.2: "a cache recipient SHOULD match the field value case-insensitively".
test("Expires is read in the three forms and any case; anything else is in the past", () => {
  const good = ["Thu, 18 Aug 2050 02:01:18 GMT", "Thu Aug 18 02:01:18 2050", "THU, 18 AUG 2050 02:01:18 gMT"];
  for (const text of good) assert.ok(freshness(["Expires", text]).lifetimeMs > 1e12, text);
  assert.ok(freshness(["Expires", "Sun, 21 Nov 2286 04:46:39 GMT"]).lifetimeMs > 9e12);
  const bad = [
    ...["0", "", "Thu, 18 Aug 2050 02:01:18 UTC", "Thu, 18 Aug 2050 02:01:18 AEST", "Thu, 18 Aug 50 02:01:18 GMT"],
    ...["Thu 18 Aug 2050 02:01:18 GMT", "Thu, 18  Aug  2050 02:01:18 GMT", "Thu, 18-Aug-2050 02:01:18 GMT"],
    ...["Thu, 18 Aug 2050 02.01.18 GMT", "Thu, 18 Aug 2050 2:01:18 GMT", "Thu, 31 Feb 2050 02:01:18 GMT"],
  ];
  lifetimes(bad.map((text) => [text, ["Expires", text], 0]));
});

// RFC 9111 §4.2.2: "A typical setting of this fraction might be 10%"; "A cache MUST NOT use heuristics to determine
// freshness when an explicit expiration time is present". RFC 9110 §15.1 lists the status codes.
test("without explicit freshness a tenth of the age of Last-Modified counts, for the codes that allow it", () => {
  const old = ["Last-Modified", inSeconds(-1_000), "Date", inSeconds(0)];
  const found = freshness(old);
  assert.deepEqual([found.lifetimeMs, found.isHeuristic], [100_000, true]);
  for (const status of [203, 204, 300, 301, 308, 404, 405, 410, 414, 501]) {
    assert.equal(freshness(old, { status }).lifetimeMs, 100_000, String(status));
  }
  for (const status of [201, 202, 302, 403, 502, 503, 504, 599]) {
    assert.equal(verdict(old, { status }), "no-freshness", String(status));
  }
  assert.equal(freshness([...old, CC, "public"], { status: 599 }).lifetimeMs, 100_000);
  assert.equal(freshness([...old, CC, "max-age=5"]).isHeuristic, false);
  assert.equal(freshness(old, { rules: { heuristics: false } }).lifetimeMs, 0);
  assert.equal(freshness(["Last-Modified", inSeconds(100), "Date", inSeconds(0)]).lifetimeMs, 0);
});

// RFC 9111 §4.2.3: "corrected_age_value = age_value + response_delay; The corrected_age_value MAY be used as the
// corrected_initial_age." §5.1: "SHOULD use the first field line, discarding subsequent ones"; "If the field value
// (after discarding additional members, as per above) is invalid …, a cache SHOULD ignore the field".
test("the age on arrival is Age and the time that the answer took, whatever the clocks say", () => {
  const ageOf = (...ages: string[]): number =>
    freshness([CC, "max-age=3600", ...VALIDATOR, ...ages.flatMap((age) => ["Age", age])], { responseDelayMs: 250 })
      .initialAgeMs;
  assert.equal(ageOf(), 250);
  assert.equal(ageOf("7200"), 7_200_250);
  for (const text of ["abc", "-7200", "7200.0", "7200;foo=bar", ""]) assert.equal(ageOf(text), 250, text);
  for (const text of ["2147483647", "2147483648", "2147483649"]) assert.ok(ageOf(text) > 2e12, text);
  assert.equal(ageOf("7200, 0"), 7_200_250);
  assert.equal(ageOf("0, 7200"), 250);
  assert.equal(ageOf("7200", "0"), 7_200_250);
  assert.equal(ageOf("0", "7200"), 250);
  assert.equal(freshness([CC, "max-age=60", "Date", inSeconds(-7_200)]).initialAgeMs, 0);
});

// RFC 9213 §2.2: "the cache … MUST … use … the first … with a valid, non-empty value … and MUST ignore the
// Cache-Control and Expires header fields". §2.1: a parse error means that the field is ignored.
test("a valid CDN-Cache-Control stands alone; an invalid one is as if it were not there", () => {
  lifetimes([
    ["shorter", [CC, "max-age=3600", CDN, "max-age=1"], 1_000],
    ["longer", [CDN, "max-age=3600", CC, "max-age=1"], 3_600_000],
    ["against no-store", [CC, "no-store", CDN, "max-age=10"], 10_000],
    ["against Expires", [CDN, "max-age=0", "Expires", inSeconds(600)], 0],
    ["without a time, Expires stays ignored", [CDN, "foo", "Expires", inSeconds(600)], 0],
    ["an unknown member", [CDN, "foobar, max-age=3600"], 3_600_000],
    ["parameters", [CDN, "max-age=3600;a=1"], 3_600_000],
    ["the last of equal ones", [CDN, "max-age=1, max-age=2"], 2_000],
    ["large", [CDN, "max-age=99999999999"], 2_147_483_648_000],
    ["negative", [CDN, "max-age=-1"], 0],
    ["upper case is no key", [CDN, "MaX-aGe=3600", CC, "max-age=1"], 1_000],
    ["space before =", [CDN, "max-age =100", CC, "max-age=1"], 1_000],
    ["space behind =", [CDN, "max-age= 100", CC, "max-age=1"], 1_000],
    ["of the wrong type", [CDN, 'max-age="100"', CC, "max-age=1"], 1_000],
    ["a fraction", [CDN, "max-age=1.5", CC, "max-age=1"], 1_000],
    ["a flag with a value", [CDN, "max-age=9, no-store=1", CC, "max-age=1"], 1_000],
    ["a trailing comma", [CDN, "max-age=9,", CC, "max-age=1"], 1_000],
    ["empty", [CDN, "", CC, "max-age=1"], 1_000],
    ["a false flag", [CDN, "no-store=?0, max-age=9"], 9_000],
  ]);
  assert.equal(verdict([CDN, "max-age=10000, &&&&&", CC, "no-store"]), "no-store");
  assert.equal(verdict([CDN, 'max-age="10000"', CC, "no-store"]), "no-store");
  assert.equal(verdict([CDN, "no-store", CC, "max-age=60"]), "no-store");
  assert.equal(verdict([CDN, "private", CC, "max-age=60"]), "private");
  assert.equal(freshness([CDN, "no-cache", CC, "max-age=60", ...VALIDATOR]).noCache, true);
});

test("the customer's times: negative answers, a default, one that overrides", () => {
  const negative = { rules: { negativeTtlMs: 1_000, ttlMs: 60_000 } };
  const override = { rules: { mode: "override", negativeTtlMs: 1_000, ttlMs: 60_000 } } as const;
  lifetimes([
    ["a default where nothing is said", [], 60_000, negative],
    ["not where something is", [CC, "max-age=5"], 5_000, negative],
    ["an override everywhere", [CC, "max-age=5"], 60_000, override],
    ["404 of a default", [], 1_000, { ...negative, status: 404 }],
    ["404 with a time of its own", [CC, "max-age=5"], 5_000, { ...negative, status: 404 }],
    ["404 of an override", [CC, "max-age=5"], 1_000, { ...override, status: 404 }],
    [
      "404 where negative answers have no time: the origin's",
      [CC, "max-age=5"],
      5_000,
      { status: 404, rules: { ...override.rules, negativeTtlMs: 0 } },
    ],
    ["a redirect is not overridden", [CC, "max-age=5"], 5_000, { ...override, status: 302 }],
  ]);
  assert.equal(verdict([], { status: 404, rules: { ttlMs: 60_000 } }), "no-freshness");
});

const staleTimes = (fields: FieldList, one: Case = {}): readonly [number, number, boolean] => {
  const found = freshness([...fields, ...VALIDATOR], one);
  return [found.staleWhileRevalidateMs, found.staleIfErrorMs, found.mustRevalidate];
};

// RFC 5861 §3, §4. RFC 9111 §4.2.4: "A cache MUST NOT generate a stale response if it is prohibited by an explicit
// in-protocol directive (e.g., by a no-cache cache directive, a must-revalidate cache-response-directive, or an
// applicable s-maxage or proxy-revalidate cache-response-directive".
test("stale times are the origin's, else the customer's, and none where stale is forbidden", () => {
  const rules = { graceMs: 9_000, staleWhileRevalidateMs: 2_000 };
  const rows: [string, FieldList, readonly [number, number, boolean], Case?][] = [
    ["by rule", [CC, "max-age=1"], [2_000, 9_000, false]],
    ["its own", [CC, "max-age=1, stale-while-revalidate=30, stale-if-error=60"], [30_000, 60_000, false]],
    ["none of its own", [CC, "max-age=1, stale-if-error=0, stale-while-revalidate=0"], [0, 0, false]],
    ["must-revalidate", [CC, "max-age=1, must-revalidate, stale-if-error=60"], [0, 0, true]],
    ["proxy-revalidate", [CC, "max-age=1, proxy-revalidate"], [0, 0, true]],
    ["s-maxage", [CC, "s-maxage=1"], [0, 0, true]],
    ["s-maxage with a time of its own", [CC, "s-maxage=1, stale-while-revalidate=3"], [3_000, 0, false]],
    ["no-cache", [CC, "no-cache"], [0, 0, false]],
    ["an error by rule", [CC, "max-age=1"], [0, 0, false], { status: 404 }],
    ["an error of its own", [CC, "max-age=1, stale-if-error=5"], [0, 5_000, false], { status: 404 }],
    ["overridden", [CC, "must-revalidate"], [2_000, 9_000, false], { rules: { ...rules, mode: "override", ttlMs: 1 } }],
  ];
  for (const [what, fields, expected, one] of rows) {
    assert.deepEqual(staleTimes(fields, { rules, ...one }), expected, what);
  }
});
