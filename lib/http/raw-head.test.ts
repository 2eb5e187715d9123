import assert from "node:assert/strict";
import { test } from "node:test";
import { CHUNKED, fieldOf, MORE, RawHead, REFUSED } from "./raw-head.ts";
import { RAW_LIMITS } from "./raw-limits.ts";

const bytesOf = (text: string): Buffer => Buffer.from(text, "latin1");
const read = (text: string): { readonly head: RawHead; readonly end: number } => {
  const head = new RawHead(RAW_LIMITS);
  return { head, end: head.read(bytesOf(text), 0) };
};
const accepted = (text: string): RawHead => {
  const { head, end } = read(text);
  assert.ok(end >= 0, `${JSON.stringify(text)}: ${JSON.stringify(head.refusal)}`);
  return head;
};
const codeOf = (text: string): string | undefined => {
  const { head, end } = read(text);
  assert.equal(end, REFUSED, `${JSON.stringify(text)} was taken`);
  return head.refusal?.code;
};

const HOST = "Host: a.example\r\n";

test("a head is read into what the request says", () => {
  const text = `GET /i/a%20b.mp4/index.m3u8?b=1&c HTTP/1.1\r\n${HOST}Range:bytes=0-1 \r\nX-A: 1\r\nx-a:\t2\r\n\r\nrest`;
  const { head, end } = read(text);
  assert.equal(end, text.length - 4);
  const { method, target, host, minor, bodyBytes, keepAlive, isConditional } = head;
  assert.deepEqual(
    { method, target, host, minor, bodyBytes, keepAlive, isConditional },
    {
      method: "GET",
      target: "/i/a%20b.mp4/index.m3u8?b=1&c",
      host: "a.example",
      minor: 1,
      bodyBytes: 0,
      keepAlive: true,
      isConditional: true,
    },
  );
  assert.equal(fieldOf(head, "range"), "bytes=0-1");
  assert.equal(fieldOf(head, "x-a"), "1, 2");
  assert.equal(fieldOf(head, "x"), undefined);
  assert.equal(fieldOf(head, "x-a:"), undefined);
});

test("what smuggles requests past one of two servers is refused", () => {
  const post = (fields: string): string => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n`;
  const cases = [
    post("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
    post("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
    post("Content-Length: 4\r\nContent-Length: 5\r\n"),
    post("Content-Length: 4\r\nContent-Length: 4\r\n"),
    post("Content-Length: 4, 4\r\n"),
    post("Content-Length: +4\r\n"),
    post("Content-Length: -4\r\n"),
    post("Content-Length: 0x4\r\n"),
    post("Content-Length: 4 4\r\n"),
    post("Content-Length:\r\n"),
    post("Content-Length: \r\n"),
    post("Content-Length: 4.0\r\n"),
    post("Content-Length: 9999999999999999\r\n"),
    post("Content-Length: \xb9\r\n"),
    post("Transfer-Encoding: gzip, chunked\r\n"),
    post("Transfer-Encoding: chunked, chunked\r\n"),
    post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    post("Transfer-Encoding: identity\r\n"),
    post("Transfer-Encoding: xchunked\r\n"),
    post("Transfer-Encoding: chunked;q=1\r\n"),
    post("Transfer-Encoding: \x0bchunked\r\n"),
    post("Transfer-Encoding:\r\n"),
    post("Transfer-Encoding : chunked\r\n"),
    post("Transfer-Encoding\t: chunked\r\n"),
    post("Content-Length : 4\r\n"),
    post(" Content-Length: 4\r\n"),
    post("X-A: 1\r\n Content-Length: 4\r\n"),
    post("X-A: 1\r\n\tfolded\r\n"),
    post("X-A: 1\nContent-Length: 4\r\n"),
    post("X-A: 1\rContent-Length: 4\r\n"),
    post("X-A: 1\r\r\n"),
    post("X-A: a\0b\r\n"),
    post("X\0A: b\r\n"),
    post("X-A: \x7f\r\n"),
    post(": nameless\r\n"),
    post("nameless\r\n"),
    post("X A: b\r\n"),
    post("X(A): b\r\n"),
    post("\xe4: b\r\n"),
    post(HOST),
    post("Host: b.example\r\n"),
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: \r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a, b.example\r\n\r\n",
    `GET / HTTP/1.1\r\n\r\n${HOST}\r\n`,
    `GET / HTTP/1.1\n${HOST}\r\n`,
    `GET / HTTP/1.1\r${HOST}\r\n`,
    "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\rX",
    "GET / HTTP/1.1\nHost: a\n\n",
  ];
  for (const text of cases) assert.equal(codeOf(text), "REQUEST_MALFORMED", JSON.stringify(text));
});

test("a request line that is none is refused as soon as that can be seen", () => {
  const lines = [
    "GET  / HTTP/1.1\r\n",
    "GET / HTTP/1.1 \r\n",
    "GET / http/1.1\r\n",
    "GET / HTTP/11\r\n",
    "GET / HTTP/1.1x\r\n",
    "GET / HTTP/1.\r\n",
    "GET / \r\n",
    "GET /\r\n",
    "GET\r\n",
    " GET / HTTP/1.1\r\n",
    "\nGET / HTTP/1.1\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n",
    "\rGET / HTTP/1.1\r\n",
    "GET\t/ HTTP/1.1\r\n",
    "GET /\t HTTP/1.1\r\n",
    "GET /a b HTTP/1.1\r\n",
    "GET /a#b HTTP/1.1\r\n",
    "GET /\xe4 HTTP/1.1\r\n",
    "GET /\0 HTTP/1.1\r\n",
    "GET /\x7f HTTP/1.1\r\n",
    "GET a HTTP/1.1\r\n",
    "GET * HTTP/1.1\r\n",
    "GET a.example:80 HTTP/1.1\r\n",
    "GET ftp://a.example/ HTTP/1.1\r\n",
    "GET http:///x HTTP/1.1\r\n",
    "GET http://u:p@a.example/ HTTP/1.1\r\n",
    "GE(T / HTTP/1.1\r\n",
    "\x16\x03\x01\x02",
    "GET / HTTX",
    "(",
  ];
  for (const text of lines) assert.equal(codeOf(text), "REQUEST_MALFORMED", JSON.stringify(text));
  for (const version of ["2.0", "0.9", "3.0"]) {
    assert.equal(codeOf(`GET / HTTP/${version}\r\n\r\n`), "HTTP_VERSION_UNSUPPORTED", version);
  }
  assert.equal(codeOf("GET / HTTP/1.2\r\n\r\n"), "HTTP_VERSION_UNSUPPORTED");
  assert.equal(codeOf("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "HTTP_VERSION_UNSUPPORTED");
  assert.equal(codeOf("CONNECT a.example:443 HTTP/1.1\r\n"), "METHOD_UNKNOWN");
  assert.equal(codeOf("TRACE / HTTP/1.1\r\n"), "METHOD_UNKNOWN");
});

test("what a standard allows is taken", () => {
  assert.equal(accepted("GET / HTTP/1.0\r\n\r\n").host, "");
  assert.equal(accepted("GET / HTTP/1.0\r\n\r\n").keepAlive, false);
  assert.equal(accepted("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keepAlive, true);
  assert.equal(accepted(`GET / HTTP/1.1\r\n${HOST}Connection: x, Close\r\n\r\n`).keepAlive, false);
  assert.equal(
    accepted(`GET / HTTP/1.1\r\n${HOST}Connection: close\r\nConnection: keep-alive\r\n\r\n`).keepAlive,
    false,
  );
  assert.equal(accepted(`\r\nGET / HTTP/1.1\r\n${HOST}\r\n`).method, "GET");
  assert.equal(accepted(`M-SEARCH!#$ / HTTP/1.1\r\n${HOST}\r\n`).method, "M-SEARCH!#$");
  assert.equal(accepted(`OPTIONS * HTTP/1.1\r\n${HOST}\r\n`).target, "*");
  assert.equal(accepted(`POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`).bodyBytes, 0);
  assert.equal(accepted(`POST / HTTP/1.1\r\n${HOST}CONTENT-length: 007 \r\n\r\n`).bodyBytes, 7);
  assert.equal(accepted(`POST / HTTP/1.1\r\n${HOST}transfer-encoding: Chunked\r\n\r\n`).bodyBytes, CHUNKED);
  assert.equal(accepted(`PUT / HTTP/1.1\r\n${HOST}Expect: 100-Continue\r\n\r\n`).expectsContinue, true);
  assert.equal(accepted("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").expectsContinue, false);
  assert.equal(fieldOf(accepted(`GET / HTTP/1.1\r\n${HOST}X-A:\xe4\t \r\n\r\n`), "x-a"), "\xe4");
  assert.equal(fieldOf(accepted(`GET / HTTP/1.1\r\n${HOST}X-A:\r\n\r\n`), "x-a"), "");
  for (const host of ["a.example:8080", "[::1]:80", "127.0.0.1", "a_b.example", "a:", "xn--bcher-kva.example"]) {
    assert.equal(accepted(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`).host, host);
  }
});

test("of an absolute form the path is left, and its host wins over the Host field", () => {
  const cases: [form: string, target: string, host: string][] = [
    ["http://b.example/x?y=1", "/x?y=1", "b.example"],
    ["HTTP://b.example:8080", "/", "b.example:8080"],
    ["https://b.example?y", "/?y", "b.example"],
    ["http://[::1]:80//x", "//x", "[::1]:80"],
  ];
  for (const [form, target, host] of cases) {
    const head = accepted(`GET ${form} HTTP/1.1\r\n${HOST}\r\n`);
    assert.deepEqual([head.target, head.host], [target, host]);
  }
  assert.equal(codeOf("GET http://b.example/ HTTP/1.1\r\n\r\n"), "REQUEST_MALFORMED");
});

test("a head that comes in pieces, cut anywhere or byte by byte, is the head that comes at once", () => {
  const texts = [
    `GET /a?b HTTP/1.1\r\n${HOST}Range: bytes=0-1\r\nX-Request-Id: a\r\n\r\n`,
    `\r\nPOST http://b.example/x HTTP/1.1\r\n${HOST}Content-Length: 12\r\nConnection: close\r\n\r\n`,
    "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  ];
  const summary = ({ method, target, host, minor, bodyBytes, keepAlive, isConditional, hasRequestId }: RawHead) =>
    JSON.stringify({ method, target, host, minor, bodyBytes, keepAlive, isConditional, hasRequestId });
  for (const text of texts) {
    const whole = summary(accepted(text));
    for (let cut = 0; cut < text.length; cut += 1) {
      const head = new RawHead(RAW_LIMITS);
      assert.equal(head.read(bytesOf(text.slice(0, cut)), 0), MORE, `${cut}`);
      // The rest comes in other memory, behind something else.
      assert.equal(head.read(bytesOf(`..${text}`), 2), text.length + 2);
      assert.equal(summary(head), whole);
      assert.equal(fieldOf(head, "range"), text.includes("Range") ? "bytes=0-1" : undefined);
    }
    const slow = new RawHead(RAW_LIMITS);
    for (let end = 0; end < text.length; end += 1) assert.equal(slow.read(bytesOf(text.slice(0, end)), 0), MORE);
    assert.equal(slow.read(bytesOf(text), 0), text.length);
    assert.equal(summary(slow), whole);
  }
});

test("a refusal does not depend on how the head was cut", () => {
  const text = `POST / HTTP/1.1\r\n${HOST}Content-Length: 4\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n`;
  for (let cut = 0; cut < text.length - 1; cut += 1) {
    const head = new RawHead(RAW_LIMITS);
    head.read(bytesOf(text.slice(0, cut)), 0);
    assert.equal(head.read(bytesOf(text), 0), REFUSED, `${cut}`);
  }
});

test("limits hold to the byte, whether the head is whole or not", () => {
  const { requestLineBytes, headBytes, fieldCount } = RAW_LIMITS;
  const line = (bytes: number) => `GET /${"x".repeat(bytes - 5)}`;
  accepted(`${line(requestLineBytes)} HTTP/1.1\r\n${HOST}\r\n`);
  assert.equal(codeOf(`${line(requestLineBytes + 1)} HTTP/1.1\r\n${HOST}\r\n`), "TARGET_TOO_LONG");
  assert.equal(read(line(requestLineBytes)).end, MORE);
  assert.equal(codeOf(line(requestLineBytes + 1)), "TARGET_TOO_LONG");
  assert.equal(codeOf("G".repeat(requestLineBytes + 1)), "TARGET_TOO_LONG");

  const start = `GET / HTTP/1.1\r\n${HOST}X-A: `;
  const padded = (bytes: number) => `${start}${"x".repeat(bytes - start.length - 4)}\r\n\r\n`;
  accepted(padded(headBytes));
  assert.equal(codeOf(padded(headBytes + 1)), "HEAD_TOO_LARGE");
  assert.equal(read(padded(headBytes + 4).slice(0, headBytes)).end, MORE);
  assert.equal(codeOf(padded(headBytes + 4).slice(0, headBytes + 1)), "HEAD_TOO_LARGE");

  const fields = (count: number) => `GET / HTTP/1.1\r\n${HOST}${"X-A: b\r\n".repeat(count - 1)}\r\n`;
  accepted(fields(fieldCount));
  assert.equal(codeOf(fields(fieldCount + 1)), "HEAD_TOO_LARGE");
});
