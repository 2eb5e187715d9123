import assert from "node:assert/strict";
import { test } from "node:test";
import { type FieldList, lookupOf } from "./fields.ts";
import { acceptedCodings, varyKey, varyNames } from "./vary.ts";

test("names of Vary are lower-case, sorted and each there once", () => {
  assert.deepEqual(varyNames(["Vary", "Foo, accept-Encoding", "vary", "foo,,"]), ["accept-encoding", "foo"]);
  assert.deepEqual(varyNames([]), []);
  assert.equal(varyNames(["Vary", "Foo", "Vary", " *"]), "*");
});

type Row = readonly [what: string, names: readonly string[], one: FieldList, other: FieldList, isSame: boolean];

// RFC 9111 §4.1: fields match if one "can be transformed to" the other by "adding or removing whitespace, where
// allowed", "combining multiple header field lines with the same field name", "normalizing both header field values
// in a way that is known to have identical semantics". "If … a header field is absent from a request, it can only
// match another request if it is also absent there."
test("requests match when their selecting fields say the same", () => {
  const lang = ["accept-language"];
  const AL = "Accept-Language";
  const rows: Row[] = [
    ["equal", ["foo"], ["Foo", "1"], ["foo", "1"], true],
    ["different", ["foo"], ["Foo", "1"], ["Foo", "2"], false],
    ["absent and there", ["foo"], [], ["Foo", "1"], false],
    ["absent and empty", ["foo"], [], ["Foo", ""], false],
    ["both absent", ["foo", "bar"], ["Bar", "2"], ["Bar", "2"], true],
    ["others don't count", ["foo"], ["Foo", "1", "Other", "2"], ["Foo", "1", "Other", "3"], true],
    ["one of two differs", ["bar", "foo"], ["Foo", "1", "Bar", "a"], ["Foo", "1", "Bar", "b"], false],
    ["one of two is missing", ["bar", "foo"], ["Foo", "1", "Bar", "a"], ["Foo", "1"], false],
    ["lines are combined", ["foo"], ["Foo", "1, 2"], ["Foo", "1", "Foo", "2"], true],
    ["space is removed", ["foo"], ["Foo", "1,2"], ["Foo", " 1 ,  2 "], true],
    ["space in quotes stays", ["foo"], ["Foo", '"1, 2"'], ["Foo", '"1,2"'], false],
    ["case of unknown fields stays", ["foo"], ["Foo", "a"], ["Foo", "A"], false],
    ["a value does not spill", ["bar", "foo"], ["Bar", "1&foo=2"], ["Bar", "1", "Foo", "2"], false],
    ["order of languages", lang, [AL, "en, de"], [AL, "de, en"], true],
    ["case of languages", lang, [AL, "en, de"], [AL, "eN, De"], true],
    ["space of languages", lang, [AL, "en;q=0.5, de"], [AL, "de ,en ; q=0.50"], true],
    ["weights of languages", lang, [AL, "en;q=0.5, de"], [AL, "en, de;q=0.5"], false],
    ["excluded languages", lang, [AL, "en, de;q=0"], [AL, "en"], false],
    ["types", ["accept"], ["Accept", "text/html, Image/*;q=0.8"], ["Accept", "image/*; q=0.8,text/html"], true],
  ];
  for (const [what, names, one, other, isSame] of rows) {
    assert.equal(varyKey(names, lookupOf(one)) === varyKey(names, lookupOf(other)), isSame, what);
  }
});

// RFC 9110 §12.5.3.
test("Accept-Encoding comes down to the codings that matter", () => {
  const rows: [string | undefined, string | undefined][] = [
    [undefined, undefined],
    ["", undefined],
    ["identity", undefined],
    ["gzip, deflate, br, zstd", "br, gzip, zstd"],
    ["br;q=0.1, GZIP", "br, gzip"],
    ["x-gzip", "gzip"],
    ["gzip;q=0, br", "br"],
    ["gzip;q=0, *", undefined],
    ["*", "gzip"],
    ["*;q=0", undefined],
    ["deflate", undefined],
  ];
  for (const [sent, expected] of rows) assert.equal(acceptedCodings(sent), expected, sent);
  const names = ["accept-encoding"];
  const keyOf = (sent: string): string => varyKey(names, lookupOf(["Accept-Encoding", sent]));
  assert.equal(keyOf("gzip, deflate, br"), keyOf("br;q=1.0, gzip;q=0.8, *;q=0.1"));
  assert.equal(keyOf("identity"), varyKey(names, lookupOf([])));
  assert.notEqual(keyOf("gzip"), keyOf("br"));
});
