import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, describe, test } from "node:test";
import HLS from "hls-parser";
import type { Presentation } from "../../domain/live/presentation.ts";
import { decodedFrames, encode, type Track } from "../../test/support/lavfi.ts";
import { feed, presentationOf } from "../../test/support/presentation.ts";
import { seeded } from "../../test/support/seeded.ts";
import { slicesOf } from "./live-answer.ts";
import { LiveHttp, type LiveView } from "./live-http.ts";

HLS.setOptions({ strictMode: true });
const FIRST = 1_732_186_800; // segments of 1 s
const START = FIRST * 90_000;
let picture: Track;
let tone: Track;
let presentation: Presentation;
let server: Server;
let other: Server;
const clock = { nowMs: () => Date.UTC(2026, 10, 21, 12, 0, 0, 123) };

const playing = (): Presentation => {
  const made = presentationOf({ windowSegments: 4 });
  made.setInit("v0", picture.init, picture.info);
  made.setInit("a0", tone.init, tone.info);
  feed(made, [
    { name: "v0", track: picture, atTicks: START },
    { name: "a0", track: tone, atTicks: START },
  ]);
  return made;
};
/** Two segments of four. */
const young = (): Presentation => {
  const made = presentationOf({ windowSegments: 4, names: ["v0"] });
  made.setInit("v0", picture.init, picture.info);
  feed(made, [{ name: "v0", track: picture, atTicks: START, to: 60 }]);
  return made;
};
const listen = async (views: Readonly<Record<string, LiveView | "starting">>): Promise<Server> => {
  const live = new LiveHttp((tenant, streamId) => views[`${tenant}/${streamId}`], clock);
  const opened = createServer((req, res) => {
    if (!live.handle(req, res)) res.writeHead(418).end();
  });
  opened.listen(0, "127.0.0.1");
  await once(opened, "listening");
  return opened;
};

before(async () => {
  [picture, tone] = await Promise.all([encode({ kind: "video", seconds: 6 }), encode({ kind: "audio", seconds: 6 })]);
  presentation = playing();
  const rest = { firstSegmentNumber: FIRST, zeroMs: 0, declaredBps: { v0: 100_000, a0: 48_000 } };
  const empty = presentationOf();
  server = await listen({
    "acme/one.stream": { presentation, ...rest },
    "acme/two.stream": "starting",
    "acme/three.stream": { presentation: empty, ...rest },
    "acme/four.stream": { presentation: young(), ...rest },
  });
  other = await listen({ "acme/one.stream": { presentation: playing(), ...rest } });
});
after(() => {
  for (const one of [server, other]) one.close().closeAllConnections();
});

interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: Buffer;
}
interface Ask {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly of?: Server;
}
/** Not fetch: it hides HEAD bodies, adds headers of its own and normalises paths. */
const get = async (path: string, { method = "GET", headers = {}, of = server }: Ask = {}): Promise<Answer> => {
  const { port } = of.address() as AddressInfo; // it listens on TCP
  const asked = request({ host: "127.0.0.1", port, path, method, headers, agent: false }).end();
  const [response] = await once(asked, "response");
  const pieces: Buffer[] = [];
  for await (const piece of response) pieces.push(piece);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(pieces) };
};
const BASE = "/live/acme/one.stream";
const pick = ({ headers }: Answer, ...names: string[]): unknown[] => names.map((name) => headers[name]);

test("a player's whole way: multivariant playlist, media playlist, init segment, segments that decode", async () => {
  const master = HLS.parse((await get(`${BASE}/master.m3u8`)).body.toString());
  assert.ok(master.isMasterPlaylist);
  for (const uri of ["v0/media.m3u8", "a0/media.m3u8"]) {
    const list = HLS.parse((await get(`${BASE}/${uri}`)).body.toString());
    assert.ok(!list.isMasterPlaylist);
    const folder = `${BASE}/${uri.slice(0, 2)}`;
    const uris = [list.segments[0]?.map?.uri ?? "", ...list.segments.map((segment) => segment.uri)];
    const answers = await Promise.all(uris.map((name) => get(`${folder}/${name}`)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [200, 200, 200, 200, 200],
    );
    const frames = await decodedFrames(Buffer.concat(answers.map(({ body }) => body)));
    assert.ok(uri.startsWith("v0") ? frames.length === 100 : frames.length >= 187, `${uri}: ${frames.length}`);
  }
  assert.equal(master.variants[0]?.uri, "v0/media.m3u8");
});

test("each kind of thing has its type and its time to live, and is open to players on other hosts", async () => {
  const number = presentation.lastSegmentNumber;
  const init = /URI="(init\.mp4\?v=[0-9a-f]{8})"/.exec((await get(`${BASE}/v0/media.m3u8`)).body.toString())?.[1];
  const kinds: [path: string, type: string, cacheControl: string][] = [
    ["master.m3u8", "application/vnd.apple.mpegurl", "public, max-age=1"],
    ["v0/media.m3u8", "application/vnd.apple.mpegurl", "public, max-age=1"],
    ["manifest.mpd", "application/dash+xml", "public, max-age=1"],
    [`v0/${init}`, "video/mp4", "public, max-age=86400, immutable"],
    ["v0/init.mp4", "video/mp4", "public, max-age=10"],
    ["a0/init.mp4", "audio/mp4", "public, max-age=10"],
    [`v0/${number}.m4s`, "video/mp4", "public, max-age=86400, immutable"],
    [`a0/${number}.m4s`, "audio/mp4", "public, max-age=86400, immutable"],
  ];
  for (const [path, type, cacheControl] of kinds) {
    const answer = await get(`${BASE}/${path}`);
    assert.deepEqual(
      [answer.status, ...pick(answer, "content-type", "cache-control", "access-control-allow-origin", "accept-ranges")],
      [200, type, cacheControl, "*", "bytes"],
      path,
    );
    assert.match(String(answer.headers.etag), /^"[\w-]{27}"$/);
    assert.equal(Number(answer.headers["content-length"]), answer.body.length);
    assert.match(String(answer.headers["access-control-expose-headers"]), /Content-Range.*ETag/);
    const head = await get(`${BASE}/${path}`, { method: "HEAD" });
    assert.deepEqual(
      [head.status, head.body.length, head.headers["content-length"]],
      [200, 0, String(answer.body.length)],
    );
  }
});

test("an init segment that is asked for by another hash is not ours", async () => {
  assert.equal((await get(`${BASE}/v0/init.mp4?v=00000000`)).status, 404);
});

test("the clock of the manifest is below the stream's folder, goes with the source's, and is never kept", async () => {
  const answer = await get(`${BASE}/time`);
  assert.deepEqual(
    [answer.status, answer.body.toString(), ...pick(answer, "cache-control", "access-control-allow-origin")],
    [200, "2026-11-21T12:00:00.123Z", "no-store", "*"],
  );
  presentation.setResidual(-2_000); // the source has run ahead
  assert.equal((await get(`${BASE}/time`)).body.toString(), "2026-11-21T12:00:02.123Z");
  presentation.setResidual(0);
  assert.match((await get(`${BASE}/manifest.mpd`)).body.toString(), /<UTCTiming [^>]*value="time"\/>/);
  assert.equal((await get("/live/acme/two.stream/time")).status, 503);
  assert.equal((await get("/live/acme/none.stream/time")).status, 404);
});

describe("a conditional request", () => {
  test("is 304 without a body while the tag is the same, weak, in a list or *", async () => {
    for (const path of ["master.m3u8", `v0/${FIRST + 5}.m4s`]) {
      const { etag } = (await get(`${BASE}/${path}`)).headers;
      for (const value of [`${etag}`, `W/${etag}`, `"x", ${etag}`, "*"]) {
        const answer = await get(`${BASE}/${path}`, { headers: { "if-none-match": value } });
        assert.deepEqual([answer.status, answer.body.length, answer.headers.etag], [304, 0, etag]);
      }
      assert.equal((await get(`${BASE}/${path}`, { headers: { "if-none-match": '"x"' } })).status, 200);
    }
  });

  test("gets the new text when the playlist has changed", async () => {
    const mine = playing();
    const view = { presentation: mine, firstSegmentNumber: FIRST, zeroMs: 0, declaredBps: {} };
    const own = await listen({ "acme/one.stream": view });
    try {
      const before = await get(`${BASE}/v0/media.m3u8`, { of: own });
      feed(mine, [{ name: "v0", track: picture, atTicks: START + 6 * 90_000, to: 25 }]);
      const headers = { "if-none-match": String(before.headers.etag) };
      const next = await get(`${BASE}/v0/media.m3u8`, { of: own, headers });
      assert.equal(next.status, 200);
      assert.match(next.body.toString(), new RegExp(`\\n${FIRST + 6}\\.m4s\\n$`));
    } finally {
      own.close().closeAllConnections();
    }
  });
});

describe("a range", () => {
  const path = `${BASE}/v0/${FIRST + 4}.m4s`;

  test("is answered with exactly its bytes, from the front, the middle and the end", async () => {
    const { body } = await get(path);
    const size = body.length;
    const ranges: [header: string, start: number, end: number][] = [
      ["bytes=0-0", 0, 0],
      ["bytes=0-99", 0, 99],
      ["bytes=24-", 24, size - 1],
      [`bytes=100-${size + 5_000}`, 100, size - 1],
      ["bytes=-7", size - 7, size - 1],
      [`bytes=-${size + 1}`, 0, size - 1],
    ];
    for (const [range, start, end] of ranges) {
      const answer = await get(path, { headers: { range } });
      assert.deepEqual(
        [answer.status, ...pick(answer, "content-range", "content-length")],
        [206, `bytes ${start}-${end}/${size}`, String(end - start + 1)],
        range,
      );
      assert.ok(answer.body.equals(body.subarray(start, end + 1)), range);
    }
  });

  test("that begins behind the end is 416; what is no single range of bytes gets the whole", async () => {
    const { body } = await get(path);
    for (const range of [`bytes=${body.length}-`, "bytes=-0"]) {
      const answer = await get(path, { headers: { range } });
      assert.deepEqual([answer.status, ...pick(answer, "content-range")], [416, `bytes */${body.length}`]);
    }
    for (const range of ["bytes=0-1,5-6", "frames=0-1", "bytes=5-2", "bytes=-", "bytes=a-b"]) {
      assert.deepEqual([range, (await get(path, { headers: { range } })).status], [range, 200]);
    }
    assert.equal((await get(path, { method: "HEAD", headers: { range: "bytes=0-1" } })).status, 200);
  });

  test("with If-Range counts only while the strong tag is the same", async () => {
    const { etag } = (await get(path)).headers;
    const status = async (ifRange: string): Promise<number> =>
      (await get(path, { headers: { range: "bytes=0-9", "if-range": ifRange } })).status;
    assert.equal(await status(String(etag)), 206);
    assert.equal(await status(`W/${etag}`), 200);
    assert.equal(await status('"x"'), 200);
    assert.equal(await status("Sat, 21 Nov 2026 12:00:00 GMT"), 200);
  });

  test("of another origin's segment is not continued here, unless its bytes are the same", async () => {
    const { headers, body } = await get(path, { of: other });
    const answer = await get(path, { headers: { range: "bytes=9-", "if-range": String(headers.etag) } });
    const mine = await get(path);
    assert.equal(mine.headers.etag === headers.etag, mine.body.equals(body));
    assert.equal(answer.status, mine.body.equals(body) ? 206 : 200);
  });
});

test("what is not there is 404 for a second: gone, to come, or no such thing", async () => {
  const paths = [
    `${BASE}/v0/${FIRST - 1}.m4s`,
    `${BASE}/v0/${FIRST + 6}.m4s`,
    `${BASE}/v0/999999999999999.m4s`,
    `${BASE}/v0/1.m4s.m4s`,
    `${BASE}/v7/media.m3u8`,
    `${BASE}/../one.stream/master.m3u8`,
    `${BASE}/v0/..%2fmaster.m3u8`,
    `${BASE}/`,
    BASE,
    "/live/acme/none.stream/master.m3u8",
    "/live/none/one.stream/master.m3u8",
    "/live/acme/__proto__.stream/master.m3u8",
    "/live/",
  ];
  for (const path of paths) {
    const answer = await get(path);
    assert.deepEqual(
      [path, answer.status, ...pick(answer, "cache-control", "access-control-allow-origin", "content-type")],
      [path, 404, "public, max-age=1", "*", "application/problem+json"],
    );
    assert.deepEqual(JSON.parse(answer.body.toString()), {
      type: "urn:castellan:error:NOT_FOUND",
      title: "Not found",
      status: 404,
      code: "NOT_FOUND",
      detail: "There is nothing at this address.",
      requestId: answer.headers["x-request-id"],
    });
    assert.equal((await get(path, { method: "HEAD" })).body.length, 0);
  }
});

test("a stream that starts is 503 with Retry-After, and nothing keeps that answer", async () => {
  for (const path of ["/live/acme/two.stream/master.m3u8", "/live/acme/three.stream/v0/init.mp4"]) {
    const answer = await get(path);
    assert.deepEqual([answer.status, ...pick(answer, "retry-after", "cache-control")], [503, "1", "no-store"]);
    assert.equal(JSON.parse(answer.body.toString()).detail, "The stream is not ready yet.");
  }
});

test("a stream that has just begun has HLS, and DASH once there is enough for a player's delay", async () => {
  const [hls, dash] = [
    await get("/live/acme/four.stream/master.m3u8"),
    await get("/live/acme/four.stream/manifest.mpd"),
  ];
  assert.equal(hls.status, 200);
  assert.deepEqual([dash.status, ...pick(dash, "retry-after", "cache-control")], [503, "1", "no-store"]);
});

test("other methods are 405, a preflight tells what is allowed, other paths are left alone", async () => {
  for (const method of ["POST", "PUT", "DELETE", "PATCH"]) {
    const answer = await get(`${BASE}/master.m3u8`, { method });
    assert.deepEqual([answer.status, ...pick(answer, "allow")], [405, "GET, HEAD, OPTIONS"]);
  }
  const preflight = await get(`${BASE}/v0/${FIRST}.m4s`, {
    method: "OPTIONS",
    headers: { origin: "https://player.example" },
  });
  assert.deepEqual(
    [
      preflight.status,
      ...pick(preflight, "access-control-allow-origin", "access-control-allow-methods", "access-control-max-age"),
    ],
    [204, "*", "GET, HEAD, OPTIONS", "86400"],
  );
  assert.match(String(preflight.headers["access-control-allow-headers"]), /Range, If-Range/);
  assert.equal((await get("/api/streams/one.stream")).status, 418);
  assert.equal((await get("/livez")).status, 418);
});

test("texts are made once per change and segments are sent as the chunks that the ring holds", async () => {
  const [first, second] = [await get(`${BASE}/master.m3u8`), await get(`${BASE}/master.m3u8?x=1`)];
  assert.deepEqual(first.headers.etag, second.headers.etag);
  const segment = presentation.rendition("v0")?.segment(FIRST + 5);
  const { body } = await get(`${BASE}/v0/${FIRST + 5}.m4s`);
  assert.ok(body.equals(Buffer.concat(segment?.chunks ?? [])));
});

test("any range over any pieces is the same as over the whole", () => {
  const random = seeded(17);
  for (let round = 0; round < 500; round += 1) {
    const pieces = Array.from({ length: 1 + random.int(6) }, () =>
      Buffer.from(Array.from({ length: random.int(9) }, () => random.int(256))),
    );
    const whole = Buffer.concat(pieces);
    if (whole.length === 0) continue;
    const start = random.int(whole.length);
    const end = start + random.int(whole.length - start);
    assert.ok(Buffer.concat(slicesOf(pieces, { start, end })).equals(whole.subarray(start, end + 1)));
  }
});
