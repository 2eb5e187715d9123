/** What the raw listener sends: whole answers, parts, pieces, prepared ones; judged by bytes and by node's client. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { BodyWriter, RawHandler } from "./exchange.ts";
import { bodiesOf, exchange, keptLog, masked, RawClient, rawListener, statusesOf } from "./raw.fixture.ts";
import { prepare } from "./raw-prepared.ts";

const HOST = "Host: a.example\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT";
const LINES = [
  "Content-Type: video/mp2t",
  'ETag: "a"',
  `Last-Modified: ${MODIFIED}`,
  "Cache-Control: max-age=60",
  "X-Own: 1",
  "",
].join("\r\n");
const TEN = Buffer.from("0123456789");
const BIG = Buffer.alloc(8 * 1024 * 1024, "big");

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}
/** As node's client understands it. */
const ask = async (port: number, headers: Record<string, string> = {}, method = "GET"): Promise<Answer> => {
  const asking = httpRequest({ port, host: "127.0.0.1", path: "/", method, headers, agent: false }).end();
  const [response] = await once(asking, "response");
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
};

const ways: [way: string, handle: (body: Buffer) => RawHandler][] = [
  ["send", (body) => (request) => request.send(200, LINES, body)],
  [
    "beginPart",
    (body) => async (request) => {
      const part = request.beginPart(LINES, body.length);
      if (!part) return;
      await part.writer.write(body.subarray(part.start, part.end));
      await part.writer.end();
    },
  ],
  ["sendPrepared", (body) => (request) => request.sendPrepared(prepare(200, LINES, body))],
];

for (const [way, handle] of ways) {
  test(`${way}: a part that is asked for, and only that, is sent as 206; a condition that is met as 304`, async (t) => {
    const { port } = await rawListener(t, handle(TEN));
    const cases: [headers: Record<string, string>, status: number, body: string, range?: string][] = [
      [{}, 200, "0123456789"],
      [{ range: "bytes=0-0" }, 206, "0", "bytes 0-0/10"],
      [{ range: "bytes=2-4" }, 206, "234", "bytes 2-4/10"],
      [{ range: "bytes=8-" }, 206, "89", "bytes 8-9/10"],
      [{ range: "bytes=-3" }, 206, "789", "bytes 7-9/10"],
      [{ range: "bytes=-30" }, 206, "0123456789", "bytes 0-9/10"],
      [{ range: "bytes=5-50" }, 206, "56789", "bytes 5-9/10"],
      [{ range: "bytes=10-" }, 416, "", "bytes */10"],
      [{ range: "bytes=-0" }, 416, "", "bytes */10"],
      [{ range: "bytes=0-1,3-4" }, 200, "0123456789"],
      [{ range: "lines=0-1" }, 200, "0123456789"],
      [{ range: "bytes=0-1", "if-range": '"a"' }, 206, "01", "bytes 0-1/10"],
      [{ range: "bytes=0-1", "if-range": MODIFIED }, 206, "01", "bytes 0-1/10"],
      [{ range: "bytes=0-1", "if-range": '"b"' }, 200, "0123456789"],
      [{ range: "bytes=0-1", "if-range": 'W/"a"' }, 200, "0123456789"],
      [{ range: "bytes=10-", "if-range": '"b"' }, 200, "0123456789"],
      [{ "if-none-match": '"a"' }, 304, ""],
      [{ "if-none-match": '"a"', range: "bytes=0-1" }, 304, ""],
      [{ "if-none-match": '"b"', range: "bytes=0-1" }, 206, "01", "bytes 0-1/10"],
      [{ "if-modified-since": MODIFIED }, 304, ""],
      [{ "if-modified-since": "Tue, 15 Nov 1994 12:45:25 GMT" }, 200, "0123456789"],
      [{ "if-match": '"b"' }, 412, ""],
      [{ "if-match": '"a"' }, 200, "0123456789"],
      [{ "if-unmodified-since": "Tue, 15 Nov 1994 12:45:25 GMT" }, 412, ""],
    ];
    for (const [headers, status, body, range] of cases) {
      const answer = await ask(port, headers);
      const what = JSON.stringify(headers);
      assert.deepEqual(
        [answer.status, answer.body.toString(), answer.headers["content-range"]],
        [status, body, range],
        what,
      );
      assert.equal(answer.headers["x-own"], "1", what);
      const isContent = status === 200 || status === 206;
      assert.equal(answer.headers["content-type"], isContent ? "video/mp2t" : undefined, what);
      assert.equal(answer.headers["content-length"], status === 304 ? undefined : String(body.length), what);
      assert.equal(answer.headers.etag, isContent || status === 304 ? '"a"' : undefined, what);
      assert.equal(answer.headers["cache-control"], isContent || status === 304 ? "max-age=60" : undefined, what);
    }
  });

  test(`${way}: HEAD gets what GET would have got, without the body; a range is for GET`, async (t) => {
    const { port } = await rawListener(t, handle(TEN));
    const cases: [headers: Record<string, string>, status: number, length: string | undefined][] = [
      [{}, 200, "10"],
      [{ range: "bytes=0-1" }, 200, "10"],
      [{ "if-none-match": '"a"' }, 304, undefined],
      [{ "if-match": '"b"' }, 412, "0"],
    ];
    for (const [headers, status, length] of cases) {
      const answer = await ask(port, headers, "HEAD");
      assert.deepEqual([answer.status, answer.body.length, answer.headers["content-length"]], [status, 0, length]);
    }
    const raw = await exchange(port, `HEAD / HTTP/1.1\r\n${HOST}\r\n${get("/")}`);
    assert.deepEqual(bodiesOf(raw), ["", "0123456789"]);
  });

  test(`${way}: a large body comes whole, and in the part that was asked for`, async (t) => {
    const { port } = await rawListener(t, handle(BIG));
    assert.ok((await ask(port)).body.equals(BIG));
    const { status, body } = await ask(port, { range: "bytes=1000000-5000000" });
    assert.deepEqual([status, body.equals(BIG.subarray(1_000_000, 5_000_001))], [206, true]);
  });
}

test("an answer is the lines that were given, its length, its date, and what becomes of the connection", async (t) => {
  const { port } = await rawListener(t, (request) => request.send(404, "Content-Type: text/plain\r\nX-A: b\r\n", TEN));
  const lines = ["HTTP/1.1 404 Not Found", "Content-Type: text/plain", "X-A: b", "Content-Length: 10", "Date: <date>"];
  const expected = `${lines.join("\r\n")}\r\n\r\n0123456789`;
  assert.equal(masked(await exchange(port, get("/") + get("/"))), expected + expected);
  const last = masked(await exchange(port, get("/", "Connection: close\r\n") + get("/")));
  assert.equal(last, expected.replace("<date>\r\n", "<date>\r\nConnection: close\r\n"));
  const date = /^Date: (.*)\r$/m.exec(await exchange(port, get("/")))?.[1] ?? "";
  assert.ok(Math.abs(Date.parse(date) - Date.now()) < 60_000, date);
});

test("a prepared answer is the bytes of a sent one, and its date moves on", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.UTC(2026, 0, 1) });
  const prepared = prepare(200, LINES, TEN);
  const { port } = await rawListener(t, (request) =>
    request.path === "/sent" ? request.send(200, LINES, TEN) : request.sendPrepared(prepared),
  );
  const [first, second] = [await exchange(port, get("/")), await exchange(port, get("/sent"))];
  assert.equal(first, second);
  assert.match(first, /\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n/);
  t.mock.timers.setTime(Date.UTC(2026, 0, 1, 0, 0, 1));
  assert.match(await exchange(port, get("/")), /\r\nDate: Thu, 01 Jan 2026 00:00:01 GMT\r\n/);
  assert.match(await exchange(port, get("/", "Connection: close\r\n")), /\r\nConnection: close\r\n/);
  assert.match(await exchange(port, get("/", "X-Request-Id: abc\r\n")), /\r\nX-Request-Id: abc\r\n/);
});

test("memory is given back once: after the last byte, after a condition, after the client left", async (t) => {
  const released: string[] = [];
  const arrived = new Map<string, () => void>();
  const { port } = await rawListener(t, async (request) => {
    const { path } = request;
    if (path === "/left") await new Promise<void>((resolve) => arrived.set(path, resolve));
    request.send(200, LINES, path.startsWith("/small") ? TEN : BIG, () => released.push(path));
  });
  await exchange(
    port,
    get("/small") +
      get("/big") +
      get("/condition", 'If-None-Match: "a"\r\n') +
      get("/part", "Range: bytes=0-1000000\r\n"),
  );
  await exchange(port, `HEAD /head HTTP/1.1\r\n${HOST}\r\n`);
  assert.deepEqual(released.splice(0), ["/small", "/big", "/condition", "/part", "/head"]);

  const client = await RawClient.to(port);
  client.send(get("/left"));
  while (!arrived.has("/left")) await turn();
  client.socket.resetAndDestroy();
  await turn();
  await turn();
  arrived.get("/left")?.();
  while (released.length === 0) await turn();
  assert.deepEqual(released.splice(0), ["/left"]);

  const halfway = await RawClient.to(port);
  halfway.socket.pause();
  halfway.send(get("/halfway"));
  await turn();
  halfway.socket.resetAndDestroy();
  while (released.length === 0) await turn();
  assert.deepEqual(released, ["/halfway"]);
});

/** A listener whose answers are written by the test. */
const written = async (t: TestContext, lengthBytes: number | null, log = keptLog()) => {
  const begun: BodyWriter[] = [];
  const over: (() => void)[] = [];
  const { port } = await rawListener(
    t,
    (request) => {
      begun.push(request.begin(200, "", lengthBytes));
      return new Promise((resolve) => over.push(resolve));
    },
    { log: log.log },
  );
  const client = await RawClient.to(port);
  t.after(() => client.destroy());
  const start = async (text = get("/")): Promise<BodyWriter> => {
    const count = begun.length;
    client.send(text);
    while (begun.length === count) await turn();
    return begun.at(-1)!;
  };
  return { client, start, over, log };
};

test("a body in pieces goes out piece by piece: with its length, or in chunks", async (t) => {
  const known = await written(t, 6);
  const writer = await known.start();
  await known.client.until(() => known.client.text.endsWith("\r\n\r\n"));
  assert.match(known.client.text, /\r\nContent-Length: 6\r\n/);
  await writer.write(Buffer.from("abc"));
  await known.client.until(() => known.client.text.endsWith("abc"));
  await writer.write(Buffer.from("def"));
  await writer.end();
  known.over[0]?.();
  await known.client.until(() => known.client.text.endsWith("def"));

  const unknown = await written(t, null);
  const chunks = await unknown.start();
  await chunks.write(Buffer.from("abc"));
  await chunks.write(Buffer.alloc(0));
  await chunks.write(Buffer.from("0123456789abcdef"));
  await chunks.end();
  await unknown.client.until(() => unknown.client.text.endsWith("0\r\n\r\n"));
  assert.equal(bodiesOf(unknown.client.text)[0], "3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n");
  assert.match(unknown.client.text, /\r\nTransfer-Encoding: chunked\r\n/);
  // And the connection goes on.
  unknown.over[0]?.();
  await unknown.start();
  await unknown.client.until(() => statusesOf(unknown.client.text).length === 2);
});

test("a body that is shorter than announced, or given up, is seen to be cut", async (t) => {
  for (const fault of ["short", "abort", "handler"] as const) {
    for (const lengthBytes of fault === "short" ? [6] : [6, null]) {
      const { client, start, over, log } = await written(t, lengthBytes);
      const writer = await start();
      await writer.write(Buffer.from("abc"));
      await client.until(() => client.text.includes("abc"));
      if (fault === "short") await assert.rejects(writer.end(), /3 of the 6 bytes/);
      else if (fault === "abort") writer.abort();
      else over[0]?.();
      await client.toEnd();
      assert.equal(client.ending, "reset", fault);
      const complaints = log.lines.filter(({ level }) => Number(level) >= 50);
      assert.equal(complaints.length, fault === "handler" ? 1 : 0, fault);
    }
  }
});

test("more bytes than announced are an error and never reach the client", async (t) => {
  const { client, start } = await written(t, 4);
  const writer = await start();
  await writer.write(Buffer.from("abc"));
  await assert.rejects(writer.write(Buffer.from("def")), /more than the 4 bytes/);
  await client.toEnd();
  assert.equal(client.ending, "reset");
  assert.doesNotMatch(client.text, /def/);
});

test("a slow client holds its writer back, and nobody else", async (t) => {
  const { client, start } = await written(t, null);
  client.socket.pause();
  const writer = await start();
  const piece = Buffer.alloc(256 * 1024, "p");
  let writes = 0;
  let isBlocked = false;
  while (!isBlocked) {
    const wrote = writer.write(piece).then(() => "wrote");
    const idle = (async () => {
      for (let i = 0; i < 50; i += 1) await turn();
      return "blocked";
    })();
    isBlocked = (await Promise.race([wrote, idle])) === "blocked";
    writes += 1;
    assert.ok(writes < 200, "a client that reads nothing took 50 MB");
    if (!isBlocked) continue;
    client.socket.resume();
    assert.equal(await wrote, "wrote");
  }
  await writer.end();
  await client.until(() => client.bytes.subarray(-5).toString() === "0\r\n\r\n");
});

test("HEAD of a body in pieces is the head alone, and its writer takes what it is given", async (t) => {
  for (const lengthBytes of [6, null]) {
    const { client, start, over } = await written(t, lengthBytes);
    const writer = await start(`HEAD / HTTP/1.1\r\n${HOST}\r\n`);
    await writer.write(Buffer.from("abc"));
    await writer.end();
    over[0]?.();
    await client.until(() => client.text.endsWith("\r\n\r\n"));
    assert.deepEqual(bodiesOf(client.text), [""]);
    await start();
    await client.until(() => statusesOf(client.text).length === 2);
  }
});

test("when the client leaves, the signal aborts, writes reject, and nobody complains", async (t) => {
  const log = keptLog();
  const happened: string[] = [];
  let hasBegun = false;
  const { port } = await rawListener(
    t,
    async (request) => {
      request.signal.addEventListener("abort", () => happened.push("abort"));
      const writer = request.begin(200, "", null);
      try {
        for (;;) {
          await writer.write(BIG);
          hasBegun = true;
        }
      } finally {
        happened.push("thrown");
      }
    },
    { log: log.log },
  );
  const client = await RawClient.to(port);
  client.send(get("/"));
  while (!hasBegun) await turn();
  client.socket.resetAndDestroy();
  while (happened.length < 2) await turn();
  await turn();
  assert.deepEqual(happened.sort(), ["abort", "thrown"]);
  assert.deepEqual(
    log.lines.filter(({ level }) => Number(level) >= 40),
    [],
  );
});

test("node's client keeps its connections and gets what it asks for, a thousand times", async (t) => {
  const { port } = await rawListener(t, async (request) => {
    const size = Number(request.query);
    if (size % 3 === 0) return request.send(200, "", BIG.subarray(0, size));
    const writer = request.begin(200, "", size % 3 === 1 ? size : null);
    await writer.write(BIG.subarray(0, size >> 1));
    await writer.write(BIG.subarray(size >> 1, size));
    await writer.end();
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  t.after(() => agent.destroy());
  const sockets = new Set<unknown>();
  const one = async (size: number): Promise<void> => {
    const asking = httpRequest({ port, host: "127.0.0.1", path: `/?${size}`, agent }).end();
    const [response] = await once(asking, "response");
    sockets.add(response.socket);
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk);
    assert.ok(Buffer.concat(chunks).equals(BIG.subarray(0, size)), `${size}`);
  };
  for (let round = 0; round < 50; round += 1) {
    await Promise.all(Array.from({ length: 20 }, (_, i) => one(round * 977 + i * 41)));
  }
  assert.equal(sockets.size, 4);
});
