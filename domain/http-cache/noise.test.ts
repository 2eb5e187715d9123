import assert from "node:assert/strict";
import { test } from "node:test";
import { cacheStatus } from "./cache-status.ts";
import { contentRangeOf } from "./content-range.ts";
import { parseDirectives } from "./directives.ts";
import { type FieldList, lookupOf } from "./fields.ts";
import { requestFieldsToForward, storedFields } from "./forward.ts";
import { invalidatedBy } from "./invalidation.ts";
import { parseRanges } from "./ranges.ts";
import { isOriginError } from "./status.ts";
import { type Case, NOW_WALL_MS, PLAIN } from "./storability.fixture.ts";
import { storability } from "./storability.ts";
import { parseTargeted } from "./targeted.ts";
import { afterValidation } from "./validation.ts";
import { varyKey, varyNames } from "./vary.ts";

const NAMES = [
  ...["Cache-Control", "CDN-Cache-Control", "Expires", "Date", "Age", "ETag", "Last-Modified", "Vary", "Set-Cookie"],
  ...[
    "Connection",
    "Content-Range",
    "Accept-Encoding",
    "Accept-Language",
    "Cache-Status",
    "Via",
    "Pragma",
    "X-Odd",
    "",
  ],
];
const WORDS = [
  ...["no-store", "private", "public", "max-age=", "s-maxage=", "stale-if-error=", "no-cache", "must-revalidate"],
  ...[
    "0",
    "60",
    "99999999999999999999",
    "-1",
    '"',
    "\\",
    ",",
    ";",
    "=",
    " ",
    "\t",
    "*",
    "W/",
    "bytes ",
    "0-4/10",
    "q=0",
  ],
  ...[
    "Thu, 18 Aug 2050 02:01:18 GMT",
    "gzip",
    "br",
    "\u00e9",
    "\ud800",
    "\0",
    "(",
    ")",
    "?1",
    ":",
    "a",
    "%",
    "//",
    "x://[",
  ],
];

/** A generator of whole numbers below a bound that is the same in every run. */
const seeded = (seed: number) => {
  let state = seed;
  return (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
};

const noise = (random: (below: number) => number): string =>
  Array.from({ length: random(9) }, () => WORDS[random(WORDS.length)]).join("");

const fieldsOf = (random: (below: number) => number): FieldList =>
  Array.from({ length: random(9) }, () => [NAMES[random(NAMES.length)] ?? "", noise(random)]).flat();

const ROUNDS = 20_000;

test("no noise in the fields throws, and what comes out is in its bounds", () => {
  const random = seeded(9_111);
  for (let round = 0; round < ROUNDS; round += 1) {
    const fields = fieldsOf(random);
    const one: Case = { status: [200, 206, 301, 404, 503, 599][random(6)] ?? 200, responseDelayMs: random(100) };
    const found = storability({
      ...{ method: "GET", status: 200, responseDelayMs: 0, ...one, requestFields: lookupOf(fieldsOf(random)) },
      ...{ responseFields: fields, rules: { ...PLAIN, graceMs: random(2) * 1_000 }, nowWallMs: NOW_WALL_MS },
    });
    const text = JSON.stringify([round, fields]);
    if (found.store) {
      const { initialAgeMs, lifetimeMs, staleIfErrorMs, staleWhileRevalidateMs } = found.freshness;
      for (const ms of [initialAgeMs, lifetimeMs, staleIfErrorMs, staleWhileRevalidateMs]) {
        assert.ok(ms >= 0 && ms <= 2 ** 31 * 1_000 + 100, text);
      }
      assert.notEqual(varyNames(fields), "*", text);
    }
    const stored = storedFields(fields, { stripSetCookie: true, cacheName: "edge", nowWallMs: NOW_WALL_MS });
    assert.ok(!stored.some((name, at) => at % 2 === 0 && /^(set-cookie|connection|age)$/i.test(name)), text);
    // What was stored once stays as it is when it is stored again by the next cache.
    assert.deepEqual(storedFields(stored, { stripSetCookie: true, cacheName: "edge" }), stored, text);
    afterValidation(stored, fields);
  }
});

test("no noise in one value throws", () => {
  const random = seeded(9_110);
  for (let round = 0; round < ROUNDS; round += 1) {
    const value = noise(random);
    const lookup = lookupOf(["Accept-Encoding", value, "Accept-Language", value, "Cache-Control", value, "X", value]);
    assert.equal(typeof varyKey(["accept-encoding", "accept-language", "x"], lookup), "string");
    assert.match(varyKey(["x"], lookup), /^x(=[\x21-\x7e]*)?$/);
    parseDirectives(value).seconds("max-age");
    parseTargeted(value);
    contentRangeOf(value);
    parseRanges(`bytes=${value}`, 100);
    requestFieldsToForward(["Connection", value, "Accept-Encoding", value], { via: "edge" });
    invalidatedBy({ method: "POST", status: 200, host: "a", target: "/", location: value, contentLocation: value });
    assert.match(cacheStatus({ hit: true, key: value, detail: value }), /^castellan-edge; hit; key="[\x20-\x7e]*"/);
  }
});

// RFC 5861 §4: "an error is any situation that would result in a 500, 502, 503, or 504 HTTP response status code being
// returned."
test("errors that stale-if-error stands in for are those four", () => {
  const errors = Array.from({ length: 500 }, (_, at) => at + 100).filter(isOriginError);
  assert.deepEqual(errors, [500, 502, 503, 504]);
});
