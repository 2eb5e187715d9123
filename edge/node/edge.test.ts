import assert from "node:assert/strict";
import { request as openRequest } from "node:http";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import {
  channelOf,
  type EdgeOptions,
  edgeUnderTest,
  FOLDER,
  get,
  mediaPlaylist,
  patterned,
} from "../../test/origin/edge.ts";
import { mediaStandIn } from "../../test/origin/stand-in.ts";
import { until } from "../../test/support/platform.ts";

const SEGMENT = `${FOLDER}/v0/5.m4s`;
const MEDIA = `${FOLDER}/v0/media.m3u8`;

/** An edge in front of one origin that has a playlist, a segment and an init. */
const scene = async (t: TestContext, options: EdgeOptions = {}) => {
  const origin = await mediaStandIn(t);
  const body = patterned(100_000);
  origin.items.set(SEGMENT, {
    body,
    headers: { etag: '"seg-5"', "cache-control": "public, max-age=3600, immutable", "set-cookie": "a=b" },
  });
  origin.items.set(MEDIA, { body: mediaPlaylist(1, 5), headers: { etag: '"list-5"', "cache-control": "max-age=1" } });
  origin.items.set(`${FOLDER}/v0/init.mp4`, { body: "init", headers: { etag: '"init"' } });
  const edge = await edgeUnderTest(t, { channels: [channelOf([origin])], ...options });
  return { origin, body, edge, at: (path: string) => `${edge.url}${path}` };
};

describe("an edge", () => {
  test("passes on what the origin has, says what it did, and asks only once", async (t) => {
    const { origin, body, at } = await scene(t);
    const first = await get(at(SEGMENT));
    const second = await get(at(SEGMENT));
    for (const { status, headers, body: got } of [first, second]) {
      assert.equal(status, 200);
      assert.deepEqual(got, body);
      assert.equal(headers["content-type"], "video/mp4");
      assert.equal(headers["content-length"], "100000");
      assert.equal(headers.etag, '"seg-5"');
      assert.equal(headers["cache-control"], "public, max-age=3600, immutable");
      assert.equal(headers["access-control-allow-origin"], "*");
      assert.equal(headers["accept-ranges"], "bytes");
      assert.equal(headers.via, "1.1 castellan-edge-1");
      assert.equal(headers["set-cookie"], undefined);
    }
    assert.equal(first.headers["cache-status"], "castellan-edge; fwd=uri-miss");
    assert.match(second.headers["cache-status"]?.toString() ?? "", /^castellan-edge; hit; ttl=35\d\d$/);
    assert.equal(origin.countOf(SEGMENT), 1);
    assert.equal(origin.seen[0]?.headers.via, "1.1 castellan-edge-1");
    assert.equal(origin.seen[0]?.headers["accept-encoding"], "identity");
  });

  test("counts the age of what it has in seconds, the origin's own included", async (t) => {
    const { origin, edge, at } = await scene(t);
    origin.items.set(SEGMENT, { body: "x", headers: { "cache-control": "max-age=100", age: "10" } });
    assert.equal((await get(at(SEGMENT))).headers.age, "0");
    edge.pass(5_000);
    const { headers } = await get(at(SEGMENT));
    assert.equal(headers.age, "15");
    assert.match(headers["cache-status"]?.toString() ?? "", /ttl=8[45]$/);
  });

  test("keeps a playlist for less than a third of a segment, and takes a 304 for an answer", async (t) => {
    const { origin, edge, at } = await scene(t);
    await get(at(MEDIA));
    edge.pass(500);
    assert.match((await get(at(MEDIA))).headers["cache-status"]?.toString() ?? "", /hit/);
    assert.equal(origin.countOf(MEDIA), 1);
    edge.pass(200);
    const renewed = await get(at(MEDIA));
    assert.equal(renewed.status, 200);
    assert.equal(renewed.body.toString(), mediaPlaylist(1, 5));
    assert.equal(renewed.headers["cache-status"], "castellan-edge; fwd=stale");
    assert.equal(origin.seen.at(-1)?.headers["if-none-match"], '"list-5"');
    origin.items.set(MEDIA, { body: mediaPlaylist(2, 6), headers: { etag: '"list-6"' } });
    edge.pass(700);
    assert.equal((await get(at(MEDIA))).body.toString(), mediaPlaylist(2, 6));
  });

  test("answers HEAD from the cache or by a fetch that fills it", async (t) => {
    const { origin, at } = await scene(t);
    for (let count = 0; count < 2; count += 1) {
      const { status, headers, body } = await get(at(SEGMENT), { method: "HEAD" });
      assert.equal(status, 200);
      assert.equal(headers["content-length"], "100000");
      assert.equal(body.length, 0);
    }
    await until("the body to be in", async () => /hit/.test(String((await get(at(SEGMENT))).headers["cache-status"])));
    assert.equal(origin.countOf(SEGMENT), 1);
  });

  test("answers conditions by itself", async (t) => {
    const { origin, at } = await scene(t);
    await get(at(SEGMENT));
    const same = await get(at(SEGMENT), { headers: { "if-none-match": 'W/"seg-5"' } });
    assert.equal(same.status, 304);
    assert.equal(same.headers.etag, '"seg-5"');
    assert.equal(same.headers["access-control-allow-origin"], "*");
    assert.equal((await get(at(SEGMENT), { headers: { "if-none-match": '"other"' } })).status, 200);
    assert.equal((await get(at(SEGMENT), { headers: { "if-match": '"other"' } })).status, 412);
    assert.equal(origin.countOf(SEGMENT), 1);
  });

  test("lets other hosts' players in, and takes nothing but GET, HEAD and OPTIONS", async (t) => {
    const { at } = await scene(t);
    const preflight = await get(at(SEGMENT), { method: "OPTIONS" });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers["access-control-allow-methods"], "GET, HEAD, OPTIONS");
    assert.match(preflight.headers["access-control-allow-headers"] ?? "", /CMCD-Session.* Range/);
    for (const method of ["POST", "PUT", "DELETE"]) {
      const { status, headers } = await get(at(SEGMENT), { method });
      assert.equal(status, 405);
      assert.equal(headers.allow, "GET, HEAD, OPTIONS");
      assert.equal(headers["access-control-allow-origin"], "*");
    }
  });

  test("answers 404 for a channel that it does not know, for a moment only", async (t) => {
    const { origin, at } = await scene(t);
    const { status, headers, body } = await get(at("/live/acme/other.stream/master.m3u8"));
    assert.equal(status, 404);
    assert.equal(headers["cache-control"], "public, max-age=1");
    assert.equal(headers["content-type"], "application/problem+json");
    assert.deepEqual(JSON.parse(body.toString()), {
      type: "urn:castellan:error:NOT_FOUND",
      title: "Not found",
      status: 404,
      code: "NOT_FOUND",
      detail: "There is nothing at this address.",
      requestId: headers["x-request-id"],
    });
    assert.equal(origin.seen.length, 0);
  });

  test("refuses by the catalogue, under the request's own id", async (t) => {
    const { at } = await scene(t);
    const refused: [code: string, path: string, options: Parameters<typeof get>[1]][] = [
      ["PATH_REFUSED", `${FOLDER}/v0%2f5.m4s`, {}],
      ["TARGET_TOO_LONG", `${SEGMENT}?${"a".repeat(2_048)}`, {}],
      ["METHOD_NOT_ALLOWED", SEGMENT, { method: "PUT" }],
      ["REQUEST_LOOPED", SEGMENT, { headers: { via: "1.1 castellan-edge-1" } }],
    ];
    for (const [code, path, options = {}] of refused) {
      const headers = { ...options.headers, "x-request-id": "abc-1" };
      const { status, body } = await get(at(path), { ...options, headers });
      const problem = JSON.parse(body.toString());
      assert.deepEqual([problem.code, problem.status, problem.requestId], [code, status, "abc-1"]);
    }
  });

  test("remembers for a second that an object is missing", async (t) => {
    const { origin, edge, at } = await scene(t);
    for (let count = 0; count < 3; count += 1) assert.equal((await get(at(`${FOLDER}/v0/9.m4s`))).status, 404);
    assert.equal(origin.countOf(`${FOLDER}/v0/9.m4s`), 1);
    edge.pass(1_000);
    origin.items.set(`${FOLDER}/v0/9.m4s`, { body: "nine" });
    assert.equal((await get(at(`${FOLDER}/v0/9.m4s`))).body.toString(), "nine");
  });

  test("has one object for a path, whatever query stands behind it", async (t) => {
    const { origin, at } = await scene(t);
    for (const query of ["", "?a=1", "?a=2"]) assert.equal((await get(at(`${SEGMENT}${query}`))).status, 200);
    assert.deepEqual(
      origin.seen.map(({ path }) => path),
      [SEGMENT],
    );
  });

  test("never sends a request with dots or encoded slashes on", async (t) => {
    const { origin, edge } = await scene(t);
    const { hostname, port } = new URL(edge.url);
    const raw = (path: string): Promise<number> =>
      new Promise((resolve, reject) => {
        const sent = openRequest({ hostname, port, path, agent: false }, (response) => {
          response.resume();
          resolve(response.statusCode ?? 0);
        });
        sent.on("error", reject);
        sent.end();
      });
    for (const path of ["/../secret", "/v0/../../../x", "/v0%2f5.m4s", "/%2e%2e/x"]) {
      assert.equal(await raw(`${FOLDER}${path}`), 400, path);
    }
    assert.equal(origin.seen.length, 0);
  });

  test("does not keep what the origin does not want kept", async (t) => {
    const { origin, at } = await scene(t);
    origin.items.set(SEGMENT, { body: "mine", headers: { "cache-control": "no-store" } });
    for (let count = 0; count < 2; count += 1) assert.equal((await get(at(SEGMENT))).body.toString(), "mine");
    assert.equal(origin.countOf(SEGMENT), 2);
  });

  test("asks for an init again about once per segment, by its tag", async (t) => {
    const { origin, edge, at } = await scene(t);
    const path = `${FOLDER}/v0/init.mp4`;
    await get(at(path));
    edge.pass(1_900);
    await get(at(path));
    assert.equal(origin.countOf(path), 1);
    edge.pass(200);
    assert.equal((await get(at(path))).body.toString(), "init");
    assert.equal(origin.seen.at(-1)?.headers["if-none-match"], '"init"');
  });

  test("keeps inits that are named by their hash apart, and long", async (t) => {
    const { origin, edge, at } = await scene(t);
    const path = `${FOLDER}/v0/init.mp4`;
    for (const query of ["?v=0a", "?v=0b", "?v=0a"]) await get(at(`${path}${query}`));
    edge.pass(30_000);
    assert.match(String((await get(at(`${path}?v=0b`))).headers["cache-status"]), /; hit/);
    for (const query of ["?v=UPPER", "?x=1", "?v=0a&x=1"]) await get(at(`${path}${query}`));
    assert.deepEqual(
      origin.seen.map((seen) => seen.path),
      [`${path}?v=0a`, `${path}?v=0b`, path],
    );
  });

  test("refuses a request that has been through it before", async (t) => {
    const { origin, at } = await scene(t);
    const { status } = await get(at(SEGMENT), { headers: { via: "1.1 other, 1.1 castellan-edge-1" } });
    assert.equal(status, 508);
    assert.equal(origin.seen.length, 0);
  });

  test("ends answers in flight before it closes, and takes no new ones", async (t) => {
    const { origin, edge, at } = await scene(t);
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    origin.rules.push({ path: "v0/5.m4s", how: { piece: 60_000, step: () => gate } });
    let started = (): void => {};
    const begun = new Promise<void>((resolve) => {
      started = resolve;
    });
    const answer = get(at(SEGMENT), { onData: () => started() });
    await begun;
    const stopped = edge.edge.stop(10_000);
    await assert.rejects(get(at("/readyz")), { code: "ECONNREFUSED" });
    release();
    const { body, broken } = await answer;
    assert.equal(broken, false);
    assert.equal(body.length, 100_000);
    await stopped;
  });

  test("survives what is no HTTP at all", async (t) => {
    const { at, edge } = await scene(t);
    const { port } = new URL(edge.url);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), "127.0.0.1", () => socket.end("GET /live/a\0b HTTP/1.1\r\n: x\r\n\r\n"));
      socket.on("error", () => {});
      socket.resume().on("close", () => resolve());
    });
    assert.equal((await get(at(SEGMENT))).status, 200);
  });
});
