import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import type { Worker } from "node:worker_threads";
import { type Asked, type Behave, FaultyOrigin, headOf, rangeOf } from "../../test/edge-failures/faulty-origin.ts";
import { bytesOf, edgeScene, oneSite, type Scene } from "../../test/edge-failures/scene.ts";
import { type Got, Viewer, type Wish } from "../../test/edge-failures/viewer.ts";
import { until } from "../../test/support/platform.ts";

const SIZE = 400_000;
/** The kernel chooses a thread for each connection: so many are on both but for one case in 30,000. */
const VIEWERS = 16;
const FRESH = "Cache-Control: max-age=60";

const give = (asked: Asked, body: Buffer, ...lines: readonly string[]): void => {
  const range = rangeOf(asked, body.length);
  const { from, to } = range ?? { from: 0, to: body.length };
  const part = range ? [`Content-Range: bytes ${from}-${to - 1}/${body.length}`] : [];
  asked.socket.write(
    headOf(range ? "206 Partial Content" : "200 OK", `Content-Length: ${to - from}`, ...part, ...lines),
  );
  asked.socket.write(body.subarray(from, to));
};

interface TwoThreads {
  readonly edge: Scene;
  readonly origin: FaultyOrigin;
  readonly workers: readonly Worker[];
  readonly viewers: readonly Viewer[];
  /** All at once, each on its own connection. */
  all(path: string, wish?: (index: number) => Wish): Promise<Got[]>;
}

const twoThreads = async (t: TestContext, behave: Behave, more: { hostname?: string; cacheBytes?: number } = {}) => {
  const origin = await FaultyOrigin.open(t, behave);
  const workers: Worker[] = [];
  const noteWorker = (worker: Worker): void => void workers.push(worker);
  process.on("worker", noteWorker);
  t.after(() => void process.off("worker", noteWorker));
  const config = oneSite(origin.url, {}, more.hostname);
  const edge = await edgeScene(t, config, { threads: 2, ...(more.cacheBytes ? { cacheBytes: more.cacheBytes } : {}) });
  const viewers = await Promise.all(Array.from({ length: VIEWERS }, () => Viewer.to(edge.port)));
  t.after(() => {
    for (const viewer of viewers) viewer.leave();
  });
  const all = (path: string, wish: (index: number) => Wish = () => ({})): Promise<Got[]> =>
    Promise.all(
      viewers.map((viewer, index) => viewer.get(path, { host: more.hostname ?? "localhost", ...wish(index) })),
    );
  return { edge, origin, workers, viewers, all } satisfies TwoThreads;
};

const assertWhole = (got: Got, body: Buffer): void => {
  assert.deepEqual([got.status, got.looksWhole, got.body.length], [200, true, body.length]);
  assert.ok(got.body.equals(body));
};
/** Paths of both owners: of so many names each thread has some. */
const PATHS = Array.from({ length: 8 }, (_, n) => `/object-${n}`);

describe("an edge of two threads", () => {
  test("asks once for an object whose viewers are on both, and gives all of it to all", async (t) => {
    const { origin, all } = await twoThreads(t, (asked) => give(asked, bytesOf(asked.target, SIZE), FRESH));
    for (const path of PATHS) {
      const body = bytesOf(path, SIZE);
      for (const got of await all(path)) assertWhole(got, body);
      for (const got of await all(path)) {
        assertWhole(got, body);
        assert.match(String(got.field("cache-status")), /; hit/);
      }
      assert.equal(origin.countOf(path), 1);
    }
  });

  test("gives parts and ends of an object to both while it fills", async (t) => {
    const size = 2_000_000; // its end is far from its front
    const body = bytesOf("slow", size);
    const sockets: Asked["socket"][] = [];
    const { all, viewers } = await twoThreads(t, (asked) => {
      if (asked.field("range")) return give(asked, body, FRESH, 'ETag: "a"');
      sockets.push(asked.socket);
      asked.socket.write(headOf("200 OK", `Content-Length: ${size}`, FRESH, 'ETag: "a"'));
      asked.socket.write(body.subarray(0, 50_000));
    });
    const [first, ...others] = viewers;
    const whole = first!.get("/slow");
    await until("the origin to be asked", () => sockets[0]);
    const parts = others.map((viewer, index) => {
      const [from, to] = index % 2 === 0 ? [1_000, 1_999] : [size - 100, size - 1];
      return viewer.get("/slow", { headers: { Range: `bytes=${from}-${to}` } }).then((got) => {
        assert.deepEqual([got.status, got.field("content-range")], [206, `bytes ${from}-${to}/${size}`]);
        assert.ok(got.body.equals(body.subarray(from, to + 1)));
      });
    });
    await Promise.all(parts);
    sockets[0]!.write(body.subarray(50_000));
    assertWhole(await whole, body);
    for (const got of await all("/slow")) assertWhole(got, body);
    assert.equal(sockets.length, 1);
  });

  test("gives a body without a size to both while it fills, and cuts all when it breaks off", async (t) => {
    const body = bytesOf("chunks", SIZE);
    const { all } = await twoThreads(t, ({ socket, target }) => {
      socket.write(headOf("200 OK", "Transfer-Encoding: chunked", FRESH));
      for (let at = 0; at < SIZE; at += 20_000) {
        socket.write("4e20\r\n");
        socket.write(body.subarray(at, at + 20_000));
        socket.write("\r\n");
      }
      if (target === "/cut") socket.resetAndDestroy();
      else socket.write("0\r\n\r\n");
    });
    for (const got of await all("/chunks")) assertWhole(got, body);
    for (const got of await all("/cut")) {
      assert.ok(!got.looksWhole || got.status >= 500, `${got.status} with ${got.body.length} bytes looks whole`);
      if (got.status === 200) assert.ok(got.body.equals(body.subarray(0, got.body.length)));
    }
  });

  test("cuts all viewers of a body that is broken as soon as it begins", async (t) => {
    const { all } = await twoThreads(t, ({ socket }) => {
      const bad = Buffer.from(`${headOf("200 OK", "Transfer-Encoding: chunked", FRESH)}5\r\nhello\r\nnonsense\r\n`);
      socket.end(bad);
    });
    for (const path of PATHS) {
      for (const got of await all(path)) assert.ok(!got.looksWhole || got.status >= 500, `${path}: ${got.head}`);
    }
  });

  test("gives each viewer the variant that it asked for", async (t) => {
    const { all } = await twoThreads(t, (asked) => {
      const language = asked.field("accept-language") ?? "none";
      give(asked, bytesOf(`${asked.target} ${language}`, 2_000), FRESH, "Vary: Accept-Language");
    });
    const languageOf = (index: number): string => ["de", "fr", "ko"][index % 3]!;
    for (const path of [...PATHS, ...PATHS]) {
      const got = await all(path, (index) => ({ headers: { "Accept-Language": languageOf(index) } }));
      for (const [index, one] of got.entries()) assertWhole(one, bytesOf(`${path} ${languageOf(index)}`, 2_000));
    }
  });

  test("gives what may not be kept to the one who asked for it", async (t) => {
    const { all } = await twoThreads(t, (asked) => {
      give(asked, bytesOf(asked.field("cookie") ?? "nobody", 3_000), "Cache-Control: private");
    });
    for (const path of PATHS) {
      const got = await all(path, (index) => ({ headers: { Cookie: `viewer=${index}` } }));
      for (const [index, one] of got.entries()) assertWhole(one, bytesOf(`viewer=${index}`, 3_000));
    }
  });

  test("forgets in all threads what was pushed out, and asks again", async (t) => {
    const pieceBytes = 100_000;
    let version = 1;
    const { all, origin } = await twoThreads(
      t,
      (asked) => give(asked, bytesOf(`${version} ${asked.target}`, pieceBytes), FRESH),
      { cacheBytes: 4 * 2 ** 20 },
    );
    await all("/wanted");
    assert.equal(origin.countOf("/wanted"), 1);
    version = 2;
    for (let n = 0; n < 120; n += 1) for (let again = 0; again < 2; again += 1) await all(`/filler-${n}`);
    for (const got of await all("/wanted")) assertWhole(got, bytesOf("2 /wanted", pieceBytes));
  });

  test("renews an object for all threads with one question", async (t) => {
    const body = bytesOf("kept", SIZE);
    const { all, origin } = await twoThreads(t, (asked) => {
      if (asked.field("if-none-match") === '"a"') {
        asked.socket.write(headOf("304 Not Modified", "Cache-Control: max-age=60", 'ETag: "a"'));
      } else give(asked, body, "Cache-Control: max-age=1", 'ETag: "a"');
    });
    for (const got of await all("/kept")) assertWhole(got, body);
    await until("it to be renewed", async () => {
      for (const got of await all("/kept")) assertWhole(got, body);
      return origin.countOf("/kept") > 1 ? true : undefined;
    });
    for (const got of await all("/kept")) assertWhole(got, body);
    assert.equal(origin.countOf("/kept"), 2);
  });

  test("asks anew, in all threads, for what a request has changed", async (t) => {
    let version = 1;
    const { viewers, all } = await twoThreads(t, (asked) => {
      if (asked.method === "GET") return give(asked, bytesOf(`${version} ${asked.target}`, 2_000), FRESH);
      version += 1;
      asked.socket.write(headOf("204 No Content"));
    });
    for (const path of PATHS) {
      for (const changer of [viewers[0]!, viewers[1]!, viewers[2]!]) {
        for (const got of await all(path)) assertWhole(got, bytesOf(`${version} ${path}`, 2_000));
        const changed = await changer.say(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`);
        assert.equal(changed.status, 204);
        assertWhole(await changer.get(path), bytesOf(`${version} ${path}`, 2_000));
        await until("all to get what there is now", async () => {
          const got = await all(path);
          return got.every(({ body }) => body.equals(bytesOf(`${version} ${path}`, 2_000))) ? true : undefined;
        });
      }
    }
  });

  test("starts anew when a thread dies, and serves on its port", async (t) => {
    const { edge, workers, all } = await twoThreads(t, (asked) => give(asked, bytesOf(asked.target, SIZE), FRESH));
    for (const got of await all("/before")) assertWhole(got, bytesOf("/before", SIZE));
    assert.equal(workers.length, 2);
    await workers[1]!.terminate();
    await until("new threads", () => (workers.length === 4 ? true : undefined));
    await until("the edge to serve again", async () => {
      for (const path of PATHS) {
        const viewer = await Viewer.to(edge.port);
        const got = await viewer.get(path).finally(() => viewer.leave());
        assertWhole(got, bytesOf(path, SIZE));
      }
      return true;
    });
  });

  test("stops at once although a thread has just died", async (t) => {
    const { edge, workers } = await twoThreads(t, (asked) => give(asked, bytesOf(asked.target, SIZE), FRESH));
    const died = once(workers[0]!, "exit");
    void workers[0]!.terminate();
    await died;
    await edge.stop();
    for (const worker of workers) assert.equal(worker.threadId, -1);
  });

  test("that stops lets answers end that are under way", async (t) => {
    const body = bytesOf("slow", SIZE);
    const sockets: Asked["socket"][] = [];
    const { edge, all, viewers } = await twoThreads(t, ({ socket }) => {
      sockets.push(socket);
      socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, FRESH));
      socket.write(body.subarray(0, SIZE / 2));
    });
    const answers = all("/slow");
    await until("the origin to be asked", () => sockets[0]);
    await until("all to have a part", () => (viewers.every(({ wireBytes }) => wireBytes > 0) ? true : undefined));
    const stopped = edge.stop(20_000);
    sockets[0]!.write(body.subarray(SIZE / 2));
    for (const got of await answers) assertWhole(got, body);
    await stopped;
  });

  test("adds up the metrics of its threads", async (t) => {
    const behave: Behave = (asked) => give(asked, bytesOf(asked.target, SIZE), FRESH);
    const { edge, all } = await twoThreads(t, behave, { hostname: "cdn.example" });
    const requests = async (): Promise<number> => {
      const text = await (await fetch(`http://127.0.0.1:${edge.port}/metrics`)).text();
      // Its own addresses are nobody's.
      const lines = text.split("\n").filter((line) => /^castellan_edge_requests_total\{(?!.*"refused")/.test(line));
      return lines.reduce((sum, line) => sum + Number(line.split(" ").at(-1)), 0);
    };
    const before = await requests();
    for (const path of PATHS) await all(path);
    assert.equal(await requests(), before + PATHS.length * VIEWERS);
  });
});
