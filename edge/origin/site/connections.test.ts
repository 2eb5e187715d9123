/** How long the client waits, what it does with connections, and how fast it reads. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import {
  always,
  answered,
  failsWith,
  hangs,
  oneOrigin,
  requestOf,
  setOf,
  standIn,
  textOf,
  until,
} from "./origins.fixture.ts";

describe("deadlines", () => {
  test("an origin that nobody listens at fails as it is connected to", async (t) => {
    const { origin, get } = await oneOrigin(t, hangs);
    await origin.stop();
    await failsWith(get("/a"), "connect");
  });

  test("an origin that takes a request and is silent fails by the deadline of the request", async (t) => {
    const { origin, set } = await oneOrigin(t, hangs);
    await failsWith(set.ask(requestOf("/a"), { firstByteMs: 50 }), "first-byte");
    await until(() => origin.sockets.size === 0, "the connection is closed");
  });

  test("a TLS server that never shakes hands fails as it is connected to", async (t) => {
    const origin = await standIn(t, hangs);
    const set = setOf(t, { origins: [{ id: "a", url: `https://127.0.0.1:${origin.port}` }], timeouts: { tlsMs: 50 } });
    await failsWith(set.ask(requestOf("/a")), "connect");
  });

  test("a body that stalls fails, one that drips on does not", async (t) => {
    const { get } = await oneOrigin(
      t,
      ({ target, socket }) => {
        socket.write("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n");
        if (target === "/base/stall") return undefined;
        let left = 8;
        const drip = setInterval(() => {
          socket.write("x");
          left -= 1;
          if (left === 0) clearInterval(drip);
        }, 250);
        return undefined;
      },
      { timeouts: { idleMs: 1_500 } },
    );
    assert.equal(await textOf(await get("/drip")), "xxxxxxxx");
    await failsWith(textOf(await get("/stall")), "idle");
  });

  test("a body that drips on for ever fails", async (t) => {
    const { get } = await oneOrigin(
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
    const { get, origin } = await oneOrigin(
      t,
      async ({ target }) => {
        if (target === "/base/never") return undefined;
        atOnce += 1;
        most = Math.max(most, atOnce);
        await new Promise((resolve) => setTimeout(resolve, 5));
        atOnce -= 1;
        return answered("x");
      },
      { connectionsMax: 2, timeouts: { queueMs: 30_000 } },
    );
    const texts = await Promise.all(Array.from({ length: 20 }, async () => textOf(await get("/a"))));
    assert.deepEqual([texts.length, most, origin.connectionCount], [20, 2, 2]);
    const origins = [{ id: "a", url: `${origin.url}/base/` }];
    const hasty = setOf(t, { origins, connectionsMax: 2, timeouts: { queueMs: 300 } });
    for (let asker = 0; asker < 2; asker += 1) void hasty.ask(requestOf("/never")).catch(() => {});
    await until(() => origin.asked.length === 22, "both connections are taken");
    await failsWith(hasty.ask(requestOf("/a")), "busy");
  });

  test("who leaves before the head frees the connection", async (t) => {
    const { origin, set } = await oneOrigin(t, hangs);
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
    const { origin, get } = await oneOrigin(t, always("x"));
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
    const { origin, get, set } = await oneOrigin(t, always("x"));
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
      const { origin, get } = await oneOrigin(t, always("x", { fields }));
      await textOf(await get("/a"));
      await textOf(await get("/a"));
      assert.equal(origin.connectionCount, 2, fields);
    }
  });

  test("bytes that come on a kept connection that nobody asked for end it", async (t) => {
    const { origin, get } = await oneOrigin(t, always("x"));
    await textOf(await get("/a"));
    for (const socket of origin.sockets) socket.write(answered("of somebody else"));
    await until(() => origin.sockets.size === 0, "the connection is closed");
    assert.equal(await textOf(await get("/a")), "x");
  });

  test("a small body that is dropped leaves its connection, a big one ends it", async (t) => {
    const { origin, get } = await oneOrigin(t, ({ target }) =>
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
  const { get } = await oneOrigin(
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
  const { origin, get } = await oneOrigin(t, ({ socket }) => {
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
  const { origin, get } = await oneOrigin(t, ({ socket }) => {
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
