/** Uploads where the object store is S3, and imports from a bucket of it; on a real server. */
import assert from "node:assert/strict";
import test from "node:test";
import { noS3, S3_KEYS, startS3 } from "../support/servers-s3.ts";
import { authorization, film, MiB, makeScene, sendByTus, settled, sha256 } from "./upload.fixture.ts";
import type { UploadNode } from "./upload-node.ts";

const skip = noS3 ?? false;

const s3Env = (port: number) => ({
  OBJECT_STORE: "s3",
  S3_ENDPOINT: `http://127.0.0.1:${port}`,
  S3_ACCESS_KEY_ID: S3_KEYS.accessKeyId,
  S3_SECRET_ACCESS_KEY: S3_KEYS.secretAccessKey,
});

const sourceOf = async ({ objects }: UploadNode, key: string): Promise<Buffer> =>
  (await objects.getBytes({ bucket: "sources", key }, { bytesMax: 100 * MiB })).bytes;

test("an upload to S3 that breaks off goes on, ends as one object, and leaves no parts", { skip }, async (t) => {
  const scene = await makeScene(t);
  const { port } = await startS3(t, "s3proxy");
  const node = await scene.node({ env: s3Env(port) });
  const bytes = await film(scene.dataDir, 36 * MiB);
  let isBroken = false;
  const url = await sendByTus(node.url, scene.tenant, bytes, {
    chunkSize: 5 * MiB,
    onStarted: (upload) => {
      upload.options.onChunkComplete = (_, sent) => {
        if (isBroken || sent < 18 * MiB) return;
        isBroken = true;
        void upload.abort().then(() => upload.start());
      };
    },
  });
  assert.ok(isBroken);
  const view = await settled(node.url, scene.tenant, new URL(url).pathname, 30_000);
  assert.deepEqual([view.state, view.error], ["done", null]);
  const key = `${scene.tenant.tenantId}/${view.id}`;
  assert.equal(sha256(await sourceOf(node, key)), sha256(bytes));
  const left: string[] = [];
  for await (const found of node.objects.list("sources")) left.push(found.key);
  assert.deepEqual(left, [key]);
});

test("films below a prefix of a bucket come in once, whatever else is there", { skip }, async (t) => {
  const scene = await makeScene(t);
  const { port, bucket, put } = await startS3(t, "s3proxy");
  const node = await scene.node({ env: s3Env(port) });
  const bytes = await film(scene.dataDir, 9 * MiB);
  await put("films/2020/Name (2020).mp4", bytes);
  await put("films/Show.S01E02.mp4", bytes);
  await put("films/notes.txt", Buffer.from("no film"));
  await put("other/Elsewhere.mp4", bytes);
  const ask = async (body: object) => {
    const headers = { ...authorization(scene.tenant), "content-type": "application/json" };
    const init = { method: "POST", headers, body: JSON.stringify({ bucket, prefix: "films/", ...body }) };
    const response = await fetch(`${node.url}/api/v1/uploads/imports`, init);
    const { data } = (await response.json()) as {
      data: { objects: { key: string; uploadId: string | null; isKnown: boolean }[] };
    };
    return { status: response.status, objects: data.objects };
  };
  const keys = ["films/2020/Name (2020).mp4", "films/Show.S01E02.mp4"];
  const dry = await ask({ dryRun: true });
  assert.deepEqual(dry.objects.map(({ key, uploadId }) => [key, uploadId]).toSorted(), [
    [keys[0], null],
    [keys[1], null],
  ]);
  const { status, objects } = await ask({});
  assert.equal(status, 202);
  assert.deepEqual(objects.map(({ key }) => key).toSorted(), keys);
  for (const { uploadId } of objects) {
    const view = await settled(node.url, scene.tenant, `/api/v1/uploads/${uploadId}`, 30_000);
    assert.deepEqual([view.state, view.error], ["done", null]);
    assert.equal(sha256(await sourceOf(node, `${scene.tenant.tenantId}/${uploadId}`)), sha256(bytes));
  }
  const places = node.attached.map(({ name, place }) => [name, place]).toSorted();
  assert.deepEqual(places, [
    ["Episode 2", { series: "Show", season: 1, number: 2 }],
    ["Name", undefined],
  ]);
  assert.deepEqual((await ask({})).objects, []);
  assert.deepEqual(
    (await ask({ dryRun: true })).objects.map(({ isKnown }) => isKnown),
    [true, true],
  );
});
