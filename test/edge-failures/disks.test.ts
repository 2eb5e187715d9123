/** A disk that is full, slow or damaged under the edge costs hits, never a viewer and never a wrong byte. */
import assert from "node:assert/strict";
import { randomInt } from "node:crypto";
import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { folderOf, openStore } from "../../edge/cache/disk/disk.fixture.ts";
import { systemFiles } from "../../edge/cache/disk/files.ts";
import { type Hooks, hookedFiles } from "../../edge/cache/disk/hooked-files.fixture.ts";
import { until } from "../support/platform.ts";
import { type Random, seeded } from "../support/seeded.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { bytesOf, edgeScene, folder, nodeScene, oneSite } from "./scene.ts";
import { view } from "./viewer.ts";

const MiB = 2 ** 20;
const OBJECTS = 60;
/** Objects of all sizes that matter to the disk: within a block, over one, over several. */
const sizeOf = (n: number): number => [900, 40_000, 300_000, 700_000][n % 4]! + n;
const bodyOf = (n: number): Buffer => bytesOf(`/o/${n}`, sizeOf(n));
const FRESH = "Cache-Control: max-age=600";

const originOf = (t: TestContext): Promise<FaultyOrigin> =>
  FaultyOrigin.open(t, ({ socket, target }) => {
    const body = bodyOf(Number(target.split("/").at(-1)));
    socket.write(headOf("200 OK", `Content-Length: ${body.length}`, FRESH, 'ETag: "a"'));
    socket.write(body);
  });

/** Asks for everything in a random order, two at a time, and compares every byte. */
const viewAll = async (port: number, random: Random): Promise<void> => {
  const order = Array.from({ length: OBJECTS }, (_, n) => n).sort(() => random.next() - 0.5);
  const one = async (n: number): Promise<void> => {
    const got = await view(port, `/o/${n}`);
    assert.deepEqual([got.status, got.looksWhole], [200, true], `/o/${n}`);
    assert.ok(got.body.equals(bodyOf(n)), `/o/${n} has other bytes`);
  };
  for (let at = 0; at < order.length; at += 2) await Promise.all(order.slice(at, at + 2).map(one));
};

const hookedScene = async (t: TestContext) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const origin = await originOf(t);
  const hooks: Hooks = {};
  const files = hookedFiles(systemFiles, hooks);
  let offMs = 0;
  const nowMs = (): number => performance.now() + offMs;
  const disk = await openStore({ folder: folderOf(t), files, nowMs, maxBytes: 256 * MiB });
  const edge = await nodeScene(t, oneSite(origin.url), { disk });
  t.after(() => disk.close());
  const pass = (ms: number): void => {
    offMs += ms;
  };
  return { ...{ origin, hooks, disk, edge, pass }, random: seeded(seed) };
};

test("a disk that is full costs the viewers nothing, and is used again when there is room", async (t) => {
  const { origin, hooks, disk, edge, pass, random } = await hookedScene(t);
  let leftOps = 40;
  hooks.before = (operation) => {
    if (operation !== "write" && operation !== "create") return;
    leftOps -= 1;
    if (leftOps < 0) throw Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC" });
  };
  for (let round = 0; round < 3; round += 1) await viewAll(edge.port, random);
  assert.ok(leftOps < 0, "it was full");
  const asked = origin.asked.length;
  leftOps = Number.POSITIVE_INFINITY;
  pass(31_000);
  await viewAll(edge.port, random);
  await disk.flush();
  const before = origin.asked.length;
  assert.ok(before > asked, "the origin stood in");
  await viewAll(edge.port, random);
  assert.ok(origin.asked.length - before < OBJECTS / 10, `${origin.asked.length - before} asked though on disk`);
});

test("a disk whose reads fail or flip bits is never believed", async (t) => {
  const { origin, hooks, disk, edge, random } = await hookedScene(t);
  await viewAll(edge.port, random);
  await disk.flush();
  let [failed, flipped] = [0, 0];
  hooks.before = (operation) => {
    if (operation !== "read" || random.int(6) > 0) return;
    failed += 1;
    throw Object.assign(new Error("EIO: i/o error"), { code: "EIO" });
  };
  hooks.afterRead = (bytes) => {
    if (bytes.length === 0 || random.int(4) > 0) return;
    flipped += 1;
    const at = random.int(bytes.length);
    bytes[at] = bytes[at]! ^ (1 << random.int(8));
  };
  for (let round = 0; round < 4; round += 1) await viewAll(edge.port, random);
  t.diagnostic(`${failed} reads failed, ${flipped} were changed, the origin was asked ${origin.asked.length} times`);
  assert.ok(failed > 10 && flipped > 10 && origin.asked.length > OBJECTS);
});

test("a disk that does not answer its writes keeps no viewer waiting", async (t) => {
  const { hooks, edge, random } = await hookedScene(t);
  const held = Promise.withResolvers<void>();
  let writes = 0;
  hooks.before = (operation) => {
    if (operation !== "write") return undefined;
    writes += 1;
    return held.promise;
  };
  for (let round = 0; round < 3; round += 1) await viewAll(edge.port, random);
  assert.ok(writes > 0);
  held.resolve();
});

const flipIn = async (path: string, random: Random, flips: number): Promise<void> => {
  const { size } = await stat(path);
  const file = await open(path, "r+");
  try {
    for (let n = 0; n < flips && size > 0; n += 1) {
      const at = random.int(size);
      const byte = Buffer.alloc(1);
      await file.read(byte, 0, 1, at);
      byte[0] = byte[0]! ^ (1 << random.int(8));
      await file.write(byte, 0, 1, at);
    }
  } finally {
    await file.close();
  }
};

test("bytes that change in the files of a running edge, or of a stopped one, reach no viewer", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? randomInt(2 ** 31));
  t.diagnostic(`TEST_SEED=${seed}`);
  const random = seeded(seed);
  const origin = await originOf(t);
  const dataDir = await folder(t);
  const options = { dataDir, cacheBytes: MiB, diskBytes: 256 * MiB };
  const cache = join(dataDir, "edge", "cache");
  const flipAll = async (): Promise<void> => {
    const names = (await readdir(cache)).filter((name) => /\.(?:data|index)$/.test(name));
    assert.ok(names.length > 0);
    for (const name of names) await flipIn(join(cache, name), random, name.endsWith(".data") ? 12 : 1);
  };
  let edge = await edgeScene(t, oneSite(origin.url), options);
  await viewAll(edge.port, random);
  await edge.stop();
  const asked: number[] = [];
  for (let round = 0; round < 4; round += 1) {
    if (round % 2 === 0) await flipAll();
    edge = await edgeScene(t, oneSite(origin.url), options);
    if (round % 2 === 1) await flipAll();
    const before = origin.asked.length;
    await viewAll(edge.port, random);
    asked.push(origin.asked.length - before);
    await viewAll(edge.port, random);
    await edge.stop();
  }
  t.diagnostic(`of ${OBJECTS} objects the origin was asked for ${asked.join(", ")}`);
  assert.ok(asked.some((count) => count > 0));
  assert.ok(
    asked.some((count) => count < OBJECTS / 2),
    "the disk served the rest",
  );
});

test("what was on disk serves after a restart while the origin is gone, though the clock was set back", async (t) => {
  const origin = await originOf(t);
  const dataDir = await folder(t);
  const options = { dataDir, diskBytes: 64 * MiB };
  const first = await edgeScene(t, oneSite(origin.url, { grace: "1h" }), options);
  await view(first.port, "/o/1");
  await first.stop();
  await origin.close();
  const second = await edgeScene(t, oneSite(origin.url, { grace: "1h" }), options);
  second.jump(-7_200_000);
  const got = await until("the object", async () => {
    const one = await view(second.port, "/o/1");
    return one.status === 200 ? one : undefined;
  });
  assert.ok(got.body.equals(bodyOf(1)));
  assert.match(got.field("cache-status") ?? "", /; hit/);
});
