/** Seeded noise against the raw listener: whatever comes, there is an answer or an end, and others are served. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { type Random, seeded } from "../../test/support/seeded.ts";
import type { RawHandler } from "./exchange.ts";
import { exchange, keptLog, RawClient, rawListener, statusesOf } from "./raw.fixture.ts";
import { MORE, RawHead, REFUSED } from "./raw-head.ts";
import { RAW_LIMITS } from "./raw-limits.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 4);
const HEAD_CASES = Number(process.env.FUZZ_CASES ?? 20_000);
const CONNECTION_CASES = HEAD_CASES / 20;

const VALID = [
  'GET /a/b.m3u8?x=1 HTTP/1.1\r\nHost: a.example\r\nRange: bytes=0-1\r\nIf-None-Match: "a"\r\n\r\n',
  "POST /p HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello",
  "POST /p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n",
  "GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
  "HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  "OPTIONS * HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc",
];
/** What changes most when it changes. */
const PARTS = [
  "\r\n",
  "\r",
  "\n",
  "\r\n\r\n",
  " ",
  "\t",
  ":",
  "\0",
  "\x7f",
  "\xff",
  ",",
  "chunked",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Host: b\r\n",
  "HTTP/1.1",
  "0",
  "ffffffff",
  "-1",
  "/",
  "*",
  ";",
];

const NAME = "[!#$%&'*+\\-.^_`|~\\w]+";
/** A head as RFC 9112 has it. */
const STRICT = new RegExp(
  `^(?:\r\n)?${NAME} [\x21-\x7e]+ HTTP/1\\.[01]\r\n(?:${NAME}:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n$`,
);

const noise = (random: Random, length: number): string =>
  Array.from({ length }, () => String.fromCharCode(random.int(256))).join("");

/** A valid request with a few things done to it. */
const mutated = (random: Random): string => {
  let text = VALID[random.int(VALID.length)]!;
  for (let times = random.int(4); times >= 0; times -= 1) {
    const at = random.int(text.length + 1);
    const to = Math.min(text.length, at + random.int(6));
    const kind = random.int(5);
    if (kind === 0) text = text.slice(0, at) + text.slice(to);
    else if (kind === 1) text = text.slice(0, at) + noise(random, random.int(3)) + text.slice(at);
    else if (kind === 2) text = text.slice(0, at) + PARTS[random.int(PARTS.length)]! + text.slice(at);
    else if (kind === 3) text = text.slice(0, at) + noise(random, 1) + text.slice(at + 1);
    else text = text.slice(0, at) + text.slice(at, to).repeat(random.int(4)) + text.slice(to);
  }
  return text;
};
const anything = (random: Random): string => (random.int(10) === 0 ? noise(random, random.int(300)) : mutated(random));

test("a head means the same whether it comes at once or in pieces, whatever is wrong with it", () => {
  const random = seeded(SEED);
  for (let i = 0; i < HEAD_CASES; i += 1) {
    const text = anything(random);
    const bytes = Buffer.from(text, "latin1");
    const whole = new RawHead(RAW_LIMITS);
    const end = whole.read(bytes, 0);
    const pieces = new RawHead(RAW_LIMITS);
    let at = 0;
    let got = MORE;
    while (got === MORE && at < bytes.length) {
      at = Math.min(bytes.length, at + 1 + random.int(20));
      got = pieces.read(bytes.subarray(0, at), 0);
    }
    const what = JSON.stringify(text);
    assert.equal(got, bytes.length === 0 ? MORE : end, what);
    if (end === REFUSED) {
      // What is seen first may differ by what is there; that it is refused may not.
      assert.ok(whole.refusal && pieces.refusal, what);
      continue;
    }
    if (end === MORE) continue;
    const { method, target, host, bodyBytes, keepAlive } = whole;
    assert.deepEqual(
      [pieces.method, pieces.target, pieces.host, pieces.bodyBytes, pieces.keepAlive],
      [method, target, host, bodyBytes, keepAlive],
    );
    // What was taken is what a strict reading of RFC 9112 takes.
    const head = text.slice(0, end);
    assert.match(head, STRICT, what);
    assert.ok(target.startsWith("/") || target === "*", what);
    const names = head
      .toLowerCase()
      .split("\r\n")
      .map((line) => line.slice(0, line.indexOf(":")));
    for (const name of ["host", "content-length", "transfer-encoding"]) {
      assert.ok(names.filter((one) => one === name).length <= 1, what);
    }
    assert.ok(!(names.includes("content-length") && names.includes("transfer-encoding")), what);
  }
});

test("whatever a client sends, it gets answers or an end, and the listener goes on", async (t) => {
  const random = seeded(SEED);
  const log = keptLog();
  const handle: RawHandler = async (request) => {
    const body = await request.readBody(1_000);
    if (request.path.includes("b")) {
      const writer = request.begin(200, "", null);
      await writer.write(body);
      await writer.end();
    } else request.send(200, 'ETag: "a"\r\n', body);
  };
  const listener = await rawListener(t, handle, { log: log.log });
  const { port } = listener;
  for (let i = 0; i < CONNECTION_CASES; i += 1) {
    const text = Array.from({ length: 1 + random.int(3) }, () => anything(random)).join("");
    const client = await RawClient.to(port);
    const cut = random.int(text.length + 1);
    client.send(text.slice(0, cut));
    if (random.int(2) === 0) await turn();
    client.send(text.slice(cut));
    if (random.int(4) === 0) client.socket.resetAndDestroy();
    else client.socket.end();
    const answer = await client.toEnd();
    client.destroy();
    assert.ok(answer === "" || /^HTTP\/1\.1 \d{3} /.test(answer), JSON.stringify(text));
    for (const status of statusesOf(answer))
      assert.ok(status < 500 || status === 501 || status === 505, JSON.stringify(text));
  }
  assert.deepEqual(statusesOf(await exchange(port, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n")), [200]);
  for (let i = 0; i < 1_000 && listener.connectionCount > 0; i += 1) await turn();
  assert.equal(listener.connectionCount, 0);
  assert.deepEqual(
    log.lines.filter(({ level }) => Number(level) >= 50),
    [],
  );
});
