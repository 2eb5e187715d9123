import assert from "node:assert/strict";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { test } from "node:test";
import { createChannel } from "../contracts/channel.ts";
import { Fault, fail } from "../contracts/errors.ts";
import { BODY_BYTES_MAX } from "./body.ts";
import { ALL_KEY, aChannel, rawRequest, type Stub, type TestGateway, testGateway } from "./gateway.fixture.ts";

const CHANNEL = { name: "BBC World", sourceType: "udp", ingestConfig: {}, origins: [{ streamerId: 1 }] };
const created: Stub = () => ({ data: aChannel(), failures: [] });
const withCreate = (t: Parameters<typeof testGateway>[0], stub: Stub = created): Promise<TestGateway> =>
  testGateway(t, { stubs: { "channel.create": stub } });

test("an error is a problem document with a code, a sentence and the request id", async (t) => {
  const { call } = await testGateway(t, {
    stubs: { "channel.get": ({ channelId }) => fail("CHANNEL_NOT_FOUND", { channelId }) },
  });
  const { status, headers, body } = await call("GET", "/api/v1/channels/7", { headers: { "x-request-id": "abc-1" } });
  assert.equal(status, 404);
  assert.equal(headers.get("content-type"), "application/problem+json");
  assert.equal(headers.get("cache-control"), "no-store");
  assert.deepEqual(body, {
    type: "urn:castellan:error:CHANNEL_NOT_FOUND",
    title: "Channel not found",
    status: 404,
    code: "CHANNEL_NOT_FOUND",
    detail: "There is no channel 7.",
    requestId: "abc-1",
  });
});

test("what is not in the catalogue is told to nobody", async (t) => {
  const { call } = await testGateway(t, {
    stubs: {
      "channel.list": () => {
        throw new Error("db password=hunter2");
      },
    },
  });
  const { status, body, text } = await call("GET", "/api/v1/channels");
  assert.deepEqual([status, body.code], [500, "INTERNAL"]);
  assert.doesNotMatch(text, /hunter2|password|stack/);
});

test("wrong fields are named one by one", async (t) => {
  const { call } = await withCreate(t);
  const { status, body } = await call("POST", "/api/v1/channels", {
    body: { ...CHANNEL, name: 5, sid: 70_000, ingestConfig: { chunkDuration: "4 parsecs" }, colour: "red" },
  });
  assert.deepEqual([status, body.code], [422, "BAD_INPUT"]);
  const paths = (body.errors as { path: string }[]).map(({ path }) => path);
  assert.deepEqual(paths.sort(), ["colour", "ingestConfig.chunkDuration", "name", "sid"]);
});

test("an id that is no positive integer is refused with its own complaint", async (t) => {
  const { call } = await testGateway(t);
  for (const id of ["abc", "0", "-1", "1.5", "9999999999999999"]) {
    const { status, body } = await call("GET", `/api/v1/channels/${id}`);
    assert.equal(status, 422, id);
    assert.deepEqual(body.errors, [{ path: "channelId", message: "must be a positive integer" }]);
  }
});

test("what only the gateway may fill in is refused from outside", async (t) => {
  const seen: unknown[] = [];
  const { call } = await withCreate(t, (input) => {
    seen.push(input);
    return { data: aChannel(), failures: [] };
  });
  for (const field of ["trusted", "idempotencyKey", "callerScopes", "ifVersion"]) {
    const { status, body } = await call("POST", "/api/v1/channels", { body: { ...CHANNEL, [field]: true } });
    assert.equal(status, 422, field);
    assert.deepEqual(body.errors, [{ path: field, message: "is not a known field" }]);
  }
  assert.deepEqual(seen, []);
});

test("a path parameter can't be given a second time", async (t) => {
  const { call } = await testGateway(t);
  const inBody = await call("PATCH", "/api/v1/channels/7", { body: { channelId: 8, name: "x" } });
  assert.deepEqual(inBody.body.errors, [{ path: "channelId", message: "is given by the path" }]);
  const inQuery = await call("GET", "/api/v1/channels/7?channelId=8");
  assert.deepEqual(inQuery.body.errors, [{ path: "channelId", message: "is given by the path" }]);
});

test("a query parameter is given once, is known, and does not stand in for a body", async (t) => {
  const { call } = await withCreate(t);
  const twice = await call("GET", "/api/v1/channels?limit=1&limit=2");
  assert.deepEqual(twice.body.errors, [{ path: "limit", message: "is given twice" }]);
  const unknown = await call("GET", "/api/v1/channels?colour=red&__proto__=x");
  assert.equal(unknown.status, 422);
  const tree = await call("GET", "/api/v1/channels?limit[a]=1");
  assert.deepEqual(tree.body.errors, [{ path: "limit[a]", message: "is not a known field" }]);
  const posted = await call("POST", "/api/v1/channels?name=x", { body: CHANNEL });
  assert.deepEqual(posted.body.errors, [{ path: "name", message: "is not a query parameter" }]);
});

test("a name that every object has is no known field, and no path parameter", async (t) => {
  const { call } = await withCreate(t);
  for (const name of ["__proto__", "constructor", "toString"]) {
    const { body } = await call("GET", `/api/v1/channels?${name}=1`);
    assert.deepEqual(body.errors, [{ path: name, message: "is not a known field" }]);
  }
  const { body } = await call("POST", "/api/v1/channels", { body: { ...CHANNEL, constructor: 1 } });
  assert.deepEqual(body.errors, [{ path: "constructor", message: "is not a known field" }]);
});

test("a streamer's credential that no header can carry is refused where it is given", async (t) => {
  const { call } = await testGateway(t);
  for (const credential of ["a\nb", "pass word", "sésame", "🔑", "", "x".repeat(1001)]) {
    const fields = { name: "Node", baseUrl: "http://node.example.com", credential };
    for (const [method, path] of [
      ["POST", "/api/v1/streamers"],
      ["PATCH", "/api/v1/streamers/7"],
    ] as const) {
      const { status, body } = await call(method, path, { body: fields });
      assert.equal(status, 422, JSON.stringify(credential));
      assert.deepEqual(body.errors, [{ path: "credential", message: "must be 1 to 1000 visible ASCII characters" }]);
    }
  }
});

test("a body must be JSON, in UTF-8, and an object", async (t) => {
  const { call } = await withCreate(t);
  const post = (body: string, type = "application/json") =>
    call("POST", "/api/v1/channels", { body, headers: { "content-type": type } });
  for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=latin1", "a"]) {
    assert.equal((await post(JSON.stringify(CHANNEL), type)).body.code, "UNSUPPORTED_MEDIA_TYPE", type);
  }
  const zipped = await call("POST", "/api/v1/channels", { body: CHANNEL, headers: { "content-encoding": "gzip" } });
  assert.deepEqual([zipped.status, zipped.body.code], [415, "UNSUPPORTED_MEDIA_TYPE"]);
  for (const body of ["{", "nul", '{"a":1,}', "\ufeff{}x"])
    assert.equal((await post(body)).body.code, "BAD_JSON", body);
  for (const body of ["[]", "1", '"x"', "null"]) assert.equal((await post(body)).body.code, "BAD_INPUT", body);
  assert.equal((await post(JSON.stringify(CHANNEL), "application/json; charset=UTF-8")).status, 201);
});

test("what a database can't store, and what nests without end, goes no further", async (t) => {
  const { call } = await withCreate(t);
  const bodies = [
    { ...CHANNEL, name: "a\u0000b" },
    { ...CHANNEL, name: "\ud800" },
    { ...CHANNEL, ingestConfig: { "key\u0000": 1 } },
    { ...CHANNEL, ingestConfig: JSON.parse(`${'{"a":'.repeat(40)}1${"}".repeat(40)}`) as unknown },
  ];
  for (const body of bodies) {
    const { status, body: problem } = await call("POST", "/api/v1/channels", { body });
    assert.deepEqual([status, problem.code], [422, "BAD_INPUT"], JSON.stringify(body).slice(0, 100));
  }
  const deep = await call("POST", "/api/v1/channels", { body: "[".repeat(100_000) + "]".repeat(100_000) });
  assert.deepEqual([deep.status, deep.body.code], [422, "BAD_INPUT"]);
  const deepObject = `{"ingestConfig":${'{"a":'.repeat(30_000)}1${"}".repeat(30_000)}}`;
  assert.equal((await call("POST", "/api/v1/channels", { body: deepObject })).status, 422);
  const proto = await call("POST", "/api/v1/channels", { body: '{"__proto__":{"trusted":true},"name":"x"}' });
  assert.equal(proto.status, 422);
});

test("a body of 256 kB is taken, one byte more is not, and the connection stays usable", async (t) => {
  const { call } = await withCreate(t);
  const sized = (bytes: number) => {
    const frame = JSON.stringify({ ...CHANNEL, ingestConfig: { note: "" } });
    return JSON.stringify({ ...CHANNEL, ingestConfig: { note: "x".repeat(bytes - frame.length) } });
  };
  assert.equal((await call("POST", "/api/v1/channels", { body: sized(BODY_BYTES_MAX) })).status, 201);
  const { status, body, headers } = await call("POST", "/api/v1/channels", {
    body: sized(BODY_BYTES_MAX + 1),
    headers: { origin: "https://app.example.com" },
  });
  assert.deepEqual([status, body.code], [413, "BODY_TOO_LARGE"]);
  assert.match(String(body.detail), /262144/);
  assert.equal(headers.get("access-control-allow-origin"), "*");
  assert.equal((await call("GET", "/api/v1/nothing")).status, 404);
});

test("a body without a length is cut off at the limit", async (t) => {
  const { url } = await withCreate(t);
  const { hostname, port } = new URL(url);
  const headers = { authorization: `Bearer ${ALL_KEY}`, "content-type": "application/json" };
  const request = httpRequest({ hostname, port, method: "POST", path: "/api/v1/channels", headers });
  request.on("error", () => {}); // the gateway may cut us off while we still write
  const answered = once(request, "response");
  request.write(Buffer.alloc(BODY_BYTES_MAX + 1, 0x20));
  const [response] = await answered;
  assert.equal(response.statusCode, 413);
  response.resume();
  request.destroy();
});

test("a body is read only for who may send it", async (t) => {
  const { call } = await withCreate(t);
  const { status } = await call("POST", "/api/v1/channels", { key: null, body: "x".repeat(BODY_BYTES_MAX + 1) });
  assert.equal(status, 401);
});

test("a client that goes away in the middle of its body leaves nothing behind", async (t) => {
  const { url, call, linesOf } = await withCreate(t);
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  const head = [
    "POST /api/v1/channels HTTP/1.1",
    "Host: x",
    "X-Request-Id: gone-1",
    `Authorization: Bearer ${ALL_KEY}`,
  ];
  socket.write(`${[...head, "Content-Type: application/json", "Content-Length: 100"].join("\r\n")}\r\n\r\n{"name":`);
  await once(socket, "connect");
  setImmediate(() => socket.destroy());
  assert.equal((await linesOf("gone-1"))[0]?.status, 499);
  assert.equal((await call("POST", "/api/v1/channels", { body: CHANNEL })).status, 201);
});

test("unknown paths are 404 and known ones name the methods that they take", async (t) => {
  const { url, call } = await testGateway(t);
  const paths = ["/api/v1/nope", "/api", "/api/v2/channels", "/nope", "/assets/../package.json", "/api/v1/channels/7/"];
  for (const path of paths.slice(0, -1)) assert.equal((await rawRequest(url, "GET", path)).status, 404, path);
  for (const target of ["/api/v1/channels//", "//api/v1/channels", "/api/v1/CHANNELS", "/api/v1/channels/%zz", "*"]) {
    assert.equal((await rawRequest(url, "GET", target)).status, 404, target);
  }
  const { status, headers, body } = await call("PUT", "/api/v1/channels");
  assert.deepEqual([status, body.code], [405, "METHOD_NOT_ALLOWED"]);
  assert.equal(headers.get("allow"), "GET, HEAD, POST, OPTIONS");
  const page = await call("DELETE", "/watch/default/demo_channel.stream");
  assert.deepEqual([page.status, page.headers.get("allow")], [405, "GET, HEAD, OPTIONS"]);
});

test("all origins failed: 502 with the failures", async (t) => {
  const failures = [{ streamerId: 1, status: 503, message: "busy" }];
  const { call } = await withCreate(t, () => fail("ALL_ORIGINS_FAILED", { failures, secret: "x" }));
  const { status, body, headers } = await call("POST", "/api/v1/channels", { body: CHANNEL });
  assert.deepEqual([status, body.code, body.failures], [502, "ALL_ORIGINS_FAILED", failures]);
  assert.equal(headers.get("retry-after"), null);
  assert.ok(!("secret" in body));
});

test("what may be tried again says when", async (t) => {
  let fault = new Fault("DATABASE_DOWN");
  const { call } = await testGateway(t, {
    stubs: {
      "channel.list": () => {
        throw fault;
      },
    },
  });
  for (const code of ["DATABASE_DOWN", "MAILBOX_FULL", "ACTOR_MOVED", "SHUTTING_DOWN"] as const) {
    fault = new Fault(code, { key: "k" });
    const { status, headers } = await call("GET", "/api/v1/channels");
    assert.equal(status, fault.status);
    assert.equal(headers.get("retry-after"), "1", code);
  }
});

test("actors that are not there yet are 503, at once", async (t) => {
  const { call } = await testGateway(t, { except: ["tenant"] });
  const { status, body, headers } = await call("GET", "/api/v1/channels");
  assert.deepEqual([status, body.code, headers.get("retry-after")], [503, "STARTING", "1"]);
});

test("an actor that does not answer is 504 after its deadline", async (t) => {
  const released = Promise.withResolvers<void>();
  t.after(() => released.resolve());
  const { call } = await testGateway(t, {
    stubs: { "tenant.authenticate": () => released.promise.then(() => null) },
  });
  const { status, body } = await call("GET", "/api/v1/channels");
  assert.deepEqual([status, body.code], [504, "DEADLINE_PASSED"]);
  assert.ok(createChannel.deadlineMs > 0);
});
