import assert from "node:assert/strict";
import { test } from "node:test";
import { servedPage } from "./test-page.fixture.ts";
import { isTestPage } from "./test-page.ts";

const PAGE = "/testing/test_player.html";

test("the page and all that it names are there, with their types and no address of another server", async (t) => {
  const base = await servedPage(t);
  const seen = new Set<string>();
  const look = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const response = await fetch(base + path);
    assert.equal(response.status, 200, path);
    const text = await response.text();
    if (/\.min\.m?js$|worker/.test(path)) return;
    assert.doesNotMatch(text.replaceAll("http://www.w3.org/", ""), /https?:\/\/\w/, path);
    const names = text.matchAll(/(?:href="|src="|from "\.\/|import\("\.\/|URL\("(?=hls))([\w.-]+)"/g);
    for (const [, name = ""] of names) await look(new URL(name, base + path).pathname);
  };
  await look(PAGE);
  for (const name of [
    "test_player.js",
    "players.js",
    "hls-licences.js",
    "test_player.css",
    "base.css",
    "hls.min.mjs",
    "dash.all.min.js",
  ]) {
    assert.ok(seen.has(`/testing/${name}`), name);
  }
  const type = async (name: string) => (await fetch(`${base}/testing/${name}`)).headers.get("content-type");
  assert.equal(await type("test_player.html"), "text/html; charset=utf-8");
  assert.equal(await type("hls.min.mjs"), "text/javascript; charset=utf-8");
});

test("it may run its own scripts only, and load manifests from anywhere", async (t) => {
  const response = await fetch((await servedPage(t)) + PAGE);
  const policy = response.headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /script-src 'self';/);
  assert.match(policy, /connect-src http: https:/);
  assert.doesNotMatch(policy, /unsafe/);
});

test("a copy that a browser has is not sent again, compressed or not", async (t) => {
  const base = await servedPage(t);
  const ask = (encoding: string, etag = "") =>
    fetch(base + PAGE, { headers: { "accept-encoding": encoding, "if-none-match": etag } });
  const plain = await ask("identity");
  const zipped = await ask("gzip");
  assert.equal(zipped.headers.get("content-encoding"), "gzip");
  assert.equal(await zipped.text(), await plain.text());
  const etags = [plain, zipped].map(({ headers }) => headers.get("etag") ?? "");
  assert.notEqual(etags[0], etags[1], "two encodings are two representations (RFC 9110 §8.8.3.3)");
  assert.equal((await ask("identity", etags[0])).status, 304);
  assert.equal((await ask("gzip", etags[1])).status, 304);
});

test("nothing else of the disk is reached through it", async (t) => {
  const base = await servedPage(t);
  for (const path of ["/testing/", "/testing/../package.json", "/testing/%2e%2e/main.ts", "/testing/constructor"]) {
    assert.ok(!isTestPage(path), path);
    assert.notEqual((await fetch(base + path)).status, 200, path);
  }
});
