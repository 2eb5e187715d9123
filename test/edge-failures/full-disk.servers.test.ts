/** A real file system that is full, under the edge as it is shipped: cache, accounts and all. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "../support/platform.ts";
import { countedFor } from "./counted.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { startEdgeProcess } from "./process.ts";
import { bytesOf, oneSite } from "./scene.ts";
import { view } from "./viewer.ts";

const HOST = "cdn.example";
const SIZE = 700_000;

const mounted = (dir: string): boolean => {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=24m", "tmpfs", dir], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not everybody may
  }
};

const serveFull = async (t: TestContext, dataDir: string): Promise<void> => {
  const origin = await FaultyOrigin.open(t, ({ socket, target }) => {
    socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, "Cache-Control: max-age=600"));
    socket.write(bytesOf(target, SIZE));
  });
  const env = { EDGE_THREADS: "2", EDGE_CACHE_BYTES: "4MiB", LOG_LEVEL: "error" };
  const edge = await startEdgeProcess(t, oneSite(origin.url, {}, HOST), { dataDir, env });
  const viewAll = async (): Promise<void> => {
    for (let n = 0; n < 40; n += 1) {
      const got = await view(edge.port, `/o/${n}`, { host: HOST });
      assert.deepEqual([got.status, got.looksWhole], [200, true], `/o/${n}`);
      assert.ok(got.body.equals(bytesOf(`/o/${n}`, SIZE)));
    }
  };
  const filler = join(dataDir, "filler");
  await viewAll();
  await writeFile(filler, Buffer.alloc(24 * 2 ** 20)).catch((error: NodeJS.ErrnoException) => {
    assert.equal(error.code, "ENOSPC");
  });
  await viewAll();
  await viewAll();
  await rm(filler);
  const counted = await until("all to be counted", async () => {
    const one = await countedFor(edge.port, HOST);
    return one.requests >= 120 ? one : undefined;
  });
  assert.ok(counted.requests === 120 && counted.sentBytes > 120 * SIZE);
  assert.equal(await edge.node.stop(), 0);
};

test("an edge whose disk is full serves on, and loses no count", async (t) => {
  const dataDir = await mkdtemp(join(tmpdir(), "edge-full-disk-"));
  if (!mounted(dataDir)) {
    await rmdir(dataDir);
    return t.skip("only root may mount a file system");
  }
  try {
    await serveFull(t, dataDir);
  } finally {
    execFileSync("umount", ["--lazy", dataDir]);
    await rmdir(dataDir);
  }
});
