import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { channelOf, edgeUnderTest, FOLDER, get, mediaPlaylist, patterned } from "../../test/origin/edge.ts";
import { mediaStandIn } from "../../test/origin/stand-in.ts";
import { until } from "../../test/support/platform.ts";

const SEGMENT = `${FOLDER}/v0/5.m4s`;
const READERS = 200;

const gate = () => {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
};

const scene = async (t: TestContext, sizeBytes: number, cacheBytes?: number) => {
  const origin = await mediaStandIn(t);
  const body = patterned(sizeBytes);
  origin.items.set(SEGMENT, { body });
  const edge = await edgeUnderTest(t, {
    channels: [channelOf([origin])],
    ...(cacheBytes === undefined ? {} : { cacheBytes }),
  });
  return { origin, body, edge, url: `${edge.url}${SEGMENT}` };
};

/** A viewer that reads nothing until it is told to; counts what it got, head included. */
const slowViewer = async (t: TestContext, url: string) => {
  const { hostname, port, pathname } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port) });
  socket.on("error", () => {});
  socket.pause();
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n`);
  t.after(() => {
    socket.destroy();
  });
  let bytes = 0;
  const ended = new Promise<number>((resolve) => {
    socket.on("close", () => resolve(bytes));
  });
  return {
    socket,
    readAll: () => {
      socket.on("data", (chunk) => {
        bytes += chunk.length;
      });
      socket.resume();
      return ended;
    },
  };
};

describe("many viewers", () => {
  test("of one object that nobody had yet cost one fetch, and all get all of it while it comes in", async (t) => {
    const { origin, body, url } = await scene(t, 400_000);
    const rest = gate();
    origin.rules.push({ path: SEGMENT, how: { piece: 200_000, step: () => rest.opened } });
    let started = 0;
    const answers = Array.from({ length: READERS }, () => {
      let first = true;
      return get(url, {
        onData: () => {
          if (first) started += 1;
          first = false;
        },
      });
    });
    // All have bytes before the origin has sent the second half.
    await until("all readers to get bytes", () => (started === READERS ? true : undefined));
    rest.open();
    for (const { status, body: got, broken } of await Promise.all(answers)) {
      assert.equal(status, 200);
      assert.equal(broken, false);
      assert.ok(got.equals(body));
    }
    assert.equal(origin.countOf(SEGMENT), 1);
    const said = (await Promise.all(answers)).map(({ headers }) => headers["cache-status"]);
    assert.equal(said.filter((status) => status === "castellan-edge; fwd=uri-miss").length, 1);
    assert.equal(said.filter((status) => status === "castellan-edge; fwd=uri-miss; collapsed").length, READERS - 1);
  });

  test("of a playlist at the moment at which it gets old cost one fetch", async (t) => {
    const { origin, edge } = await scene(t, 1);
    const path = `${FOLDER}/v0/media.m3u8`;
    for (const last of [5, 6, 7]) {
      origin.items.set(path, { body: mediaPlaylist(1, last) });
      const answers = await Promise.all(Array.from({ length: READERS }, () => get(`${edge.url}${path}`)));
      for (const { body } of answers) assert.equal(body.toString(), mediaPlaylist(1, last));
      edge.pass(700);
    }
    assert.equal(origin.countOf(path), 3);
  });

  test("of a name that does not exist cost one fetch", async (t) => {
    const { origin, edge } = await scene(t, 1);
    const path = `${FOLDER}/v0/404.m4s`;
    const answers = await Promise.all(Array.from({ length: READERS }, () => get(`${edge.url}${path}`)));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([404]));
    assert.equal(origin.countOf(path), 1);
  });

  test("who leave do not end the fetch for those who come", async (t) => {
    const { origin, body, url } = await scene(t, 400_000);
    const rest = gate();
    origin.rules.push({ path: SEGMENT, how: { piece: 200_000, step: () => rest.opened } });
    const left = new AbortController();
    const leaving = get(url, { signal: left.signal, onData: () => left.abort() }).catch(() => undefined);
    await leaving;
    rest.open();
    const hit = await until("the object to be in the cache", async () => {
      const answer = await get(url);
      return /; hit/.test(String(answer.headers["cache-status"])) ? answer : undefined;
    });
    assert.ok(hit.body.equals(body));
    assert.equal(origin.countOf(SEGMENT), 1);
  });

  test("of whom some are slow do not wait for those, and the slow ones get everything too", async (t) => {
    const size = 16 * 2 ** 20; // more than the kernel holds for a connection
    const { origin, body, url } = await scene(t, size);
    const half = gate();
    origin.rules.push({ path: SEGMENT, how: { piece: size / 2, step: () => half.opened } });
    const fast = get(url);
    const slow = await slowViewer(t, url);
    half.open();
    assert.ok((await fast).body.equals(body));
    assert.ok((await slow.readAll()) > size);
    assert.equal(origin.countOf(SEGMENT), 1);
  });

  test("of many objects never make the cache hold more than it may", async (t) => {
    const { origin, edge } = await scene(t, 1, 2 ** 20);
    const sizeOfCache = async (): Promise<number> => {
      const text = (await get(`${edge.url}/metrics`)).body.toString();
      return Number(/^castellan_edge_filled_bytes_total (\d+)/m.exec(text)?.[1] ?? Number.NaN);
    };
    const before = await sizeOfCache();
    const paths = Array.from({ length: 40 }, (_, index) => `${FOLDER}/v0/${1_000 + index}.m4s`);
    for (const path of paths) origin.items.set(path, { body: patterned(100_000) });
    for (const path of paths) assert.equal((await get(`${edge.url}${path}`)).body.length, 100_000);
    assert.equal((await sizeOfCache()) - before, 4_000_000);
    // The newest ten fit, the others have to be fetched again.
    const hits = await Promise.all(
      paths
        .toReversed()
        .map(async (path) => /; hit/.test(String((await get(`${edge.url}${path}`)).headers["cache-status"]))),
    );
    assert.ok(hits.filter(Boolean).length <= 10);
    assert.equal(hits[0], true);
  });
});
