import assert from "node:assert/strict";
import { test } from "node:test";
import { contentRangeOf } from "./content-range.ts";
import { multipartBytes, multipartType, parseRanges, partHead, partsEnd } from "./ranges.ts";

// RFC 9110 §14.4: "A Content-Range field value is invalid if it contains a range-resp that has a last-pos value less
// than its first-pos value, or a complete-length value less than or equal to its last-pos value."
test("Content-Range is read, or refused", () => {
  assert.deepEqual(contentRangeOf("bytes 42-1233/1234"), { kind: "part", start: 42, end: 1_234, sizeBytes: 1_234 });
  assert.deepEqual(contentRangeOf("Bytes 42-1233/*"), { kind: "part", start: 42, end: 1_234, sizeBytes: null });
  assert.deepEqual(contentRangeOf("bytes */1234"), { kind: "unsatisfied", sizeBytes: 1_234 });
  const bad = [undefined, "", "bytes 5-4/10", "bytes 0-10/10", "bytes */*", "items 0-1/2", "bytes 0-1", "bytes -1-2/3"];
  for (const text of bad) assert.equal(contentRangeOf(text), undefined, text);
});

const parts = (...pairs: [number, number][]): object => ({
  kind: "parts",
  parts: pairs.map(([start, end]) => ({ start, end })),
});

// RFC 9110 §14.1.2: examples of 10000 bytes. §14.2: "A server … MAY ignore … a Range header field that contains … two
// or more overlapping ranges, or … many small ranges"; §15.3.7.2: "a server MAY coalesce any of the ranges that
// overlap".
test("several ranges are joined where they are close, and refused where they make no sense", () => {
  const rows: [string, object][] = [
    ["bytes=0-499", parts([0, 500])],
    ["bytes=9500-", parts([9_500, 10_000])],
    ["bytes=-500", parts([9_500, 10_000])],
    ["bytes= 0-0, -1", parts([0, 1], [9_999, 10_000])],
    ["BYTES=0-999 , ,4500-5499,-1000", parts([0, 1_000], [4_500, 5_500], [9_000, 10_000])],
    ["bytes=500-600,601-999", parts([500, 1_000])],
    ["bytes=500-700,601-999", parts([500, 1_000])],
    ["bytes=900-999,0-99", parts([0, 100], [900, 1_000])],
    ["bytes=0-9,60-69", parts([0, 70])],
    ["bytes=0-9,20000-", parts([0, 10])],
    ["bytes=-20000", parts([0, 10_000])],
    ["bytes=20000-,-0", { kind: "unsatisfiable" }],
    ["bytes=5-4", { kind: "whole" }],
    ["bytes=", { kind: "whole" }],
    ["bytes=a-b", { kind: "whole" }],
    ["bytes=0-9,x", { kind: "whole" }],
    ["lines=0-9", { kind: "whole" }],
    ["bytes=0-,0-,0-", { kind: "whole" }],
    [`bytes=${Array.from({ length: 9 }, (_, at) => `${at * 1_000}-${at * 1_000}`).join(",")}`, { kind: "whole" }],
    [`bytes=${"0-0,".repeat(5_000)}`, { kind: "whole" }],
  ];
  for (const [header, expected] of rows) assert.deepEqual(parseRanges(header, 10_000), expected, header.slice(0, 60));
  assert.deepEqual(parseRanges("bytes=0-", 0), { kind: "unsatisfiable" });
});

// RFC 9110 §14.6 has this example, but for its boundary.
test("a body of several parts is framed as multipart/byteranges", () => {
  const multipart = { boundary: "B", contentType: "application/pdf", sizeBytes: 8_000 };
  const pieces = [
    { start: 500, end: 1_000 },
    { start: 7_000, end: 8_000 },
  ];
  const body = pieces.map((piece) => partHead(multipart, piece) + "x".repeat(piece.end - piece.start)).join("");
  const whole = body + partsEnd(multipart);
  assert.ok(whole.startsWith("\r\n--B\r\nContent-Type: application/pdf\r\nContent-Range: bytes 500-999/8000\r\n\r\nx"));
  assert.ok(whole.endsWith("x\r\n--B--\r\n"));
  assert.equal(multipartBytes(multipart, pieces), whole.length);
  assert.equal(multipartType("B"), "multipart/byteranges; boundary=B");
  assert.equal(
    partHead({ ...multipart, contentType: undefined }, { start: 0, end: 1 }).includes("Content-Type"),
    false,
  );
});
