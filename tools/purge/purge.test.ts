import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";

const START = join(import.meta.dirname, "..", "..", "start.mjs");
const TOKEN = "0123456789abcdef";

const run = async (args: readonly string[], env: Record<string, string>) => {
  const child = spawn(process.execPath, [START, "purge", ...args], { env: { PATH: process.env.PATH, ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const [status] = (await once(child, "close")) as [number];
  return { status, stdout, stderr };
};

/** What a packager would be asked, and a DATA_DIR that names it. */
const standIn = async (t: TestContext, status = 200) => {
  const asked: unknown[] = [];
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    asked.push([request.method, request.url, request.headers.authorization, JSON.parse(body)]);
    const purged = { indexCount: 1, inputCount: 2, segmentCount: 3, sizeBytes: 4096, dryRun: false };
    response.writeHead(status).end(JSON.stringify(status === 200 ? purged : { detail: "The token is wrong." }));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const dir = await tempDir(t);
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mkdirSync(join(dir, "run"));
  writeFileSync(join(dir, "run", "endpoints.json"), JSON.stringify({ packager: url }));
  return { asked, url, env: { DATA_DIR: dir, CASTERPAK_APPLICATION_ADMIN_TOKEN: TOKEN } };
};

test("the packager beside it is told, and what it let go of is said", async (t) => {
  const { asked, env } = await standIn(t);
  assert.deepEqual(await run(["/i/film.mp4/master.m3u8", "/i/trailers/*"], env), {
    ...{ status: 0, stderr: "" },
    stdout: "forgotten: 1 indexes, 2 copies, 3 segments, 4096 bytes\n",
  });
  assert.match((await run(["--all", "--dry-run"], env)).stdout, /^would forget: /);
  const authorization = `Bearer ${TOKEN}`;
  assert.deepEqual(asked, [
    ["POST", "/purge", authorization, { urls: ["/i/film.mp4/master.m3u8", "/i/trailers/*"] }],
    ["POST", "/purge", authorization, { all: true, dryRun: true }],
  ]);
});

test("another packager is told by its address", async (t) => {
  const { asked, url, env } = await standIn(t);
  const { status } = await run(["--all", "--url", `${url}/`], { ...env, DATA_DIR: join(env.DATA_DIR, "none") });
  assert.deepEqual([status, asked.length], [0, 1]);
});

test("what goes wrong is one line and a status", async (t) => {
  const { env } = await standIn(t, 401);
  const cases: [args: string[], env: Record<string, string>, status: number, says: RegExp][] = [
    [["--all"], env, 1, /answers 401: The token is wrong\./],
    [[], env, 64, /either addresses or --all/],
    [["/i/x", "--all"], env, 64, /either addresses or --all/],
    [["--everything"], env, 64, /everything/],
    [["--all"], { DATA_DIR: env.DATA_DIR }, 64, /CASTERPAK_APPLICATION_ADMIN_TOKEN: is needed/],
    [["--all"], { ...env, DATA_DIR: join(env.DATA_DIR, "none") }, 1, /names no packager/],
    [["--all", "--url", "http://127.0.0.1:1"], env, 1, /does not answer/],
  ];
  for (const [args, variables, status, says] of cases) {
    const ended = await run(args, variables);
    assert.equal(ended.status, status, `${args}: ${ended.stderr}`);
    assert.match(ended.stderr, says);
    assert.equal(ended.stderr.trim().split("\n").length, 1, ended.stderr);
    assert.equal(ended.stdout, "");
  }
});
