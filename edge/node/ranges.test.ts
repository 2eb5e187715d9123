/** Ranges and conditions; the judge is `send`, the file server that half of the web runs on. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, type TestContext, test } from "node:test";
import { type Answer, channelOf, edgeUnderTest, FOLDER, get, patterned } from "../../test/origin/edge.ts";
import { type Behaviour, mediaStandIn } from "../../test/origin/stand-in.ts";
import { tempDir } from "../../test/support/platform.ts";

// It comes with the REST gateway's packages and has no types.
const send = createRequire(import.meta.url)("send") as (
  request: unknown,
  path: string,
  options: object,
) => { pipe(response: unknown): void };

const SIZE = 100_000;
const BODY = patterned(SIZE);
const PATH = `${FOLDER}/v0/5.m4s`;

/** The judge, serving the same bytes; gives the validators that it has for them. */
/** A date is a strong validator once its second is over (RFC 9110 §8.8.2.2). */
const OLD = new Date("2026-01-01T00:00:00Z");

const judge = async (t: TestContext) => {
  const dir = await tempDir(t);
  await writeFile(join(dir, "5.m4s"), BODY);
  await utimes(join(dir, "5.m4s"), OLD, OLD);
  const server = createServer((request, response) => send(request, "/5.m4s", { root: dir }).pipe(response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const { headers } = await get(url);
  const lastModified = String(headers["last-modified"]);
  return { url, lastModified, weakEtag: String(headers.etag) };
};

/** An edge whose origin has the judge's bytes, date and tag. */
const scene = async (
  t: TestContext,
  item: { headers?: Record<string, string>; chunked?: boolean; how?: Behaviour } = {},
) => {
  const origin = await mediaStandIn(t);
  const { headers = {}, chunked = false, how } = item;
  origin.items.set(PATH, { body: BODY, headers, chunked });
  if (how) origin.rules.push({ path: PATH, how });
  const { url } = await edgeUnderTest(t, { channels: [channelOf([origin])] });
  return { origin, url: `${url}${PATH}` };
};

const essence = ({ status, headers, body }: Answer) => ({
  status,
  range: headers["content-range"],
  length: status === 304 || status === 416 || status === 412 ? undefined : headers["content-length"],
  body: status === 200 || status === 206 ? createHash("sha1").update(body).digest("hex") : "",
});

// Malformed ones, which may be ignored or refused (RFC 9110 §14.2), are in conditions.test.ts.
const RANGES = [
  "bytes=0-0",
  "bytes=0-",
  "bytes=0-99999",
  "bytes=0-100000",
  "bytes=1000-1999",
  "bytes=99999-",
  "bytes=99999-99999",
  "bytes=-1",
  "bytes=-1000",
  "bytes=-100000",
  "bytes=100000-",
  "bytes=200000-300000",
  "bytes=0-1,5-6",
  "items=0-1",
];

describe("ranges", () => {
  test("and conditions get what a plain file server gives", async (t) => {
    const { url: judgeUrl, lastModified, weakEtag } = await judge(t);
    const { url, origin } = await scene(t, { headers: { etag: weakEtag, "last-modified": lastModified } });
    const older = new Date(Date.parse(lastModified) - 60_000).toUTCString();
    const requests: Record<string, string>[] = [
      {},
      ...RANGES.map((range) => ({ range })),
      { range: "bytes=5-9", "if-range": lastModified },
      { range: "bytes=5-9", "if-range": '"other"' },
      { "if-none-match": weakEtag },
      { "if-none-match": '"other"' },
      { "if-none-match": "*" },
      { "if-none-match": '"other"', "if-modified-since": lastModified },
      { "if-modified-since": lastModified },
      { "if-modified-since": older },
      { "if-unmodified-since": older },
      { "if-unmodified-since": lastModified },
    ];
    for (const headers of requests) {
      const wanted = essence(await get(judgeUrl, { headers }));
      assert.deepEqual(essence(await get(url, { headers })), wanted, JSON.stringify(headers));
    }
    assert.equal(origin.countOf(PATH), 1);
  });

  test("of more than there is from the end get all of it (RFC 9110 §14.1.2; here the judge errs)", async (t) => {
    const { url } = await scene(t);
    await get(url);
    const { status, body } = await get(url, { headers: { range: "bytes=-200000" } });
    assert.equal(status, 206);
    assert.deepEqual(body, BODY);
  });

  test("count on GET only", async (t) => {
    const { url } = await scene(t);
    const { status, headers } = await get(url, { method: "HEAD", headers: { range: "bytes=0-9" } });
    assert.equal(status, 200);
    assert.equal(headers["content-length"], String(SIZE));
  });

  test("into a body that is still coming in are answered as soon as their bytes are there", async (t) => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { url, origin } = await scene(t, { how: { piece: SIZE / 2, step: () => gate } });
    const whole = get(url);
    const early = await get(url, { headers: { range: "bytes=10-19" } });
    assert.equal(early.status, 206);
    assert.deepEqual(early.body, BODY.subarray(10, 20));
    const tail = get(url, { headers: { range: "bytes=-10" } });
    const beyond = await get(url, { headers: { range: `bytes=${SIZE}-` } });
    assert.equal(beyond.status, 416);
    assert.equal(beyond.headers["content-range"], `bytes */${SIZE}`);
    release();
    assert.deepEqual((await tail).body, BODY.subarray(SIZE - 10));
    assert.deepEqual((await whole).body, BODY);
    assert.equal(origin.countOf(PATH), 1);
  });

  test("of a body whose size is not known yet are answered with the whole", async (t) => {
    let release = (): void => {};
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const { url } = await scene(t, { chunked: true, how: { piece: SIZE / 2, step: () => gate } });
    const asked = get(url, { headers: { range: "bytes=-10" }, onData: () => release() });
    const { status, body } = await asked;
    assert.equal(status, 200);
    assert.deepEqual(body, BODY);
    const later = await get(url, { headers: { range: "bytes=-10" } });
    assert.equal(later.status, 206);
    assert.equal(later.headers["content-range"], `bytes ${SIZE - 10}-${SIZE - 1}/${SIZE}`);
  });
});
