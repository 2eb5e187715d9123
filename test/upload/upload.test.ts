import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readdir, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import path from "node:path";
import test from "node:test";
import { crc32 } from "node:zlib";
import { openStaging } from "../../actors/upload/staging.ts";
import { sweep } from "../../actors/upload/sweep.ts";
import { Uploads } from "../../actors/upload/uploads.ts";
import { ConfigError } from "../../lib/config/config.ts";
import { quietLog } from "../../lib/log/log.ts";
import {
  authorization,
  createUpload,
  film,
  MiB,
  makeScene,
  offsetOf,
  PATCH_TYPE,
  sendByTus,
  settled,
  sha256,
  sourceBytes,
  tus,
} from "./upload.fixture.ts";

const stagedIn = (dataDir: string): Promise<string[]> => readdir(path.join(dataDir, "objects/.uploads"));
const codeIn = async (response: Response): Promise<unknown> => ((await response.json()) as { code?: string }).code;

test("a film sent by tus becomes the source of a title, byte for byte", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const bytes = await film(scene.dataDir, 5 * MiB);
  const metadata = { filename: "Show.S01E02.mp4", name: "Show", kind: "episode" };
  const url = await sendByTus(node.url, scene.tenant, bytes, { metadata });
  const view = await settled(node.url, scene.tenant, url);
  assert.equal(view.state, "done");
  assert.equal(view.offset, bytes.length);
  assert.equal(sha256(await sourceBytes(scene, scene.tenant, url)), sha256(bytes));
  const told = { titleId: null, sourceId: view.id, path: `${scene.tenant.tenantId}/${view.id}` };
  assert.deepEqual(node.attached, [
    {
      ...scene.tenant,
      ...told,
      filename: "Show.S01E02.mp4",
      name: "Show",
      year: undefined,
      kind: "episode",
      place: undefined,
    },
  ]);
  assert.deepEqual(await stagedIn(scene.dataDir), []);
});

test("what is no film is refused by its first bytes or by ffprobe, and leaves nothing behind", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const text = await createUpload(node.url, scene.tenant, 10);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const body = Buffer.from("#EXTM3U\n\n\n");
  const answer = await tus(node.url, { method: "PATCH", path: text, tenant: scene.tenant, headers, body });
  assert.equal(answer.status, 422);
  assert.match(await answer.text(), /UPLOAD_REFUSED.*it is a playlist/);
  assert.equal((await settled(node.url, scene.tenant, text)).state, "refused");
  const gone = await tus(node.url, { method: "HEAD", path: text, tenant: scene.tenant });
  assert.equal(gone.status, 410);

  const noise = Buffer.alloc(100_000, 0x9d);
  const url = await sendByTus(node.url, scene.tenant, noise, { metadata: { filename: "looks-like.mp4" } });
  const view = await settled(node.url, scene.tenant, url);
  assert.equal(view.state, "refused");
  assert.match(view.error ?? "", /^The upload is refused: /);
  assert.deepEqual(node.attached, []);
  assert.deepEqual(await stagedIn(scene.dataDir), []);
  await assert.rejects(sourceBytes(scene, scene.tenant, url), { code: "ENOENT" });
});

test("clients learn of tus and its limits by OPTIONS, from any page", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ env: { UPLOAD_BYTES_MAX: "1000000" } });
  const preflight = { origin: "https://elsewhere.test", "access-control-request-method": "PATCH" };
  const answer = await fetch(`${node.url}/api/v1/uploads`, { method: "OPTIONS", headers: preflight });
  assert.equal(answer.status, 204);
  assert.equal(answer.headers.get("tus-version"), "1.0.0");
  assert.equal(answer.headers.get("tus-max-size"), "1000000");
  assert.equal(answer.headers.get("tus-extension"), "creation,creation-with-upload,termination,expiration,checksum");
  assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  assert.match(answer.headers.get("access-control-allow-headers") ?? "", /Upload-Offset/);
  assert.match(answer.headers.get("access-control-expose-headers") ?? "", /Upload-Offset/);
  const large = { "upload-length": "1000001" };
  const tooLarge = await tus(node.url, { method: "POST", tenant: scene.tenant, headers: large });
  assert.equal(tooLarge.status, 413);
});

test("an upload's address leads to where the client came from, whatever it says of hosts", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const lies = {
    "x-forwarded-host": "evil.test",
    forwarded: "host=evil.test;proto=https",
    "x-forwarded-proto": "gopher",
  };
  const headers = { ...lies, "upload-length": "100", "x-http-method-override": "DELETE" };
  const answer = await tus(node.url, { method: "POST", tenant: scene.tenant, headers });
  assert.equal(answer.status, 201);
  assert.match(answer.headers.get("location") ?? "", /^\/api\/v1\/uploads\/[0-9a-f-]{36}$/);
  assert.ok(answer.headers.get("upload-expires"));
});

test("nobody sees, sends or ends another tenant's upload, and nobody is let in without a key and its scope", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const url = await createUpload(node.url, scene.tenant, 100);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const body = Buffer.alloc(10);
  for (const method of ["HEAD", "PATCH", "DELETE"]) {
    const foreign = { method, path: url, tenant: scene.other, headers, ...(method === "PATCH" ? { body } : {}) };
    assert.equal((await tus(node.url, foreign)).status, 404, method);
  }
  assert.equal((await fetch(node.url + url, { headers: authorization(scene.other) })).status, 404);
  const noKey = await fetch(`${node.url}/api/v1/uploads`, { method: "POST", headers: { "tus-resumable": "1.0.0" } });
  assert.equal(noKey.status, 401);
  const without = { ...authorization(scene.tenant), authorization: "Bearer key:acme:none", "tus-resumable": "1.0.0" };
  assert.equal((await fetch(node.url + url, { method: "HEAD", headers: without })).status, 403);
  const mine = await fetch(`${node.url}/api/v1/uploads`, { headers: authorization(scene.tenant) });
  const { data } = (await mine.json()) as { data: { id: string; offset: number }[] };
  assert.deepEqual(
    data.map(({ id, offset }) => [id, offset]),
    [[url.split("/").at(-1), 0]],
  );
});

test("a client ends its upload and its bytes are gone; a title's source it can't end", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const { tenant } = scene;
  const url = await createUpload(node.url, tenant, 100);
  assert.equal((await stagedIn(scene.dataDir)).length, 1);
  assert.equal((await tus(node.url, { method: "DELETE", path: url, tenant })).status, 204);
  assert.equal((await settled(node.url, tenant, url)).state, "terminated");
  assert.deepEqual(await stagedIn(scene.dataDir), []);
  const done = await sendByTus(node.url, tenant, await film(scene.dataDir));
  await settled(node.url, tenant, done);
  const answer = await tus(node.url, { method: "DELETE", path: new URL(done).pathname, tenant });
  assert.equal(answer.status, 409);
  assert.equal(await codeIn(answer), "UPLOAD_STATE");
});

test("bytes count only with the checksum that came with them", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const { tenant } = scene;
  const bytes = await film(scene.dataDir);
  const url = await createUpload(node.url, tenant, bytes.length);
  const patch = (offset: number, body: Buffer, checksum: string) => {
    const headers = { ...PATCH_TYPE, "upload-offset": String(offset), "upload-checksum": checksum };
    return tus(node.url, { method: "PATCH", path: url, tenant, headers, body });
  };
  const half = bytes.subarray(0, bytes.length >> 1);
  const sha1 = createHash("sha1").update(half).digest("base64");
  assert.equal((await patch(0, Buffer.alloc(half.length, 1), `sha1 ${sha1}`)).status, 460);
  const head = await tus(node.url, { method: "HEAD", path: url, tenant });
  assert.equal(head.headers.get("upload-offset"), "0");
  assert.equal((await patch(0, half, "md9 AAAA")).status, 422);
  assert.equal((await patch(0, half, `sha1 ${sha1}`)).status, 204);
  const rest = bytes.subarray(half.length);
  const crc = Buffer.alloc(4);
  crc.writeUInt32BE(crc32(rest));
  assert.equal((await patch(half.length, rest, `crc32 ${crc.toString("base64")}`)).status, 204);
  assert.equal((await settled(node.url, tenant, url)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, tenant, url)), sha256(bytes));
});

test("a tenant's sources stay within their quota, those on their way too", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ env: { UPLOAD_QUOTA_BYTES: "1000" } });
  const { tenant } = scene;
  const create = (size: number) =>
    tus(node.url, { method: "POST", tenant, headers: { "upload-length": String(size) } });
  const answers = await Promise.all([create(400), create(400), create(400), create(400)]);
  assert.deepEqual(answers.map(({ status }) => status).toSorted(), [201, 201, 413, 413]);
  const refused = answers.find(({ status }) => status === 413)!; // two of the four are
  assert.equal(await codeIn(refused), "QUOTA_EXCEEDED");
  const [made] = answers.filter(({ status }) => status === 201);
  await tus(node.url, { method: "DELETE", path: made?.headers.get("location") ?? "", tenant });
  assert.equal((await create(600)).status, 201);
  const foreign = { method: "POST", tenant: scene.other, headers: { "upload-length": "1000" } };
  assert.equal((await tus(node.url, foreign)).status, 201);
});

test("an upload that no byte comes for expires, and its bytes go", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node({ env: { UPLOAD_EXPIRES: "1s" } });
  const url = await createUpload(node.url, scene.tenant, 100);
  const view = await settled(node.url, scene.tenant, url);
  assert.equal(view.state, "expired");
  const answer = await tus(node.url, { method: "HEAD", path: url, tenant: scene.tenant });
  assert.equal(answer.status, 410);
  assert.deepEqual(await stagedIn(scene.dataDir), []);
});

test("an upload that goes on while others are swept stays", async (t) => {
  const { db, tenant, dataDir, node } = await makeScene(t);
  const { url, objects } = await node();
  const at = await createUpload(url, tenant, 100);
  await db.asOwner("update upload set updated_at = now() - interval '2 hours'", []);
  const staging = openStaging(objects, path.join(dataDir, "objects/.uploads"));
  const mustBeTitle = async (): Promise<void> => {};
  class Slow extends Uploads {
    override async end(...asked: Parameters<Uploads["end"]>): Promise<boolean> {
      await db.asOwner("update upload set offset_bytes = 10, updated_at = now()", []);
      return super.end(...asked);
    }
  }
  const uploads = new Slow({ db, objects, staging, bytesMax: 1_000, quotaBytes: null, mustBeTitle });
  const deps = { db, staging, expiresMs: 3_600_000, log: quietLog };
  assert.equal(await sweep({ ...deps, uploads }), 0);
  assert.equal(await offsetOf(url, at, tenant), 10);
  await db.asOwner("update upload set updated_at = now() - interval '2 hours'", []);
  const plain = new Uploads({ db, objects, staging, bytesMax: 1_000, quotaBytes: null, mustBeTitle });
  assert.equal(await sweep({ ...deps, uploads: plain }), 1);
});

test("what no upload has left in the folder of uploads is nobody's, and stays", async (t) => {
  const { dataDir, node, tenant } = await makeScene(t);
  const { url, objects } = await node();
  await createUpload(url, tenant, 100);
  const folder = path.join(dataDir, "objects/.uploads");
  const [own = ""] = await stagedIn(dataDir);
  for (const name of [".nfs0000000000c0ffee", "a.b", `${own}.bak`]) await writeFile(path.join(folder, name), "x");
  const places = await openStaging(objects, folder).idle(-1_000);
  assert.deepEqual(
    places.map(({ tenantId, uploadId }) => `${tenantId}.${uploadId}`),
    [own],
  );
});

test("a title that is not there takes no upload, and what else is said of a file has its limits", async (t) => {
  const scene = await makeScene(t);
  const titleId = "019a0000-0000-7000-8000-00000000000a";
  const node = await scene.node({ titles: [titleId] });
  const create = (metadata: Record<string, string>) => {
    const pairs = Object.entries(metadata).map(([key, value]) => `${key} ${Buffer.from(value).toString("base64")}`);
    const headers = { "upload-length": "10", "upload-metadata": pairs.join(",") };
    return tus(node.url, { method: "POST", tenant: scene.tenant, headers });
  };
  assert.equal((await create({ titleId })).status, 201);
  const missing = await create({ titleId: "019a0000-0000-7000-8000-00000000000b" });
  assert.deepEqual([missing.status, await codeIn(missing)], [404, "TITLE_NOT_FOUND"]);
  for (const bad of [
    { titleId: "7" },
    { filename: "x".repeat(256) },
    { filename: "a\u0000b" },
    { kind: "opera" },
    { year: "1066" },
  ]) {
    const answer = await create(bad);
    assert.deepEqual([answer.status, await codeIn(answer)], [422, "BAD_INPUT"], JSON.stringify(bad));
  }
  const path_ = await create({ filename: "../../etc/C:\\films\\My film.mp4" });
  const view = await fetch(node.url + path_.headers.get("location"), { headers: authorization(scene.tenant) });
  assert.match(await view.text(), /"filename":"My film.mp4"/);
});

test("a port that is taken is told of in the operator's words, and nothing is left running", async (t) => {
  const scene = await makeScene(t);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const starting = scene.node({ env: { UPLOAD_PORT: String(port) } });
  const message = `UPLOAD_PORT: port ${port} on 127.0.0.1 is taken by another program.`;
  await assert.rejects(starting, (error) => error instanceof ConfigError && error.message === message);
});
