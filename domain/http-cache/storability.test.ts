import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldList } from "./fields.ts";
import { type Case, verdict } from "./storability.fixture.ts";

const CC = "Cache-Control";
const FRESH: FieldList = [CC, "max-age=60"];
const withControl = (value: string): FieldList => [CC, value];

type Row = readonly [what: string, fields: FieldList, expected: string, one?: Case];
const table = (rows: readonly Row[]): void => {
  for (const [what, fields, expected, one] of rows) assert.equal(verdict(fields, one), expected, what);
};

// RFC 9111 §3: "the request method is understood by the cache". Of this one: GET.
test("only the answer to GET is stored", () => {
  table([
    ["GET", FRESH, "stored"],
    ["HEAD", FRESH, "method", { method: "HEAD" }],
    ["POST", [...FRESH, "Content-Location", "/"], "method", { method: "POST" }],
    ["a method is compared with its case", FRESH, "method", { method: "get" }],
  ]);
});

// RFC 9111 §3: "the response status code is final", "if the response status code is 206 or 304, or the must-understand
// cache directive is present: the cache understands the response status code".
test("any final status with explicit freshness is stored, one that must be understood only when it is", () => {
  const statuses = [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 502, 503, 504, 599];
  table(statuses.map((status) => [String(status), FRESH, "stored", { status }]));
  const must = withControl("max-age=3600, must-understand");
  const both = withControl("max-age=3600, no-store, must-understand");
  table([
    ["not final", FRESH, "status", { status: 103 }],
    ["304 is no representation", FRESH, "status", { status: 304 }],
    ["beyond the classes", FRESH, "status", { status: 600 }],
    ["understood", must, "stored"],
    ["not understood", must, "not-understood", { status: 599 }],
    // §5.2.2.3: "SHOULD ignore the no-store directive in responses that contain both directives and a status code that
    // the cache understands".
    ["no-store is ignored then", both, "stored"],
    ["no-store counts for the others", both, "no-store", { status: 599 }],
  ]);
});

// RFC 9111 §3: "the no-store cache directive is not present in the response".
test("no-store and private are kept out, whatever stands beside them", () => {
  table([
    ["no-store", withControl("no-store, max-age=60"), "no-store"],
    ["any case", withControl("nO-StOrE"), "no-store"],
    ["on another line", [CC, "max-age=60", "cache-control", "no-store"], "no-store"],
    ["private", withControl("private, max-age=60"), "private"],
    ["private and s-maxage", withControl("private, s-maxage=60"), "private"],
    ["private of nothing", withControl('private="", max-age=60'), "private"],
    // §5.2.2.7: "If a qualified private response directive is present … a shared cache MUST NOT store the listed
    // fields".
    ["private fields alone", withControl('private="x-user", max-age=60'), "stored"],
    ["a quoted no-store is no directive", withControl('ext="no-store", max-age=60'), "stored"],
  ]);
});

// RFC 9111 §3.5: "In this specification, the following response directives have such an effect: must-revalidate,
// public, and s-maxage".
test("the answer to one who is authorised is shared only when the origin says so", () => {
  const request = ["Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="];
  table([
    ["max-age alone", FRESH, "authorization", { request }],
    ["public", withControl("public, max-age=60"), "stored", { request }],
    ["must-revalidate", withControl("must-revalidate, max-age=60"), "stored", { request }],
    ["s-maxage", withControl("s-maxage=60"), "stored", { request }],
    ["proxy-revalidate does not", withControl("proxy-revalidate, max-age=60"), "authorization", { request }],
    ["nor does a customer's rule", FRESH, "authorization", { request, rules: { mode: "override", ttlMs: 9_000 } }],
  ]);
});

// RFC 9111 §7.3: "the Set-Cookie response header field does not inhibit caching"; this cache is stricter by default.
test("an answer with a cookie is stored only when the rule strips it or the origin keeps it from us", () => {
  const cookie = ["Set-Cookie", "a=b"];
  table([
    ["a cookie", [...FRESH, ...cookie], "set-cookie"],
    ["stripped", [...FRESH, ...cookie], "stored", { rules: { stripSetCookie: true } }],
    ["named by private", [CC, 'max-age=60, private="Set-Cookie"', ...cookie], "stored"],
    ["named by no-cache", [CC, 'max-age=60, no-cache="set-cookie"', ...cookie], "stored"],
    [
      "a rule that overrides strips nothing",
      [...FRESH, ...cookie],
      "set-cookie",
      { rules: { mode: "override", ttlMs: 1 } },
    ],
  ]);
});

// RFC 9111 §4.1: "A stored response with a Vary header field value containing a member "*" always fails to match."
test("Vary with a star anywhere is not stored", () => {
  const varying = (...values: string[]): FieldList => [...FRESH, ...values.flatMap((value) => ["Vary", value])];
  table([
    ["star", varying("*"), "vary-star"],
    ["twice", varying("*, *"), "vary-star"],
    ["on two lines", varying("*", "*"), "vary-star"],
    ["after an empty member", varying(", *"), "vary-star"],
    ["after an empty line", varying("", "*"), "vary-star"],
    ["before a name", varying("*, Foo"), "vary-star"],
    ["behind a name", varying("Foo, *"), "vary-star"],
    ["a name", varying("Foo"), "stored"],
  ]);
});

// RFC 9111 §3.3: "a 206 (Partial Content) response MAY be stored as if it were an incomplete 200 (OK) response"; §3.4:
// combined "if they all share the same strong validator".
test("a 206 is stored as a piece when it says which one, under a strong validator", () => {
  const status = 206;
  const part = ["Content-Range", "bytes 0-4/10"];
  table([
    ["both", [...FRESH, ...part, "ETag", '"a"'], "stored", { status }],
    ["weak", [...FRESH, ...part, "ETag", 'W/"a"'], "partial", { status }],
    ["none", [...FRESH, ...part], "partial", { status }],
    ["no Content-Range (multipart)", [...FRESH, "ETag", '"a"'], "partial", { status }],
    ["beyond the size", [...FRESH, "Content-Range", "bytes 0-10/10", "ETag", '"a"'], "partial", { status }],
  ]);
});

// RFC 9111 §3: "the response contains at least one of: a public response directive, … an Expires header field, a
// max-age response directive, … an s-maxage response directive, … or a status code that is defined as heuristically
// cacheable".
test("an answer of which nothing could ever be used is not stored", () => {
  const validator = ["ETag", '"a"'];
  table([
    ["nothing said, no validator", [], "no-freshness"],
    ["nothing said, a validator: it can be validated", validator, "stored"],
    ["nothing said, a status of no heuristics", validator, "no-freshness", { status: 403 }],
    ["but public", [...validator, CC, "public"], "stored", { status: 403 }],
    ["never fresh, no validator", withControl("max-age=0"), "no-freshness"],
    ["never fresh, but good for an outage", withControl("max-age=0"), "stored", { rules: { graceMs: 1_000 } }],
    ["no outage either", withControl("max-age=0, must-revalidate"), "no-freshness", { rules: { graceMs: 1_000 } }],
    ["no-cache without a validator", withControl("no-cache, max-age=60"), "no-freshness"],
    ["no-cache with one", [CC, "no-cache", ...validator], "stored"],
    ["stale on arrival", [...FRESH, "Age", "7200"], "no-freshness"],
    ["a malformed ETag validates nothing", ["ETag", "a"], "no-freshness"],
  ]);
});

test("a rule that bypasses stores nothing", () => {
  assert.equal(verdict(FRESH, { rules: { mode: "bypass", ttlMs: 60_000 } }), "bypass");
});

test("a rule that overrides stands in place of the origin's freshness, not of what keeps viewers apart", () => {
  const rules = { mode: "override", ttlMs: 60_000, negativeTtlMs: 1_000 } as const;
  table([
    ["nothing said", [], "stored", { rules }],
    ["no-store", withControl("no-store"), "stored", { rules }],
    ["private", withControl("private"), "private", { rules }],
    ["a redirect's no-store counts", withControl("no-store, max-age=60"), "no-store", { rules, status: 302 }],
    ["an error's no-store counts", withControl("no-store, max-age=60"), "no-store", { rules, status: 503 }],
    ["nothing was ruled for errors", [], "no-freshness", { rules, status: 503 }],
    ["without a time it honours", withControl("no-store"), "no-store", { rules: { mode: "override" } }],
  ]);
});
