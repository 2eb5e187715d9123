/** How the raw listener lives: limits, failing handlers, fairness, stopping. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { join } from "node:path";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { Fault, fail } from "../../contracts/errors.ts";
import { quietLog } from "../log/log.ts";
import { metricsText } from "../metrics/metrics.ts";
import type { RawHandler } from "./exchange.ts";
import { openListener } from "./listener.ts";
import { bodiesOf, exchange, keptLog, RawClient, rawListener, settle, statusesOf, timed } from "./raw.fixture.ts";
import { openRawListener } from "./raw-listener.ts";
import { prepare } from "./raw-prepared.ts";

const HOST = "Host: a.example\r\n";
const get = (path: string, fields = ""): string => `GET ${path} HTTP/1.1\r\n${HOST}${fields}\r\n`;
const OK: RawHandler = (request) => request.send(200, "", Buffer.from("ok"));
const MiB = 1024 * 1024;

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
