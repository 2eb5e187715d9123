import assert from "node:assert/strict";
import test from "node:test";
import type { Upload } from "tus-js-client";
import {
  authorization,
  createUpload,
  film,
  MiB,
  makeScene,
  offsetOf,
  openPatch,
  PATCH_TYPE,
  type Scene,
  sendByTus,
  settled,
  sha256,
  sourceBytes,
  tus,
} from "./upload.fixture.ts";

const portOf = (url: string): number => Number(new URL(url).port);

/** Sends a film while `disturb` is done once half of it is on its way; what came of it must be the film. */
const disturbed = async (
  scene: Scene,
  { url, bytes, disturb }: { url: string; bytes: Buffer; disturb: (upload: Upload) => Promise<void> | void },
): Promise<void> => {
  let isDone = false;
  let begun: Upload | undefined;
  const address = await sendByTus(url, scene.tenant, bytes, {
    chunkSize: 2 * MiB,
    onStarted: (upload) => {
      begun = upload;
    },
    onProgress: (sent) => {
      if (isDone || !begun || sent < bytes.length / 2) return;
      isDone = true;
      void disturb(begun);
    },
  });
  assert.ok(isDone);
  const view = await settled(url, scene.tenant, new URL(address).pathname, 20_000);
  assert.equal(view.state, "done");
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, address)), sha256(bytes));
};

test("a client that breaks off goes on where it was", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const bytes = await film(scene.dataDir, 20 * MiB);
  await disturbed(scene, {
    url: node.url,
    bytes,
    disturb: async (upload) => {
      await upload.abort();
      upload.start();
    },
  });
});

test("kill -9 of the node in the middle costs nothing but time", async (t) => {
  const scene = await makeScene(t);
  const first = await scene.spawn();
  const bytes = await film(scene.dataDir, 24 * MiB);
  await disturbed(scene, {
    url: first.url,
    bytes,
    disturb: async () => {
      await first.kill();
      await scene.spawn({ port: portOf(first.url) });
    },
  });
});

test("every byte that a client was told of is there after kill -9, and another node goes on behind it", async (t) => {
  const scene = await makeScene(t);
  const { tenant } = scene;
  const first = await scene.spawn();
  const bytes = await film(scene.dataDir, 6 * MiB);
  const url = await createUpload(first.url, tenant, bytes.length);
  const send = (to: string, offset: number, end: number) => {
    const headers = { ...PATCH_TYPE, "upload-offset": String(offset) };
    return tus(to, { method: "PATCH", path: url, tenant, headers, body: bytes.subarray(offset, end) });
  };
  const told = await send(first.url, 0, 2 * MiB);
  assert.equal(told.headers.get("upload-offset"), String(2 * MiB));
  const { request, answer } = openPatch(first.url, url, tenant, 10);
  request.destroy();
  await answer.catch(() => {});
  await first.kill();
  const second = await scene.node();
  const offset = await offsetOf(second.url, url, tenant);
  assert.equal(offset, 2 * MiB);
  assert.equal((await send(second.url, offset, bytes.length)).status, 204);
  assert.equal((await settled(second.url, tenant, url)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, tenant, url)), sha256(bytes));
});

test("an upload that was whole when its node was killed is finished by another", async (t) => {
  const scene = await makeScene(t);
  const { tenant } = scene;
  const first = await scene.spawn();
  const bytes = await film(scene.dataDir, 8 * MiB);
  const address = await sendByTus(first.url, tenant, bytes);
  await first.kill();
  const second = await scene.node();
  assert.equal((await settled(second.url, tenant, new URL(address).pathname, 20_000)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, tenant, address)), sha256(bytes));
});

test("the list of a tenant's uploads goes on page by page", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  for (let count = 0; count < 3; count += 1) await createUpload(node.url, scene.tenant, 10);
  const seen: string[] = [];
  for (let cursor: string | null = ""; cursor !== null; ) {
    const page: Response = await fetch(`${node.url}/api/v1/uploads?limit=2${cursor && `&cursor=${cursor}`}`, {
      headers: authorization(scene.tenant),
    });
    const { data, nextCursor } = (await page.json()) as { data: { id: string }[]; nextCursor: string | null };
    seen.push(...data.map(({ id }) => id));
    cursor = nextCursor;
  }
  assert.equal(new Set(seen).size, 3);
  assert.deepEqual(seen, seen.toSorted().reverse());
});
