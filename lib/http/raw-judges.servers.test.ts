/** The raw listener under others' eyes: curl, wrk, and nginx with the same file. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { once } from "node:events";
import { utimesSync, writeFileSync } from "node:fs";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { findProgram, missingPrograms, serverDir } from "../../test/support/server-process.ts";
import { noNginx, startNginx } from "../../test/support/servers-nginx.ts";
import type { RawHandler } from "./exchange.ts";
import { rawListener } from "./raw.fixture.ts";
import { prepare } from "./raw-prepared.ts";

const RUN_MS = 30_000;
const run = async (program: string, args: readonly string[]): Promise<string> => {
  const { stdout, stderr } = await promisify(execFile)(findProgram(program) ?? program, args, { timeout: RUN_MS });
  return stdout + stderr;
};
const curl = (...args: readonly string[]): Promise<string> =>
  run("curl", ["--silent", "--show-error", "--max-time", "20", ...args]);
const noCurl = missingPrograms("curl");
const noWrk = missingPrograms("wrk");

const BODY = Buffer.from(Array.from({ length: 10_000 }, (_, i) => i % 251));
const MODIFIED = "Tue, 15 Nov 1994 12:45:26 GMT";
const EARLIER = "Tue, 15 Nov 1994 12:45:25 GMT";

interface Answer {
  readonly status: number | undefined;
  readonly range: string | undefined;
  readonly length: string | undefined;
  readonly etag: string | undefined;
  readonly body: Buffer;
}
const ask = async (url: string, headers: Record<string, string>, method = "GET"): Promise<Answer> => {
  const asking = httpRequest(url, { method, headers, agent: false }).end();
  const [response]: [IncomingMessage] = (await once(asking, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  const { "content-range": range, "content-length": length, etag } = response.headers;
  const isContent = response.statusCode === 200 || response.statusCode === 206;
  // What an error says about itself is each server's own.
  const content = isContent
    ? { length, etag, body: Buffer.concat(chunks) }
    : { length: "", etag: "", body: Buffer.alloc(0) };
  return { status: response.statusCode, range, ...content };
};

test("ranges and conditions are answered as nginx answers them", { skip: noNginx }, async (t) => {
  const nginx = await startNginx(t);
  const file = join(nginx.root, "file");
  writeFileSync(file, BODY);
  utimesSync(file, new Date(MODIFIED), new Date(MODIFIED));
  const theirs = `http://127.0.0.1:${nginx.port}/plain/file`;
  const { etag = "" } = await ask(theirs, {});
  assert.match(etag, /^"/);
  const { port } = await rawListener(t, (request) =>
    request.send(200, `ETag: ${etag}\r\nLast-Modified: ${MODIFIED}\r\n`, BODY),
  );
  const ranges = [
    ["0-499", "500-999", "-500", "9500-", "0-", "0-0", "9999-9999", "9990-10500", "-20000"],
    ["10000-", "10000-10001", "-0", "5-9 "],
  ].flat();
  const part = { range: "bytes=0-1" };
  const cases: Record<string, string>[] = [
    {},
    ...ranges.map((range) => ({ range: `bytes=${range}` })),
    ...["Bytes=0-1", "items=0-1", "bytes"].map((range) => ({ range })),
    ...[etag, `W/${etag}`, '"x"', `"x", ${etag}`, "*", "x"].flatMap((tag) => [
      { "if-none-match": tag },
      { "if-none-match": tag, ...part },
      { "if-none-match": tag, "if-modified-since": MODIFIED },
    ]),
    ...[etag, `W/${etag}`, '"x"', "*"].flatMap((tag) => [
      { "if-match": tag },
      { "if-range": tag, ...part },
      { "if-match": tag, "if-none-match": etag },
    ]),
    ...[EARLIER, MODIFIED, "Tuesday, 15-Nov-94 12:45:26 GMT", "Tue Nov 15 12:45:26 1994"].flatMap((date) => [
      { "if-modified-since": date },
      { "if-unmodified-since": date },
      { "if-range": date, ...part },
    ]),
  ];
  // Ours ignores ranges on HEAD (RFC 9110 §14.2: they are defined for GET alone), nginx does not.
  const ofHead = cases.filter((headers) => !("range" in headers));
  for (const [method, some] of [["GET", cases] as const, ["HEAD", ofHead] as const]) {
    for (const headers of some) {
      const [ours, others] = await Promise.all([
        ask(`http://127.0.0.1:${port}/`, headers, method),
        ask(theirs, headers, method),
      ]);
      assert.deepEqual(ours, others, `${method} ${JSON.stringify(headers)}`);
    }
  }
});

const upload: RawHandler = async (request) => {
  if (request.method === "GET") return request.send(200, 'ETag: "a"\r\n', BODY);
  const body = await request.readBody(4_000_000);
  request.send(200, "", Buffer.from(String(body.length)));
};

test("curl keeps one connection, resumes, uploads with and without a length", { skip: noCurl }, async (t) => {
  const { port } = await rawListener(t, upload);
  const url = `http://127.0.0.1:${port}/`;
  const dir = serverDir(t, "curl");
  const file = join(dir, "sent");
  writeFileSync(file, Buffer.alloc(3_000_000, "s"));

  const twice = await curl("--verbose", "-o", join(dir, "1"), url, "-o", join(dir, "2"), url);
  assert.match(twice, /Re-using existing connection/);
  writeFileSync(join(dir, "part"), BODY.subarray(0, 4_000));
  await curl("--continue-at", "-", "-o", join(dir, "part"), url);
  assert.equal(await run("cmp", [join(dir, "part"), join(dir, "1")]), "");
  assert.equal((await curl("--range", "-10", "-o", "-", url)).length, BODY.subarray(-10).toString().length);

  const continued = await curl("--verbose", "--data-binary", `@${file}`, "-H", "Expect: 100-continue", url);
  assert.match(continued, /< HTTP\/1\.1 100 Continue/);
  assert.match(continued, /3000000/);
  assert.equal(await curl("--data-binary", `@${file}`, "-H", "Transfer-Encoding: chunked", url), "3000000");
  assert.equal(await curl("--http1.0", "--data-binary", `@${file}`, url), "3000000");
  writeFileSync(file, Buffer.alloc(5_000_000));
  assert.match(await curl("--data-binary", `@${file}`, "-H", "Transfer-Encoding: chunked", url), /BODY_TOO_LARGE/);
});

test("wrk keeps its connections and sees no error, small or large", { skip: noWrk }, async (t) => {
  const prepared = prepare(200, "Content-Type: text/plain\r\n", Buffer.alloc(1_500));
  const large = Buffer.alloc(1_000_000);
  const { port } = await rawListener(t, (request) =>
    request.path === "/large" ? request.send(200, "", large) : request.sendPrepared(prepared),
  );
  for (const path of ["/", "/large"]) {
    const said = await run("wrk", ["-t1", "-c16", "-d1s", `http://127.0.0.1:${port}${path}`]);
    assert.match(said, /[1-9]\d* requests in/);
    assert.doesNotMatch(said, /Socket errors|Non-2xx/);
  }
});
