/** Seeded noise from origins and from viewers against a whole edge. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { type Random, seeded } from "../support/seeded.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { bytesOf, edgeScene, oneSite } from "./scene.ts";
import { exchangeAll, Viewer, view } from "./viewer.ts";

const AT_ONCE = 8;
const HOST = "a.example";

const oneOf = <T>(random: Random, all: readonly T[]): T => all[random.int(all.length)]!;
const noise = (random: Random, length: number): string =>
  Array.from({ length }, () => String.fromCharCode(random.int(256))).join("");

/** A text with a few things done to it. */
const mutated = (random: Random, valid: string, parts: readonly string[]): string => {
  let text = valid;
  for (let times = random.int(4); times > 0; times -= 1) {
    const at = random.int(text.length + 1);
    const part = random.int(4) === 0 ? noise(random, 1 + random.int(4)) : oneOf(random, parts);
    const taken = random.int(3) === 0 ? 0 : random.int(8);
    text = text.slice(0, at) + part + text.slice(at + taken);
  }
  return random.int(10) === 0 ? text.slice(0, random.int(text.length + 1)) : text;
};

const FRESH = "Cache-Control: max-age=60\r\n";
const ANSWERS = [
  `HTTP/1.1 200 OK\r\nContent-Length: 11\r\n${FRESH}ETag: "a"\r\n\r\nhello world`,
  `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${FRESH}\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n`,
  `HTTP/1.1 200 OK\r\n${FRESH}\r\nhello world`,
  `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n${FRESH}\r\nhello`,
  `HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n${FRESH}Vary: Accept, Cookie\r\n\r\nno`,
  'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n\r\n',
  "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/11\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.0 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nConnection: keep-alive\r\n\r\nhello",
  "HTTP/1.1 204 No Content\r\n\r\n",
  "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nbusy",
];
const ANSWER_PARTS = [
  ...["\r\n", "\r", "\n", "\r\n\r\n", " ", ":", "\0", "\xff", ",", "-1", "ffffffffffffffff", "0", "1", "99999"],
  ...["Content-Length: 3\r\n", "Content-Length: 11, 12\r\n", "Transfer-Encoding: chunked\r\n", "Vary: *\r\n"],
  ...[
    "Transfer-Encoding: gzip, chunked\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 101 Switching\r\n\r\n",
    "\r\n ",
  ],
  ...[
    "Cache-Control: max-age=99999999999999999999\r\n",
    "Age: -5\r\n",
    "Date: never\r\n",
    "Content-Range: bytes 0-/\r\n",
  ],
  ...["HTTP/2.0 200 OK\r\n", "HTTP/1.1 999 \r\n", "Connection: close, upgrade\r\n"],
  ...[`X: ${"y".repeat(9_000)}\r\n`, "X: y\r\n".repeat(600)],
];

/** Every viewer of a mad origin gets an answer or an end, and a sane object is served all the time. */
export const againstOrigins = async (t: TestContext, { seed, cases }: { seed: number; cases: number }) => {
  const random = seeded(seed);
  const fine = bytesOf("fine", 20_000);
  const origin = await FaultyOrigin.open(t, ({ socket, target }) => {
    if (target.startsWith("/fine")) {
      socket.write(headOf("200 OK", "Content-Length: 20000", "Cache-Control: max-age=60"));
      socket.write(fine);
      return;
    }
    const bytes = Buffer.from(mutated(random, oneOf(random, ANSWERS), ANSWER_PARTS), "latin1");
    if (random.int(8) === 0) socket.write(bytes, () => socket.resetAndDestroy());
    else socket.end(bytes);
  });
  const edge = await edgeScene(t, oneSite(origin.url, { grace: "1h" }));
  const statuses = new Map<number, number>();
  for (let from = 0; from < cases; from += AT_ONCE) {
    const asked = Array.from({ length: AT_ONCE }, async (_, index) => {
      const path = `/${from % 4_000}/${random.int(3) === 0 ? 0 : index}`;
      const headers: Record<string, string> = random.int(4) === 0 ? { Range: "bytes=2-6" } : {};
      const got = await view(edge.port, path, { host: HOST, method: oneOf(random, ["GET", "GET", "HEAD"]), headers });
      assert.ok(got.status < 600, got.head);
      statuses.set(got.status, (statuses.get(got.status) ?? 0) + 1);
    });
    await Promise.all(asked);
    edge.pass(60_000); // what is known of the origin's health rests, and what was kept is stale
    if (from % 400 !== 0) continue;
    const sane = await view(edge.port, `/fine/${from}`, { host: HOST });
    assert.equal(sane.status, 200, `FUZZ_SEED=${seed}, after ${from}: ${sane.head}`);
    assert.ok(sane.looksWhole && sane.body.equals(fine));
  }
  t.diagnostic(`${origin.asked.length} questions to the origin`);
  return statuses;
};

const REQUESTS = [
  `GET /a/b.m3u8?x=1 HTTP/1.1\r\nHost: ${HOST}\r\nRange: bytes=0-1\r\nIf-None-Match: "a"\r\n\r\n`,
  `GET /a HTTP/1.1\r\nHost: ${HOST}\r\nRange: bytes=-5, 3-\r\nIf-Range: "a"\r\n\r\n`,
  `POST /p HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 5\r\n\r\nhello`,
  `POST /p HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n`,
  `GET http://${HOST}/x HTTP/1.1\r\nHost: b.example\r\nConnection: close\r\n\r\n`,
  "HEAD /%61/b HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
  `OPTIONS * HTTP/1.1\r\nHost: ${HOST}\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc`,
  `GET /a HTTP/1.1\r\nHost: ${HOST}\r\nCache-Control: no-cache\r\nCookie: a=b\r\nAuthorization: Basic YTpi\r\n\r\n`,
];
const REQUEST_PARTS = [
  ...["\r\n", "\r", "\n", "\r\n\r\n", " ", "\t", ":", "\0", "\x7f", "\xff", ",", "chunked", "0", "ffffffff", "-1"],
  ...["Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n", "Host: b\r\n", "HTTP/1.1", "/", "*", ";", "%", "%2f"],
  ...["..", "/../", "%00", "?", "#", "@", "\r\n ", "Range: bytes=0-\r\n", "Expect: 200-maybe\r\n", "Upgrade: h2c\r\n"],
];

/** 501: a transfer coding that nobody knows (RFC 9112 §6.1); 505: another version (RFC 9110 §15.6.6). */
const CLIENT_FAULTS = new Set([501, 505]);

/** Whatever a viewer sends, each answer is none that blames the edge, and everything ends. */
export const againstViewers = async (t: TestContext, { seed, cases }: { seed: number; cases: number }) => {
  const random = seeded(seed);
  const origin = await FaultyOrigin.open(t, ({ socket, method }) => {
    const body = method === "HEAD" ? "" : "hello world";
    socket.write(headOf("200 OK", "Content-Length: 11", "Cache-Control: max-age=60", 'ETag: "a"') + body);
  });
  const edge = await edgeScene(t, oneSite(origin.url));
  const statuses = new Map<number, number>();
  const one = async (): Promise<void> => {
    const text = mutated(random, oneOf(random, REQUESTS), REQUEST_PARTS);
    const answer = await exchangeAll(edge.port, Buffer.from(text, "latin1"));
    for (const [, digits] of answer.matchAll(/(?<![\w"])HTTP\/1\.1 (\d{3}) /g)) {
      const status = Number(digits);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      const isFine = status < 500 || CLIENT_FAULTS.has(status);
      assert.ok(isFine, `FUZZ_SEED=${seed}: ${JSON.stringify(text)} gets ${answer}`);
    }
  };
  const viewer = await Viewer.to(edge.port);
  t.after(() => viewer.leave());
  for (let from = 0; from < cases; from += AT_ONCE) {
    await Promise.all(Array.from({ length: AT_ONCE }, one));
    if (from % 400 !== 0) continue;
    const sane = await viewer.get(`/fine/${from}`, { host: HOST });
    assert.deepEqual([sane.status, sane.body.toString()], [200, "hello world"]);
  }
  return statuses;
};
