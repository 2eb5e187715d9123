/** The packager as a process of its own: no other server, and quickly there. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { waitedMs } from "./support/cpu.ts";
import { type Endpoints, startNode, tempDir, until } from "./support/platform.ts";

const READY_SECONDS_MAX = 2;
const alone = {
  ...{ ROLES: "packager", DATABASE_URL: "", NATS_URL: "" },
  CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: import.meta.dirname,
};

test("a packager alone is ready within two seconds, without database and bus", async (t) => {
  const node = await startNode(t, { env: alone });
  const seconds = Number(/is ready after ([\d.]+) s/.exec(node.output())?.[1]) - waitedMs(node.child.pid ?? 0) / 1_000;
  assert.ok(seconds <= READY_SECONDS_MAX, `${seconds} s: ${node.output()}`);
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
});

test("what is set and has no effect is said once at the start", async (t) => {
  const env = { ...alone, CASTERPAK_OUTPUT_SEGMENTDURATIONS: "8" };
  const { output } = await startNode(t, { env });
  assert.equal(output().split("CASTERPAK_OUTPUT_SEGMENTDURATIONS is no setting").length, 2, output());
});

test("a video folder that is not there is said at the start, and the packager is not ready before it is", async (t) => {
  const [folder, dataDir] = [join(await tempDir(t), "videos"), await tempDir(t)];
  const env = { ...alone, CASTERPAK_FILESYSTEM_VIDEOPARENTPATH: folder };
  const starting = startNode(t, { env, dataDir });
  const { packager } = await until(
    "it listens",
    () => JSON.parse(readFileSync(join(dataDir, "run/endpoints.json"), "utf8")) as Endpoints,
  );
  const state = async () => {
    const answer = await fetch(`${packager}/readyz`);
    const { checks } = (await answer.json()) as { checks: Record<string, boolean> };
    return [answer.status, checks.source];
  };
  assert.deepEqual(await state(), [503, false]);
  mkdirSync(folder);
  const { output } = await starting;
  assert.deepEqual(await state(), [200, true]);
  const said = output().split("\n");
  const lines = said.filter((line) => line.includes("CASTERPAK_FILESYSTEM_VIDEOPARENTPATH"));
  assert.equal(lines.length, 1, output());
  assert.match(lines[0] ?? "", /"level":40.*the video folder .*\/videos can't be read/);
});
