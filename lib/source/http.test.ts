import assert from "node:assert/strict";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import pino from "pino";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { ContentSource } from "./port.ts";
import type { SourceTools } from "./settings.ts";
import { bytesOf, readAll, tempDir } from "./suite-stage.ts";

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

interface Stage {
  readonly source: ContentSource;
  readonly port: number;
  readonly seen: IncomingMessage[];
}

const QUICK = { connectTimeoutMs: 300, idleTimeoutMs: 300 };

/** A server that answers as the test says, and a source in front of its folder `/m`. */
const serve = async (t: TestContext, answer: Answer, tools: Partial<SourceTools> = {}): Promise<Stage> => {
  const seen: IncomingMessage[] = [];
  const server = createServer((request, response) => {
    seen.push(request);
    answer(request, response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const settings = { kind: "http", url: `http://viewer:right-s3cret@127.0.0.1:${port}/m/` } as const;
  const source = await openSource(settings, { log: quietLog, ...tools });
  t.after(async () => {
    await source.close();
    server.closeAllConnections();
    server.close();
  });
  return { source, port, seen };
};

const BODY = bytesOf(1, 200_000);

interface Deviation {
  readonly etag?: string | null;
  readonly modified?: string;
  readonly body?: Buffer;
  /** Headers on top, also instead of the usual ones. */
  readonly headers?: Record<string, string>;
  /** How much of the part is sent. */
  readonly sent?: (part: Buffer) => Buffer;
}

/** A correct answer to a range, but for what is told. */
const part = (request: IncomingMessage, response: ServerResponse, how: Deviation = {}): void => {
  const { etag = '"v1"', modified, body = BODY, headers = {}, sent = (bytes) => bytes } = how;
  const [, start = "0", end = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
  const last = Math.min(Number(end), body.length - 1);
  const bytes = body.subarray(Number(start), last + 1);
  response.writeHead(206, {
    "content-range": `bytes ${start}-${last}/${body.length}`,
    "content-length": bytes.length,
    ...(etag === null ? {} : { etag }),
    ...(modified === undefined ? {} : { "last-modified": modified }),
    ...headers,
  });
  const chunk = sent(bytes);
  response.write(chunk, () => (chunk.length < bytes.length ? response.socket?.end() : response.end()));
};

/** Answers the first request well, and the others as told. */
const afterOpen = (later: Answer, first: Deviation = {}): Answer => {
  let count = 0;
  return (request, response) => {
    count += 1;
    if (count === 1) part(request, response, first);
    else later(request, response);
  };
};

const status =
  (code: number, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(code, { "content-length": 0, ...headers }).end();

/** The code that a range beyond the first bytes ends with. */
const rangeEndsWith = async (t: TestContext, later: Answer, first: Deviation = {}): Promise<string | undefined> => {
  const { source } = await serve(t, afterOpen(later, first));
  const object = await source.open("a.bin");
  return object.readRange(100_000, new Uint8Array(50_000)).then(
    () => "read",
    (error: { code?: string }) => error.code,
  );
};

test("a range is asked for with If-Match and without any coding, and the login goes along", async (t) => {
  const { source, seen } = await serve(t, (request, response) => part(request, response));
  const object = await source.open("a.bin");
  assert.equal(object.stat.etag, '"v1"');
  const target = new Uint8Array(1000);
  await object.readRange(150_000, target);
  assert.ok(BODY.subarray(150_000, 151_000).equals(target));
  const asked = seen.map(({ method, headers }) => [method, headers.range, headers["if-match"], headers.authorization]);
  const basic = `Basic ${Buffer.from("viewer:right-s3cret").toString("base64")}`;
  assert.deepEqual(asked, [
    ["GET", "bytes=0-65535", undefined, basic],
    ["GET", "bytes=150000-150999", '"v1"', basic],
  ]);
  assert.ok(seen.every(({ headers }) => headers["accept-encoding"] === "identity"));
});

test("the first 64 KiB come with the open and are not asked for again", async (t) => {
  const { source, seen } = await serve(t, (request, response) => part(request, response));
  const object = await source.open("a.bin");
  const target = new Uint8Array(65_536);
  await object.readRange(0, target);
  assert.ok(BODY.subarray(0, 65_536).equals(target));
  assert.equal(seen.length, 1);
});

test("a weak entity tag is never sent, and still tells versions apart", async (t) => {
  const weak = { etag: 'W/"1"' };
  const { source, seen } = await serve(t, (request, response) => part(request, response, weak));
  const object = await source.open("a.bin");
  await readAll(object);
  assert.deepEqual([object.stat.etag, seen[1]?.headers["if-match"]], [null, undefined]);
  const other: Answer = (request, response) => part(request, response, { etag: 'W/"2"' });
  assert.equal(await rangeEndsWith(t, other, weak), "SOURCE_CHANGED");
});

test("a name is encoded so that the server sees it as it is", async (t) => {
  const { source, seen } = await serve(t, (request, response) => part(request, response));
  await source.open("a b/50%#?é+'\"/c&d=e;f@:.mp4");
  assert.equal(seen[0]?.url, "/m/a%20b/50%25%23%3F%C3%A9%2B'%22/c%26d%3De%3Bf%40%3A.mp4");
});

test("each answer that is of another version is SOURCE_CHANGED", async (t) => {
  const monday = "Mon, 05 Jan 2026 10:00:00 GMT";
  const tuesday = "Tue, 06 Jan 2026 10:00:00 GMT";
  const untagged = { etag: null, modified: monday };
  const as =
    (how: Deviation): Answer =>
    (request, response) =>
      part(request, response, how);
  const longer = bytesOf(1, 200_001);
  const cases: [string, Answer, Deviation][] = [
    ["412", status(412), {}],
    ["another tag, by a server that ignores If-Match", as({ etag: '"v2"' }), {}],
    ["another time", as({ ...untagged, modified: tuesday }), untagged],
    ["another size", as({ ...untagged, body: longer }), untagged],
    ["416, since it is shorter now", status(416, { "content-range": "bytes */10" }), {}],
    [
      "a whole file of another version",
      (_, response) => void response.writeHead(200, { etag: '"v2"' }).end(longer),
      {},
    ],
  ];
  for (const [name, later, first] of cases) assert.equal(await rangeEndsWith(t, later, first), "SOURCE_CHANGED", name);
});

test("an answer that is not the range fails and is never taken for it", async (t) => {
  const as =
    (headers: Record<string, string>): Answer =>
    (request, response) =>
      part(request, response, { headers });
  const cases: [string, Answer, string][] = [
    ["another range", as({ "content-range": "bytes 100001-150000/200000" }), "SOURCE_FAILED"],
    ["more than the range", as({ "content-range": "bytes 100000-150000/200000" }), "SOURCE_FAILED"],
    ["no Content-Range", as({ "content-range": "" }), "SOURCE_FAILED"],
    ["no size", as({ "content-range": "bytes 100000-149999/*" }), "SOURCE_FAILED"],
    ["a coding", as({ "content-encoding": "gzip" }), "SOURCE_FAILED"],
    ["the whole file", (_, response) => void response.writeHead(200, { etag: '"v1"' }).end(BODY), "SOURCE_FAILED"],
    [
      "an end too soon",
      (request, response) => part(request, response, { sent: (b) => b.subarray(1) }),
      "SOURCE_TRUNCATED",
    ],
    ["416 to a range that it has", status(416, { "content-range": "bytes */200000" }), "SOURCE_FAILED"],
    ["headers without end", as({ "x-long": "x".repeat(20_000) }), "SOURCE_FAILED"],
  ];
  for (const [name, later, code] of cases) assert.equal(await rangeEndsWith(t, later), code, name);
});

test("a range that is answered in pieces is put together", async (t) => {
  const { source, seen } = await serve(t, (request, response) => {
    const [, start = "", end = ""] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    request.headers.range = `bytes=${start}-${Math.min(Number(end), Number(start) + 19_999)}`;
    part(request, response);
  });
  const object = await source.open("a.bin");
  const target = new Uint8Array(50_000);
  await object.readRange(100_000, target);
  assert.ok(BODY.subarray(100_000, 150_000).equals(target));
  assert.equal(seen.length, 4);
});

test("a status is an error of the catalogue", async (t) => {
  const codes = {
    400: "SOURCE_FAILED",
    401: "SOURCE_DENIED",
    403: "SOURCE_DENIED",
    404: "SOURCE_NOT_FOUND",
    410: "SOURCE_NOT_FOUND",
    429: "SOURCE_FAILED",
    500: "SOURCE_FAILED",
    503: "SOURCE_FAILED",
    504: "SOURCE_TIMEOUT",
  };
  for (const [answered, code] of Object.entries(codes)) {
    const { source } = await serve(t, status(Number(answered)));
    await assert.rejects(source.stat("a"), { code }, `stat, ${answered}`);
    await assert.rejects(source.open("a"), { code }, `open, ${answered}`);
  }
});

test("of a server that ignores ranges a small file is held, a big one is fetched whole", async (t) => {
  const big = bytesOf(2, 1_500_000);
  const { source } = await serve(t, (request, response) => {
    const body = request.url === "/m/big" ? big : BODY;
    response.writeHead(200, { "content-length": body.length, etag: '"v1"' }).end(body);
  });
  const small = await source.open("small");
  assert.ok(BODY.equals(await readAll(small)));
  assert.deepEqual([small.wholeOnly, source.capabilities.ranges], [undefined, true]);
  const object = await source.open("big");
  assert.deepEqual([object.wholeOnly, source.capabilities.ranges], [true, false]);
  await assert.rejects(object.readRange(0, new Uint8Array(10)), { code: "SOURCE_FAILED" });
  const file = join(await tempDir(t), "f");
  assert.deepEqual(await source.fetchTo("big", file), object.stat);
  assert.ok(big.equals(await readFile(file)));
});

test("a whole file that ends too soon leaves no copy", async (t) => {
  const { source } = await serve(t, (_, response) => {
    response.writeHead(200, { "content-length": 5_000_000 });
    response.write(BODY, () => response.socket?.end());
  });
  const dir = await tempDir(t);
  await assert.rejects(source.fetchTo("big", join(dir, "f")), { code: "SOURCE_TRUNCATED" });
  assert.deepEqual(await readdir(dir), []);
});

test("a server that does not take HEAD is asked for a byte", async (t) => {
  const { source, seen } = await serve(t, (request, response) => {
    if (request.method === "HEAD") status(405)(request, response);
    else part(request, response);
  });
  assert.equal((await source.stat("a.bin")).sizeBytes, BODY.length);
  assert.equal(seen[1]?.headers.range, "bytes=0-0");
});

test("a server that drips is given up, though it is never silent", async (t) => {
  const { source } = await serve(
    t,
    afterOpen((_, response) => {
      response.writeHead(206, {
        "content-range": "bytes 100000-149999/200000",
        etag: '"v1"',
        "content-length": 50_000,
      });
      const timer = setInterval(() => response.write("x"), 50);
      response.on("close", () => clearInterval(timer));
    }),
    QUICK,
  );
  const object = await source.open("a.bin");
  await assert.rejects(object.readRange(100_000, new Uint8Array(50_000)), { code: "SOURCE_TIMEOUT" });
});

test("a redirect to another host gets no login, and none at all when it is private", async (t) => {
  const { port: otherPort, seen } = await serve(t, (request, response) => part(request, response));
  const to = status(302, { location: `http://127.0.0.1:${otherPort}/m/b.bin` });
  const lines: string[] = [];
  const { source: guarded } = await serve(t, to, { log: pino({}, { write: (line: string) => void lines.push(line) }) });
  await assert.rejects(guarded.open("a.bin"), { code: "SOURCE_DENIED" });
  assert.equal(seen.length, 0);
  assert.match(lines.join(""), /it leads to a private address \(see ALLOW_PRIVATE_SOURCES\)/);
  const { source: allowed } = await serve(t, to, { allowPrivateSources: ["127.0.0.0/8"] });
  assert.equal((await allowed.open("a.bin")).stat.sizeBytes, BODY.length);
  assert.deepEqual([seen.length, seen[0]?.headers.authorization], [1, undefined]);
});

test("redirects end: in a circle, at another protocol, at a folder", async (t) => {
  const cases = { "/m/b": "SOURCE_FAILED", "file:///etc/passwd": "SOURCE_FAILED", "/m/a/": "SOURCE_NOT_FOUND" };
  for (const [location, code] of Object.entries(cases)) {
    const { source, seen } = await serve(t, status(301, { location }));
    await assert.rejects(source.open("a"), { code }, location);
    assert.ok(seen.length <= 6, `${seen.length} requests`);
  }
});

/** A server that answers the first request of each connection, and does `later` with the second. */
const twoRequests = async (
  t: TestContext,
  later: (socket: Socket) => void,
): Promise<{ url: string; seen: string[] }> => {
  const seen: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    let count = 0;
    socket.on("data", (bytes) => {
      count += 1;
      seen.push(bytes.toString().split(" ", 1)[0] ?? "");
      if (count === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
      else later(socket);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
};

test("a kept connection that ends without an answer is tried once more, on a new one", async (t) => {
  const { url, seen } = await twoRequests(t, (socket) => socket.resetAndDestroy());
  const source = await openSource({ kind: "http", url }, { log: quietLog, connectionsMax: 1 });
  t.after(() => source.close());
  for (let round = 0; round < 3; round++) assert.equal((await source.stat("a")).sizeBytes, 5);
  assert.equal(seen.length, 4); // the second round: once on the kept connection, once on a new one
});

test("an answer that has begun is never asked for again", async (t) => {
  const { url, seen } = await twoRequests(t, (socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Len"));
  const source = await openSource({ kind: "http", url }, { log: quietLog, connectionsMax: 1 });
  t.after(() => source.close());
  await source.stat("a");
  await assert.rejects(source.stat("a"), { code: "SOURCE_FAILED" });
  assert.equal(seen.length, 2);
});
