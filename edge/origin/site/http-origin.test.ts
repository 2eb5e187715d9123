/** The client: what it sends, what it takes, and what it refuses. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import type { UpstreamReason } from "../upstream.ts";
import type { OriginAnswer } from "./contract.ts";
import { always, answered, failsWith, oneOrigin, requestOf, setOf, standIn, textOf, until } from "./origins.fixture.ts";

const wholeOf = async (answer: OriginAnswer) => ({
  status: answer.status,
  sizeBytes: answer.sizeBytes,
  framed: answer.framed,
  body: await textOf(answer),
});

describe("requests", () => {
  test("a request has the origin's base and host, its own fields as they are, and none of a connection", async (t) => {
    const { origin, get, set } = await oneOrigin(t, always("hello"));
    await textOf(await get("/film.mp4?v=1%202"));
    const fields = ["X-Mine", "a, b", "Host", "cdn.example", "Connection", "close", "Via", "1.1 edge", "via", "1.0 b"];
    await textOf(await set.ask(requestOf("/", { fields })));
    assert.equal(origin.asked[0]?.target, "/base/film.mp4?v=1%202");
    assert.equal(origin.asked[0]?.fields.get("host"), `127.0.0.1:${origin.port}`);
    assert.deepEqual(
      [...(origin.asked[1]?.fields ?? [])],
      [
        ["host", `127.0.0.1:${origin.port}`],
        ["x-mine", "a, b"],
        ["via", "1.0 b"],
      ],
    );
  });

  test("a body is sent with its length", async (t) => {
    const { origin, set } = await oneOrigin(t, always("done"));
    const body = Buffer.from("seven=7");
    assert.equal(await textOf(await set.ask(requestOf("/form", { method: "POST", body }))), "done");
    assert.equal(await textOf(await set.ask(requestOf("/form", { method: "POST" }))), "done");
    assert.deepEqual(
      origin.asked.map((asked) => [asked.method, asked.fields.get("content-length"), asked.body]),
      [
        ["POST", "7", "seven=7"],
        ["POST", "0", ""],
      ],
    );
  });

  test("a host of its own is sent where the configuration has one", async (t) => {
    const origin = await standIn(t, always("x"));
    const set = setOf(t, { origins: [{ id: "a", url: origin.url, hostHeader: "films.example" }] });
    await textOf(await set.ask(requestOf("/a")));
    assert.equal(origin.asked[0]?.fields.get("host"), "films.example");
  });

  test("what would end a line is never sent", async (t) => {
    const { origin, set } = await oneOrigin(t, always("x"));
    await assert.rejects(set.ask(requestOf("/a", { fields: ["X", "a\r\nY: b"] })), /bug: /);
    await assert.rejects(set.ask(requestOf("/a", { fields: ["X: b\r\nY", "a"] })), /bug: /);
    await assert.rejects(set.ask(requestOf("/a HTTP/1.1\r\nX: y")), /bug: /);
    assert.equal(origin.connectionCount, 0);
  });
});

describe("answers", () => {
  const cases: [name: string, answer: string | Buffer, whole: Awaited<ReturnType<typeof wholeOf>>][] = [
    ["a length", answered("hello"), { status: 200, sizeBytes: 5, framed: true, body: "hello" }],
    [
      "chunks, an extension and a trailer",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
      { status: 200, sizeBytes: undefined, framed: true, body: "abc0123456789" },
    ],
    [
      "chunks with white space behind their sizes, and a size of 13 digits",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0000000000001\t;x\r\nd\r\n0\r\n\r\n",
      { status: 200, sizeBytes: undefined, framed: true, body: "abcd" },
    ],
    ["an empty body", answered(""), { status: 200, sizeBytes: 0, framed: true, body: "" }],
    [
      "nothing behind a 304",
      'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 9\r\n\r\n',
      { status: 304, sizeBytes: 0, framed: true, body: "" },
    ],
    [
      "1xx before it",
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${answered("late")}`,
      { status: 200, sizeBytes: 4, framed: true, body: "late" },
    ],
    [
      "a redirect, as it is",
      answered("over there", { status: "302 Found", fields: "Location: http://127.0.0.1:1/x\r\n" }),
      { status: 302, sizeBytes: 10, framed: true, body: "over there" },
    ],
    [
      "equal lengths",
      answered("hello", { fields: "Content-Length: 5, 5\r\n" }),
      {
        status: 200,
        sizeBytes: 5,
        framed: true,
        body: "hello",
      },
    ],
  ];
  for (const [name, bytes, whole] of cases) {
    test(`an answer with ${name} is read whole, in one piece and byte by byte, and its connection serves again`, async (t) => {
      const { origin, get } = await oneOrigin(t, ({ target, socket }) => {
        if (target === "/base/one") return bytes;
        for (const byte of Buffer.from(bytes)) socket.write(Buffer.of(byte));
        return undefined;
      });
      assert.deepEqual(await wholeOf(await get("/one")), whole);
      assert.deepEqual(await wholeOf(await get("/bytes")), whole);
      assert.equal(origin.connectionCount, 1);
    });
  }

  test("fields come as they were sent, each by itself", async (t) => {
    const { get } = await oneOrigin(
      t,
      always("x", { fields: "Set-Cookie: a=1\r\nset-cookie:\tb=\xe9 \r\nEmpty:\r\n" }),
    );
    const answer = await get("/a");
    answer.drop();
    assert.deepEqual(answer.fields, ["Content-Length", "1", "Set-Cookie", "a=1", "set-cookie", "b=\xe9", "Empty", ""]);
  });

  test("an answer to HEAD has no body, whatever length it announces", async (t) => {
    const { origin, set } = await oneOrigin(t, () => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    const answer = await set.ask(requestOf("/a", { method: "HEAD" }));
    assert.deepEqual(await wholeOf(answer), { status: 200, sizeBytes: 0, framed: true, body: "" });
    assert.equal(answer.fields[1], "5");
    await textOf(await set.ask(requestOf("/a", { method: "HEAD" })));
    assert.equal(origin.connectionCount, 1);
  });

  test("a body that ends with its connection is told from one whose end is known", async (t) => {
    const { get } = await oneOrigin(t, ({ socket }) => {
      socket.end("HTTP/1.0 200 OK\r\n\r\nall of it");
      return undefined;
    });
    assert.deepEqual(await wholeOf(await get("/a")), {
      status: 200,
      sizeBytes: undefined,
      framed: false,
      body: "all of it",
    });
  });

  const malformed: [name: string, answer: string][] = [
    ["garbage", "garbage\r\n\r\n"],
    ["another protocol", "ICY 200 OK\r\n\r\n"],
    ["a switch of protocols", "HTTP/1.1 101 Switching\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"],
    ["a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["an unknown coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
    ["a folded field", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n"],
    ["a space before a colon", "HTTP/1.1 200 OK\r\nX : a\r\n\r\n"],
    ["a bare LF", "HTTP/1.1 200 OK\r\nX: a\nY: b\r\n\r\n"],
    ["a NUL", "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"],
    ["a head without end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(70_000)}`],
    ["too many fields", `HTTP/1.1 200 OK\r\n${"X: a\r\n".repeat(300)}\r\n`],
  ];
  for (const [name, bytes] of malformed) {
    test(`an answer with ${name} is refused, and its connection closed`, async (t) => {
      const { origin, get } = await oneOrigin(t, () => bytes);
      await failsWith(get("/a"), "protocol");
      await until(() => origin.sockets.size === 0, "the connection is closed");
    });
  }

  const chunks = (text: string): string => `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${text}`;
  const broken: [name: string, answer: string, reason: UpstreamReason][] = [
    ["is longer than it says", `${answered("hello")}!`, "size"],
    ["has bytes behind its last chunk", chunks("1\r\na\r\n0\r\n\r\n!"), "size"],
    ["has a chunk longer than it says", chunks("1\r\nab\r\n0\r\n\r\n"), "protocol"],
    ["has a chunk of no size", chunks("x\r\na\r\n"), "protocol"],
    ["has a chunk of any size", chunks(`${"f".repeat(20)}\r\na\r\n`), "protocol"],
    ["has a control character behind a chunk's size", chunks("1;\0\r\na\r\n0\r\n\r\n"), "protocol"],
    ["has too many trailers", chunks(`0\r\n${"X: 1\r\n".repeat(6_000)}\r\n`), "protocol"],
    ["ends its chunk sizes with a bare LF", chunks("1\na\n0\n\n"), "protocol"],
  ];
  for (const [name, bytes, reason] of broken) {
    test(`a body that ${name} fails, and its connection is closed`, async (t) => {
      const { origin, get } = await oneOrigin(t, () => bytes);
      await failsWith(
        get("/a").then((answer) => textOf(answer)),
        reason,
      );
      await until(() => origin.sockets.size === 0, "the connection is closed");
    });
  }

  for (const [how, end] of [
    ["closed", (socket: { end(): void }) => socket.end()],
    ["reset", (socket: { resetAndDestroy(): void }) => socket.resetAndDestroy()],
  ] as const) {
    for (const head of ["Content-Length: 100", "Transfer-Encoding: chunked"]) {
      test(`a body with ${head} is not whole when the connection is ${how}, and what came is given`, async (t) => {
        const begun = head.startsWith("T") ? "5\r\nhello\r\n" : "hello";
        const { origin, get } = await oneOrigin(t, () => `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${begun}`);
        const answer = await get("/a");
        let text = "";
        const reading = answer.read((chunk) => {
          text += chunk.toString();
          for (const socket of origin.sockets) end(socket);
        });
        await failsWith(reading, "reset");
        assert.equal(text, "hello");
      });
    }
  }
});

test("a server is asked over TLS when it proves who it is, and not at all when it does not", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "site-tls-"));
  t.after(() => rm(dir, { recursive: true }));
  const [keyFile, certFile] = [join(dir, "key.pem"), join(dir, "cert.pem")];
  const args = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost";
  const names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", keyFile, "-out", certFile];
  execFileSync("openssl", [...args.split(" "), ...names], { stdio: "pipe" });
  const [key, cert] = await Promise.all([readFile(keyFile, "utf8"), readFile(certFile, "utf8")]);
  let requestCount = 0;
  const server = createTlsServer({ key, cert }, (socket) => {
    socket.on("error", () => {});
    socket.on("data", () => {
      requestCount += 1;
      socket.write(answered("secret"));
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => server.close());
  const address = server.address();
  const port = typeof address === "object" ? address?.port : 0;
  const known = setOf(t, { origins: [{ id: "a", url: `https://localhost:${port}`, ca: cert }] });
  assert.equal(await textOf(await known.ask(requestOf("/a"))), "secret");
  assert.equal(await textOf(await known.ask(requestOf("/a"))), "secret");
  const unknown = setOf(t, { origins: [{ id: "a", url: `https://localhost:${port}` }] });
  await failsWith(unknown.ask(requestOf("/a")), "connect");
  const other = setOf(t, { origins: [{ id: "a", url: `https://127.0.0.1:${port}`, ca: cert }] });
  await failsWith(other.ask(requestOf("/a")), "connect");
  assert.equal(requestCount, 2);
});

test("a site of a third party reaches no private address, by number or by name, unless it is allowed", async (t) => {
  const origin = await standIn(t, always("inside"));
  const asked = (host: string, allowPrivateSources: string[] = []) =>
    setOf(t, {
      origins: [{ id: "a", url: `http://${host}:${origin.port}` }],
      trusted: false,
      allowPrivateSources,
    }).ask(requestOf("/a"));
  await failsWith(asked("127.0.0.1"), "address");
  await failsWith(asked("localhost"), "address");
  await failsWith(asked("[::1]"), "address");
  await failsWith(asked("[::ffff:127.0.0.1]"), "address");
  await failsWith(asked("2130706433"), "address");
  assert.equal(origin.connectionCount, 0);
  assert.equal(await textOf(await asked("127.0.0.1", ["127.0.0.0/8"])), "inside");
});
