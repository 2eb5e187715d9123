import assert from "node:assert/strict";
import { createServer, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { type TestContext, test } from "node:test";
import { findFfmpeg } from "./ffmpeg/binary.ts";
import { PidFiles } from "./ffmpeg/pid-files.ts";
import { runFfmpeg } from "./ffmpeg/process.ts";
import { quietLog } from "./log/log.ts";
import type { Resolve } from "./source-guard.ts";
import { openSourceProxy } from "./source-proxy.ts";

const ALLOWED = "127.0.0.1";
const REFUSED = "127.0.0.2";

const site = async (
  t: TestContext,
  host: string,
  answer: (path: string) => { status?: number; location?: string; body?: string },
) => {
  const asked: string[] = [];
  const server = createServer((incoming, response) => {
    asked.push(incoming.url ?? "");
    const { status = 200, location, body = "" } = answer(incoming.url ?? "");
    response.writeHead(status, location ? { location } : {}).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { asked, port: (server.address() as AddressInfo).port };
};
const open = async (t: TestContext, resolve?: Resolve) => {
  const proxy = await openSourceProxy({
    ...{ allowPrivateSources: [`${ALLOWED}/32`], log: quietLog },
    ...(resolve ? { resolve } : {}),
  });
  t.after(() => proxy.close());
  return proxy;
};
const through = (proxy: string, url: string): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(proxy);
    const asked = request({ host: hostname, port, path: url, headers: { host: new URL(url).host } }, (response) => {
      let body = "";
      response.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
    });
    asked.on("error", reject);
    asked.end();
  });
const tunnel = (proxy: string, authority: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(proxy);
    const socket = connect({ host: hostname, port: Number(port) }, () => {
      socket.write(`CONNECT ${authority} HTTP/1.1\r\nHost: ${authority}\r\n\r\n`);
    });
    socket.once("data", (bytes) => {
      socket.destroy();
      resolve(String(bytes).split("\r\n", 1)[0] ?? "");
    });
    socket.on("error", reject);
  });

test("what is allowed goes through, plain and tunnelled; the rest is refused before a connection is made", async (t) => {
  const good = await site(t, ALLOWED, () => ({ body: "media" }));
  const bad = await site(t, REFUSED, () => ({ body: "secret" }));
  const { url } = await open(t);
  assert.deepEqual(await through(url, `http://${ALLOWED}:${good.port}/a?b=1`), { status: 200, body: "media" });
  assert.deepEqual(good.asked, ["/a?b=1"]);
  assert.equal((await through(url, `http://${REFUSED}:${bad.port}/a`)).status, 403);
  assert.equal(await tunnel(url, `${ALLOWED}:${good.port}`), "HTTP/1.1 200 Connection established");
  for (const authority of [`${REFUSED}:${bad.port}`, "[::1]:80", "169.254.169.254:80", "nonsense", "a:99999"]) {
    assert.equal(await tunnel(url, authority), "HTTP/1.1 403 Forbidden", authority);
  }
  assert.deepEqual(bad.asked, []);
});

test("a name is resolved once, and the connection goes to the address that was looked at", async (t) => {
  const good = await site(t, ALLOWED, () => ({ body: "media" }));
  const asked: string[] = [];
  const { url } = await open(t, async (host) => {
    asked.push(host);
    return [asked.length === 1 ? ALLOWED : REFUSED];
  });
  assert.equal((await through(url, `http://turning.example:${good.port}/`)).body, "media");
  assert.equal((await through(url, `http://turning.example:${good.port}/`)).status, 403);
  assert.deepEqual(asked, ["turning.example", "turning.example"]);
});

test("ffmpeg reaches no private address by a redirect or by a playlist", async (t) => {
  const ffmpeg = await findFfmpeg(process.env.FFMPEG_PATH ?? null);
  const bad = await site(t, REFUSED, () => ({ body: "secret" }));
  const secret = `http://${REFUSED}:${bad.port}/secret.ts`;
  const good = await site(t, ALLOWED, (asked) =>
    asked.endsWith(".m3u8")
      ? { body: `#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n${secret}\n#EXT-X-ENDLIST\n` }
      : { status: 302, location: secret },
  );
  const { url } = await open(t);
  for (const file of ["list.m3u8", "redirect.ts"]) {
    const args = ["-loglevel", "level+error", "-i", `http://${ALLOWED}:${good.port}/${file}`, "-f", "null", "-"];
    const pidFiles = new PidFiles(path.join(tmpdir(), "none"));
    const run = { ffmpeg, args, log: quietLog, pidFiles, env: { http_proxy: url }, deadlineMs: 30_000 };
    await assert.rejects(runFfmpeg(run), /ffmpeg failed/);
  }
  assert.deepEqual([good.asked.length >= 2, bad.asked], [true, []]);
});
