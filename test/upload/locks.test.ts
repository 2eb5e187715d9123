import assert from "node:assert/strict";
import test, { type TestContext } from "node:test";
import { Locks } from "../../lib/db/locks.ts";
import { quietLog } from "../../lib/log/log.ts";
import { testDatabase } from "../support/database.ts";
import {
  createUpload,
  film,
  MiB,
  makeScene,
  offsetOf,
  openPatch,
  PATCH_TYPE,
  sendByTus,
  settled,
  sha256,
  sourceBytes,
  tus,
  until,
} from "./upload.fixture.ts";

const twoNodes = async (t: TestContext) => {
  const scene = await makeScene(t);
  return { scene, one: await scene.node(), two: await scene.spawn() };
};

test("of two senders of one upload on two nodes one wins, and the other is told to wait", async (t) => {
  const { scene, one, two } = await twoNodes(t);
  const { tenant } = scene;
  const bytes = await film(scene.dataDir, 3 * MiB);
  const url = await createUpload(one.url, tenant, bytes.length);
  const { request, answer } = openPatch(two.url, url, tenant, bytes.length);
  // It goes on sending while the other one tries: who is silent would be cut off.
  let at = 0;
  const drip = setInterval(() => {
    request.write(bytes.subarray(at, at + 1_000));
    at += 1_000;
  }, 20);
  t.after(() => clearInterval(drip));
  await until("bytes arrive", async () => (await offsetOf(two.url, url, tenant)) > 0);
  const headers = { ...PATCH_TYPE, "upload-offset": "0" };
  const busy = await tus(one.url, { method: "PATCH", path: url, tenant, headers, body: bytes.subarray(0, 1_000) });
  assert.equal(busy.status, 423);
  assert.ok(busy.headers.get("retry-after"));
  clearInterval(drip);
  request.end(bytes.subarray(at));
  assert.equal(await answer, 204);
  assert.equal((await settled(one.url, tenant, url)).state, "done");
  assert.equal(sha256(await sourceBytes(scene, tenant, url)), sha256(bytes));
});

test("a node that is killed while it receives lets go of its upload at once", async (t) => {
  const { scene, one, two } = await twoNodes(t);
  const { tenant } = scene;
  const bytes = await film(scene.dataDir, 3 * MiB);
  const url = await createUpload(one.url, tenant, bytes.length);
  const { request, answer } = openPatch(two.url, url, tenant, bytes.length);
  answer.catch(() => {});
  request.write(bytes.subarray(0, MiB));
  request.on("error", () => {});
  await until("bytes arrive", async () => (await offsetOf(two.url, url, tenant)) > 0);
  await two.kill();
  const offset = await offsetOf(one.url, url, tenant);
  const headers = { ...PATCH_TYPE, "upload-offset": String(offset) };
  const rest = { method: "PATCH", path: url, tenant, headers, body: bytes.subarray(offset) };
  assert.equal((await tus(one.url, rest)).status, 204);
  assert.equal((await settled(one.url, tenant, url)).state, "done");
});

test("a sender that has gone without a word makes room for the next one", async (t) => {
  const scene = await makeScene(t);
  const node = await scene.node();
  const { tenant } = scene;
  const bytes = await film(scene.dataDir, MiB);
  const url = await createUpload(node.url, tenant, bytes.length);
  const { request, answer } = openPatch(node.url, url, tenant, bytes.length);
  answer.catch(() => {});
  request.on("error", () => {});
  request.write(bytes.subarray(0, 1_000));
  const address = await sendByTus(node.url, tenant, bytes, { uploadUrl: node.url + url });
  assert.equal((await settled(node.url, tenant, new URL(address).pathname)).state, "done");
});

test("a lock of a connection that broke is nobody's, and who had it hears of it", async (t) => {
  const db = await testDatabase(t);
  const told = { url: db.ownerUrl, kind: "upload", log: quietLog, busy: "UPLOAD_BUSY", awaited: () => {} } as const;
  const open = (applicationName: string) => new Locks({ ...told, applicationName });
  const [one, two] = [open("one"), open("two")];
  t.after(async () => void (await Promise.all([one.close(), two.close()])));
  const id = "019a0000-0000-7000-8000-000000000001";
  const hold = await one.acquire(id, { waitMs: 0 });
  await assert.rejects(two.acquire(id, { waitMs: 100 }), { code: "UPLOAD_BUSY" });
  await assert.rejects(one.acquire(id, { waitMs: 100 }), { code: "UPLOAD_BUSY" });
  const lost = new Promise<void>((resolve) => hold.signal.addEventListener("abort", () => resolve(), { once: true }));
  await db.asOwner("select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1", ["one"]);
  await lost;
  const next = await two.acquire(id, { waitMs: 1_000 });
  await next.release();
  await (await one.acquire(id, { waitMs: 1_000 })).release();
});
