/** What the raw listener does about those who take too long; the tests move its time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import type { RawExchange, RawHandler } from "./exchange.ts";
import { bodiesOf, settle, statusesOf, timed } from "./raw.fixture.ts";

const HOST = "Host: a.example\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const OK: RawHandler = (request) => request.send(200, "", Buffer.from("ok"));
const MiB = 1024 * 1024;

test("who says nothing is left after 10 s, without a word", async (t) => {
  const { pass, client } = await timed(t, OK);
  const silent = await client();
  await pass(9);
  assert.equal(silent.ending, undefined);
  await pass(3);
  assert.deepEqual([await silent.toEnd(), silent.ending], ["", "end"]);
});

test("a head has 15 s from its first byte to its last, however steadily it trickles", async (t) => {
  const { pass, client } = await timed(t, OK);
  const slow = await client("GET / HT");
  for (let second = 0; second < 14; second += 1) {
    await pass(1);
    slow.send(second === 0 ? "TP/1.1\r\n" : `X-${second}: y\r\n`);
    assert.equal(slow.ending, undefined);
  }
  await pass(3);
  assert.deepEqual(statusesOf(await slow.toEnd()), [408]);
});

test("an idle connection is kept for 65 s after its answer, not less", async (t) => {
  const { pass, client } = await timed(t, OK);
  const idle = await client(get("/"));
  await pass(60);
  idle.send(get("/"));
  await pass(60);
  assert.deepEqual([statusesOf(idle.text), idle.ending], [[200, 200], undefined]);
  await pass(10);
  await idle.toEnd();
  assert.deepEqual([statusesOf(idle.text), idle.ending], [[200, 200], "end"]);
});

test("a body that comes slower than 1 kB/s over 30 s is 408, a faster one is waited for", async (t) => {
  const { pass, client } = await timed(t, async (request) => {
    request.send(200, "", await request.readBody(MiB));
  });
  const post = `POST / HTTP/1.1\r\n${HOST}Content-Length: 200000\r\n\r\n`;
  const slow = await client(post);
  const steady = await client(post);
  for (let second = 0; second < 45; second += 1) {
    slow.send("x".repeat(800));
    steady.send("x".repeat(1_500));
    await pass(1);
  }
  assert.deepEqual(statusesOf(await slow.toEnd()), [408]);
  assert.match(slow.text, /"code":"BODY_LATE"/);
  steady.send("x".repeat(200_000 - 45 * 1_500));
  await steady.until(() => steady.text.endsWith("xxx"));
  assert.deepEqual(statusesOf(steady.text), [200]);
});

test("a body that nobody wanted is not waited for either", async (t) => {
  const { pass, client } = await timed(t, OK);
  const slow = await client(`POST / HTTP/1.1\r\n${HOST}Content-Length: 50000\r\n\r\n`);
  assert.deepEqual(statusesOf(slow.text), [200]);
  await pass(32);
  await pass(3);
  await slow.toEnd();
  assert.deepEqual(statusesOf(slow.text), [200]);
});

test("who takes less than 1 kB/s of an answer is cut and its memory freed; who takes more is not", async (t) => {
  const body = Buffer.alloc(64 * MiB, "b");
  const released: string[] = [];
  const { pass, client } = await timed(t, (request) => request.send(200, "", body, () => released.push(request.path)));
  const stuck = await client();
  const steady = await client();
  for (const one of [stuck, steady]) one.socket.pause();
  stuck.send(get("/stuck"));
  steady.send(get("/steady"));
  await settle();
  let taken = 0;
  steady.socket.on("data", (bytes: Buffer) => {
    taken += bytes.length;
  });
  for (let window = 0; window < 4; window += 1) {
    // Far more than what the kernel holds for a connection, so that the server sees it go.
    const goal = taken + 12 * MiB;
    steady.socket.resume();
    while (taken < goal) await turn();
    steady.socket.pause();
    await pass(30);
  }
  assert.deepEqual(released, ["/stuck"]);
  steady.socket.resume();
  await steady.until(() => taken >= body.length);
  while (released.length < 2) await turn();
  assert.deepEqual(released, ["/stuck", "/steady"]);
});

test("a handler that never answers is answered for after 2 minutes, told to stop, and no longer heard", async (t) => {
  const seen: RawExchange[] = [];
  const { pass, client, log } = await timed(t, (request) => {
    seen.push(request);
    return request.path === "/never" ? new Promise(() => {}) : undefined;
  });
  const never = await client(get("/never"));
  const callback = await client(get("/callback"));
  const [first, second] = seen;
  assert.equal(first?.signal.aborted, false);
  await pass(122);
  assert.deepEqual(statusesOf(never.text), [504]);
  assert.deepEqual(statusesOf(callback.text), [504]);
  assert.equal(first?.signal.aborted, true);
  second?.send(200, "", Buffer.from("late"));
  await pass(3);
  assert.doesNotMatch(await callback.toEnd(), /late/);
  assert.equal(log.lines.filter(({ level }) => Number(level) === 50).length, 2);
});

test("a handler that begins an answer and then writes nothing for 2 minutes is cut", async (t) => {
  const { pass, client, log } = await timed(t, async (request) => {
    await request.begin(200, "", 10).write(Buffer.from("12345"));
    return new Promise(() => {});
  });
  const waiting = await client(get("/"));
  await pass(120);
  assert.equal(waiting.ending, undefined);
  await pass(60);
  await waiting.toEnd();
  assert.deepEqual([waiting.ending, bodiesOf(waiting.text)], ["reset", ["12345"]]);
  assert.equal(log.lines.filter(({ level }) => level === 50).length, 1);
});

test("a connection that is closed still reads for 2 s, then is gone whatever the client does", async (t) => {
  const { pass, client, listener } = await timed(t, OK);
  const stubborn = await client(get("/", "Connection: close\r\n"));
  await stubborn.toEnd();
  stubborn.send("x".repeat(MiB));
  await settle();
  assert.deepEqual([stubborn.ending, listener.connectionCount], ["end", 1]);
  await pass(4);
  assert.equal(listener.connectionCount, 0);
});
