import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { patternBytes } from "./body.ts";
import { runScript, type Target } from "./run.ts";
import { durationMs, parseScript } from "./script.ts";

/** Passes everything on, keeps nothing, and counts what its clock was moved by. */
const passThrough = (moved: number[] = []): Target => ({
  start: async (originUrl) => {
    const origin = new URL(originUrl);
    const server = createServer((asked, answer) => {
      const { headers, method, url } = asked;
      const onward = request({ host: origin.hostname, port: origin.port, path: url, method, headers }, (got) => {
        answer.writeHead(got.statusCode ?? 0, got.headers);
        got.pipe(answer);
        got.on("error", () => answer.destroy());
      });
      onward.on("error", () => answer.headersSent || answer.writeHead(502).end());
      asked.pipe(onward);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    assert.ok(address !== null && typeof address === "object");
    return {
      port: address.port,
      advance: (ms) => void moved.push(ms),
      stop: async () => {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      },
    };
  },
});

const run = async (t: TestContext, text: string, target: Target = passThrough()): Promise<void> => {
  const dir = await mkdtemp(join(tmpdir(), "edge-rules-"));
  t.after(() => rm(dir, { recursive: true }));
  const file = join(dir, "case.http");
  await writeFile(file, `# a case\n${text}`);
  await runScript(file, target);
};

const EXCHANGE = `client GET /a
  X-A: 1
origin gets GET /a
  X-A: 1
  !X-B
origin answers 200
  X-C: abc
  | one
`;

test("what holds passes: requests, answers, patterns, dates, bytes and time", async (t) => {
  const moved: number[] = [];
  const more = `client gets 200
  X-C: ~ b
  X-C: /^a.c$/
  X-C: *
  Content-Length: 3..3
  !X-B
  | one
origin gets nothing
after 1500ms
client b POST /p
  | sent
origin gets POST /p as second
  Content-Length: 4
  | sent
origin sends second
  > HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\nExpires: x\\r\\n\\r\\n3\\r\\none\\r\\n
client b sees 200
  | one
origin continues second
  > 0\\r\\n\\r\\n
client b gets 200
  | one
client GET /d
  If-Modified-Since: {start-1h}
origin gets GET /d
  If-Modified-Since: {start-1h}
origin answers 206
  body 5-9
client gets 200|206
  body 5-9
`;
  await run(t, EXCHANGE + more, passThrough(moved));
  assert.deepEqual(moved, [1_500]);
});

test("what does not hold fails, and the error names the file and the line", async (t) => {
  const cases: [what: string, more: string, message: RegExp][] = [
    ["status", "client gets 404\n", /^case\.http:10 \(a case\): 404 was expected, not \{"startLine":"HTTP\/1\.1 200/],
    ["field", "client gets 200\n  X-C: abcd\n", /^case\.http:10 .*line 11: X-C: abcd was expected, not abc$/],
    ["missing field", "client gets 200\n  X-D: *\n", /line 11: X-D: \* was expected, not nothing/],
    ["field too many", "client gets 200\n  !X-C\n", /line 11: X-C should not be there/],
    ["number", "client gets 200\n  Content-Length: 4..9\n", /Content-Length: 4\.\.9 was expected, not 3/],
    ["body", "client gets 200\n  | two\n", /the body is "one", not "two"/],
    ["not cut", "client gets 200 cut\n", /the body is whole, of 3 bytes/],
    [
      "asked once more",
      "client gets 200\nclient GET /b\norigin gets GET /b\norigin cuts\norigin gets nothing\nclient gets 200\n",
      /502/,
    ],
  ];
  for (const [what, more, message] of cases) {
    await assert.rejects(run(t, EXCHANGE + more), { message }, what);
  }
});

test("a request that no step asked for fails at the end", async (t) => {
  const text = "client GET /a\norigin gets GET /a\norigin answers 200\nclient gets 200\nclient GET /b\nclient leaves\n";
  const silent: Target = {
    start: async (url) => {
      const target = await passThrough().start(url, { rule: {} });
      // Waits until the origin has it, since the client does not.
      return { ...target, advance: () => void fetch(`${url}/c`).catch(() => {}) };
    },
  };
  const waiting =
    "after 1s\nclient GET /d\norigin gets GET /d\norigin answers 200\nclient gets 200\norigin gets nothing\n";
  await assert.rejects(run(t, text + waiting, silent), /requests that the origin should not get/);
});

test("a cut answer and a closed connection are seen", async (t) => {
  const cut = "client GET /a\norigin gets GET /a\norigin answers 200 cut after 5\n  body 0-99\nclient gets 200 cut\n";
  const raw =
    "client sends\n  > GET /a HTTP/1.1\\r\\nHost : x\\r\\n\\r\\n\nclient gets 400 and is closed\norigin gets nothing\n";
  await run(t, cut + raw);
});

test("what is no script is refused with its line", () => {
  const cases: [string, RegExp][] = [
    ["client GET /a\n", /line 1: a script begins with a comment/],
    ["# x\n  Field: a\n", /line 2: an indented line belongs to no step/],
    ["# x\nclient flies\n", /line 2: no step: client flies/],
    ["# x\nafter soon\n", /line 2: no step: after soon/],
    ["# x\nclient GET /a\n  what\n", /line 3: neither a field nor a body: what/],
    ["# x\nclient sends\n  GET /\n", /line 3: raw bytes stand behind "> "/],
  ];
  for (const [text, message] of cases) assert.throws(() => parseScript(text), { message }, text);
});

test("clients by numbers, rules and durations are read", () => {
  const { rule, steps, title } = parseScript('# one\n# two\nrule {"ttl": "2s"}\nclients 1..3 x GET /a\n');
  assert.equal(title, "one");
  assert.deepEqual(rule, { ttl: "2s" });
  const [step] = steps;
  assert.deepEqual(step?.kind === "request" && step.clients, ["1", "2", "3", "x"]);
  assert.deepEqual(["250ms", "2s", "5m", "1h", "1d"].map(durationMs), [250, 2_000, 300_000, 3_600_000, 86_400_000]);
  assert.ok(Number.isNaN(durationMs("2 s")));
});

test("each byte of the pattern follows from its place", () => {
  assert.deepEqual(patternBytes(5_000, 5_099), patternBytes(0, 9_999).subarray(5_000, 5_100));
  assert.notDeepEqual(patternBytes(0, 99), patternBytes(1, 100));
  assert.notDeepEqual(patternBytes(0, 99), patternBytes(26, 125));
});
