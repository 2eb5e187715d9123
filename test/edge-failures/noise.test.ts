/** Noise against a whole edge, and the forms of requests that two readers would take apart differently. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { againstOrigins, againstViewers } from "./noise.fixture.ts";
import { edgeScene, oneSite } from "./scene.ts";
import { exchangeAll } from "./viewer.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 5);
const CASES = Number(process.env.FUZZ_CASES ?? 1_000);

const shown = (statuses: ReadonlyMap<number, number>): string =>
  JSON.stringify(Object.fromEntries([...statuses].sort()));

test("whatever an origin answers, its viewers get an answer or an end, and others are served", async (t) => {
  const statuses = await againstOrigins(t, { seed: SEED, cases: CASES });
  t.diagnostic(shown(statuses));
  assert.ok((statuses.get(200) ?? 0) > CASES / 20 && (statuses.get(502) ?? 0) > CASES / 20, shown(statuses));
});

test("whatever a viewer sends, nothing hangs and nothing is the edge's fault", async (t) => {
  const statuses = await againstViewers(t, { seed: SEED, cases: CASES });
  t.diagnostic(shown(statuses));
  assert.ok((statuses.get(200) ?? 0) > CASES / 20 && (statuses.get(400) ?? 0) > CASES / 20, shown(statuses));
});

const HOST = "Host: a.example";
const BEHIND = `GET /smuggled HTTP/1.1\r\n${HOST}\r\n\r\n`;
const CHUNKED = "Transfer-Encoding: chunked";
/** Name, head without the empty line at its end, body. */
const SMUGGLING: readonly (readonly [string, readonly string[], string])[] = [
  ["a length and chunks", ["POST /p HTTP/1.1", HOST, "Content-Length: 5", CHUNKED], `0\r\n\r\n${BEHIND}`],
  ["chunks and a length", ["POST /p HTTP/1.1", HOST, CHUNKED, "Content-Length: 5"], `0\r\n\r\n${BEHIND}`],
  ["two lengths", ["POST /p HTTP/1.1", HOST, "Content-Length: 0", "Content-Length: 48"], BEHIND],
  ["a list of lengths", ["POST /p HTTP/1.1", HOST, "Content-Length: 0, 48"], BEHIND],
  ["a signed length", ["POST /p HTTP/1.1", HOST, "Content-Length: +0"], BEHIND],
  ["a hexadecimal length", ["POST /p HTTP/1.1", HOST, "Content-Length: 0x0"], BEHIND],
  ["a length with a space before its colon", ["POST /p HTTP/1.1", HOST, "Content-Length : 0"], BEHIND],
  ["a folded length", ["POST /p HTTP/1.1", HOST, "Content-Length:\r\n 0"], BEHIND],
  ["chunks twice", ["POST /p HTTP/1.1", HOST, CHUNKED, CHUNKED], `0\r\n\r\n${BEHIND}`],
  ["chunks that are not last", ["POST /p HTTP/1.1", HOST, `${CHUNKED}, gzip`], `0\r\n\r\n${BEHIND}`],
  ["chunks by another name", ["POST /p HTTP/1.1", HOST, "Transfer-Encoding: xchunked"], `0\r\n\r\n${BEHIND}`],
  ["chunks behind a vertical tab", ["POST /p HTTP/1.1", HOST, "Transfer-Encoding: \vchunked"], `0\r\n\r\n${BEHIND}`],
  ["chunks in HTTP/1.0", ["POST /p HTTP/1.0", HOST, CHUNKED], `0\r\n\r\n${BEHIND}`],
  ["a chunk of a negative size", ["POST /p HTTP/1.1", HOST, CHUNKED], `-0\r\n\r\n${BEHIND}`],
  ["a chunk size with a prefix", ["POST /p HTTP/1.1", HOST, CHUNKED], `0x0\r\n\r\n${BEHIND}`],
  ["a chunk without its end", ["POST /p HTTP/1.1", HOST, CHUNKED], `3\r\nabcdef\r\n0\r\n\r\n${BEHIND}`],
  ["a chunk size that ends in a line feed", ["POST /p HTTP/1.1", HOST, CHUNKED], `0\n\n${BEHIND}`],
  ["a line feed alone", ["GET /p HTTP/1.1", `${HOST}\nX: y`], BEHIND],
  ["a carriage return alone", ["GET /p HTTP/1.1", `${HOST}\rX: y`], BEHIND],
  ["a NUL", ["GET /p HTTP/1.1", HOST, "X: y\0z"], BEHIND],
  ["a field without a name", ["GET /p HTTP/1.1", HOST, ": y"], BEHIND],
  ["a space before the first field", ["GET /p HTTP/1.1", ` ${HOST}`, HOST], BEHIND],
  ["two hosts", ["GET /p HTTP/1.1", HOST, "Host: b.example"], BEHIND],
  ["no host", ["GET /p HTTP/1.1"], BEHIND],
  ["a host with a path", ["GET /p HTTP/1.1", "Host: a.example/b"], BEHIND],
  ["a user in an absolute form", ["GET http://u@a.example/p HTTP/1.1", HOST], BEHIND],
  ["a tab in the request line", ["GET\t/p\tHTTP/1.1", HOST], BEHIND],
  ["a space in the target", ["GET /p /q HTTP/1.1", HOST], BEHIND],
];

describe("a request that two readers would take apart differently is refused, and its connection closed:", () => {
  for (const [name, lines, body] of SMUGGLING) {
    test(name, async (t) => {
      const origin = await FaultyOrigin.open(t, ({ socket }) => {
        socket.write(`${headOf("200 OK", "Content-Length: 2", "Cache-Control: no-store")}ok`);
      });
      const edge = await edgeScene(t, oneSite(origin.url));
      const answer = await exchangeAll(edge.port, Buffer.from(`${lines.join("\r\n")}\r\n\r\n${body}`, "latin1"));
      const statuses = [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
      assert.equal(statuses.length, 1, answer);
      assert.ok(statuses[0] === 400 || statuses[0] === 501, answer);
      assert.match(answer, /\r\nConnection: close\r\n/i);
      assert.deepEqual(
        origin.asked.filter((one) => one.includes("smuggled")),
        [],
      );
    });
  }
});
