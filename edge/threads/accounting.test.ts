import assert from "node:assert/strict";
import { test } from "node:test";
import { countedFor } from "../../test/edge-failures/counted.ts";
import { type Asked, FaultyOrigin, headOf, rangeOf } from "../../test/edge-failures/faulty-origin.ts";
import { bytesOf, edgeScene, oneSite } from "../../test/edge-failures/scene.ts";
import { Viewer, type Wish } from "../../test/edge-failures/viewer.ts";
import { until } from "../../test/support/platform.ts";
import { seeded } from "../../test/support/seeded.ts";

const SIZE = 1_500_000;
const HOST = "cdn.example";
const ETAG = 'ETag: "a"';

const behave = (asked: Asked): void => {
  const { socket, target } = asked;
  if (target.startsWith("/missing")) return void socket.write(`${headOf("404 Not Found", "Content-Length: 3")}no.`);
  if (target.startsWith("/private")) {
    return void socket.write(`${headOf("200 OK", "Content-Length: 6", "Cache-Control: private")}secret`);
  }
  if (target.startsWith("/chunks")) {
    socket.write(headOf("200 OK", "Transfer-Encoding: chunked", "Cache-Control: max-age=60"));
    for (let count = 0; count < 50; count += 1) socket.write(`3e8\r\n${"x".repeat(1_000)}\r\n`);
    return void socket.write("0\r\n\r\n");
  }
  const body = bytesOf(target, SIZE);
  const range = rangeOf(asked, SIZE);
  const { from, to } = range ?? { from: 0, to: SIZE };
  const part = range ? [`Content-Range: bytes ${from}-${to - 1}/${SIZE}`] : [];
  const fields = [`Content-Length: ${to - from}`, "Cache-Control: max-age=60", ETAG, ...part];
  socket.write(headOf(range ? "206 Partial Content" : "200 OK", ...fields));
  socket.write(body.subarray(from, to));
};

/** What viewers of all kinds ask for. */
const WISHES: readonly { readonly path: string; readonly wish: Wish }[] = [
  { path: "/a", wish: {} },
  { path: "/b", wish: {} },
  { path: "/a", wish: { method: "HEAD" } },
  { path: "/a", wish: { headers: { Range: "bytes=0-99999" } } },
  { path: "/b", wish: { headers: { Range: "bytes=-1000" } } },
  { path: "/b", wish: { headers: { Range: "bytes=9999999-" } } },
  { path: "/a", wish: { headers: { "If-None-Match": '"a"' } } },
  { path: "/missing", wish: {} },
  { path: "/private", wish: {} },
  { path: "/chunks", wish: {} },
  { path: "/two%2Freadings", wish: {} },
];

test("what two threads count is what viewers got, heads and all, and no less where they left", async (t) => {
  const origin = await FaultyOrigin.open(t, behave);
  const edge = await edgeScene(t, oneSite(origin.url, {}, HOST), { threads: 2 });
  const { int } = seeded(6);
  const viewers = await Promise.all(Array.from({ length: 12 }, () => Viewer.to(edge.port)));
  t.after(() => {
    for (const viewer of viewers) viewer.leave();
  });
  const statuses = new Map<number, number>();
  let requests = 0;
  for (let round = 0; round < 20; round += 1) {
    await Promise.all(
      viewers.map(async (viewer) => {
        const { path, wish } = WISHES[int(WISHES.length)]!;
        const got = await viewer.get(path, { host: HOST, ...wish });
        requests += 1;
        statuses.set(got.status, (statuses.get(got.status) ?? 0) + 1);
      }),
    );
  }
  t.diagnostic(JSON.stringify(Object.fromEntries(statuses)));
  for (const status of [200, 206, 304, 400, 404, 416]) assert.ok(statuses.has(status), `none of ${status}`);
  const all = await until("all to be counted", async () => {
    const counted = await countedFor(edge.port, HOST);
    return counted.requests >= requests ? counted : undefined;
  });
  const received = viewers.reduce((sum, { wireBytes }) => sum + wireBytes, 0);
  assert.equal(all.requests, requests);
  assert.equal(all.sentBytes, received);

  const leavers = await Promise.all(Array.from({ length: 12 }, () => Viewer.to(edge.port)));
  for (const [index, viewer] of leavers.entries()) {
    await viewer.get(index % 2 === 0 ? "/a" : `/new-${index}`, { host: HOST, leaveAfterBytes: 1_000 + int(100_000) });
  }
  const left = leavers.reduce((sum, { wireBytes }) => sum + wireBytes, 0);
  const after = await until("those who left to be counted", async () => {
    const counted = await countedFor(edge.port, HOST);
    return counted.requests >= requests + leavers.length ? counted : undefined;
  });
  const counted = after.sentBytes - all.sentBytes;
  assert.ok(counted >= left, `${counted} counted, ${left} received`);
  assert.ok(counted <= leavers.length * (SIZE + 1_000), `${counted} counted`);
  t.diagnostic(`${received} bytes to ${requests} requests; ${left} received and ${counted} counted of those who left`);
});
