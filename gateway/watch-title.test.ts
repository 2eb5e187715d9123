import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { testGateway } from "./gateway.fixture.ts";

test("a title has a page of its own, which knows no key and takes media from anywhere", async (t) => {
  const { call } = await testGateway(t);
  const titleId = randomUUID();
  const page = await call("GET", `/watch/${titleId}`, { key: null });
  assert.equal(page.status, 200);
  assert.match(page.headers.get("content-security-policy") ?? "", /script-src 'self'.*connect-src 'self' http: https:/);
  assert.match(page.text, new RegExp(`data-title-id="${titleId}" data-edge="http://edge.test:8081"`));
  for (const name of ["watch-title.js", "watch-title.css", "hls-licences.js"]) {
    assert.equal((await call("GET", `/assets/${name}`, { key: null })).status, 200);
  }
  for (const path of [`/watch/${titleId.toUpperCase()}`, `/watch/${titleId}x`]) {
    assert.equal((await call("GET", path, { key: null })).status, 404);
  }
});

test("media is refused, and not a server's fault, while nobody says who is let in", async (t) => {
  const { call } = await testGateway(t, { except: ["playback"] });
  const token = `k.1.1.-.${"A".repeat(22)}.${"A".repeat(22)}.${"A".repeat(22)}.${"A".repeat(86)}`;
  const open = await call("GET", `/api/media/hls/${randomUUID()}/x`, { key: null });
  assert.equal(open.body.code, "UPSTREAM_FAILED", "no packager is known");
  const { status, headers, body } = await call("GET", `/api/media/~${token}/hls/${randomUUID()}/x`, { key: null });
  assert.deepEqual([status, body.code, headers.get("retry-after")], [503, "STARTING", "1"]);
});
