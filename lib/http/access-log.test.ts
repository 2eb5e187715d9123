import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type AccessEntry, type AccessLogOptions, openAccessLog } from "./access-log.ts";
import { exchange, keptLog, rawListener } from "./raw.fixture.ts";

const folder = async (t: TestContext): Promise<string> => {
  const made = await mkdtemp(join(tmpdir(), "access-log-"));
  t.after(() => rm(made, { recursive: true }));
  return made;
};

/** What is written while these requests are made. */
const written = async (t: TestContext, text: string, options: Partial<AccessLogOptions> = {}): Promise<string> => {
  const path = join(await folder(t), "access.log");
  const accessLog = await openAccessLog({ path, format: "combined", log: keptLog().log, ...options });
  const { port } = await rawListener(t, (request) => request.send(200, "", Buffer.from("hello")), { accessLog });
  await exchange(port, text);
  await accessLog.close();
  return readFile(path, "utf8");
};

const HOST = "Host: a.example\r\n";

test("a request is a line as Apache and nginx write it, without its query", async (t) => {
  const line = await written(
    t,
    `GET /a.mp4?token=secret HTTP/1.1\r\n${HOST}User-Agent: VLC/3.0\r\nReferer: http://b.example/\r\n\r\n`,
  );
  const [place, time, ...rest] = line.split(/ \[|\] /);
  assert.equal(place, "127.0.0.1 - -");
  assert.match(time ?? "", /^\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000$/);
  assert.deepEqual(rest, ['"GET /a.mp4 HTTP/1.1" 200 5 "http://b.example/" "VLC/3.0"\n']);
});

test("nothing that a client sends ends a line or its quotes", async (t) => {
  const agent = `User-Agent: a" 200 0 "-" "b\\\xe4\t\r\n`;
  const combined = await written(t, `GET /"x" HTTP/1.0\r\n${agent}\r\n`);
  assert.match(combined, /"GET \/\\x22x\\x22 HTTP\/1\.0" 200 5 "-" "a\\x22 200 0 \\x22-\\x22 \\x22b\\x5C\\xE4"\n$/);
  assert.equal(combined.split("\n").length, 2);
  const json = JSON.parse(await written(t, `GET /"x" HTTP/1.0\r\n${agent}\r\n`, { format: "json" }));
  const { time, ms, ...rest } = json;
  assert.ok(Date.parse(time) > 0 && ms >= 0);
  assert.deepEqual(rest, {
    address: "127.0.0.1",
    method: "GET",
    target: '/"x"',
    status: 200,
    bytes: 5,
    agent: 'a" 200 0 "-" "b\\\xe4',
  });
});

test("neither a signed path nor the page that one comes from shows its token", async (t) => {
  const token = `k1.1800000000.0.-.Lw.${"A".repeat(43)}`;
  const referer = `Referer: https://cdn.example/~${token}/a?token=${token}\r\n`;
  const text = `GET /~${token}/vod/1.ts HTTP/1.1\r\n${HOST}${referer}\r\n`;
  const combined = await written(t, text);
  assert.match(combined, /"GET \/~\*\/vod\/1\.ts HTTP\/1\.1" 200 5 "https:\/\/cdn\.example\/~\*\/a" "-"\n$/);
  assert.equal(JSON.parse(await written(t, text, { format: "json" })).target, "/~*/vod/1.ts");
});

test("what is shown of a target is chosen by who opens the log", async (t) => {
  const shown: AccessLogOptions["shown"] = ({ target }) => target.replace(/token=[^&]*/, "token=…");
  const line = await written(t, `GET /a?token=secret&b=1 HTTP/1.1\r\n${HOST}\r\n`, { format: "json", shown });
  assert.equal(JSON.parse(line).target, "/a?token=…&b=1");
});

test("lines that can't be written as fast as they come are dropped and counted", async (t) => {
  const path = join(await folder(t), "access.log");
  const accessLog = await openAccessLog({ path, format: "combined", log: keptLog().log, heldBytesMax: 1_000 });
  const { port } = await rawListener(t, (request) => request.send(200, "", Buffer.from("hello")), { accessLog });
  await exchange(port, `GET / HTTP/1.1\r\n${HOST}\r\n`.repeat(100));
  await accessLog.close();
  const lines = (await readFile(path, "utf8")).split("\n").length - 1;
  assert.ok(accessLog.droppedCount > 50 && lines > 5, `${accessLog.droppedCount} ${lines}`);
  assert.equal(accessLog.droppedCount + lines, 100);
});

test("a file that can't be opened is said at once", async (t) => {
  const path = join(await folder(t), "missing", "access.log");
  await assert.rejects(openAccessLog({ path, format: "combined", log: keptLog().log }), { code: "ENOENT" });
});

const noFullDisk = existsSync("/dev/full") ? false : "skipped: needs /dev/full";

test("a disk that fails is said once, and requests go on", { skip: noFullDisk }, async (t) => {
  const log = keptLog();
  const full = await openAccessLog({ path: "/dev/full", format: "combined", log: log.log, flushMs: 1 });
  const { port } = await rawListener(t, (request) => request.send(200, "", Buffer.from("hello")), { accessLog: full });
  for (let i = 0; i < 3; i += 1) {
    await exchange(port, `GET / HTTP/1.1\r\n${HOST}\r\n`);
    while (full.droppedCount <= i) await new Promise((resolve) => setImmediate(resolve));
  }
  await full.close();
  assert.equal(log.lines.filter(({ msg }) => msg === "access log").length, 1);
});

/** An entry of a handler that knows more than the listener. */
const entryOf = (entry: Partial<Omit<AccessEntry, "request">> & { host?: string; path?: string } = {}): AccessEntry => {
  const { host = "cdn.acme.example", path = "/a.ts", ...rest } = entry;
  const request = {
    ...{ method: "GET", target: path, path, query: "", host, remoteAddress: "192.0.2.7", encrypted: false },
    ...{ requestId: "r", signal: new AbortController().signal },
    header: () => undefined,
    fields: [],
    isConditional: false,
    readBody: () => Promise.resolve(Buffer.alloc(0)),
  };
  return { request, httpMinor: 1, status: 200, sentBytes: 5, tookMs: 2, isWhole: true, ...rest };
};
/** The lines of these entries. */
const noted = async (t: TestContext, entries: AccessEntry[], options: Partial<AccessLogOptions>): Promise<string[]> => {
  const path = join(await folder(t), "access.log");
  const accessLog = await openAccessLog({ path, format: "combined", log: keptLog().log, ...options });
  for (const entry of entries) accessLog.note(entry);
  await accessLog.close();
  return (await readFile(path, "utf8")).split("\n").slice(0, -1);
};
const details: AccessLogOptions["details"] = ({ context }) =>
  typeof context === "string" ? { customer: "acme", cache: context } : undefined;

test("host, customer, cache and time to first byte stand behind what every reader of the format knows", async (t) => {
  const lines = await noted(t, [entryOf({ context: "hit", firstByteMs: 4.2 }), entryOf()], { details });
  assert.deepEqual(
    lines.map((line) => line.replace(/\[.*?\]/, "[]")),
    [
      '192.0.2.7 - - [] "GET /a.ts HTTP/1.1" 200 5 "-" "-" "cdn.acme.example" "acme" "hit" 0.004',
      '192.0.2.7 - - [] "GET /a.ts HTTP/1.1" 200 5 "-" "-" "cdn.acme.example" "-" "-" -',
    ],
  );
  const json = await noted(t, [entryOf({ context: "hit", firstByteMs: 4.2 }), entryOf()], { details, format: "json" });
  assert.deepEqual(
    json
      .map((line) => JSON.parse(line))
      .map(({ host, customer, cache, ttfbMs }) => ({ host, customer, cache, ttfbMs })),
    [
      { host: "cdn.acme.example", customer: "acme", cache: "hit", ttfbMs: 4.2 },
      { host: "cdn.acme.example", customer: undefined, cache: undefined, ttfbMs: undefined },
    ],
  );
});

test("no host, path or word of the cache ends a line or its quotes", async (t) => {
  const bad = '"\n\r\t\0\x1b[31m\\\x7f\u2028é" 200';
  const entry = entryOf({ host: bad, path: `/${bad}`, context: bad });
  for (const format of ["combined", "json"] as const) {
    const [line = "", ...rest] = await noted(t, [entry], { details, format });
    assert.deepEqual(rest, []);
    if (format === "combined") assert.match(line, /^[ -~]+$/);
    if (format === "json") assert.deepEqual([JSON.parse(line).host, JSON.parse(line).cache], [bad, bad]);
    else assert.equal(line.split('"').length, 13, "twelve quotes, all of the format");
  }
});

test("of a sampled log one of n has a line, that says so; errors and cut answers have each theirs", async (t) => {
  const entries = Array.from({ length: 100 }, () => entryOf());
  const errors = [entryOf({ status: 404 }), entryOf({ status: 502 }), entryOf({ isWhole: false })];
  const all = [...entries.slice(0, 50), ...errors, ...entries.slice(50)];
  const options = { format: "json", sample: { every: 10, errorsAlways: true } } as const;
  const lines = (await noted(t, all, options)).map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.filter(({ sample }) => sample === undefined).map(({ status, cut }) => [status, cut]),
    [
      [404, undefined],
      [502, undefined],
      [200, true],
    ],
  );
  assert.equal(
    lines.reduce((sum, { sample = 1 }) => sum + sample, 0),
    103,
  );
  const sampled = await noted(t, all, { sample: { every: 10, errorsAlways: false } });
  assert.equal(sampled.length, 10);
});

test("dropped lines are said, with how many", async (t) => {
  const log = keptLog();
  const path = join(await folder(t), "access.log");
  const accessLog = await openAccessLog({ path, format: "combined", log: log.log, heldBytesMax: 1_000 });
  for (let index = 0; index < 100; index += 1) accessLog.note(entryOf());
  await accessLog.close();
  const said = log.lines.filter(({ msg }) => msg === "access log: lines were dropped").map(({ count }) => count);
  assert.deepEqual(said, [accessLog.droppedCount]);
});

const STUCK = `
  import { openAccessLog } from ${JSON.stringify(join(import.meta.dirname, "access-log.ts"))};
  const warn = (data) => process.send({ dropped: data.count });
  const options = { path: "-", format: "json", log: { warn, error: warn }, flushMs: 1, heldBytesMax: 100_000 };
  const log = await openAccessLog(options);
  const request = { method: "GET", path: "/", remoteAddress: "::1", host: "h", header: () => undefined };
  const entry = { request, httpMinor: 1, status: 200, sentBytes: 1, tookMs: 1, isWhole: true };
  for (let round = 0; round < 100; round += 1) {
    for (let line = 0; line < 500; line += 1) log.note(entry);
    await new Promise((resolve) => setImmediate(resolve));
  }
  process.send({ served: true });
  await log.close();
  process.send({ closed: true });
`;

test("a reader of stdout that has stopped holds up neither requests nor the listener's end", async (t) => {
  const child = spawn(process.execPath, ["--input-type=module", "-e", STUCK], {
    stdio: ["ignore", "pipe", "inherit", "ipc"],
  });
  t.after(() => child.kill("SIGKILL"));
  const heard: string[] = [];
  const closed = new Promise<void>((resolve) => {
    child.on("message", (message) => {
      const [word = ""] = Object.keys(message);
      heard.push(word);
      if (word === "closed") resolve();
    });
  });
  await Promise.race([closed, once(child, "exit", { signal: AbortSignal.timeout(60_000) })]); // nobody reads its stdout
  assert.deepEqual(
    heard.filter((word) => word !== "dropped"),
    ["served", "closed"],
  );
  assert.ok(heard.includes("dropped"));
});
