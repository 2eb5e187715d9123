import assert from "node:assert/strict";
import { test } from "node:test";
import { answerOptions, OPEN_TO_ALL, refuseMethod } from "./cors.ts";
import type { RawHandler } from "./exchange.ts";
import { rawListener } from "./raw.fixture.ts";

const METHODS = "GET, HEAD, OPTIONS";
const handle: RawHandler = (request) => {
  if (request.method === "OPTIONS") return answerOptions(request, METHODS);
  if (request.method !== "GET") return refuseMethod(request, METHODS);
  request.send(200, OPEN_TO_ALL, Buffer.from("0123456789"));
};

test("a preflight is answered with what players send and may read, for a day", async (t) => {
  const { port } = await rawListener(t, handle);
  const { status, headers } = await fetch(`http://127.0.0.1:${port}/`, { method: "OPTIONS" });
  assert.deepEqual([status, headers.get("allow"), headers.get("content-length")], [204, METHODS, null]);
  assert.equal(headers.get("access-control-allow-origin"), "*");
  assert.equal(headers.get("access-control-allow-methods"), METHODS);
  assert.equal(headers.get("access-control-max-age"), "86400");
  const taken = headers.get("access-control-allow-headers")?.toLowerCase().split(", ") ?? [];
  for (const name of ["range", "if-none-match", "authorization", "content-type", "cmcd-session"])
    assert.ok(taken.includes(name), name);
});

test("answers, parts and refusals can be read by players on other hosts", async (t) => {
  const { port } = await rawListener(t, handle);
  const url = `http://127.0.0.1:${port}/`;
  const cases: [init: RequestInit, status: number][] = [
    [{}, 200],
    [{ headers: { range: "bytes=0-1" } }, 206],
    [{ headers: { range: "bytes=10-" } }, 416],
    [{ method: "POST" }, 405],
  ];
  for (const [init, expected] of cases) {
    const { status, headers } = await fetch(url, init);
    assert.deepEqual([status, headers.get("access-control-allow-origin")], [expected, "*"]);
    assert.match(headers.get("access-control-expose-headers") ?? "", /Content-Range/);
    assert.equal(headers.get("x-content-type-options"), "nosniff");
  }
});
