import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { type AccessLogOptions, openAccessLog } from "./access-log.ts";
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

const noFullDisk = existsSync("/dev/full") ? false : "needs /dev/full";

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
