import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyOrigin, headOf } from "../../test/edge-failures/faulty-origin.ts";
import { edgeScene, oneSite } from "../../test/edge-failures/scene.ts";
import { view } from "../../test/edge-failures/viewer.ts";
import { until } from "../../test/support/platform.ts";

test("what is asked beside the viewers and turns out to be private holds no connection", async (t) => {
  let kept = true;
  const SIZE = 1_000_000; // too much to be read away
  const origin = await FaultyOrigin.open(t, ({ socket }) => {
    const fields = kept ? "Cache-Control: max-age=1, stale-while-revalidate=600" : "Cache-Control: private";
    socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, fields));
    socket.write(Buffer.alloc(SIZE, 1));
  });
  const edge = await edgeScene(t, oneSite(origin.url));
  assert.equal((await view(edge.port, "/o")).body.length, SIZE);
  kept = false;
  for (let round = 1; round <= 8; round += 1) {
    edge.pass(2_000);
    assert.equal((await view(edge.port, "/o")).body.length, SIZE);
    await until("the origin to be asked", () => (origin.countOf("/o") > round ? true : undefined));
  }
  await until("its connections to be free", () => (origin.connectionCount <= 1 ? true : undefined), 10_000);
});

test("a body that varies is given to those that it is for; the others who waited get their own", async (t) => {
  const origin = await FaultyOrigin.open(t, ({ socket, field }) => {
    const body = `for ${field("accept-language")}`;
    socket.write(
      `${headOf("200 OK", `Content-Length: ${body.length}`, "Cache-Control: max-age=60", "Vary: Accept-Language")}`,
    );
    setImmediate(() => socket.write(body)); // the fill of one is under way when the others learn what it varies by
  });
  const edge = await edgeScene(t, oneSite(origin.url));
  for (let round = 0; round < 20; round += 1) {
    const languages = ["de", "fr", "ko", "de", "fr", "ko"];
    const got = await Promise.all(
      languages.map((language) => view(edge.port, `/${round}`, { headers: { "Accept-Language": language } })),
    );
    assert.deepEqual(
      got.map(({ status, body }) => [status, body.toString()]),
      languages.map((language) => [200, `for ${language}`]),
    );
  }
});
