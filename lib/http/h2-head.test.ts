/** Heads of HTTP/2 requests that nghttp2 lets through, or may one day. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { H2Head } from "./h2-head.ts";
import { h2Fields } from "./h2-lines.ts";
import { RAW_LIMITS } from "./raw-limits.ts";

const REQUEST = [":method", "GET", ":scheme", "https", ":authority", "a.example", ":path", "/a?b"];
const changed = (name: string, ...values: readonly string[]): string[] => {
  const at = REQUEST.indexOf(name);
  return [...REQUEST.slice(0, at), ...values.flatMap((value) => [name, value]), ...REQUEST.slice(at + 2)];
};
const refusalOf = (fields: readonly string[]): string | undefined => {
  const { refusal } = new H2Head(fields, RAW_LIMITS);
  return refusal && `${refusal.code}${refusal.data?.reason ? `: ${refusal.data.reason}` : ""}`;
};

test("a head that is right is read", () => {
  const head = new H2Head([...REQUEST, "range", "bytes=0-1", "x-request-id", "1", "content-length", "12"], RAW_LIMITS);
  const { method, target, host, lengthBytes, isConditional, hasRequestId, expectsContinue, refusal } = head;
  assert.deepEqual(
    { method, target, host, lengthBytes, isConditional, hasRequestId, expectsContinue, refusal },
    {
      method: "GET",
      target: "/a?b",
      host: "a.example",
      lengthBytes: 12,
      isConditional: true,
      hasRequestId: true,
      expectsContinue: false,
      refusal: undefined,
    },
  );
  assert.deepEqual(head.fields.slice(0, 4), ["host", "a.example", "range", "bytes=0-1"]);
});

test("what is wrong with a head is said in the codes of HTTP/1.1", () => {
  const cases: readonly (readonly [readonly string[], string | undefined])[] = [
    [[...REQUEST, "host", "a.example"], undefined],
    [[...changed(":authority"), "host", "a.example:8443"], undefined],
    [[...changed(":path", "*").map((text) => (text === "GET" ? "OPTIONS" : text))], undefined],
    [changed(":authority"), "REQUEST_MALFORMED: it has no Host"],
    [[...REQUEST, "host", "b.example"], "REQUEST_MALFORMED: its Host is not its :authority"],
    [[...REQUEST, "host", "a.example", "host", "a.example"], "REQUEST_MALFORMED: it has more than one Host"],
    [changed(":authority", "u@a.example"), "REQUEST_MALFORMED: its Host is none"],
    [changed(":path", "*"), "REQUEST_MALFORMED: its target is not a path"],
    [changed(":path", "a"), "REQUEST_MALFORMED: its target is not a path"],
    [changed(":path", "/a\u0000"), "REQUEST_MALFORMED: its target has bytes that no target has"],
    [changed(":path", "/é"), "REQUEST_MALFORMED: its target has bytes that no target has"],
    [changed(":path", `/${"a".repeat(8 * 1024)}`), "TARGET_TOO_LONG"],
    [changed(":scheme", "ftp"), "REQUEST_MALFORMED: its scheme is not https"],
    [changed(":method", "CONNECT"), "METHOD_UNKNOWN"],
    [changed(":method", "G T"), "REQUEST_MALFORMED: its method is none"],
    [[":protocol", "websocket", ...REQUEST], "REQUEST_MALFORMED: it has the pseudo field :protocol"],
    [[...REQUEST, "connection", "close"], "REQUEST_MALFORMED: it has a field of HTTP/1.1 connections"],
    [[...REQUEST, "x-a", "1\r\n"], "REQUEST_MALFORMED: a field has a control character"],
    [
      [...REQUEST, "content-length", "1", "content-length", "1"],
      "REQUEST_MALFORMED: it has more than one Content-Length",
    ],
    [[...REQUEST, "content-length", "0x1"], "REQUEST_MALFORMED: its Content-Length is no length"],
    [[...REQUEST, ...Array.from({ length: 202 }, (_, i) => `x-${i}`)], "HEAD_TOO_LARGE"],
    [[...REQUEST, "x-a", "a".repeat(32 * 1024)], "HEAD_TOO_LARGE"],
  ];
  for (const [fields, expected] of cases)
    assert.equal(refusalOf(fields), expected, JSON.stringify(fields).slice(0, 200));
});

test("header lines become fields: lower case, no field of the connection, one Date", () => {
  const lines = "X-A: 1:2 \r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nKeep-Alive: 1\r\n";
  assert.deepEqual(h2Fields(206, lines, 0), [
    ...[":status", "206", "x-a", "1:2", "set-cookie", "a", "set-cookie", "b"],
    ...["date", "Thu, 01 Jan 1970 00:00:00 GMT"],
  ]);
  assert.deepEqual(h2Fields(200, "Date: then\r\n", 0), [":status", "200", "date", "then"]);
});
