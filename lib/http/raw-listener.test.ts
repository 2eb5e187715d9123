/** How the raw listener lives: deadlines, limits, failing handlers, fairness, stopping. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { Fault, fail } from "../../contracts/errors.ts";
import { quietLog } from "../log/log.ts";
import { metricsText } from "../metrics/metrics.ts";
import type { RawExchange, RawHandler } from "./exchange.ts";
import { openListener } from "./listener.ts";
import { bodiesOf, exchange, keptLog, RawClient, rawListener, statusesOf } from "./raw.fixture.ts";
import { Deadlines } from "./raw-deadlines.ts";
import { openRawListener } from "./raw-listener.ts";
import { prepare } from "./raw-prepared.ts";

const HOST = "Host: a.example\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const OK: RawHandler = (request) => request.send(200, "", Buffer.from("ok"));
const MiB = 1024 * 1024;

/** Lets everything happen that is already under way. */
const settle = async (): Promise<void> => {
  for (let i = 0; i < 10; i += 1) await turn();
};

/** A listener whose time the test moves. */
const timed = async (t: TestContext, handle: RawHandler, limits = {}) => {
  const deadlines = new Deadlines(500);
  const log = keptLog();
  const listener = await rawListener(t, handle, { deadlines, log: log.log, limits });
  const pass = async (seconds: number): Promise<void> => {
    await settle();
    for (let ms = 0; ms < seconds * 1_000; ms += 500) deadlines.advance(500);
    await settle();
  };
  const client = async (text = ""): Promise<RawClient> => {
    const made = await RawClient.to(listener.port);
    t.after(() => made.destroy());
    if (text !== "") made.send(text);
    await settle();
    return made;
  };
  return { listener, pass, client, log };
};

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

test("beyond their limits connections are told so, and a place that is freed is given", async (t) => {
  for (const limits of [{ connections: 2 }, { connectionsPerAddress: 2 }]) {
    const { client, listener } = await timed(t, OK, limits);
    const [first, second] = [await client(get("/")), await client(get("/"))];
    const third = await client(get("/"));
    await third.toEnd();
    assert.deepEqual(statusesOf(third.text), [503]);
    assert.match(third.text, /"code":"CONNECTIONS_FULL"/);
    assert.match(third.text, /\r\nRetry-After: 1\r\n/);
    first?.destroy();
    while (listener.connectionCount > 1) await turn();
    const fourth = await client(get("/"));
    assert.deepEqual([...statusesOf(second?.text ?? ""), ...statusesOf(fourth.text)], [200, 200]);
  }
});

test("an error of the catalogue is its problem, any other a 500 that says nothing", async (t) => {
  const log = keptLog();
  const { port } = await rawListener(
    t,
    (request) => {
      if (request.path === "/fault") return fail("SOURCE_NOT_FOUND", { path: "a.mp4" });
      if (request.path === "/later") return Promise.reject(new Fault("PACKAGER_BUSY"));
      if (request.path === "/bug") throw new Error("password=hunter2");
      if (request.path === "/later-bug") return Promise.reject(new Error("password=hunter2"));
      if (request.path === "/twice") {
        request.send(200, "", Buffer.from("once"));
        request.send(200, "", Buffer.from("twice"));
      }
      return Promise.resolve();
    },
    { log: log.log },
  );
  const paths = ["/fault", "/later", "/bug", "/later-bug", "/twice", "/nothing"];
  const answer = await exchange(port, paths.map((path) => get(path)).join(""));
  assert.deepEqual(statusesOf(answer), [404, 503, 500, 500, 200, 500]);
  assert.doesNotMatch(answer, /hunter2|raw-/);
  const codes = bodiesOf(answer).map((body) => (body.startsWith("{") ? JSON.parse(body).code : body));
  assert.deepEqual(codes, ["SOURCE_NOT_FOUND", "PACKAGER_BUSY", "INTERNAL", "INTERNAL", "once", "INTERNAL"]);
  const errors = log.lines.filter(({ level }) => level === 50);
  assert.deepEqual(
    errors.map(({ path }) => path),
    ["/bug", "/later-bug", "/twice", "/nothing"],
  );
  for (const { err } of errors) assert.match((err as { stack: string }).stack, /raw-\w+(\.test)?\.ts:\d+/);
  const [, bug] = /"code":"INTERNAL".*?"requestId":"([^"]+)"/.exec(answer) ?? [];
  assert.equal(errors[0]?.requestId, bug);
});

test("the health addresses are answered beside the handler's", async (t) => {
  let isReady = false;
  const { port } = await rawListener(t, OK, {
    name: "health",
    ready: () => ({ ready: isReady, checks: { disk: isReady } }),
  });
  const [live = "", unready = ""] = bodiesOf(await exchange(port, get("/livez") + get("/readyz?x")));
  assert.deepEqual(
    [JSON.parse(live), JSON.parse(unready)],
    [{ live: true }, { ready: false, checks: { disk: false } }],
  );
  isReady = true;
  assert.deepEqual(
    statusesOf(await exchange(port, get("/readyz") + get("/livezz") + get("/metrics"))),
    [200, 200, 200],
  );
  const post = `POST /livez HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`;
  assert.deepEqual(bodiesOf(await exchange(port, post)), ["ok"]);
  const [metrics = ""] = bodiesOf(await exchange(port, get("/metrics")));
  assert.match(metrics, /^castellan_http_requests_total\{listener="health",status="200"\} 5$/m);
});

test("what was answered, refused and cut is counted", async (t) => {
  const body = Buffer.alloc(1_000);
  const { port } = await rawListener(
    t,
    (request) => {
      if (request.path === "/cut") request.begin(200, "", 10).abort();
      else if (request.path === "/none") request.problem({ code: "NOT_FOUND" });
      else request.send(200, "", body);
    },
    { name: "counted" },
  );
  await exchange(port, get("/") + get("/") + get("/none"));
  await exchange(port, get("/cut"));
  await exchange(port, "GET / HTTP/1.1\r\n\r\n");
  const open = await RawClient.to(port);
  await settle();
  const text = await metricsText();
  open.destroy();
  const value = (line: string): number =>
    Number(
      text
        .split("\n")
        .find((one) => one.startsWith(`${line} `))
        ?.split(" ")
        .at(-1),
    );
  const named = (name: string, labels = "") => value(`castellan_http_${name}{listener="counted"${labels}}`);
  assert.deepEqual(
    {
      ok: named("requests_total", ',status="200"'),
      missing: named("requests_total", ',status="404"'),
      cut: named("cut_total"),
      refused: named("refused_total", ',code="REQUEST_MALFORMED"'),
      timed: named("request_seconds_count"),
      all: named("request_seconds_bucket", ',le="+Inf"'),
      open: named("connections"),
    },
    { ok: 2, missing: 1, cut: 1, refused: 1, timed: 3, all: 3, open: 1 },
  );
  assert.ok(named("sent_bytes_total") > 2_000 && named("sent_bytes_total") < 3_000);
});

test("a connection that sends a thousand requests at once does not keep others waiting for all of them", async (t) => {
  const answered: string[] = [];
  const { port } = await rawListener(t, (request) => {
    answered.push(request.path);
    request.send(200, "", Buffer.alloc(8));
  });
  const [greedy, modest] = [await RawClient.to(port), await RawClient.to(port)];
  greedy.send(get("/greedy").repeat(1_000));
  modest.send(get("/modest"));
  await greedy.until(() => statusesOf(greedy.text).length === 1_000);
  await modest.until(() => statusesOf(modest.text).length === 1);
  const place = answered.indexOf("/modest");
  assert.ok(place >= 0 && place < 200, `after ${place}`);
  for (const one of [greedy, modest]) one.destroy();
});

test("a client that sends requests and takes no answers is not read on", async (t) => {
  let count = 0;
  const prepared = prepare(200, "", Buffer.alloc(50_000));
  const { port } = await rawListener(t, (request) => {
    count += 1;
    request.sendPrepared(prepared);
  });
  const client = await RawClient.to(port);
  client.socket.pause();
  const many = get(`/${"x".repeat(1_000)}`).repeat(1_000);
  let isHeld = false;
  for (let round = 0; round < 100 && !isHeld; round += 1) {
    isHeld = !client.socket.write(many);
    await settle();
  }
  const [before, written] = [count, client.socket.bytesWritten];
  await settle();
  assert.equal(count, before);
  assert.ok(isHeld && client.socket.writableLength > 0, `${written}`);
  client.socket.resume();
  const goal = before + 10;
  while (count < goal) await turn();
  client.destroy();
});

test("several viewers who each want large bodies are served side by side", async (t) => {
  const body = Buffer.alloc(4 * MiB);
  const { port } = await rawListener(t, (request) => request.send(200, "", body));
  const viewers = 6;
  const program = join(import.meta.dirname, "raw-viewers.fixture.ts");
  const args = [program, String(port), String(viewers), String(viewers * 60 * MiB)];
  const { stdout } = await promisify(execFile)(process.execPath, args, { timeout: 60_000 });
  const taken = JSON.parse(stdout) as number[];
  const share = taken.reduce((all, one) => all + one, 0) / viewers;
  const shown = taken.map((bytes) => (bytes / MiB).toFixed(1)).join(" ");
  for (const one of taken) assert.ok(one > share / 3 && one < share * 3, shown);
  t.diagnostic(`MiB taken by each: ${shown}`);
});

test("a stop lets answers under way end, closes idle connections, and takes no new ones", async (t) => {
  const waiting: (() => void)[] = [];
  const listener = await openRawListener({
    name: "stop",
    host: "127.0.0.1",
    port: 0,
    portVariable: "PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle: async (request) => {
      if (request.path === "/slow") await new Promise<void>((resolve) => waiting.push(resolve));
      request.send(200, "", Buffer.from("ok"));
    },
  });
  t.after(() => listener.close(0));
  const [idle, busy] = [await RawClient.to(listener.port), await RawClient.to(listener.port)];
  idle.send(get("/"));
  busy.send(get("/slow"));
  while (waiting.length === 0) await turn();
  const closed = listener.close(60_000);
  await idle.toEnd();
  idle.destroy();
  assert.deepEqual([idle.ending, statusesOf(idle.text)], ["end", [200]]);
  await assert.rejects(RawClient.to(listener.port), { code: "ECONNREFUSED" });
  waiting[0]?.();
  assert.match(await busy.toEnd(), /\r\nConnection: close\r\n\r\nok$/);
  busy.destroy();
  await closed;
  assert.equal(listener.connectionCount, 0);
});

test("a stop cuts what is not done when its time is over", async (t) => {
  const { listener, client } = await timed(t, () => new Promise(() => {}));
  const busy = await client(get("/"));
  await listener.close(20);
  await busy.toEnd();
  assert.deepEqual([statusesOf(busy.text), listener.connectionCount], [[], 0]);
});

test("listeners that are told to share a port each get connections of it", async (t) => {
  const taken = [0, 0];
  const one = (index: number): RawHandler => {
    return (request) => {
      taken[index]! += 1;
      request.send(200, "", Buffer.from("ok"));
    };
  };
  const { port } = await rawListener(t, one(0), { reusePort: true });
  await rawListener(t, one(1), { reusePort: true, port });
  for (let i = 0; i < 200 && taken.includes(0); i += 1) await exchange(port, get("/"));
  assert.ok(!taken.includes(0), `${taken}`);
});

test("a port that is taken, or no port of ours, is said as by the other listeners", async (t) => {
  const { port } = await rawListener(t, OK);
  const options = {
    name: "second",
    port,
    portVariable: "PACKAGER_PORT",
    log: quietLog,
    ready: () => ({ ready: true, checks: {} }),
    handle: () => {},
  };
  for (const host of ["127.0.0.1", "203.0.113.1", "256.0.0.1"]) {
    const complaint = (error: unknown): string => `${(error as Error).name}: ${(error as Error).message}`;
    const ours = await openRawListener({ ...options, host }).then(() => "opened", complaint);
    const theirs = await openListener({ ...options, host }).then(() => "opened", complaint);
    assert.equal(ours, theirs);
    assert.match(ours, host === "127.0.0.1" ? /PACKAGER_PORT.*taken/ : /HOST/);
  }
});
