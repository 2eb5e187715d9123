import assert from "node:assert/strict";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { canonicalPath, hostnameOf, keptQuery } from "./target.ts";

test("a path has one name, however it is escaped", () => {
  const same: readonly (readonly [string, string])[] = [
    ["/a/b.m3u8", "/a/b.m3u8"],
    ["/%61/%62%2Em3u8", "/a/b.m3u8"],
    ["/%7euser", "/~user"],
    ["/a%20b", "/a%20b"],
    ["/a%3fb%3d%c3%a4", "/a%3Fb%3D%C3%A4"],
    ["/a%252F", "/a%252F"],
    ["/...", "/..."],
    ["/.well-known/a", "/.well-known/a"],
    ["//a", "//a"],
  ];
  for (const [path, name] of same) assert.equal(canonicalPath(path), name, path);
});

test("a path that two readers could take differently has none", () => {
  const refused = ["/a%2fb", "/a%2Fb", "/a%5cb", "/a\\b", "/a%00", "/a/../b", "/..", "/a/.", "/./a"];
  const escaped = ["/%2e%2e/a", "/a/%2E", "/.%2e/a", "/%", "/%2", "/%zz", "/%\n1"];
  for (const path of [...refused, ...escaped]) assert.equal(canonicalPath(path), undefined, path);
});

test("the name of a path is its own name", () => {
  const { int } = seeded(17);
  const parts = ["%", "2", "f", "e", ".", "/", "a", "%41", "%2e", "%7E", "\\", "?", "~"];
  for (let round = 0; round < 5_000; round += 1) {
    const path = `/${Array.from({ length: int(8) }, () => parts[int(parts.length)]).join("")}`;
    const name = canonicalPath(path);
    if (name !== undefined) assert.equal(canonicalPath(name), name, path);
  }
});

test("a query is kept, dropped, sorted or picked from, as the rule has it", () => {
  const query = "v=2&utm=x&q=1&v=1&";
  assert.equal(keptQuery(query, { query: "keep" }), query);
  assert.equal(keptQuery(query, { query: "drop" }), "");
  assert.equal(keptQuery(query, { query: "sort" }), "q=1&utm=x&v=1&v=2");
  assert.equal(keptQuery(query, { query: new Set(["v", "q"]) }), "q=1&v=1&v=2");
  assert.equal(keptQuery("", { query: "sort" }), "");
  assert.equal(keptQuery("vv=1&V=1&v", { query: new Set(["v"]) }), "v");
});

test("a hostname is the same in any case, with a port or a final dot", () => {
  for (const host of ["cdn.acme.example", "CDN.Acme.example:8081", "cdn.acme.example.", "cdn.acme.example.:80"]) {
    assert.equal(hostnameOf(host), "cdn.acme.example", host);
  }
  assert.equal(hostnameOf("[2001:DB8::1]:8081"), "[2001:db8::1]");
  assert.equal(hostnameOf("[2001:db8::1]"), "[2001:db8::1]");
  assert.equal(hostnameOf(""), "");
});
