/** What the raw listener takes and what it refuses, byte by byte over real connections. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { RawHandler } from "./exchange.ts";
import { bodiesOf, exchange, masked, RawClient, rawListener, statusesOf } from "./raw.fixture.ts";
import { RAW_LIMITS } from "./raw-limits.ts";

const HOST = "Host: a.example\r\n";
const CHUNKS = "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: 1\r\n\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;

/** Answers with what it understood. */
const echo: RawHandler = async (request) => {
  const { method, target, host } = request;
  const body = await request.readBody(1_000);
  request.send(
    200,
    "Content-Type: text/plain\r\n",
    Buffer.from(`${method} ${host} ${target} ${body.toString("latin1")}`),
  );
};

test("a request that is refused ends its connection, and what is behind it is never looked at", async (t) => {
  const seen: string[] = [];
  const { port } = await rawListener(t, (request) => {
    seen.push(request.target);
    return echo(request);
  });
  const cases: [text: string, status: number][] = [
    [`POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400],
    [`POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc`, 400],
    [`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n`, 400],
    [`POST / HTTP/1.1\r\n${HOST}Transfer-Encoding : chunked\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, 400],
    [`GET / HTTP/1.1\n${HOST}\n`, 400],
    [`GET / HTTP/1.1\r\n${HOST}X: a\0\r\n\r\n`, 400],
    ["GET / HTTP/1.1\r\n\r\n", 400],
    [`GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400],
    [get(`/${"x".repeat(RAW_LIMITS.requestLineBytes)}`), 414],
    [get("/", `X: ${"x".repeat(RAW_LIMITS.headBytes)}\r\n`), 431],
    [get("/", "X: y\r\n".repeat(RAW_LIMITS.fieldCount)), 431],
    [`TRACE / HTTP/1.1\r\n${HOST}\r\n`, 501],
    ["CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n", 501],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
    ["\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400],
  ];
  for (const [text, status] of cases) {
    const answer = await exchange(port, text + get("/smuggled"));
    assert.deepEqual(statusesOf(answer), [status], JSON.stringify(text.slice(0, 80)));
    assert.match(answer, /\r\nConnection: close\r\n/);
    assert.match(answer, /\r\nContent-Type: application\/problem\+json\r\n/);
  }
  assert.deepEqual(seen, []);
});

test("a chunk that is wrong is refused, and what is behind it is never looked at", async (t) => {
  const { port } = await rawListener(t, echo);
  const chunked = `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n`;
  for (const body of ["3\r\nabcd\r\n0\r\n\r\n", "3\nabc\r\n0\r\n\r\n", "-3\r\n\r\n", "3 \r\nabc\r\n0\r\n\r\n"]) {
    const answer = await exchange(port, chunked + body + get("/smuggled"));
    assert.deepEqual(statusesOf(answer), [400], JSON.stringify(body));
    assert.match(answer, /\r\nConnection: close\r\n/);
  }
});

test("what is refused is said in a problem document", async (t) => {
  const { port } = await rawListener(t, echo);
  const answer = masked(await exchange(port, get("/", "X: y\r\nX : z\r\n")));
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  assert.deepEqual(head.split("\r\n"), [
    "HTTP/1.1 400 Bad Request",
    "Content-Type: application/problem+json",
    "X-Request-Id: <id>",
    "Cache-Control: no-store",
    "X-Content-Type-Options: nosniff",
    `Content-Length: ${body.length + 36 - "<id>".length}`,
    "Date: <date>",
    "Connection: close",
  ]);
  assert.deepEqual(JSON.parse(body), {
    type: "urn:castellan:error:REQUEST_MALFORMED",
    title: "Request malformed",
    status: 400,
    code: "REQUEST_MALFORMED",
    detail: "The request is no HTTP/1.1: there is space before a colon.",
    requestId: "<id>",
  });
});

test("requests are answered the same wherever the bytes are cut", async (t) => {
  const { port } = await rawListener(t, echo);
  const texts = [
    get("/a?b=c"),
    `${get("/1")}${get("/2")}`,
    `POST /p HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello${get("/next")}`,
    `POST /p HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n${CHUNKS}${get("/next")}`,
    `GET http://b.example/x HTTP/1.1\r\n${HOST}Content-Length: 2\r\n\r\nhi`,
  ];
  for (const text of texts) {
    const whole = masked(await exchange(port, text));
    for (let cut = 1; cut < text.length; cut += 1) {
      const client = await RawClient.to(port);
      client.send(text.slice(0, cut));
      await turn();
      await turn();
      client.send(text.slice(cut));
      client.socket.end();
      assert.equal(masked(await client.toEnd()), whole, `${text.slice(0, 20)} at ${cut}`);
      client.destroy();
    }
  }
});

test("pipelined requests are answered in their order, whichever is ready first", async (t) => {
  const waiting = new Map<string, () => void>();
  const { port } = await rawListener(t, async (request) => {
    if (request.path === "/slow") await new Promise<void>((resolve) => waiting.set("slow", resolve));
    request.send(200, "", Buffer.from(request.path));
  });
  const client = await RawClient.to(port);
  client.send(get("/slow") + get("/fast") + get("/last", "Connection: close\r\n") + get("/never"));
  while (!waiting.has("slow")) await turn();
  assert.equal(client.text, "");
  waiting.get("slow")?.();
  assert.deepEqual(bodiesOf(await client.toEnd()), ["/slow", "/fast", "/last"]);
});

test("a body is read when it is wanted, and is dropped when it is not", async (t) => {
  const { port } = await rawListener(t, (request) => {
    if (request.path === "/drop") return request.send(200, "", Buffer.from("dropped"));
    return echo(request);
  });
  const post = (path: string, body: string) =>
    `POST ${path} HTTP/1.1\r\n${HOST}Content-Length: ${body.length}\r\n\r\n${body}`;
  const chunks = `Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`;
  const two = await exchange(port, post("/echo", "hello") + post("/drop", "x".repeat(60_000)) + get("/end"));
  assert.deepEqual(bodiesOf(two), ["POST a.example /echo hello", "dropped", "GET a.example /end "]);
  const chunked = await exchange(port, `GET /drop HTTP/1.1\r\n${HOST}${chunks}POST /e HTTP/1.1\r\n${HOST}${chunks}`);
  assert.deepEqual(bodiesOf(chunked), ["dropped", "POST a.example /e hello"]);

  const tooMuch = await exchange(port, post("/drop", "x".repeat(RAW_LIMITS.dropBytes + 1)) + get("/never"));
  assert.deepEqual(bodiesOf(tooMuch), ["dropped"]);
  assert.match(tooMuch, /\r\nConnection: close\r\n/);
  const endless = `POST /drop HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\nffffff\r\n${"x".repeat(70_000)}`;
  assert.deepEqual(bodiesOf(await exchange(port, endless)), ["dropped"]);
});

test("a body above the limit is 413, one that ends early 400; the connection does not go on", async (t) => {
  const { port } = await rawListener(t, echo);
  const head = (fields: string) => `POST / HTTP/1.1\r\n${HOST}${fields}\r\n\r\n`;
  const cases: [text: string, status: number][] = [
    [`${head("Content-Length: 1001")}${"x".repeat(1_001)}`, 413],
    [head("Content-Length: 1001"), 413],
    [`${head("Transfer-Encoding: chunked")}3e9\r\n${"x".repeat(1_001)}\r\n0\r\n\r\n`, 413],
    [`${head("Content-Length: 10")}12345`, 400],
    [`${head("Transfer-Encoding: chunked")}5\r\n123`, 400],
    [`${head("Transfer-Encoding: chunked")}5\r\n12345\r\n`, 400],
  ];
  for (const [text, status] of cases) {
    const answer = await exchange(port, text);
    assert.deepEqual(statusesOf(answer), [status], text.slice(0, 80));
    assert.match(answer, /\r\nConnection: close\r\n/);
  }
});

test("a client that asks may send its body is told so when somebody wants it, and only then", async (t) => {
  const { port } = await rawListener(t, (request) => {
    if (request.path === "/no") return request.problem({ code: "NOT_FOUND" });
    return echo(request);
  });
  const expecting = (path: string) =>
    `POST ${path} HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 5\r\n\r\n`;
  const client = await RawClient.to(port);
  client.send(expecting("/yes"));
  await client.until(() => client.text.includes("\r\n\r\n"));
  assert.equal(client.text, "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  await client.until(() => client.text.includes("/yes hello"));
  assert.deepEqual(statusesOf(client.text), [100, 200]);

  // Refused without its body: it may come or not, so that nothing can follow it.
  client.send(expecting("/no"));
  assert.deepEqual(statusesOf(await client.toEnd()), [100, 200, 404]);
  // Who does not wait for the word does not get it.
  assert.deepEqual(statusesOf(await exchange(port, `${expecting("/yes")}hello`)), [200]);
});

test("HTTP/1.0 is answered, without chunks, and its connection goes on only when asked to", async (t) => {
  const { port } = await rawListener(t, async (request) => {
    if (request.path === "/whole") return request.send(200, "", Buffer.from("whole"));
    const writer = request.begin(200, "", null);
    await writer.write(Buffer.from("in "));
    await writer.write(Buffer.from("pieces"));
    await writer.end();
  });
  const answer = masked(await exchange(port, "GET /whole HTTP/1.0\r\n\r\nGET /whole HTTP/1.0\r\n\r\n"));
  assert.equal(answer, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nDate: <date>\r\nConnection: close\r\n\r\nwhole");
  const kept = masked(await exchange(port, "GET /whole HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".repeat(2)));
  assert.deepEqual(kept.match(/Connection: .*(?=\r)/g), ["Connection: keep-alive", "Connection: keep-alive"]);
  const pieces = masked(await exchange(port, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  assert.equal(pieces, "HTTP/1.1 200 OK\r\nConnection: close\r\nDate: <date>\r\n\r\nin pieces");
});

test("a handler sees what was asked, of whom, by whom and under which id", async (t) => {
  const seen: unknown[] = [];
  const { port } = await rawListener(t, (request) => {
    const { method, target, path, query, host, remoteAddress, encrypted, requestId } = request;
    seen.push({ method, target, path, query, host, remoteAddress, encrypted, requestId });
    seen.push(request.header("x-list"), request.header("host"), request.header("nothing"));
    request.send(204, "", Buffer.alloc(0));
  });
  const fields = "X-List: a\r\nx-lIst:b\r\nX-Request-Id: abc-1\r\n";
  const answer = await exchange(port, `PATCH http://b.example/p?q?r HTTP/1.1\r\n${HOST}${fields}\r\n`);
  assert.deepEqual(seen, [
    {
      method: "PATCH",
      target: "/p?q?r",
      path: "/p",
      query: "q?r",
      host: "b.example",
      remoteAddress: "127.0.0.1",
      encrypted: false,
      requestId: "abc-1",
    },
    "a, b",
    "b.example",
    undefined,
  ]);
  assert.equal(masked(answer), "HTTP/1.1 204 No Content\r\nDate: <date>\r\nX-Request-Id: abc-1\r\n\r\n");
});
