import assert from "node:assert/strict";
import { test } from "node:test";
import { FaultyOrigin, headOf } from "../../test/edge-failures/faulty-origin.ts";
import { edgeScene, oneSite } from "../../test/edge-failures/scene.ts";
import { view } from "../../test/edge-failures/viewer.ts";
import { until } from "../../test/support/platform.ts";

const SIZES = { sound: 1_000, picture: 100_000 } as const;

const listOf = (kind: string): string =>
  `#EXTM3U\n${[1, 2, 3, 4].map((n) => `#EXTINF:2,\n${kind}${n}.m4s\n`).join("")}#EXT-X-ENDLIST\n`;

test("the pictures of one viewer are fetched ahead once, though his sound is a hundredth of them", async (t) => {
  const origin = await FaultyOrigin.open(t, ({ target, socket }) => {
    const kind = target.includes("sound") ? "sound" : "picture";
    const body = target.endsWith(".m3u8") ? listOf(kind) : "x".repeat(SIZES[kind]);
    socket.write(headOf("200 OK", `Content-Length: ${body.length}`, "Cache-Control: max-age=600") + body);
  });
  const edge = await edgeScene(t, oneSite(origin.url, { prefetch: true }));
  for (const kind of ["sound", "picture"]) await view(edge.port, `/${kind}.m3u8`);
  for (const n of [1, 2, 3]) {
    for (const kind of ["sound", "picture"] as const) {
      assert.equal((await view(edge.port, `/${kind}${n}.m4s`)).body.length, SIZES[kind]);
      await until("the next one to be asked for", () => origin.countOf(`/${kind}${n + 1}.m4s`) > 0 || undefined);
      edge.pass(2_000);
    }
  }
  const counts = [2, 3, 4].map((n) => [origin.countOf(`/sound${n}.m4s`), origin.countOf(`/picture${n}.m4s`)]);
  assert.deepEqual(counts, [
    [1, 1],
    [1, 1],
    [1, 1],
  ]);
});
