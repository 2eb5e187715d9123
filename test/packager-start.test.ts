/** The packager as a process of its own: no other server, and quickly there. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { startNode } from "./support/platform.ts";

const READY_SECONDS_MAX = 2;
const STARTS_MAX = 4; // on a machine that does much else at the time one start may be late

const alone = {
  ...{ ROLES: "packager", DATABASE_URL: "", NATS_URL: "" },
  CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: import.meta.dirname,
};
const secondsOf = (output: string): number => Number(/is ready after ([\d.]+) s/.exec(output)?.[1]);

test("a packager alone is ready within two seconds, without database and bus", async (t) => {
  const node = await startNode(t, { env: alone });
  const { packager, gateway, edge, streamers } = node.endpoints;
  assert.deepEqual([gateway, edge, streamers], [null, null, []]);
  assert.match(node.output(), new RegExp(`^ {2}Packager +${packager}/i/$`, "m"), "the words name it");
  assert.deepEqual(
    readdirSync(node.dataDir).filter((name) => name === "postgres"),
    [],
  );
  for (const path of ["/livez", "/readyz", "/metrics", "/testing/test_player.html"]) {
    assert.equal((await fetch(packager + path)).status, 200, path);
  }
  assert.equal((await fetch(`${packager}/i/nothing.mp4/master.m3u8`)).status, 404);
  assert.equal(await node.stop(), 0);
  const seconds = [secondsOf(node.output())];
  while (Math.min(...seconds) > READY_SECONDS_MAX && seconds.length < STARTS_MAX) {
    const again = await startNode(t, { env: alone });
    await again.stop();
    seconds.push(secondsOf(again.output()));
  }
  assert.ok(Math.min(...seconds) <= READY_SECONDS_MAX, seconds.join(" s, "));
});

test("what is set and has no effect is said once at the start", async (t) => {
  const env = { ROLES: "packager", CASTERPAK_OUTPUT_SEGMENTDURATIONS: "8" };
  const { output } = await startNode(t, { env });
  assert.equal(output().split("CASTERPAK_OUTPUT_SEGMENTDURATIONS is no setting").length, 2, output());
});
