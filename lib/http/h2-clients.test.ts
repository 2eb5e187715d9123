/** Clients of HTTP/2 that are slow, hasty, malformed or hostile. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { RawExchange } from "./exchange.ts";
import {
  ask,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  FrameClient,
  frame,
  GOAWAY,
  HEADERS,
  h2Client,
  h2Listener,
  headerBlock,
  PING,
  REQUEST,
  RST_STREAM,
  SETTINGS,
  timedH2,
  u32,
  WINDOW_UPDATE,
} from "./h2.fixture.ts";
import { settle } from "./raw.fixture.ts";

const PROTOCOL_ERROR = 1;
const CANCEL = 8;
const ENHANCE_YOUR_CALM = 11;
const GET = { ":path": "/" };
/** SETTINGS_INITIAL_WINDOW_SIZE. */
const windowOf = (bytes: number): Buffer => Buffer.concat([Buffer.from([0, 4]), u32(bytes)]);

type Fields = readonly (readonly [string, string])[];
const without = (name: string): Fields => REQUEST.filter(([there]) => there !== name);
const changed = (name: string, value: string): Fields => [...without(name), [name, value] as const].sort();

test("what is malformed is refused as on HTTP/1.1, and the connection goes on", async (t) => {
  const asked: string[] = [];
  const { port } = await h2Listener(t, (request) => {
    asked.push(`${request.path} ${request.header("x-a")} ${request.header("x-b")}`);
    request.send(200, "", Buffer.from("fine"));
  });
  const client = await FrameClient.to(t, port);
  const many: Fields = Array.from({ length: 101 }, (_, i) => [`x-${i}`, "1"] as const);
  const cases: readonly (readonly [string, Fields, number | "reset"])[] = [
    ["no authority", without(":authority"), "reset"],
    ["Host alone", [...without(":authority"), ["host", "a.example"]], 200],
    ["Host that agrees", [...REQUEST, ["host", "A.example"]], 200],
    ["Host that does not", [...REQUEST, ["host", "b.example"]], 400],
    ["user in the authority", changed(":authority", "u@a.example"), 400],
    ["two authorities in one", changed(":authority", "a.example,b.example:x"), 400],
    ["empty authority", changed(":authority", ""), 400],
    ["path without a slash", changed(":path", "a"), 400],
    ["an absolute path", changed(":path", "https://a.example/"), 400],
    ["star of GET", changed(":path", "*"), 400],
    ["a fragment", changed(":path", "/#a"), 400],
    ["a space", changed(":path", "/a b"), 400],
    ["another scheme", changed(":scheme", "ftp"), 400],
    ["TRACE", changed(":method", "TRACE"), 501],
    ["no method", changed(":method", "G T"), 400],
    ["two Hosts", [...REQUEST, ["host", "a.example"], ["host", "a.example"]], "reset"],
    ["a long path", changed(":path", `/${"a".repeat(9_000)}`), 414],
    ["many fields", [...REQUEST, ...many], 431],
    [
      "a large head",
      [...REQUEST, ["x-a", "a".repeat(15_000)], ["x-b", "b".repeat(15_000)], ["x-c", "c".repeat(4_000)]],
      431,
    ],
    ["no path", without(":path"), "reset"],
    ["an empty path", changed(":path", ""), "reset"],
    ["upper case", [...REQUEST, ["X-Upper", "1"]], "reset"],
    ["Connection", [...REQUEST, ["connection", "close"]], "reset"],
    ["Transfer-Encoding", [...REQUEST, ["transfer-encoding", "chunked"]], "reset"],
    ["Upgrade", [...REQUEST, ["upgrade", "h2c"]], "reset"],
    ["a pseudo field after others", [...REQUEST.slice(0, 3), ["x-a", "1"], [":authority", "a.example"]], "reset"],
    ["an unknown pseudo field", [...REQUEST, [":more", "1"]].sort() as Fields, "reset"],
    ["a pseudo field twice", [...REQUEST, [":path", "/"]].sort() as Fields, "reset"],
    ["a line end in a value: the field is left out", [...REQUEST, ["x-a", "1\r\nx-b: 2"]], 200],
    ["a null in a value: the field is left out", [...REQUEST, ["x-a", "1\0"]], 200],
    ["a length of a body that is none", [...REQUEST, ["content-length", "5"]], "reset"],
    ["no length", [...REQUEST, ["content-length", "+0"]], "reset"],
    ["two lengths", [...REQUEST, ["content-length", "0"], ["content-length", "0"]], "reset"],
  ];
  let streamId = 1;
  for (const [name, fields, expected] of cases) {
    const block = headerBlock(fields);
    const [first, ...rest] = Array.from({ length: Math.ceil(block.length / 16_000) }, (_, i) =>
      block.subarray(i * 16_000, (i + 1) * 16_000),
    );
    const lastOf = (i: number): number => (i === rest.length ? END_HEADERS : 0);
    client.send(
      frame(HEADERS, END_STREAM | lastOf(0), streamId, first),
      ...rest.map((bytes, i) => frame(CONTINUATION, lastOf(i + 1), streamId, bytes)),
    );
    const id = streamId;
    await client.until(() => client.isClosed || client.code(id) !== undefined || client.isEnded(id));
    assert.ok(!client.isClosed, name);
    // nghttp2 resets most of what is malformed before we see it.
    if (expected === "reset" || (expected === 400 && client.code(id))) {
      assert.equal(client.code(id), PROTOCOL_ERROR, name);
      assert.equal(client.body(id).length, 0);
    } else if (expected === 200) assert.equal(client.body(id).toString(), "fine", name);
    else assert.match(client.body(id).toString(), new RegExp(`"status":${expected},`), name);
    streamId += 2;
  }
  assert.deepEqual(asked, Array(4).fill("/ undefined undefined"));
  assert.equal(client.of(0, GOAWAY).length, 0);
});

test("a body of another length than announced never reaches its handler as whole", async (t) => {
  const bodies: (number | string)[] = [];
  const { port } = await h2Listener(t, async (request) => {
    await request.readBody(1_000).then(
      (body) => bodies.push(body.length),
      (error: { code: string }) => bodies.push(error.code),
    );
    if (!request.isGone) request.send(200, "", Buffer.from("ok"));
  });
  const head = headerBlock([...changed(":method", "POST"), ["content-length", "5"]]);
  for (const text of ["long enough", "less", "exact"]) {
    const client = await FrameClient.to(t, port);
    client.send(frame(HEADERS, END_HEADERS, 1, head), frame(DATA, END_STREAM, 1, Buffer.from(text)));
    await client.until(() => client.isClosed || client.code(1) !== undefined || client.isEnded(1));
    assert.equal(client.isEnded(1), text === "exact");
  }
  await settle();
  assert.deepEqual(bodies, ["REQUEST_MALFORMED", "REQUEST_MALFORMED", 5]);
});

test("an answer that is broken off is reset and never looks whole", async (t) => {
  const { port } = await h2Listener(t, async (request) => {
    const writer = request.begin(200, "", request.path === "/length" ? 100 : null);
    if (request.path === "/thrown") throw new Error("a bug");
    if (request.path === "/offered") writer.offer(Buffer.from("half"));
    else if (request.path !== "/nothing") await writer.write(Buffer.from("half"));
    if (request.path === "/short") await writer.end().catch(() => {});
    else writer.abort();
  });
  const client = await FrameClient.to(t, port);
  let streamId = 1;
  for (let round = 0; round < 20; round += 1) {
    for (const path of ["/", "/length", "/thrown", "/offered", "/nothing"]) {
      const id = streamId;
      client.ask(id, changed(":path", path));
      await client.until(() => client.code(id) !== undefined);
      assert.ok(!client.isEnded(id), path);
      assert.notEqual(client.code(id), 0, path);
      streamId += 2;
    }
  }
  client.ask(streamId, changed(":path", "/length"));
  await client.until(() => client.code(streamId) !== undefined);
  assert.equal(client.of(0, GOAWAY).length, 0);
});

test("a client that reads one stream slowly gets the others, and little is held for it", async (t) => {
  const large = Buffer.alloc(200 * 1024 * 1024);
  const released: string[] = [];
  const { port } = await h2Listener(t, (request) => {
    const body = request.path === "/slow" ? large : Buffer.alloc(100_000, "quick");
    request.send(200, "", body, () => released.push(request.path));
  });
  const session = await h2Client(t, port);
  const slow = session.request({ ":path": "/slow" });
  slow.on("error", () => {});
  await once(slow, "response");
  slow.pause();
  const before = process.memoryUsage();
  const answers = await Promise.all(Array.from({ length: 50 }, (_, i) => ask(session, { ":path": `/quick/${i}` })));
  assert.ok(answers.every(({ body }) => body.length === 100_000));
  const after = process.memoryUsage();
  const grownBytes = after.external + after.arrayBuffers - before.external - before.arrayBuffers;
  assert.ok(grownBytes < 40_000_000, `${grownBytes}`);
  const closed = once(slow, "close");
  slow.close(CANCEL);
  await closed;
  await ask(session, GET);
  assert.ok(released.includes("/slow"));
});

test("a client that leaves in the middle aborts its requests and gives their memory back", async (t) => {
  const gone = Promise.withResolvers<RawExchange>();
  const released = Promise.withResolvers<void>();
  const { port } = await h2Listener(t, (request) => {
    if (request.path === "/large") {
      request.send(200, "", Buffer.alloc(64 * 1024 * 1024), () => released.resolve());
      return;
    }
    return new Promise<void>((resolve) => {
      request.signal.addEventListener("abort", () => {
        gone.resolve(request);
        resolve();
      });
    });
  });
  const session = await h2Client(t, port);
  session.request({ ":path": "/waiting" }).on("error", () => {});
  await once(
    session.request({ ":path": "/large" }).on("error", () => {}),
    "data",
  );
  session.destroy();
  assert.ok((await gone.promise).isGone);
  await released.promise;
});

test("a client that breaks off one request after the other is sent away", async (t) => {
  let dispatched = 0;
  const { port } = await h2Listener(t, (request) => {
    dispatched += 1;
    return new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
  });
  const client = await FrameClient.to(t, port);
  const block = headerBlock(REQUEST);
  for (let i = 0; i < 2_000 && !client.isClosed; i += 1) {
    const streamId = 2 * i + 1;
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, streamId, block), frame(RST_STREAM, 0, streamId, u32(CANCEL)));
    if (i % 50 === 0) await settle();
  }
  await client.until(() => client.isClosed);
  assert.ok(dispatched <= 300, `${dispatched}`);
});

test("a client that makes the server break off its requests is sent away too", async (t) => {
  const { port } = await h2Listener(t, (request) => {
    return new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
  });
  const client = await FrameClient.to(t, port);
  const block = headerBlock(REQUEST);
  for (let i = 0; i < 2_000 && !client.isClosed; i += 1) {
    const streamId = 2 * i + 1;
    // A window that grows by nothing is an error of the stream (RFC 9113 §6.9).
    client.send(frame(HEADERS, END_STREAM | END_HEADERS, streamId, block), frame(WINDOW_UPDATE, 0, streamId, u32(0)));
    if (i % 50 === 0) await settle();
  }
  await client.until(() => client.isClosed);
});

for (const [name, flood] of [
  ["pings", frame(PING, 0, 0, Buffer.alloc(8))],
  ["settings", frame(SETTINGS, 0, 0, windowOf(1_000))],
  ["fields without end", frame(CONTINUATION, 0, 1, headerBlock([["x-a", "1"]]))],
  ["empty data", frame(DATA, 0, 1)],
] as const) {
  test(`a client that takes nothing and floods with ${name} is cut, while others are served`, async (t) => {
    const { port } = await h2Listener(t, async (request) => {
      if (request.method === "POST") await request.readBody(1_000);
      request.send(200, "", Buffer.from("fine"));
    });
    const client = await FrameClient.to(t, port);
    const isContinued = name === "fields without end";
    const flags = isContinued ? 0 : END_HEADERS;
    if (name !== "pings") client.send(frame(HEADERS, flags, 1, headerBlock(changed(":method", "POST"))));
    client.socket.pause();
    const many = Buffer.concat(Array.from({ length: 500 }, () => flood));
    for (let i = 0; i < 400 && !client.isClosed && client.socket.writable; i += 1) {
      if (!client.socket.write(many)) await Promise.race([once(client.socket, "drain"), once(client.socket, "close")]);
    }
    client.socket.resume();
    await client.until(() => client.isClosed);
    const session = await h2Client(t, port);
    assert.equal((await ask(session, GET)).body.toString(), "fine");
  });
}

test("more streams than are allowed at a time are refused", async (t) => {
  const { port } = await h2Listener(t, (request) => {
    return new Promise<void>((resolve) => request.signal.addEventListener("abort", () => resolve()));
  });
  const client = await FrameClient.to(t, port);
  await client.until(() => client.of(0, SETTINGS).length >= 2); // ours, and the one that acknowledges theirs
  client.send(frame(SETTINGS, 1, 0));
  for (let i = 0; i < 101; i += 1) client.ask(2 * i + 1);
  await client.until(() => client.code(201) !== undefined || client.isClosed);
  assert.equal(client.code(199), undefined);
});

test("a connection on which nothing happens is told to go, and closed", async (t) => {
  const { listener, pass } = await timedH2(t, (request) => request.send(200, "", Buffer.from("fine")));
  const silent = await FrameClient.to(t, listener.port);
  await silent.until(() => silent.of(0, SETTINGS).length > 0);
  await pass(12);
  await silent.until(() => silent.isClosed);
  const idle = await FrameClient.to(t, listener.port);
  idle.ask(1);
  await idle.until(() => idle.isEnded(1));
  await pass(60);
  assert.ok(!idle.isClosed);
  await pass(6);
  await idle.until(() => idle.isClosed);
  assert.equal(idle.code(0), 0);
  assert.equal(listener.connectionCount, 0);
});

test("a handler that does not answer, or stops in the middle, is overdue", async (t) => {
  const { listener, pass } = await timedH2(t, async (request) => {
    if (request.path === "/half") await request.begin(200, "", null).write(Buffer.from("half"));
    return new Promise<void>(() => {});
  });
  const client = await FrameClient.to(t, listener.port);
  client.ask(1);
  client.ask(3, changed(":path", "/half"));
  await client.until(() => client.body(3).length > 0);
  await settle();
  await pass(119);
  assert.ok(!client.isEnded(1) && client.code(3) === undefined);
  await pass(5);
  await client.until(() => client.isEnded(1) && client.code(3) !== undefined);
  assert.equal(JSON.parse(client.body(1).toString()).code, "DEADLINE_PASSED");
  assert.ok(!client.isEnded(3));
});

test("a body that comes too slowly is refused, and one that is taken too slowly is broken off", async (t) => {
  const { listener, pass } = await timedH2(t, async (request) => {
    if (request.method === "POST") request.send(200, "", await request.readBody(1_000_000));
    else request.send(200, "", Buffer.alloc(100_000));
  });
  const client = await FrameClient.to(t, listener.port, windowOf(10));
  client.send(
    frame(HEADERS, END_HEADERS, 1, headerBlock(changed(":method", "POST"))),
    frame(DATA, 0, 1, Buffer.alloc(10)),
  );
  client.ask(3);
  await client.until(() => client.body(3).length === 10);
  await pass(29);
  assert.ok(client.of(1, HEADERS).length === 0 && client.code(3) === undefined);
  await pass(3);
  await client.until(() => client.of(1, HEADERS).length > 0);
  await pass(60);
  assert.equal(client.code(3), undefined); // 100 kB at 1 kB/s
  await pass(15);
  await client.until(() => client.code(3) !== undefined);
  assert.ok(!client.isEnded(3));
});

test("a listener that closes lets its requests end and refuses further ones", async (t) => {
  const answer = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const listener = await h2Listener(t, async (request) => {
    asked.resolve();
    await answer.promise;
    request.send(200, "", Buffer.from("last"));
  });
  const client = await FrameClient.to(t, listener.port);
  client.ask(1);
  await asked.promise;
  const closing = listener.close(10_000);
  await client.until(() => client.of(0, GOAWAY).length > 0);
  assert.equal(client.code(0), 0);
  answer.resolve();
  await client.until(() => client.isClosed);
  assert.equal(client.body(1).toString(), "last");
  assert.ok(client.isEnded(1));
  await closing;
});

test("connections above the limits are told to calm down, and those of HTTP/1.1 and 2 count together", async (t) => {
  const listener = await h2Listener(t, (request) => request.send(200, "", Buffer.from("fine")), {
    limits: { connectionsPerAddress: 2 },
  });
  const first = await h2Client(t, listener.port);
  const second = await h2Client(t, listener.port);
  const third = await FrameClient.to(t, listener.port);
  await third.until(() => third.isClosed);
  assert.equal(third.code(0), ENHANCE_YOUR_CALM);
  assert.equal(listener.connectionCount, 2);
  assert.equal((await ask(first, GET)).body.toString(), "fine");
  second.destroy();
  first.destroy();
});
