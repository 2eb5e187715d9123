import assert from "node:assert/strict";
import { Readable } from "node:stream";
import test from "node:test";
import { FileStaging } from "../../actors/upload/file-staging.ts";
import { PartStaging } from "../../actors/upload/part-staging.ts";
import { Fault, fail } from "../../contracts/errors.ts";
import { quietLog } from "../../lib/log/log.ts";
import { openObjects } from "../../lib/objects/open.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import {
  createUpload,
  film,
  MiB,
  makeScene,
  PATCH_TYPE,
  sendByTus,
  settled,
  sha256,
  sourceBytes,
  tempFolder,
  tus,
} from "./upload.fixture.ts";

const place = { tenantId: "019a0000-0000-7000-8000-000000000001", uploadId: "019a0000-0000-7000-8000-000000000002" };
const to = { bucket: "sources", key: `${place.tenantId}/${place.uploadId}` } as const;

test("a full disk is told of by 503; once there is room the client goes on behind what was kept", async (t) => {
  const scene = await makeScene(t);
  const { tenant } = scene;
  const full = await scene.spawn({ fileBytesMax: 3 * MiB });
  const bytes = await film(scene.dataDir, 8 * MiB);
  const url = await createUpload(full.url, tenant, bytes.length);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const answer = await tus(full.url, { method: "PATCH", path: url, tenant, headers, body: bytes });
  assert.equal(answer.status, 503);
  assert.ok(answer.headers.get("retry-after"));
  assert.match(await answer.text(), /OBJECT_STORE_FULL/);
  const head = await tus(full.url, { method: "HEAD", path: url, tenant });
  const kept = Number(head.headers.get("upload-offset"));
  assert.ok(kept > 0 && kept <= 3 * MiB, String(kept));
  await full.kill();
  const roomy = await scene.spawn();
  const address = await sendByTus(roomy.url, tenant, bytes, { uploadUrl: roomy.url + url });
  assert.equal((await settled(roomy.url, tenant, new URL(address).pathname)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, tenant, address)), sha256(bytes));
});

const store = async (folder: string): Promise<ObjectStore> =>
  openObjects({ kind: "filesystem", root: folder, bucketPrefix: "test" }, { log: quietLog });

const bytesOf = async (objects: ObjectStore): Promise<Buffer> =>
  (await objects.getBytes(to, { bytesMax: 100 * MiB })).bytes;

const signal = new AbortController().signal;

/** What every kind of staging promises. */
for (const kind of ["file", "parts"] as const) {
  const open = async (folder: string) => {
    const objects = await store(folder);
    const staging = kind === "file" ? new FileStaging(objects, `${folder}/.uploads`) : new PartStaging(objects);
    return { objects, staging };
  };

  test(`${kind}: what was kept before a break is there, and what comes behind it makes the object`, async (t) => {
    const { objects, staging } = await open(await tempFolder(t));
    await staging.create(place);
    const whole = Buffer.alloc(40 * MiB);
    for (let at = 0; at < whole.length; at += 4) whole.writeUInt32BE(at, at);
    let offset = 0;
    const kept = async (end: number): Promise<void> => {
      assert.ok(end > offset);
      offset = end;
    };
    const breaks = async function* (from: number, until: number): AsyncGenerator<Buffer> {
      for (let at = from; at < until; at += 300_000) yield whole.subarray(at, Math.min(until, at + 300_000));
      if (until < whole.length) throw new Error("the client has gone");
    };
    for (const until of [1_000, 20 * MiB, 20 * MiB + 1, whole.length]) {
      const writing = staging.write({ place, offset, body: breaks(offset, until), kept });
      if (until < whole.length) await assert.rejects(writing, /the client has gone/);
      else await writing;
      assert.equal(offset, until);
    }
    const stat = await staging.finish({ place, to, sizeBytes: whole.length, signal });
    assert.equal(stat.sizeBytes, whole.length);
    assert.equal(sha256(await bytesOf(objects)), sha256(whole));
    // As if its node had been killed before it could say so.
    assert.equal((await staging.finish({ place, to, sizeBytes: whole.length, signal })).etag, stat.etag);
    await staging.remove(place);
    await staging.remove(place);
    const left: string[] = [];
    for await (const { key } of objects.list("sources")) left.push(key);
    assert.deepEqual(left, [to.key]);
  });

  test(`${kind}: a writer that may not move the offset any more stops, and what it wrote is overwritten`, async (t) => {
    const { objects, staging } = await open(await tempFolder(t));
    await staging.create(place);
    const fenced = async (): Promise<void> => fail("UPLOAD_BUSY");
    const old = Readable.from([Buffer.alloc(3_000, 1)]);
    await assert.rejects(staging.write({ place, offset: 0, body: old, kept: fenced }), { code: "UPLOAD_BUSY" });
    const body = Readable.from([Buffer.alloc(1_000, 2)]);
    await staging.write({ place, offset: 0, body, kept: async () => {} });
    await staging.finish({ place, to, sizeBytes: 1_000, signal });
    assert.deepEqual(await bytesOf(objects), Buffer.alloc(1_000, 2));
  });
}

test("a part that the store does not take is not told of, those before it are", async (t) => {
  const objects = await store(await tempFolder(t));
  let puts = 0;
  const put: ObjectStore["put"] = (name, body, options) => {
    puts += 1;
    return puts === 2 ? Promise.reject(new Fault("OBJECT_STORE_FULL")) : objects.put(name, body, options);
  };
  const head: ObjectStore["head"] = (...args) => objects.head(...args);
  const staging = new PartStaging({ put, head } as ObjectStore); // all that is used of it here
  const offsets: number[] = [];
  const body = Readable.from(Array.from({ length: 40 }, () => Buffer.alloc(MiB, 5)));
  const kept = async (offset: number): Promise<void> => void offsets.push(offset);
  await assert.rejects(staging.write({ place, offset: 0, body, kept }), { code: "OBJECT_STORE_FULL" });
  assert.deepEqual(offsets, [16 * MiB]);
});
