import assert from "node:assert/strict";
import { test } from "node:test";
import { fail } from "../contracts/errors.ts";
import { rawRequest, type Stub, testGateway } from "./gateway.fixture.ts";

const WATCH = "/watch/default/demo_channel.stream";

test("the watch page points to the edge, and its policy allows the edge and nothing else", async (t) => {
  const { call } = await testGateway(t, { edgePublicUrl: "https://edge.example.net:8443/" });
  const { status, headers, text } = await call("GET", WATCH, { key: null });
  assert.equal(status, 200);
  assert.equal(headers.get("content-type"), "text/html; charset=utf-8");
  const base = "https://edge.example.net:8443/live/default/demo_channel.stream";
  assert.ok(text.includes(`data-source="${base}/master.m3u8"`));
  assert.ok(text.includes(`${base}/manifest.mpd`));
  assert.ok(text.includes("<title>Demo Channel – Castellan</title>"));
  assert.doesNotMatch(text, /\{\{/);
  assert.equal(
    headers.get("content-security-policy"),
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; script-src 'self'; " +
      "style-src 'self'; img-src 'self'; worker-src 'self'; connect-src 'self' https://edge.example.net:8443; " +
      "media-src blob: https://edge.example.net:8443",
  );
});

test("a path that is no tenant and stream id has no watch page", async (t) => {
  const { url } = await testGateway(t);
  const paths = [
    "/watch",
    "/watch/default",
    "/watch/default/demo",
    "/watch/Default/demo_channel.stream",
    "/watch/default/demo_channel.stream/x",
    "/watch/default/%22%3E%3Cscript%3E.stream",
    '/watch/default/"><script>.stream',
    "/watch/default/../x.stream",
  ];
  for (const path of paths) assert.equal((await rawRequest(url, "GET", path)).status, 404, path);
});

/** What fleet answers: a snapshot with these channels of the tenant `default`. */
const snapshotOf = (version: number, ...streamIds: string[]) => ({
  snapshot: {
    version,
    madeAt: "",
    channels: streamIds.map((streamId) => ({ tenant: "default", streamId, origins: [], segmentMs: 2_000 })),
  },
});

test("the landing page links to the demo only while there is one, and to nothing secret", async (t) => {
  let nowMs = 0;
  let fleet: Stub = () => snapshotOf(1, "demo_channel.stream");
  const stubs = { "fleet.snapshot": ((input, call) => fleet(input, call)) as Stub };
  const { call } = await testGateway(t, { demo: true, stubs, clock: { nowMs: () => nowMs } });
  const offersDemo = async () => {
    nowMs += 2_000;
    const { status, text, headers } = await call("GET", "/", { key: null });
    assert.equal(status, 200);
    assert.match(headers.get("content-security-policy") ?? "", /^default-src 'none'/);
    assert.ok(text.includes('href="/api/docs"'));
    return text.includes('data-demo="on"');
  };
  assert.equal(await offersDemo(), true);
  fleet = () => fail("DATABASE_DOWN");
  assert.equal(await offersDemo(), true, "nothing has been heard of its end");
  fleet = ({ haveVersion }) => (haveVersion === 1 ? snapshotOf(2, "other.stream") : { snapshot: null });
  assert.equal(await offersDemo(), false);
  assert.equal(await offersDemo(), false, "nothing new");
  fleet = () => snapshotOf(3, "other.stream", "demo_channel.stream");
  assert.equal(await offersDemo(), true);
});

test("the landing page offers no demo where none is to be, and none where nobody tells of it", async (t) => {
  const there: Stub = () => snapshotOf(1, "demo_channel.stream");
  for (const options of [{ demo: false, stubs: { "fleet.snapshot": there } }, { demo: true }]) {
    const { call } = await testGateway(t, options);
    assert.ok((await call("GET", "/", { key: null })).text.includes('data-demo="off"'));
  }
});

test("many who ask for the landing page cost one question", async (t) => {
  let asked = 0;
  const fleet: Stub = () => {
    asked += 1;
    return { snapshot: null };
  };
  const { call } = await testGateway(t, { demo: true, stubs: { "fleet.snapshot": fleet }, clock: { nowMs: () => 0 } });
  await Promise.all([1, 2, 3].map(() => call("GET", "/", { key: null })));
  await call("HEAD", "/", { key: null });
  assert.equal(asked, 1);
});

test("every file that a page names is served, and no page names one elsewhere", async (t) => {
  const { call } = await testGateway(t);
  for (const page of ["/", WATCH, "/api/docs"]) {
    const { text } = await call("GET", page, { key: null });
    const files = [...text.matchAll(/(?:src|<link[^>]*href)="([^"]+)"/g)].map(([, file]) => file ?? "");
    assert.ok(files.length >= 3, page);
    for (const file of files) {
      assert.match(file, /^\//);
      const { status, headers } = await call("GET", file, { key: null });
      assert.deepEqual([status, headers.get("x-content-type-options")], [200, "nosniff"], file);
      const isScript = file.endsWith("js");
      if (isScript) assert.match(headers.get("content-type") ?? "", /^text\/javascript/, file);
    }
  }
  const script = await call("GET", "/assets/watch.js", { key: null });
  for (const [, file] of script.text.matchAll(/"(\/assets\/[^"]+)"/g)) {
    assert.equal((await call("HEAD", file ?? "", { key: null })).status, 200, file);
  }
});

test("a file is compressed where the client takes it, and is not sent twice", async (t) => {
  const { url } = await testGateway(t);
  const file = `${url}/api/docs/swagger-ui-bundle.js`;
  const zipped = await fetch(file, { method: "HEAD" });
  const plain = await fetch(file, { method: "HEAD", headers: { "accept-encoding": "identity" } });
  assert.equal(zipped.headers.get("content-encoding"), "gzip");
  assert.equal(plain.headers.get("content-encoding"), null);
  assert.ok(Number(zipped.headers.get("content-length")) * 2 < Number(plain.headers.get("content-length")));
  const etag = zipped.headers.get("etag") ?? "";
  const again = await fetch(file, { headers: { "if-none-match": etag } });
  assert.deepEqual([again.status, await again.text()], [304, ""]);
  const other = await fetch(file, {
    method: "HEAD",
    headers: { "if-none-match": '"x"', "accept-encoding": "gzip;q=0" },
  });
  assert.deepEqual([other.status, other.headers.get("content-encoding")], [200, null]);
});

test("only listed files are served", async (t) => {
  const { url } = await testGateway(t);
  for (const path of [
    "/assets/",
    "/assets/watch.html",
    "/assets/../watch/watch.html",
    "/assets/..%2f..%2fpackage.json",
    "/assets/__proto__",
    "/api/docs/index.html",
    "/api/docs/../../package.json",
    "/api/docs/swagger-ui-bundle.js.map",
  ]) {
    assert.equal((await rawRequest(url, "GET", path)).status, 404, path);
  }
});
