import assert from "node:assert/strict";
import { test } from "node:test";
import { type Conditions, checkConditions, chooseRange, type RangeChoice } from "./conditions.ts";

const MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT";
const EARLIER = "Tue, 15 Nov 1994 12:45:25 GMT";
const LATER = "Tue, 15 Nov 1994 12:45:27 GMT";
const HEAD = { etag: '"xyzzy"', lastModified: MODIFIED };

test("conditions are weighed in the order of RFC 9110 §13.2.2", () => {
  const cases: [conditions: Conditions, verdict: ReturnType<typeof checkConditions>][] = [
    [{}, "proceed"],
    [{ ifNoneMatch: '"xyzzy"' }, "not-modified"],
    [{ ifNoneMatch: 'W/"xyzzy"' }, "not-modified"],
    [{ ifNoneMatch: '"r2d2xxxx", "xyzzy", "c3piozzzz"' }, "not-modified"],
    [{ ifNoneMatch: "*" }, "not-modified"],
    [{ ifNoneMatch: '"XYZZY"' }, "proceed"],
    [{ ifNoneMatch: "xyzzy" }, "proceed"],
    [{ ifNoneMatch: "" }, "proceed"],
    [{ ifModifiedSince: MODIFIED }, "not-modified"],
    [{ ifModifiedSince: LATER }, "not-modified"],
    [{ ifModifiedSince: EARLIER }, "proceed"],
    [{ ifModifiedSince: "yesterday" }, "proceed"],
    [{ ifNoneMatch: '"b"', ifModifiedSince: MODIFIED }, "proceed"],
    [{ ifMatch: '"xyzzy"' }, "proceed"],
    [{ ifMatch: "*" }, "proceed"],
    [{ ifMatch: 'W/"xyzzy"' }, "failed"],
    [{ ifMatch: '"b"' }, "failed"],
    [{ ifUnmodifiedSince: EARLIER }, "failed"],
    [{ ifUnmodifiedSince: MODIFIED }, "proceed"],
    [{ ifUnmodifiedSince: "yesterday" }, "proceed"],
    [{ ifMatch: '"xyzzy"', ifUnmodifiedSince: EARLIER }, "proceed"],
    [{ ifMatch: '"b"', ifNoneMatch: '"xyzzy"' }, "failed"],
    [{ ifMatch: '"xyzzy"', ifNoneMatch: '"xyzzy"' }, "not-modified"],
  ];
  for (const [conditions, verdict] of cases) {
    assert.equal(checkConditions(conditions, HEAD), verdict, JSON.stringify(conditions));
  }
  const none = { etag: undefined, lastModified: undefined };
  assert.equal(checkConditions({ ifNoneMatch: '"xyzzy"', ifModifiedSince: MODIFIED }, none), "proceed");
  assert.equal(checkConditions({ ifModifiedSince: MODIFIED }, none), "proceed");
  const weak = { etag: 'W/"xyzzy"', lastModified: undefined };
  assert.equal(checkConditions({ ifNoneMatch: '"xyzzy"' }, weak), "not-modified");
  assert.equal(checkConditions({ ifMatch: 'W/"xyzzy"' }, weak), "failed");
});

test("one range of bytes is taken as RFC 9110 §14.1.2 has it, everything else is answered with the whole", () => {
  const part = (start: number, end: number): RangeChoice => ({ kind: "part", start, end });
  const whole: RangeChoice = { kind: "whole" };
  const size = 10_000; // the standard's own examples are of this length
  const cases: [range: string, choice: RangeChoice][] = [
    ["bytes=0-499", part(0, 499)],
    ["bytes=500-999", part(500, 999)],
    ["bytes=-500", part(9_500, 9_999)],
    ["bytes=9500-", part(9_500, 9_999)],
    ["bytes=0-", part(0, 9_999)],
    ["bytes=0-0", part(0, 0)],
    ["bytes=9999-9999", part(9_999, 9_999)],
    ["bytes=9990-10500", part(9_990, 9_999)],
    ["bytes=-20000", part(0, 9_999)],
    ["Bytes=0-1", part(0, 1)],
    ["bytes=10000-", { kind: "unsatisfiable" }],
    ["bytes=10000-10001", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
    ["bytes=20-10", whole],
    ["bytes=0-0,-1", whole],
    ["bytes= 0-999, 4500-5499, -1000", whole],
    ["bytes=-", whole],
    ["bytes=a-b", whole],
    ["bytes=0-1x", whole],
    ["bytes=9999999999999999-", whole],
    ["bytes", whole],
    ["items=0-1", whole],
    ["", whole],
  ];
  for (const [range, choice] of cases) assert.deepEqual(chooseRange({ range }, HEAD, size), choice, range);
  assert.deepEqual(chooseRange({ range: "bytes=0-" }, HEAD, 0), { kind: "unsatisfiable" });
  assert.deepEqual(chooseRange({}, HEAD, size), whole);
});

test("a range under If-Range counts only for the very content that it was meant for", () => {
  const recent = new Date(Math.floor(Date.now() / 1_000) * 1_000).toUTCString();
  const cases: [ifRange: string, validators: typeof HEAD, counts: boolean][] = [
    ['"xyzzy"', HEAD, true],
    ['"b"', HEAD, false],
    ['W/"xyzzy"', HEAD, false],
    ['W/"xyzzy"', { ...HEAD, etag: 'W/"xyzzy"' }, false],
    ["*", HEAD, false],
    [MODIFIED, HEAD, true],
    ["Tuesday, 15-Nov-94 12:45:26 GMT", HEAD, true],
    [EARLIER, HEAD, false],
    [LATER, HEAD, false],
    ["yesterday", HEAD, false],
    ["", HEAD, false],
    // Its second is not over: there may be another content of the same date.
    [recent, { ...HEAD, lastModified: recent }, false],
  ];
  for (const [ifRange, validators, counts] of cases) {
    const { kind } = chooseRange({ range: "bytes=0-1", ifRange }, validators, 100);
    assert.equal(kind, counts ? "part" : "whole", ifRange);
  }
});
