import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyOrigin, headOf } from "../../test/edge-failures/faulty-origin.ts";
import { edgeScene, oneSite } from "../../test/edge-failures/scene.ts";
import { Viewer } from "../../test/edge-failures/viewer.ts";
import { until } from "../../test/support/platform.ts";

const MiB = 2 ** 20;
const POST = "POST /o HTTP/1.1\r\nHost: localhost\r\n";

test("bodies of requests hold so much and no more: who sends one beyond that is told to come again", async (t) => {
  const origin = await FaultyOrigin.open(t, ({ socket }) => {
    socket.write(headOf("204 No Content"));
  });
  const edge = await edgeScene(t, oneSite(origin.url));
  const open = async (): Promise<Viewer> => {
    const viewer = await Viewer.to(edge.port);
    t.after(() => viewer.leave());
    return viewer;
  };
  const slow = await Promise.all(Array.from({ length: 16 }, open)); // each announces 16 MiB of the 256
  for (const { socket } of slow) socket.write(`${POST}Content-Length: ${16 * MiB}\r\nExpect: 100-continue\r\n\r\n`);
  await until("all to be asked for their bodies", () =>
    slow.every(({ wireBytes }) => wireBytes > 0) ? true : undefined,
  );
  const other = await open();
  const refused = await other.say(`${POST}Content-Length: 1\r\n\r\nx`);
  assert.equal(refused.status, 503);
  assert.equal((await (await open()).get("/o")).status, 204);
  for (const viewer of slow) viewer.leave();
  await until("their part to be free again", async () => {
    const got = await (await open()).say(`${POST}Content-Length: 1\r\n\r\nx`);
    return got.status === 204 ? true : undefined;
  });
});
