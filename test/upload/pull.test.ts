import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import test, { type TestContext } from "node:test";
import { fetchFrom } from "../../actors/upload/fetch-http.ts";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { authorization, film, MiB, makeScene, type Scene, settled, sha256, sourceBytes } from "./upload.fixture.ts";

const TITLE = "019a0000-0000-7000-8000-00000000000a";

const serve = async (t: TestContext, handle: (request: IncomingMessage, response: ServerResponse) => void) => {
  const server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
};

const pull = async (url: string, scene: Scene, source: string, key = authorization(scene.tenant)) => {
  const response = await fetch(`${url}/api/v1/titles/${TITLE}/source`, {
    method: "POST",
    headers: { ...key, "content-type": "application/json" },
    body: JSON.stringify({ url: source }),
  });
  const body = (await response.json()) as { data?: { jobId: string; upload: { id: string } }; code?: string };
  return { status: response.status, body, at: `/api/v1/uploads/${body.data?.upload.id}` };
};

/** Without platform:admin. */
const plainKey = { authorization: "Bearer key:acme:plain" };

test("a pull goes on behind a connection that broke, with the version that it began with", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ titles: [TITLE] });
  const bytes = await film(scene.dataDir, 6 * MiB);
  const ranges: (string | undefined)[] = [];
  const origin = await serve(t, ({ headers }, response) => {
    ranges.push(headers.range);
    const from = headers["if-range"] === '"v1"' ? Number(/bytes=(\d+)-/.exec(headers.range ?? "")?.[1] ?? 0) : 0;
    const range = from > 0 ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {};
    response.writeHead(from > 0 ? 206 : 200, { etag: '"v1"', "content-length": bytes.length - from, ...range });
    const end = ranges.length < 3 ? from + 2 * MiB : bytes.length;
    response.write(bytes.subarray(from, end), () => (end < bytes.length ? response.destroy() : response.end()));
  });
  const { status, at, body } = await pull(node.url, scene, `${origin}/films/My%20film.mp4?token=secret`);
  assert.equal(status, 202);
  assert.ok(body.data?.jobId);
  const view = await settled(node.url, scene.tenant, at);
  assert.deepEqual([view.state, view.titleId, view.error], ["done", TITLE, null]);
  assert.equal(ranges.length, 3);
  assert.ok(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range ?? "")));
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, at)), sha256(bytes));
  assert.equal(node.attached[0]?.filename, "My film.mp4");
});

test("a file that changed while it was fetched is fetched from the start", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ titles: [TITLE] });
  const bytes = await film(scene.dataDir, 3 * MiB);
  let count = 0;
  const origin = await serve(t, (_, response) => {
    count += 1;
    response.writeHead(200, { etag: `"v${count}"`, "content-length": bytes.length });
    const old = Buffer.concat([bytes.subarray(0, 1_000), Buffer.alloc(MiB, 7)]);
    if (count > 1) response.end(bytes);
    else response.write(old, () => response.destroy());
  });
  const { at } = await pull(node.url, scene, `${origin}/film.mp4`);
  assert.equal((await settled(node.url, scene.tenant, at)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, at)), sha256(bytes));
});

test("a URL leads to no private address, however it gets there", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ titles: [TITLE] });
  const asked: string[] = [];
  const inner = await serve(t, ({ url }, response) => {
    asked.push(url ?? "");
    response.end("secret");
  });
  const { port } = new URL(inner);
  const refused = [
    ...[
      `http://127.0.0.1:${port}/`,
      `http://localhost:${port}/`,
      `http://[::1]:${port}/`,
      `http://[::ffff:127.0.0.1]/`,
    ],
    ...[`http://2130706433:${port}/`, `http://0x7f.1:${port}/`, `http://169.254.169.254/latest/meta-data`],
    ...["http://10.0.0.1/", "http://nothing.invalid/film.mp4"],
    ...[`http://0.0.0.0:${port}/`, `http://0:${port}/`, `http://127.1:${port}/`, `http://0177.0.0.1:${port}/`],
    ...[
      `http://localhost.:${port}/`,
      `http://a@127.0.0.1:${port}/`,
      `http://①②⑦.0.0.1:${port}/`,
      `http://[::]:${port}/`,
    ],
    ...["http://[::ffff:7f00:1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://[fd00::1]/"],
  ];
  for (const url of refused) {
    const { status, body } = await pull(node.url, scene, url, plainKey);
    assert.deepEqual([status, body.code], [422, "SOURCE_URL_REFUSED"], url);
  }
  for (const url of ["file:///etc/passwd", "ftp://example.com/x", "gopher://x", "no url"]) {
    assert.equal((await pull(node.url, scene, url, plainKey)).status, 422, url);
  }
  assert.deepEqual(asked, []);
});

test("an address is looked at when the connection is made, at every redirect, whatever its name was before", async (t) => {
  const asked: string[] = [];
  const inner = await serve(t, ({ url }, response) => {
    asked.push(url ?? "");
    response.end("secret");
  });
  // As if a name of the outside had become one of the inside since it was entered: localhost is looked up anew.
  const agents = new OutgoingAgents([]);
  t.after(() => agents.close());
  const signal = AbortSignal.timeout(5_000);
  const from = (url: string, trusted: boolean) => fetchFrom({ origin: { url }, offset: 0, agents, trusted, signal });
  const rebound = inner.replace("127.0.0.1", "localhost");
  await assert.rejects(from(`${rebound}/a`, false), { code: "SOURCE_URL_REFUSED" });
  await assert.rejects(from(`${inner}/b`, false), { code: "SOURCE_URL_REFUSED" });
  assert.deepEqual(asked, []);
  for (const location of ["file:///etc/passwd", "ftp://127.0.0.1/", "//"]) {
    const hop = await serve(t, (_, response) => void response.writeHead(302, { location }).end());
    await assert.rejects(from(hop, true), { code: "SOURCE_URL_REFUSED" }, location);
  }
  const loop = await serve(t, (_, response) => void response.writeHead(302, { location: "/again" }).end());
  await assert.rejects(from(loop, true), /redirects more than 5 times/);
});

test("a redirect to a private address fails the upload with its reason", async (t) => {
  const scene = await makeScene(t);
  // The public world of this test: 127.0.0.2 is allowed, 127.0.0.1 is not.
  const node = await scene.node({ titles: [TITLE], env: { ALLOW_PRIVATE_SOURCES: "127.0.0.2/32" } });
  const asked: string[] = [];
  const inner = await serve(t, ({ url }, response) => {
    asked.push(url ?? "");
    response.end();
  });
  const outer = createServer((_, response) => void response.writeHead(302, { location: `${inner}/secret` }).end());
  await new Promise<void>((resolve) => outer.listen(0, "127.0.0.2", resolve));
  t.after(() => void outer.close());
  const { port } = outer.address() as AddressInfo;
  const { status, at } = await pull(node.url, scene, `http://127.0.0.2:${port}/film.mp4`, plainKey);
  assert.equal(status, 202);
  const view = await settled(node.url, scene.tenant, at);
  assert.equal(view.state, "failed");
  assert.match(view.error ?? "", /leads to a private address/);
  assert.deepEqual(asked, []);
});

test("what is too large, not there or no film ends with its reason", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ titles: [TITLE], env: { UPLOAD_BYTES_MAX: "1000" } });
  const origin = await serve(t, ({ url }, response) => {
    if (url === "/large") return void response.writeHead(200, { "content-length": 1_001 }).end(Buffer.alloc(1_001));
    if (url === "/endless") return void response.write(Buffer.alloc(5_000, 0x9d));
    if (url === "/zip") return void response.end(Buffer.from("PK\x03\x04 and so on"));
    response.writeHead(404).end();
  });
  const endOf = async (at: string) => {
    const { at: upload } = await pull(node.url, scene, `${origin}${at}`);
    const { state, error } = await settled(node.url, scene.tenant, upload);
    return `${state}: ${error}`;
  };
  assert.equal(await endOf("/large"), "failed: An upload has 1000 bytes at most.");
  assert.equal(await endOf("/endless"), "failed: An upload has 1000 bytes at most.");
  assert.equal(await endOf("/zip"), "refused: The upload is refused: it is a ZIP archive.");
  assert.match(await endOf("/none"), /^failed: There is no file /);
});

test("what a pull brings counts against the quota while it comes, though its server tells no size", async (t) => {
  const scene = await makeScene(t);
  const env = { UPLOAD_QUOTA_BYTES: String(40 * MiB), UPLOAD_BYTES_MAX: String(400 * MiB) };
  const node = await scene.node({ titles: [TITLE], env });
  const head = await film(scene.dataDir);
  const origin = await serve(t, (_, response) => {
    response.write(head);
    let left = 300;
    const more = (): void => {
      left -= 1;
      if (left === 0) response.end();
      else response.write(Buffer.alloc(MiB, 7), more);
    };
    more();
  });
  const { at } = await pull(node.url, scene, `${origin}/endless.mp4`);
  const view = await settled(node.url, scene.tenant, at);
  assert.equal(view.state, "failed");
  assert.match(view.error ?? "", /quota/i);
});

test("an address with signs that no file name has, or that mean nothing, is fetched as others are", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ titles: [TITLE] });
  const bytes = await film(scene.dataDir);
  const asked: (string | undefined)[] = [];
  const origin = await serve(t, ({ headers }, response) => {
    asked.push(headers.authorization);
    response.end(bytes);
  });
  const source = `${origin.replace("http://", "http://a%zz:b%@")}/my%00%0afilm.mp4`;
  const { status, at } = await pull(node.url, scene, source);
  assert.equal(status, 202);
  assert.equal((await settled(node.url, scene.tenant, at)).state, "done");
  assert.equal(node.attached[0]?.filename, "myfilm.mp4");
  assert.deepEqual(asked, [`Basic ${Buffer.from("a%zz:b%").toString("base64")}`]);
});
