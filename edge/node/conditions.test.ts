import assert from "node:assert/strict";
import { test } from "node:test";
import { checkConditions, chooseRange, type RangeChoice } from "./conditions.ts";

const MODIFIED = "Fri, 20 Nov 2026 10:00:00 GMT";
const EARLIER = "Fri, 20 Nov 2026 09:59:59 GMT";
const HEAD = { etag: '"a"', lastModified: MODIFIED };

test("conditions are weighed in the order of RFC 9110 §13.2.2", () => {
  const cases: [conditions: Parameters<typeof checkConditions>[0], verdict: ReturnType<typeof checkConditions>][] = [
    [{}, "proceed"],
    [{ ifNoneMatch: '"a"' }, "not-modified"],
    [{ ifNoneMatch: 'W/"a"' }, "not-modified"],
    [{ ifNoneMatch: '"b", "a"' }, "not-modified"],
    [{ ifNoneMatch: "*" }, "not-modified"],
    [{ ifNoneMatch: '"b"' }, "proceed"],
    [{ ifModifiedSince: MODIFIED }, "not-modified"],
    [{ ifModifiedSince: EARLIER }, "proceed"],
    [{ ifModifiedSince: "yesterday" }, "proceed"],
    [{ ifNoneMatch: '"b"', ifModifiedSince: MODIFIED }, "proceed"],
    [{ ifMatch: '"a"' }, "proceed"],
    [{ ifMatch: 'W/"a"' }, "failed"],
    [{ ifMatch: '"b"' }, "failed"],
    [{ ifUnmodifiedSince: EARLIER }, "failed"],
    [{ ifMatch: '"a"', ifUnmodifiedSince: EARLIER }, "proceed"],
  ];
  for (const [conditions, verdict] of cases) {
    assert.equal(checkConditions(conditions, HEAD), verdict, JSON.stringify(conditions));
  }
  assert.equal(checkConditions({ ifNoneMatch: '"a"' }, { etag: undefined, lastModified: undefined }), "proceed");
});

test("one range of bytes is taken, everything else is answered with the whole", () => {
  const part = (start: number, end: number): RangeChoice => ({ kind: "part", start, end });
  const cases: [range: string, choice: RangeChoice][] = [
    ["bytes=0-0", part(0, 0)],
    ["bytes=0-", part(0, 99)],
    ["bytes=10-19", part(10, 19)],
    ["bytes=90-1000", part(90, 99)],
    ["bytes=-10", part(90, 99)],
    ["bytes=-1000", part(0, 99)],
    ["BYTES=5-6", part(5, 6)],
    ["bytes=100-", { kind: "unsatisfiable" }],
    ["bytes=-0", { kind: "unsatisfiable" }],
    ["bytes=20-10", { kind: "ignore" }],
    ["bytes=0-1,5-6", { kind: "ignore" }],
    ["bytes=-", { kind: "ignore" }],
    ["bytes=a-b", { kind: "ignore" }],
    ["items=0-1", { kind: "ignore" }],
  ];
  for (const [range, choice] of cases) assert.deepEqual(chooseRange({ range }, HEAD, 100), choice, range);
  assert.deepEqual(chooseRange({ range: "bytes=0-1" }, HEAD, undefined), { kind: "ignore" });
  assert.deepEqual(chooseRange({ range: "bytes=-5" }, HEAD, 0), { kind: "unsatisfiable" });
});

test("a range under If-Range counts only for the very body that it was meant for", () => {
  const cases: [ifRange: string, counts: boolean][] = [
    ['"a"', true],
    ['"b"', false],
    ['W/"a"', false],
    [MODIFIED, true],
    [EARLIER, false],
  ];
  for (const [ifRange, counts] of cases) {
    const { kind } = chooseRange({ range: "bytes=0-1", ifRange }, HEAD, 100);
    assert.equal(kind, counts ? "part" : "ignore", ifRange);
  }
  assert.equal(
    chooseRange({ range: "bytes=0-1", ifRange: 'W/"a"' }, { etag: 'W/"a"', lastModified: undefined }, 9).kind,
    "ignore",
  );
});
