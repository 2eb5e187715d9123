/** An origin that breaks off, lies or changes midway: no viewer gets a short or mixed answer that looks whole. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { describe, test } from "node:test";
import { until } from "../support/platform.ts";
import { seeded } from "../support/seeded.ts";
import { type Asked, type Behave, FaultyOrigin, headOf, rangeOf } from "./faulty-origin.ts";
import { bytesOf, edgeScene, oneSite, type SceneOptions } from "./scene.ts";
import { type Got, Viewer, view } from "./viewer.ts";

const FRESH = "Cache-Control: max-age=60";
const STRONG = 'ETag: "one"';

const sceneOf = async (t: Parameters<typeof edgeScene>[0], behave: Behave, options: SceneOptions = {}) => {
  const origin = await FaultyOrigin.open(t, behave);
  const edge = await edgeScene(t, oneSite(origin.url), options);
  return { origin, edge };
};

/** Sends the whole, or the part that was asked for. */
const give = (asked: Asked, body: Buffer, ...lines: readonly string[]): void => {
  const range = rangeOf(asked, body.length);
  const { from, to } = range ?? { from: 0, to: body.length };
  const part = range ? [`Content-Range: bytes ${from}-${to - 1}/${body.length}`] : [];
  const status = range ? "206 Partial Content" : "200 OK";
  asked.socket.write(headOf(status, `Content-Length: ${to - from}`, FRESH, ...part, ...lines));
  asked.socket.write(body.subarray(from, to));
};

const assertWhole = (got: Got, body: Buffer, what = ""): void => {
  assert.equal(got.status, 200, what);
  assert.ok(got.looksWhole, `${what} was cut at ${got.body.length}`);
  assert.ok(got.body.equals(body), `${what} has other bytes`);
};
const assertCut = (got: Got, body: Buffer, what = ""): void => {
  assert.equal(got.looksWhole, false, `${what}: ${got.status} with ${got.body.length} bytes looks whole`);
  assert.ok(got.body.equals(body.subarray(0, got.body.length)), `${what} has other bytes`);
};
/** Whatever an origin does, this is the least. */
const assertHonest = (got: Got, body: Buffer, what: string): void => {
  if (got.status !== 200) assert.ok(got.status === 0 || got.status >= 500, `${what}: ${got.status}`);
  else if (got.looksWhole) assertWhole(got, body, what);
  else assertCut(got, body, what);
};

const CUTS = 200;

for (const threads of [1, 2]) {
  describe(`with ${threads === 1 ? "one thread" : "two threads"}, an origin that is cut at a random byte`, () => {
    const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));

    test(`${CUTS} times: under a strong ETag every viewer gets the whole`, async (t) => {
      t.diagnostic(`TEST_SEED=${seed}`);
      const random = seeded(seed);
      const bodies = new Map<string, Buffer>();
      const cuts = new Map<string, number[]>();
      const { origin, edge } = await sceneOf(
        t,
        (asked) => {
          const body = bodies.get(asked.target)!;
          const cutAt = cuts.get(asked.target)!.shift();
          if (cutAt === undefined) return give(asked, body, STRONG);
          const range = rangeOf(asked, body.length) ?? { from: 0, to: body.length };
          const part = asked.field("range")
            ? [`Content-Range: bytes ${range.from}-${range.to - 1}/${body.length}`]
            : [];
          const status = part.length > 0 ? "206 Partial Content" : "200 OK";
          const head = headOf(status, `Content-Length: ${range.to - range.from}`, FRESH, STRONG, ...part);
          const end = Math.min(range.from + cutAt, range.to - 1);
          asked.socket.write(Buffer.concat([Buffer.from(head), body.subarray(range.from, end)]), () =>
            random.int(2) === 0 ? asked.socket.resetAndDestroy() : asked.socket.end(),
          );
        },
        { threads },
      );
      let resumedCount = 0;
      for (let round = 0; round < CUTS / 10; round += 1) {
        const paths = Array.from({ length: 10 }, (_, n) => `/${round}/${n}`);
        await Promise.all(
          paths.map(async (path) => {
            const body = bytesOf(path, 1 + random.int(random.int(4) === 0 ? 600_000 : 40_000));
            bodies.set(path, body);
            cuts.set(
              path,
              Array.from({ length: 1 + random.int(2) }, () => random.int(body.length)),
            );
            const got = await Promise.all([view(edge.port, path), view(edge.port, path)]);
            for (const one of got) assertWhole(one, body, path);
            assertWhole(await view(edge.port, path), body, `${path} again`);
          }),
        );
        resumedCount += paths.filter((path) => origin.countOf(path) > 1).length;
      }
      assert.equal(resumedCount, CUTS);
    });

    test(`${CUTS} times: without a strong validator no answer looks whole that is not`, async (t) => {
      t.diagnostic(`TEST_SEED=${seed}`);
      const random = seeded(seed + 1);
      const bodies = new Map<string, Buffer>();
      const framings = ["length", "chunked"] as const;
      const { edge } = await sceneOf(
        t,
        (asked) => {
          const body = bodies.get(asked.target)!;
          const framing = framings[random.int(2)]!;
          const tag = random.int(2) === 0 ? ['ETag: W/"one"'] : [];
          const length = framing === "length" ? `Content-Length: ${body.length}` : "Transfer-Encoding: chunked";
          const sent =
            framing === "length"
              ? body
              : Buffer.concat([Buffer.from(`${body.length.toString(16)}\r\n`), body, Buffer.from("\r\n0\r\n\r\n")]);
          const head = headOf("200 OK", length, FRESH, ...tag);
          const part = sent.subarray(0, random.int(sent.length));
          asked.socket.write(Buffer.concat([Buffer.from(head), part]), () =>
            random.int(2) === 0 ? asked.socket.resetAndDestroy() : asked.socket.end(),
          );
        },
        { threads },
      );
      let [seen, cut] = [0, 0];
      for (let round = 0; round < CUTS / 10; round += 1) {
        await Promise.all(
          Array.from({ length: 10 }, async (_, n) => {
            const path = `/${round}/${n}`;
            const body = bytesOf(path, 1 + random.int(random.int(4) === 0 ? 600_000 : 40_000));
            bodies.set(path, body);
            const wishes = [{}, {}, { headers: { Range: `bytes=${random.int(body.length)}-` } }];
            for (const got of await Promise.all(wishes.map((wish) => view(edge.port, path, wish)))) {
              seen += 1;
              if (!got.looksWhole) cut += 1;
              assert.ok(
                !got.looksWhole || got.status >= 500,
                `${path}: ${got.head}, ${got.body.length}/${body.length}`,
              );
            }
          }),
        );
      }
      t.diagnostic(`${seen} viewers, ${cut} cut`);
    });
  });
}

describe("an origin", () => {
  const SIZE = 300_000;
  const body = bytesOf("object", SIZE);
  /** Sends the first half of what is asked, then ends; then goes on by `next`. */
  const halfThen = (next: Behave): Behave => {
    let isFirst = true;
    return (asked) => {
      if (!isFirst) return next(asked);
      isFirst = false;
      asked.socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, FRESH, STRONG));
      asked.socket.write(body.subarray(0, SIZE / 2), () => asked.socket.end());
    };
  };
  const RESUMES: Record<string, Behave> = {
    "whose object has another ETag when it is resumed": (asked) => give(asked, bytesOf("other", SIZE), 'ETag: "two"'),
    "whose object has only a weak ETag when it is resumed": (asked) =>
      give(asked, bytesOf("other", SIZE), 'ETag: W/"one"'),
    "that answers the whole again when it is resumed": ({ socket }) => {
      socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, FRESH, 'ETag: "two"'));
      socket.write(bytesOf("other", SIZE));
    },
    "whose object has another size when it is resumed": (asked) => give(asked, bytesOf("object", SIZE + 10), STRONG),
    "that sends another part than it was asked for": ({ socket }) => {
      socket.write(headOf("206 Partial Content", "Content-Length: 10", `Content-Range: bytes 0-9/${SIZE}`, STRONG));
      socket.write(body.subarray(0, 10));
    },
    "that sends more than the part that it announces": ({ socket }) => {
      const range = `Content-Range: bytes ${SIZE / 2}-${SIZE - 1}/${SIZE}`;
      socket.write(headOf("206 Partial Content", `Content-Length: ${SIZE / 2 + 7}`, range, STRONG));
      socket.write(Buffer.concat([body.subarray(SIZE / 2), Buffer.from("surplus")]));
    },
    "that has 404 when it is resumed": ({ socket }) => void socket.write(headOf("404 Not Found", "Content-Length: 0")),
    "that is gone when it is resumed": ({ socket }) => void socket.resetAndDestroy(),
  };
  for (const [name, next] of Object.entries(RESUMES)) {
    test(`${name} costs its viewers the connection, and nothing is mixed or kept`, async (t) => {
      const { origin, edge } = await sceneOf(t, halfThen(next));
      for (const got of await Promise.all([view(edge.port, "/o"), view(edge.port, "/o")])) assertCut(got, body);
      origin.behave = (asked) => give(asked, body, STRONG);
      assertWhole(await view(edge.port, "/o"), body, "afterwards");
    });
  }

  test("that sends less than it was asked to go on with is asked for the rest", async (t) => {
    const { edge } = await sceneOf(
      t,
      halfThen((asked) => {
        const { from, to } = rangeOf(asked, SIZE)!;
        const end = Math.min(to, from + 60_000);
        const range = `Content-Range: bytes ${from}-${end - 1}/${SIZE}`;
        asked.socket.write(headOf("206 Partial Content", `Content-Length: ${end - from}`, range, FRESH, STRONG));
        asked.socket.write(body.subarray(from, end));
      }),
    );
    assertWhole(await view(edge.port, "/o"), body);
    const again = await view(edge.port, "/o");
    assertWhole(again, body, "from the cache");
  });

  test("whose part is shorter than its Content-Range says is not believed to have sent the whole", async (t) => {
    const { origin, edge } = await sceneOf(
      t,
      halfThen((asked) => {
        const { from, to } = rangeOf(asked, SIZE)!;
        const range = `Content-Range: bytes ${from}-${to - 1}/${SIZE}`;
        asked.socket.write(headOf("206 Partial Content", "Content-Length: 1", range, FRESH, STRONG));
        asked.socket.write(body.subarray(from, from + 1));
      }),
    );
    assertCut(await view(edge.port, "/o"), body);
    origin.behave = (asked) => give(asked, body, STRONG);
    assertWhole(await view(edge.port, "/o"), body, "afterwards");
  });

  test("that is reset in a body that ends with its connection cuts the viewers too, and is not kept", async (t) => {
    const { origin, edge } = await sceneOf(t, ({ socket }) => {
      socket.write(headOf("200 OK", FRESH, STRONG, "Connection: close"));
      socket.write(body.subarray(0, SIZE / 2));
    });
    const viewer = await Viewer.to(edge.port);
    const answer = viewer.get("/o");
    await until("a part to have come", () => (viewer.wireBytes > SIZE / 4 ? true : undefined));
    await origin.close();
    assertCut(await answer, body);
    await origin.listen();
    origin.behave = (asked) => give(asked, body, STRONG);
    assertWhole(
      await until("it to be asked again", async () => {
        const got = await view(edge.port, "/o");
        return got.status === 200 ? got : undefined;
      }),
      body,
      "afterwards",
    );
  });

  test("that sends more than it announces: its viewers get no more than that, and nothing is kept", async (t) => {
    const { origin, edge } = await sceneOf(t, ({ socket }) => {
      socket.write(headOf("200 OK", "Content-Length: 1000", FRESH));
      socket.write(body.subarray(0, 2_000));
    });
    const got = await view(edge.port, "/long");
    assertHonest(got, body.subarray(0, 1_000), "longer than announced");
    origin.behave = (asked) => give(asked, bytesOf("honest", 5_000));
    assertWhole(await view(edge.port, "/long"), bytesOf("honest", 5_000), "afterwards");
  });

  test("whose body has no end is cut at what an object may have, and others are served meanwhile", async (t) => {
    const { edge } = await sceneOf(
      t,
      (asked) => {
        if (asked.target !== "/endless") return give(asked, body);
        const { socket } = asked;
        socket.write(headOf("200 OK", "Transfer-Encoding: chunked", FRESH));
        const chunk = Buffer.concat([Buffer.from("80000\r\n"), Buffer.alloc(0x80000, 1), Buffer.from("\r\n")]);
        const more = (): void => {
          if (!socket.destroyed) socket.write(chunk, () => setImmediate(more));
        };
        more();
      },
      { cacheBytes: 16 * 2 ** 20 },
    );
    const endless = view(edge.port, "/endless");
    assertWhole(await view(edge.port, "/fine"), body);
    const got = await endless;
    assert.equal(got.looksWhole, false);
    assert.ok(got.body.length <= 64 * 2 ** 20 + 1);
  });

  test("that is slow is waited for by all as one; parts and heads are answered meanwhile", async (t) => {
    const size = 2_000_000; // its end is far from its front
    const body = bytesOf("slow", size);
    let socketOfFirst: Asked["socket"] | undefined;
    const { origin, edge } = await sceneOf(t, (asked) => {
      if (asked.field("range")) return give(asked, body, STRONG);
      socketOfFirst = asked.socket;
      asked.socket.write(headOf("200 OK", `Content-Length: ${size}`, FRESH, STRONG));
      asked.socket.write(body.subarray(0, 100_000));
    });
    const viewers = [view(edge.port, "/slow"), view(edge.port, "/slow")];
    const socket = await until("the origin to be asked", () => socketOfFirst);
    const part = await view(edge.port, "/slow", { headers: { Range: "bytes=1000-1999" } });
    assert.deepEqual([part.status, part.field("content-range")], [206, `bytes 1000-1999/${size}`]);
    assert.ok(part.body.equals(body.subarray(1_000, 2_000)));
    const head = await view(edge.port, "/slow", { method: "HEAD" });
    assert.deepEqual([head.status, head.field("content-length"), head.body.length], [200, String(size), 0]);
    const tail = await view(edge.port, "/slow", { headers: { Range: "bytes=-16" } });
    assert.equal(tail.status, 206);
    assert.ok(tail.body.equals(body.subarray(size - 16)));
    assert.equal(origin.countOf("/slow"), 2); // once for the whole, once for its end
    for (let at = 100_000; at < size; at += 100_000) socket.write(body.subarray(at, at + 100_000));
    for (const got of await Promise.all(viewers)) assertWhole(got, body);
    assertWhole(await view(edge.port, "/slow"), body);
    assert.equal(origin.countOf("/slow"), 2);
  });

  test("that resets before a head, again and again, is told to viewers as a failure of its own", async (t) => {
    const { edge } = await sceneOf(t, ({ socket }) => void socket.resetAndDestroy());
    for (const method of ["GET", "HEAD"]) {
      const got = await view(edge.port, "/o", { method });
      assert.deepEqual([got.status, got.looksWhole], [502, true]);
    }
  });
});
