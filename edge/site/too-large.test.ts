import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asked, FaultyOrigin, headOf } from "../../test/edge-failures/faulty-origin.ts";
import { bytesOf, edgeScene, oneSite } from "../../test/edge-failures/scene.ts";
import { Viewer, view } from "../../test/edge-failures/viewer.ts";

const MiB = 2 ** 20;
const FRESH = "Cache-Control: max-age=60";
/** The kernel chooses a thread for each connection. */
const VIEWERS = 8;

const giveChunks = ({ socket }: Asked, body: Buffer, ...lines: readonly string[]): void => {
  socket.write(headOf("200 OK", "Transfer-Encoding: chunked", ...lines));
  for (let at = 0; at < body.length; at += MiB) {
    const chunk = body.subarray(at, at + MiB);
    socket.write(`${chunk.length.toString(16)}\r\n`);
    socket.write(chunk);
    socket.write("\r\n");
  }
  socket.write("0\r\n\r\n");
};

test("what turns out to be too large for the cache is cut once, and given whole from then on", async (t) => {
  const body = bytesOf("large", 65 * MiB);
  const origin = await FaultyOrigin.open(t, (asked) => giveChunks(asked, body, FRESH));
  const edge = await edgeScene(t, oneSite(origin.url));
  assert.equal((await view(edge.port, "/large")).looksWhole, false);
  for (let again = 0; again < 2; again += 1) {
    const got = await view(edge.port, "/large");
    assert.deepEqual([got.status, got.looksWhole, got.body.length], [200, true, body.length]);
    assert.ok(got.body.equals(body));
  }
});

test("what is for one request, is long and has no size reaches it whole, whichever thread has it", async (t) => {
  const body = bytesOf("private", 9 * MiB);
  const origin = await FaultyOrigin.open(t, (asked) => giveChunks(asked, body, "Cache-Control: private"));
  const edge = await edgeScene(t, oneSite(origin.url), { threads: 2 });
  for (let n = 0; n < VIEWERS; n += 1) {
    const viewer = await Viewer.to(edge.port);
    t.after(() => viewer.leave());
    const got = await viewer.get(`/private-${n}`);
    assert.deepEqual([got.status, got.looksWhole, got.body.length], [200, true, body.length]);
  }
});

test("an answer to somebody's credentials does not keep the others' out of the cache", async (t) => {
  const origin = await FaultyOrigin.open(t, ({ socket }) => {
    socket.write(`${headOf("200 OK", "Content-Length: 2", FRESH)}ok`);
  });
  const edge = await edgeScene(t, oneSite(origin.url));
  for (const name of ["one", "other"]) await view(edge.port, "/o", { headers: { Authorization: `Basic ${name}` } });
  await view(edge.port, "/o");
  assert.match(String((await view(edge.port, "/o")).field("cache-status")), /; hit/);
  assert.equal(origin.countOf("/o"), 3);
});
