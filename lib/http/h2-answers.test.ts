/** Answers over HTTP/2, through node's own client. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { test } from "node:test";
import type { AccessLog } from "./access-log.ts";
import type { BodyWriter, RawHandler } from "./exchange.ts";
import { ask, h2Client, h2Listener, tlsTo } from "./h2.fixture.ts";
import type { NotedExchange } from "./raw-listener.ts";
import { prepare } from "./raw-prepared.ts";

const GET = { ":path": "/" };
const dateless = ({ date, ...headers }: Record<string, unknown>): Record<string, unknown> => {
  assert.match(String(date), /GMT$/);
  return Object.fromEntries(Object.entries(headers)); // without the symbols of node:http2
};

const client = async (t: Parameters<typeof h2Client>[0], handle: RawHandler) =>
  h2Client(t, (await h2Listener(t, handle)).port);

test("a request comes through as one of HTTP/1.1 does, and its answer has no field of a connection", async (t) => {
  const seen: unknown[] = [];
  const session = await client(t, (request) => {
    const { method, target, path, query, host, encrypted, remoteAddress } = request;
    seen.push({ method, target, path, query, host, encrypted, remoteAddress, cookie: request.header("cookie") });
    seen.push(request.header("host"), request.header("x-twice"), request.fields[0], request.fields[1]);
    request.send(
      200,
      "Content-Type: text/plain\r\nConnection: close\r\nKeep-Alive: 5\r\nX-Two: 1\r\nX-Two: 2\r\n",
      Buffer.from("hello"),
    );
  });
  const { headers, body } = await ask(session, {
    ":authority": "a.example",
    ":path": "/a%20b?c=d?e",
    cookie: ["a=1", "b=2"],
    "x-twice": ["1", "2"],
  });
  assert.deepEqual(seen, [
    {
      method: "GET",
      target: "/a%20b?c=d?e",
      path: "/a%20b",
      query: "c=d?e",
      host: "a.example",
      encrypted: true,
      remoteAddress: "127.0.0.1",
      cookie: "a=1; b=2",
    },
    "a.example",
    "1, 2",
    "host",
    "a.example",
  ]);
  assert.deepEqual(dateless(headers), {
    ":status": 200,
    "content-type": "text/plain",
    "x-two": "1, 2",
    "content-length": "5",
  });
  assert.equal(body.toString(), "hello");
});

test("who does not offer HTTP/2 gets HTTP/1.1 on the same port", async (t) => {
  const { port } = await h2Listener(t, (request) => request.send(200, "", Buffer.from("old")));
  const socket = await tlsTo(t, port, ["http/1.1"]);
  socket.write("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  assert.match(Buffer.concat(chunks).toString(), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\nold$/s);
});

test("conditions and ranges are answered as on HTTP/1.1", async (t) => {
  const released: number[] = [];
  const session = await client(t, (request) => {
    if (request.path === "/part") {
      const part = request.beginPart('ETag: "a"\r\n', 10);
      void part?.writer.write(Buffer.from("0123456789").subarray(part.start, part.end)).then(() => part.writer.end());
      return;
    }
    request.send(200, 'ETag: "a"\r\nContent-Type: text/plain\r\n', Buffer.from("0123456789"), () => released.push(1));
  });
  for (const path of ["/", "/part"]) {
    const cases = [
      [{}, 200, undefined, "0123456789"],
      [{ range: "bytes=2-4" }, 206, "bytes 2-4/10", "234"],
      [{ range: "bytes=-2", "if-range": '"a"' }, 206, "bytes 8-9/10", "89"],
      [{ range: "bytes=-2", "if-range": '"b"' }, 200, undefined, "0123456789"],
      [{ range: "bytes=10-" }, 416, "bytes */10", ""],
      [{ "if-none-match": '"a"' }, 304, undefined, ""],
      [{ "if-match": '"b"' }, 412, undefined, ""],
      [{ ":method": "HEAD", range: "bytes=2-4" }, 200, undefined, ""],
    ] as const;
    for (const [fields, status, range, text] of cases) {
      const { headers, body } = await ask(session, { ":path": path, ...fields });
      const { ":status": given, "content-range": contentRange } = headers;
      assert.deepEqual(
        [given, contentRange, body.toString()],
        [status, range, text],
        `${path} ${JSON.stringify(fields)}`,
      );
      const length = status === 304 ? undefined : String(":method" in fields ? 10 : text.length);
      assert.equal(headers["content-length"], length);
    }
  }
  assert.equal(released.length, 8);
});

test("prepared answers, problems, health and bodies in shared memory are answered", async (t) => {
  const prepared = prepare(200, "Content-Type: text/plain\r\n", Buffer.from("ready"));
  const shared = new Uint8Array(new SharedArrayBuffer(700_000)).fill(7);
  const session = await client(t, (request) => {
    if (request.path === "/prepared") request.sendPrepared(prepared);
    else if (request.path === "/shared") request.send(200, "", shared);
    else request.problem({ code: "NOT_FOUND" }, "X-More: 1\r\n");
  });
  assert.equal((await ask(session, { ":path": "/prepared" })).body.toString(), "ready");
  assert.ok((await ask(session, { ":path": "/shared" })).body.equals(shared));
  const { headers, body } = await ask(session, { ":path": "/none", "x-request-id": "mine" });
  assert.equal(JSON.parse(body.toString()).code, "NOT_FOUND");
  assert.deepEqual(
    [headers[":status"], headers["content-type"], headers["x-request-id"], headers["x-more"]],
    [404, "application/problem+json", "mine", "1"],
  );
  assert.equal((await ask(session, { ":path": "/livez" })).headers[":status"], 200);
});

test("bodies are written in pieces, with and without a length, offered or waited for, and HEAD gets none", async (t) => {
  const bytes = Buffer.alloc(300_000, "piece");
  const write = async (writer: BodyWriter): Promise<void> => {
    for (let at = 0; at < bytes.length; at += 50_000) await writer.write(bytes.subarray(at, at + 50_000));
    await writer.end();
  };
  const offer = async (writer: BodyWriter): Promise<void> => {
    for (let at = 0; at < bytes.length; at += 10_000) {
      if (!writer.offer(bytes.subarray(at, at + 10_000))) await new Promise<void>((done) => writer.onDrain(done));
    }
    await writer.end();
  };
  const session = await client(t, (request) => {
    const writer = request.begin(200, "", request.query === "length" ? bytes.length : null);
    return request.path === "/offer" ? offer(writer) : write(writer);
  });
  for (const path of ["/write", "/offer", "/write?length", "/offer?length"]) {
    const { headers, body } = await ask(session, { ":path": path });
    assert.ok(body.equals(bytes), path);
    assert.equal(headers["content-length"], path.endsWith("length") ? "300000" : undefined);
    assert.equal((await ask(session, { ":path": path, ":method": "HEAD" })).body.length, 0);
  }
});

test("500 streams side by side each get their own bytes", async (t) => {
  const digest = (i: number): Buffer => createHash("sha256").update(String(i)).digest();
  const bodyOf = (i: number): Buffer => Buffer.alloc(20_000 + i * 331, digest(i));
  const session = await client(t, async (request) => {
    const body = bodyOf(Number(request.path.slice(1)));
    if (body.length % 2 === 0) return request.send(200, "", body);
    const writer = request.begin(200, "", null);
    for (let at = 0; at < body.length; at += 30_000) await writer.write(body.subarray(at, at + 30_000));
    await writer.end();
  });
  const hash = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");
  const got = await Promise.all(
    Array.from({ length: 500 }, async (_, i) => hash((await ask(session, { ":path": `/${i}` })).body)),
  );
  assert.deepEqual(
    got,
    Array.from({ length: 500 }, (_, i) => hash(bodyOf(i))),
  );
});

test("bodies of requests are read up to a limit, whether they say their length or not", async (t) => {
  const session = await client(t, async (request) => {
    const body = await request.readBody(100_000);
    request.send(200, "", Buffer.from(String(body.length)));
  });
  const answers = [0, 5, 100_000, 100_001, 3_000_000].map(async (length) => {
    const said = await ask(session, { ":method": "POST", ...GET, "content-length": length }, Buffer.alloc(length));
    const silent = await ask(session, { ":method": "POST", ...GET }, Buffer.alloc(length));
    return [said.headers[":status"], silent.headers[":status"], said.body.toString().slice(0, 6)];
  });
  assert.deepEqual((await Promise.all(answers)).slice(0, 3), [
    [200, 200, "0"],
    [200, 200, "5"],
    [200, 200, "100000"],
  ]);
  assert.deepEqual(
    (await Promise.all(answers)).slice(3).map(([one, other]) => [one, other]),
    [
      [413, 413],
      [413, 413],
    ],
  );
  assert.equal((await ask(session, { ":method": "POST", ...GET }, Buffer.from("on"))).body.toString(), "2");
});

test("a client that waits for 100 gets it when its body is wanted", async (t) => {
  const session = await client(t, async (request) => request.send(200, "", await request.readBody(100)));
  const stream = session.request({ ":method": "POST", ...GET, expect: "100-continue" });
  const [headers] = await once(stream, "headers");
  assert.equal(headers[":status"], 100);
  stream.end("now");
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), "now");
});

test("accounts get what was sent: heads, frames and bodies", async (t) => {
  const noted: NotedExchange[] = [];
  let besideBytes = 0;
  const { port } = await h2Listener(
    t,
    (request) => {
      request.context = request.path;
      request.send(200, "X-Kind: counted\r\n", Buffer.alloc(request.path === "/large" ? 1_000_000 : 10));
    },
    { noted: (exchange) => noted.push(exchange), refusedBytes: (bytes) => (besideBytes += bytes) },
  );
  const socket = await tlsTo(t, port);
  const session = await h2Client(t, port, { socket });
  for (const path of ["/small", "/large", "/small"]) await ask(session, { ":path": path });
  const receivedBytes = once(socket, "close").then(() => socket.bytesRead);
  session.close();
  const total = await receivedBytes;
  const sum = noted.reduce((all, { wireBytes }) => all + wireBytes, 0) + besideBytes;
  assert.deepEqual(
    noted.map(({ context, status }) => [context, status]),
    [
      ["/small", 200],
      ["/large", 200],
      ["/small", 200],
    ],
  );
  assert.ok(noted[1]!.wireBytes > 1_000_000);
  // The last frame goes out while the connection is taken down.
  assert.ok(Math.abs(total - sum) < 50, `${sum} accounted, ${total} received`);
});

test("each request has its line in the access log and its place in the metrics, as on HTTP/1.1", async (t) => {
  const lines: unknown[] = [];
  const closed = Promise.withResolvers<void>();
  const accessLog: AccessLog = {
    droppedCount: 0,
    note: ({ request, status, sentBytes, isWhole }) => {
      lines.push([request.method, request.path, status, sentBytes, isWhole]);
      if (!isWhole) closed.resolve();
    },
    close: () => Promise.resolve(),
  };
  const { port } = await h2Listener(
    t,
    async (request) => {
      if (request.path === "/whole") return request.send(200, "", Buffer.alloc(2_000));
      const writer = request.begin(203, "", null);
      await writer.write(Buffer.alloc(10));
      writer.abort();
    },
    { accessLog, name: "h2-counted" },
  );
  const session = await h2Client(t, port);
  await ask(session, { ":path": "/whole" });
  await assert.rejects(ask(session, { ":path": "/cut" }), /NGHTTP2_INTERNAL_ERROR/);
  await closed.promise;
  assert.deepEqual(lines, [
    ["GET", "/whole", 200, 2_000, true],
    ["GET", "/cut", 203, 10, false],
  ]);
  const metrics = (await ask(session, { ":path": "/metrics" })).body.toString();
  for (const line of [
    'castellan_http_requests_total{status="200",listener="h2-counted"} 1',
    'castellan_http_sent_bytes_total{listener="h2-counted"} 2000',
    'castellan_http_cut_total{listener="h2-counted"} 1',
    'castellan_http_connections{listener="h2-counted"} 1',
  ]) {
    const [, name = "", labels = "", value = ""] = /^(\w+)\{(.*)\} (\d+)$/.exec(line) ?? [];
    const found = metrics.split("\n").find((each) => {
      return each.startsWith(`${name}{`) && labels.split(",").every((label) => each.includes(label));
    });
    assert.equal(found?.split(" ").at(-1), value, line);
  }
});
