/** The client: what it sends, what it takes, what it refuses, and when a connection serves again. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { createServer as createTlsServer } from "node:tls";
import { UpstreamError, type UpstreamReason } from "../upstream.ts";
import type { OriginAnswer } from "./contract.ts";
import { always, answered, type Handler, hangs, requestOf, setOf, standIn, textOf, until } from "./origins.fixture.ts";
import type { OriginSetOptions } from "./set-options.ts";

const scene = async (t: TestContext, handle: Handler, options: Partial<OriginSetOptions> = {}) => {
  const origin = await standIn(t, handle);
  const set = setOf(t, { origins: [{ id: "a", url: `${origin.url}/base/` }], ...options });
  return { origin, set, get: (target: string) => set.ask(requestOf(target)) };
};

const failsWith = async (work: Promise<unknown>, reason: UpstreamReason): Promise<void> => {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof UpstreamError, String(error));
    assert.equal(error.reason, reason);
    return true;
  });
};

const wholeOf = async (answer: OriginAnswer) => ({
  status: answer.status,
  sizeBytes: answer.sizeBytes,
  framed: answer.framed,
  body: await textOf(answer),
});

describe("requests", () => {
  test("a request has the origin's base and host, its own fields as they are, and none of a connection", async (t) => {
    const { origin, get, set } = await scene(t, always("hello"));
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
    const { origin, set } = await scene(t, always("done"));
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
    const { origin, set } = await scene(t, always("x"));
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
      const { origin, get } = await scene(t, ({ target, socket }) => {
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
    const { get } = await scene(t, always("x", { fields: "Set-Cookie: a=1\r\nset-cookie:\tb=\xe9 \r\nEmpty:\r\n" }));
    const answer = await get("/a");
    answer.drop();
    assert.deepEqual(answer.fields, ["Content-Length", "1", "Set-Cookie", "a=1", "set-cookie", "b=\xe9", "Empty", ""]);
  });

  test("an answer to HEAD has no body, whatever length it announces", async (t) => {
    const { origin, set } = await scene(t, () => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    const answer = await set.ask(requestOf("/a", { method: "HEAD" }));
    assert.deepEqual(await wholeOf(answer), { status: 200, sizeBytes: 0, framed: true, body: "" });
    assert.equal(answer.fields[1], "5");
    await textOf(await set.ask(requestOf("/a", { method: "HEAD" })));
    assert.equal(origin.connectionCount, 1);
  });

  test("a body that ends with its connection is told from one whose end is known", async (t) => {
    const { get } = await scene(t, ({ socket }) => {
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
      const { origin, get } = await scene(t, () => bytes);
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
    ["ends its chunk sizes with a bare LF", chunks("1\na\n0\n\n"), "protocol"],
  ];
  for (const [name, bytes, reason] of broken) {
    test(`a body that ${name} fails, and its connection is closed`, async (t) => {
      const { origin, get } = await scene(t, () => bytes);
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
        const { origin, get } = await scene(t, () => `HTTP/1.1 200 OK\r\n${head}\r\n\r\n${begun}`);
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

describe("deadlines", () => {
  test("an origin that nobody listens at fails as it is connected to", async (t) => {
    const { origin, get } = await scene(t, hangs);
    await origin.stop();
    await failsWith(get("/a"), "connect");
  });

  test("an origin that takes a request and is silent fails by the deadline of the request", async (t) => {
    const { origin, set } = await scene(t, hangs);
    await failsWith(set.ask(requestOf("/a"), { firstByteMs: 50 }), "first-byte");
    await until(() => origin.sockets.size === 0, "the connection is closed");
  });

  test("a TLS server that never shakes hands fails as it is connected to", async (t) => {
    const origin = await standIn(t, hangs);
    const set = setOf(t, { origins: [{ id: "a", url: `https://127.0.0.1:${origin.port}` }], timeouts: { tlsMs: 50 } });
    await failsWith(set.ask(requestOf("/a")), "connect");
  });

  test("a body that stalls fails, one that drips on does not", async (t) => {
    const { get } = await scene(
      t,
      ({ target, socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        if (target === "/base/stall") return undefined;
        let left = 8;
        const drip = setInterval(() => {
          socket.write("x");
          left -= 1;
          if (left === 0) clearInterval(drip);
        }, 60);
        return undefined;
      },
      { timeouts: { idleMs: 300 } },
    );
    assert.equal(await textOf(await get("/drip")), "xxxxxxxx");
    await failsWith(textOf(await get("/stall")), "idle");
  });

  test("a body that drips on for ever fails", async (t) => {
    const { get } = await scene(
      t,
      ({ socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");
        const drip = setInterval(() => socket.write("x"), 5);
        socket.on("close", () => clearInterval(drip));
        return undefined;
      },
      { timeouts: { bodyMs: 200 } },
    );
    await failsWith(textOf(await get("/a")), "body-time");
  });

  test("requests beyond the connections that there may be wait their turn, and not for ever", async (t) => {
    let atOnce = 0;
    let most = 0;
    const { get, origin } = await scene(
      t,
      async ({ target }) => {
        if (target === "/base/never") return undefined;
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setTimeout(resolve, 5));
        atOnce -= 1;
        return answered("x");
      },
      { connectionsMax: 2, timeouts: { queueMs: 300 } },
    );
    const texts = await Promise.all(Array.from({ length: 20 }, async () => textOf(await get("/a"))));
    assert.deepEqual([texts.length, most, origin.connectionCount], [20, 2, 2]);
    void get("/never").catch(() => {});
    void get("/never").catch(() => {});
    await until(() => origin.asked.length === 22, "both connections are taken");
    await failsWith(get("/a"), "busy");
  });

  test("who leaves before the head frees the connection", async (t) => {
    const { origin, set } = await scene(t, hangs);
    const controller = new AbortController();
    const asking = set.ask(requestOf("/a"), { signal: controller.signal });
    await until(() => origin.asked.length === 1, "the request has come");
    const reason = new Error("left");
    controller.abort(reason);
    await assert.rejects(asking, reason);
    await until(() => origin.sockets.size === 0, "the connection is closed");
    await assert.rejects(set.ask(requestOf("/a"), { signal: controller.signal }), reason);
    assert.equal(set.health()[0]?.isUp, true);
  });
});

describe("kept connections", () => {
  test("a request that meets a closed connection is sent again, once, on a new one", async (t) => {
    const { origin, get } = await scene(t, always("x"));
    await textOf(await get("/a"));
    // The second request is what the origin resets: it could not have known that it would come.
    origin.handle = ({ socket }) => {
      origin.handle = always("again");
      socket.resetAndDestroy();
      return undefined;
    };
    assert.equal(await textOf(await get("/a")), "again");
    assert.deepEqual([origin.asked.length, origin.connectionCount], [3, 2]);
    origin.handle = ({ socket }) => {
      socket.resetAndDestroy();
      return undefined;
    };
    await failsWith(get("/a"), "reset");
    assert.equal(origin.asked.length, 5);
  });

  test("what may not be repeated goes on a new connection, and is sent once", async (t) => {
    const { origin, get, set } = await scene(t, always("x"));
    await textOf(await get("/a"));
    origin.handle = ({ socket }) => {
      socket.resetAndDestroy();
      return undefined;
    };
    await failsWith(set.ask(requestOf("/a", { method: "POST" })), "reset");
    assert.deepEqual([origin.asked.length, origin.connectionCount], [2, 2]);
  });

  test("the connection of an answer that says close, or that it keeps only for a second, is not used again", async (t) => {
    for (const fields of ["Connection: close\r\n", "Keep-Alive: timeout=1\r\n"]) {
      const { origin, get } = await scene(t, always("x", { fields }));
      await textOf(await get("/a"));
      await textOf(await get("/a"));
      assert.equal(origin.connectionCount, 2, fields);
    }
  });

  test("bytes that come on a kept connection that nobody asked for end it", async (t) => {
    const { origin, get } = await scene(t, always("x"));
    await textOf(await get("/a"));
    for (const socket of origin.sockets) socket.write(answered("of somebody else"));
    await until(() => origin.sockets.size === 0, "the connection is closed");
    assert.equal(await textOf(await get("/a")), "x");
  });

  test("a small body that is dropped leaves its connection, a big one ends it", async (t) => {
    const { origin, get } = await scene(t, ({ target }) =>
      target === "/base/big" ? answered("x".repeat(200_000)) : answered("x".repeat(20_000)),
    );
    (await get("/small")).drop();
    await until(() => origin.asked.length === 1, "asked");
    await textOf(await get("/small"));
    assert.ok(origin.connectionCount <= 2);
    const answer = await get("/big");
    const reading = textOf(answer);
    answer.drop();
    await reading.catch(() => {});
    await until(() => origin.sockets.size <= 1, "it is closed");
  });
});

test("a taker that drops the answer gets nothing more of it, and its reading ends", async (t) => {
  const { get } = await scene(
    t,
    () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
  );
  const answer = await get("/a");
  const got: string[] = [];
  const reading = answer.read((chunk) => {
    got.push(chunk.toString());
    answer.drop();
  });
  await failsWith(reading, "reset");
  assert.deepEqual(got, ["a"]);
});

test("no more is read than is taken", async (t) => {
  const size = 64 * 1024 * 1024;
  const { origin, get } = await scene(t, ({ socket }) => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    socket.write(Buffer.alloc(size));
    return undefined;
  });
  const answer = await get("/a");
  const gate = Promise.withResolvers<void>();
  let got = 0;
  const reading = answer.read((chunk) => {
    got += chunk.length;
    return gate.promise;
  });
  await until(() => got > 0, "the first piece");
  const [socket] = origin.sockets;
  const [before, firstGot] = [socket?.writableLength ?? 0, got];
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.ok((socket?.writableLength ?? 0) > size / 2, "most of it is still the origin's to send");
  assert.ok(before > 0);
  assert.equal(got, firstGot);
  gate.resolve();
  await reading;
  assert.equal(got, size);
});

test("a taker that throws ends the body with its error", async (t) => {
  const { origin, get } = await scene(t, ({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello");
    return undefined;
  });
  const answer = await get("/a");
  const error = new Error("no room");
  await assert.rejects(
    answer.read(() => {
      throw error;
    }),
    { cause: error },
  );
  await until(() => origin.sockets.size === 0, "the connection is closed");
  const second = await get("/a");
  await assert.rejects(
    second.read(() => Promise.reject(error)),
    { cause: error },
  );
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
