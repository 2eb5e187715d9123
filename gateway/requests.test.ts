import assert from "node:assert/strict";
import { once } from "node:events";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { test } from "node:test";
import { fail } from "../contracts/errors.ts";
import type { Call } from "../lib/actor/contract.ts";
import { metricsText } from "../lib/metrics/metrics.ts";
import { ALL_KEY, aChannel, keyWith, rawRequest, TENANT_ID, testGateway } from "./gateway.fixture.ts";

const CHANNEL = { name: "BBC World", sourceType: "udp", ingestConfig: {}, origins: [{ streamerId: 1 }] };

test("a success is an envelope with the ask's own fields", async (t) => {
  const { call } = await testGateway(t, {
    stubs: { "channel.list": () => ({ data: [aChannel()], nextCursor: "next" }) },
  });
  const { status, body, headers } = await call("GET", "/api/v1/channels?limit=1&status=pending");
  assert.equal(status, 200);
  assert.deepEqual(body, { success: true, data: [aChannel()], nextCursor: "next" });
  assert.equal(headers.get("content-type"), "application/json");
  assert.equal(headers.get("cache-control"), "no-store");
});

test("a created channel comes with 201, its place, its tag and the failures of some origins", async (t) => {
  const failures = [{ streamerId: 2, status: 0, message: "connect ECONNREFUSED" }];
  const { call } = await testGateway(t, { stubs: { "channel.create": () => ({ data: aChannel(), failures }) } });
  const { status, body, headers } = await call("POST", "/api/v1/channels/", { body: CHANNEL });
  assert.equal(status, 201);
  assert.deepEqual(body, { success: true, data: aChannel(), failures });
  assert.equal(headers.get("location"), "/api/v1/channels/7");
  assert.equal(headers.get("etag"), '"3"');
});

test("an added origin has no place of its own", async (t) => {
  const { call } = await testGateway(t, {
    stubs: { "channel.addOrigin": () => ({ data: aChannel(), failures: [] }) },
  });
  const { status, headers } = await call("POST", "/api/v1/channels/7/origins", { body: { streamerId: 2 } });
  assert.deepEqual([status, headers.get("location")], [201, null]);
});

test("an ask gets path, body and what the gateway fills in; its call carries the principal and nothing from outside", async (t) => {
  const seen: { input: unknown; meta: Call["meta"]; requestId: string | null }[] = [];
  const { call } = await testGateway(t, {
    stubs: {
      "channel.patch": (input, { meta, requestID }) => {
        seen.push({ input, meta, requestId: requestID });
        return { data: aChannel(), failures: [] };
      },
    },
  });
  const patch = (key: string, headers: Record<string, string>) =>
    call("PATCH", "/api/v1/channels/7", {
      key,
      headers: { "content-type": "application/merge-patch+json", ...headers },
      body: { name: "x" },
    });
  await patch(keyWith("channel:write"), {
    "x-request-id": "req-1",
    "x-correlation-id": "evil",
    "x-tenant-id": "evil",
    "x-moleculer-meta": "evil",
    tenant: "evil",
    scopes: "platform:admin",
  });
  await patch(ALL_KEY, { "if-match": '"3"' });
  assert.deepEqual(seen[0], {
    input: { channelId: 7, name: "x", trusted: false },
    meta: { tenantId: TENANT_ID, tenant: "default", scopes: ["channel:write"] },
    requestId: "req-1",
  });
  assert.deepEqual(seen[1]?.input, { channelId: 7, name: "x", trusted: true, ifVersion: 3 });
});

test("callerScopes are those of the key", async (t) => {
  const seen: unknown[] = [];
  const { call } = await testGateway(t, {
    stubs: {
      "tenant.createApiKey": ({ callerScopes }) => {
        seen.push(callerScopes);
        return fail("SCOPE_MISSING", { scope: "platform:admin" });
      },
    },
  });
  const body = { name: "x", scopes: ["platform:admin"] };
  const { status } = await call("POST", "/api/v1/api-keys", { key: keyWith("key:write", "key:read"), body });
  assert.equal(status, 403);
  assert.deepEqual(seen, [["key:read", "key:write"]]);
});

test("If-Match: tags, any, weak, foreign and broken ones", async (t) => {
  const seen: unknown[] = [];
  const { call } = await testGateway(t, {
    stubs: {
      "channel.delete": ({ ifVersion }) => {
        seen.push(ifVersion);
        return ifVersion === undefined || ifVersion === 3
          ? { data: { id: 7, leftovers: [] } }
          : fail("VERSION_CONFLICT", { version: 3 });
      },
    },
  });
  const cases: [string, number, unknown][] = [
    ['"3"', 200, 3],
    ["*", 200, undefined],
    ['W/"3", "3"', 200, 3],
    ['"2"', 412, 2],
    ['W/"3"', 412, 0],
    ['"abc"', 412, 0],
  ];
  for (const [tag, status, ifVersion] of cases) {
    const answer = await call("DELETE", "/api/v1/channels/7", { headers: { "if-match": tag } });
    assert.equal(answer.status, status, tag);
    assert.deepEqual(seen.splice(0), [ifVersion], tag);
    if (status === 412) assert.equal(answer.body.detail, "The resource has changed: its version is 3.");
  }
  for (const tag of ["3", '"3', '"2", "3"', ","]) {
    const { status, body } = await call("DELETE", "/api/v1/channels/7", { headers: { "if-match": tag } });
    assert.equal(status, 422, tag);
    assert.equal((body.errors as { path: string }[])[0]?.path, "If-Match");
  }
  assert.deepEqual(seen, []);
});

test("HEAD is GET without a body, and a trailing slash is no other path", async (t) => {
  const { call } = await testGateway(t, { stubs: { "channel.get": () => ({ data: aChannel() }) } });
  const get = await call("GET", "/api/v1/channels/7/");
  const head = await call("HEAD", "/api/v1/channels/7");
  assert.deepEqual([get.status, head.status, head.text], [200, 200, ""]);
  for (const name of ["content-length", "content-type", "etag"]) {
    assert.equal(head.headers.get(name), get.headers.get(name), name);
  }
  assert.equal((await call("HEAD", "/api/v1/channels", { key: null })).status, 401);
});

test("a target in absolute form is taken", async (t) => {
  const { url } = await testGateway(t, { stubs: { "channel.get": () => ({ data: aChannel() }) } });
  assert.equal((await rawRequest(url, "GET", `${url}/api/v1/channels/7`)).status, 200);
});

test("OPTIONS tells the methods and lets any page call with a key of its own, without credentials", async (t) => {
  const { call } = await testGateway(t, { stubs: { "channel.get": () => ({ data: aChannel() }) } });
  const origin = "https://app.example.co";
  const plain = await call("OPTIONS", "/api/v1/channels/7/start", { key: null });
  assert.deepEqual([plain.status, plain.headers.get("allow"), plain.text], [204, "POST, OPTIONS", ""]);
  const preflight = await call("OPTIONS", "/api/v1/channels/7", {
    key: null,
    headers: { origin, "access-control-request-method": "PATCH", "access-control-request-headers": "authorization" },
  });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  assert.match(preflight.headers.get("access-control-allow-methods") ?? "", /PATCH/);
  assert.match(preflight.headers.get("access-control-allow-headers") ?? "", /Authorization.*If-Match/);
  assert.equal(preflight.headers.get("access-control-allow-credentials"), null);
  const get = await call("GET", "/api/v1/channels/7", { headers: { origin } });
  assert.equal(get.headers.get("access-control-allow-origin"), "*");
  assert.match(get.headers.get("access-control-expose-headers") ?? "", /ETag/);
  assert.equal((await call("OPTIONS", "/api/v1/nope")).status, 404);
});

test("a request id that is sent comes back; one that could forge a log line does not", async (t) => {
  const { call } = await testGateway(t);
  const idFor = async (sent: string) => {
    const { headers } = await call("GET", "/api/v1/nope", { headers: { "x-request-id": sent } });
    return headers.get("x-request-id");
  };
  assert.equal(await idFor("trace:1.2-3_4"), "trace:1.2-3_4");
  for (const bad of ["a b", 'x"y', "x".repeat(101), "{}"]) {
    assert.match((await idFor(bad)) ?? "", /^[0-9a-f-]{36}$/, bad);
  }
});

test("each request leaves one log line and one measurement, by route and not by path", async (t) => {
  const { call, linesOf } = await testGateway(t, { stubs: { "channel.get": () => ({ data: aChannel() }) } });
  await call("GET", "/api/v1/channels/7?", { headers: { "x-request-id": "seen-1" } });
  await call("PUT", "/api/v1/nope/secret", { headers: { "x-request-id": "seen-2" } });
  const [first, ...more] = await linesOf("seen-1");
  assert.equal(more.length, 0);
  const { level: _, time: __, ms, ...rest } = first ?? {};
  assert.equal(typeof ms, "number");
  assert.deepEqual(rest, {
    requestId: "seen-1",
    method: "GET",
    route: "/api/v1/channels/:channelId",
    path: "/api/v1/channels/7",
    status: 200,
    tenant: "default",
    msg: "request",
  });
  assert.equal((await linesOf("seen-2"))[0]?.route, "unmatched");
  const metrics = await metricsText();
  assert.match(
    metrics,
    /castellan_gateway_request_seconds_count\{method="GET",route="\/api\/v1\/channels\/:channelId",status="200"\} \d/,
  );
  assert.doesNotMatch(metrics, /nope/);
});

test("a key is asked for once in five seconds, and a revoked one works no longer than that", async (t) => {
  let nowMs = 1_000_000;
  let asked = 0;
  let revoked = false;
  const { call } = await testGateway(t, {
    clock: { nowMs: () => nowMs },
    stubs: {
      "tenant.authenticate": () => {
        asked += 1;
        return revoked
          ? null
          : { tenantId: TENANT_ID, tenant: "default", apiKeyId: TENANT_ID, scopes: ["channel:read"] };
      },
      "channel.list": () => ({ data: [], nextCursor: null }),
    },
  });
  const status = async () => (await call("GET", "/api/v1/channels", { key: "k" })).status;
  assert.deepEqual(await Promise.all([status(), status(), status()]), [200, 200, 200]);
  assert.equal(asked, 1);
  revoked = true;
  nowMs += 4_999;
  assert.equal(await status(), 200);
  nowMs += 1;
  assert.equal(await status(), 401);
  assert.equal(asked, 2);
  nowMs += 999;
  assert.equal(await status(), 401);
  assert.equal(asked, 2);
  nowMs += 1;
  assert.equal(await status(), 401);
  assert.equal(asked, 3);
});

test("a failed look-up of a key is not remembered", async (t) => {
  let down = true;
  const { call } = await testGateway(t, {
    stubs: {
      "tenant.authenticate": () =>
        down
          ? fail("DATABASE_DOWN")
          : { tenantId: TENANT_ID, tenant: "default", apiKeyId: TENANT_ID, scopes: ["channel:read"] },
      "channel.list": () => ({ data: [], nextCursor: null }),
    },
  });
  const both = await Promise.all([call("GET", "/api/v1/channels"), call("GET", "/api/v1/channels")]);
  assert.deepEqual(
    both.map(({ status, body }) => [status, body.code]),
    [
      [503, "DATABASE_DOWN"],
      [503, "DATABASE_DOWN"],
    ],
  );
  down = false;
  assert.equal((await call("GET", "/api/v1/channels")).status, 200);
});

const get = (url: string, path: string, agent: Agent): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${ALL_KEY}` };
    httpRequest(url + path, { agent, headers }, resolve)
      .on("error", reject)
      .end();
  });

test("a request in flight finishes while the gateway stops, and nothing new is taken", async (t) => {
  const entered = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const agent = new Agent({ keepAlive: true });
  t.after(async () => agent.destroy());
  const { url, gateway } = await testGateway(t, {
    stubs: {
      "channel.get": async () => {
        entered.resolve();
        await released.promise;
        return { data: aChannel() };
      },
    },
  });
  const idle = await get(url, "/", agent);
  idle.resume();
  await once(idle, "end");
  const answered = get(url, "/api/v1/channels/7", agent);
  await entered.promise;
  const stopped = gateway.stop();
  await assert.rejects(get(url, "/", new Agent()));
  released.resolve();
  const response = await answered;
  response.resume();
  assert.equal(response.statusCode, 200);
  assert.equal(response.headers.connection, "close");
  await stopped;
});

test("a request that does not end is cut off when the grace is over", async (t) => {
  const entered = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  const { url, gateway } = await testGateway(t, {
    stubs: {
      "channel.get": async () => {
        entered.resolve();
        await released.promise;
        return { data: aChannel() };
      },
    },
  });
  const answered = get(url, "/api/v1/channels/7", new Agent());
  const cut = assert.rejects(answered);
  await entered.promise;
  const stopped = gateway.stop(50);
  await cut;
  released.resolve();
  await stopped;
});
