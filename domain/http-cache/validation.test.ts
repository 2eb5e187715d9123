import assert from "node:assert/strict";
import { test } from "node:test";
import type { FieldList } from "./fields.ts";
import { afterValidation, isStrongEtag, validationFields, validatorsOf } from "./validation.ts";

const JAN_1 = "Wed, 01 Jan 2020 00:00:00 GMT";
const JAN_2 = "Thu, 02 Jan 2020 00:00:00 GMT";

// RFC 9110 §8.8.3: "entity-tag = [ weak ] opaque-tag; weak = %s"W/"; opaque-tag = DQUOTE *etagc DQUOTE".
test("validators are what is well-formed and there once", () => {
  const strong = { etag: '"a"', strongEtag: '"a"', lastModified: JAN_1 };
  assert.deepEqual(validatorsOf(["ETag", '"a"', "Last-Modified", JAN_1]), strong);
  assert.deepEqual(validatorsOf(["ETag", 'W/"a"']), { etag: 'W/"a"' });
  assert.deepEqual(validatorsOf(["ETag", '"\u00fc"']), { etag: '"\u00fc"', strongEtag: '"\u00fc"' });
  for (const etag of ["a", 'w/"a"', '"a', '"a"b"', 'W\\"a"', '"a b"', ""]) {
    assert.deepEqual(validatorsOf(["ETag", etag]), {}, etag);
    assert.equal(isStrongEtag(etag), false);
  }
  assert.deepEqual(validatorsOf(["ETag", '"a"', "ETag", '"b"', "Last-Modified", "yesterday"]), {});
});

// RFC 9111 §4.3.1: "a cache … SHOULD" send the stored entity tags, and the Last-Modified of the stored response.
test("a validation sends what the stored answer has", () => {
  const fields = ["ETag", 'W/"a"', "Last-Modified", JAN_1];
  assert.deepEqual(validationFields(fields), ["If-None-Match", 'W/"a"', "If-Modified-Since", JAN_1]);
  assert.deepEqual(validationFields(["Date", JAN_1]), []);
});

const isTaken = (stored: FieldList, notModified: FieldList): boolean =>
  afterValidation(stored, notModified) !== undefined;

// RFC 9111 §4.3.4: "If none of the stored responses contain at least one of the same strong validators, then the cache
// MUST NOT use the new response to update any stored responses."
test("a 304 for another validator updates nothing", () => {
  const rows: [what: string, stored: FieldList, notModified: FieldList, isTaken: boolean][] = [
    ["the same", ["ETag", '"a"'], ["ETag", '"a"'], true],
    ["another", ["ETag", '"a"'], ["ETag", '"b"'], false],
    ["strong for weak", ["ETag", 'W/"a"'], ["ETag", '"a"'], false],
    ["strong for none", ["Last-Modified", JAN_1], ["ETag", '"a"', "Last-Modified", JAN_1], false],
    ["weak for strong", ["ETag", '"a"'], ["ETag", 'W/"a"'], true],
    ["weak", ["ETag", 'W/"a"'], ["ETag", 'W/"a"'], true],
    ["another weak", ["ETag", 'W/"a"'], ["ETag", 'W/"b"'], false],
    ["a malformed tag", ["ETag", '"a"'], ["ETag", "a"], false],
    ["no validator: of what was asked", ["ETag", '"a"'], [], true],
    ["the same date", ["Last-Modified", JAN_1], ["Last-Modified", "Wed Jan  1 00:00:00 2020"], true],
    ["another date", ["Last-Modified", JAN_1], ["Last-Modified", JAN_2], false],
    ["a date where there was none", ["ETag", '"a"'], ["Last-Modified", JAN_1], false],
    [
      "the tag decides before the date",
      ["ETag", '"a"', "Last-Modified", JAN_1],
      ["ETag", '"a"', "Last-Modified", JAN_2],
      true,
    ],
  ];
  for (const [what, stored, notModified, expected] of rows) assert.equal(isTaken(stored, notModified), expected, what);
});

// RFC 9111 §3.2: "the cache MUST add each header field in the provided response to the stored response, replacing field
// values that are already present, with the following exceptions: … Content-Length".
test("a 304 replaces stored fields, all lines of a name at once, and leaves what it omits", () => {
  const stored = ["ETag", '"a"', "X", "1", "x", "2", "Y", "3", "Content-Length", "5", "Content-Encoding", "br"];
  const notModified = [
    ...["X", "9", "Cache-Control", 'max-age=9, private="X-Me"', "Content-Length", "0", "Content-Encoding", "gzip"],
    ...[
      "Content-Range",
      "bytes 0-1/2",
      "Set-Cookie",
      "a",
      "Age",
      "7",
      "Via",
      "1.1 o",
      "Connection",
      "X-Hop",
      "X-Hop",
      "1",
    ],
    ...["Keep-Alive", "1", "X-Me", "secret", "Content-Type", "text/plain", "Date", JAN_2],
  ];
  assert.deepEqual(afterValidation(stored, notModified), [
    ...["ETag", '"a"', "Y", "3", "Content-Length", "5", "Content-Encoding", "br", "X", "9"],
    ...["Cache-Control", 'max-age=9, private="X-Me"', "Content-Type", "text/plain", "Date", JAN_2],
  ]);
});
