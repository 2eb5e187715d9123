import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDirectives } from "./directives.ts";
import { fieldValue, fieldValues, listMembers, lookupOf, unquoted } from "./fields.ts";
import { httpDateMs, imfDate } from "./http-date.ts";

const FIELDS = ["Accept", "a", "X", "1", "accept", "b", "Empty", ""];

// RFC 9110 §5.3: "A recipient MAY combine multiple field lines … by appending each subsequent field line value to the
// initial field line value in order, separated by a comma and optional whitespace."
test("lines of one name are one value, in their order and in any case", () => {
  assert.deepEqual(fieldValues(FIELDS, "accept"), ["a", "b"]);
  assert.equal(fieldValue(FIELDS, "accept"), "a, b");
  assert.equal(fieldValue(FIELDS, "empty"), "");
  assert.equal(fieldValue(FIELDS, "missing"), undefined);
  assert.equal(lookupOf(FIELDS)("x"), "1");
  assert.deepEqual(fieldValues(["Odd"], "odd"), []);
});

// RFC 9110 §5.6.1.2: "a recipient MUST parse and ignore a reasonable number of empty list elements".
test("a list is split at commas outside of quotes, without its empty members", () => {
  assert.deepEqual(listMembers(' a , , "b, c" ,d="e\\", f",'), ["a", '"b, c"', 'd="e\\", f"']);
  assert.deepEqual(listMembers(""), []);
  assert.deepEqual(listMembers('a, "open, b'), ["a", '"open, b']);
});

// RFC 9110 §5.6.4: "Recipients that process the value of a quoted-string MUST handle a quoted-pair as if it were
// replaced by the octet following the backslash."
test("a quoted string loses its quotes and escapes", () => {
  assert.equal(unquoted('"a\\"b\\\\"'), 'a"b\\');
  for (const text of ["a", '"', '"a', '"a"b"', '"a\\"']) assert.equal(unquoted(text), undefined, text);
});

test("directives tell a missing argument from a missing directive", () => {
  const directives = parseDirectives('no-cache="Set-Cookie, X-A", MAX-STALE, max-age=5, public');
  assert.equal(directives.size, 4);
  assert.deepEqual(directives.names("no-cache"), ["set-cookie", "x-a"]);
  assert.equal(directives.has("max-stale"), true);
  assert.equal(directives.value("max-stale"), undefined);
  assert.equal(directives.seconds("max-stale"), 0);
  assert.equal(directives.seconds("max-age"), 5);
  assert.equal(directives.seconds("s-maxage"), undefined);
  assert.equal(parseDirectives(undefined).size, 0);
});

// RFC 9110 §5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT ; IMF-fixdate", "Sunday, 06-Nov-94 08:49:37 GMT ; obsolete RFC 850
// format", "Sun Nov  6 08:49:37 1994 ; ANSI C's asctime() format".
test("the three forms of a date are one instant, and what is none is refused", () => {
  const ms = 784_111_777_000;
  const forms = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"];
  for (const form of forms) assert.equal(httpDateMs(form, ms), ms, form);
  assert.equal(imfDate(ms), forms[0]);
  // "a timestamp that appears to be more than 50 years in the future" is of the past.
  assert.equal(httpDateMs("Sunday, 06-Nov-94 08:49:37 GMT", Date.UTC(2026, 0)), ms);
  assert.equal(httpDateMs("Thursday, 18-Aug-50 02:01:18 GMT", Date.UTC(2026, 0)), Date.UTC(2050, 7, 18, 2, 1, 18));
  assert.equal(httpDateMs("Sat, 31 Dec 2016 23:59:60 GMT", ms), Date.UTC(2017, 0));
  const bad = [
    "",
    "0",
    "Sun, 06 Nov 1994 24:00:00 GMT",
    "Sun, 32 Nov 1994 08:49:37 GMT",
    "x, 06 Nov 1994 08:49:37 GMT",
  ];
  for (const text of bad) assert.equal(httpDateMs(text, ms), undefined, text);
});
