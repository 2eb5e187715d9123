/** Keys in the database: wrapped, made once, brought under another master key, and told to nobody by accident. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { appendFileSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { test } from "node:test";
import pino from "pino";
import { contentPurged } from "../../contracts/catalog.ts";
import { contentKey, deliverKey, renewContentKey, tokenSigningKey } from "../../contracts/keyserver.ts";
import { MasterKeys, newMasterKeyText } from "../../lib/crypto/master-keys.ts";
import { publishFact } from "../../lib/events/port.ts";
import { playbackScene } from "../../test/playback/scene.ts";
import { eventually } from "../../test/support/control.ts";
import { tempDir } from "../../test/support/platform.ts";
import { ContentKeys } from "./content-keys.ts";
import { rewrapAll, wrappedBy } from "./rotation.ts";

test("first calls that come together get one key, and it is 16 bytes that nobody can read in the table", async (t) => {
  const scene = await playbackScene(t);
  const { titleId: contentId } = await scene.newTitle();
  const { tenantId } = scene.ours;
  const keys = await Promise.all(Array.from({ length: 20 }, () => scene.ask(contentKey, { tenantId, contentId })));
  const [first] = keys;
  for (const key of keys) assert.deepEqual(key, first);
  assert.equal(Buffer.from(first!.key, "base64").length, 16);
  const { rows } = await scene.db.asOwner<{ wrapped: Buffer }>("select wrapped from content_key");
  assert.equal(rows.length, 1);
  assert.equal(rows[0]!.wrapped.includes(Buffer.from(first!.key, "base64")), false);
  const file = join(scene.dataDir, "run", "master-key");
  assert.equal(statSync(file).mode & 0o777, 0o600);
});

test("a renewed key is the next generation, and former ones are still delivered", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const { tenantId } = scene.ours;
  const contentId = title.titleId;
  const first = await scene.ask(contentKey, { tenantId, contentId });
  const renewed = await scene.ask(renewContentKey, { titleId: contentId });
  assert.equal(renewed.data.generation, 2);
  const { former, ...second } = await scene.ask(contentKey, { tenantId, contentId });
  assert.equal(second.generation, 2);
  assert.deepEqual(former, [first], "packagers that start now are told it too");
  assert.notEqual(second.key, first.key);
  const { id: sessionId } = await scene.play(title);
  const deliver = (wanted: { generation?: number; keyId?: string }) =>
    scene.ask(deliverKey, { contentId, sessionId, tenantId, address: "::1", ...wanted });
  assert.deepEqual(await deliver({ generation: 1 }), first);
  assert.deepEqual(await deliver({ keyId: second.keyId }), second);
});

test("of a purged title no key is left", async (t) => {
  const scene = await playbackScene(t);
  const [gone, kept] = [await scene.newTitle(), await scene.newTitle()];
  const { tenantId } = scene.ours;
  for (const { titleId } of [gone, kept]) await scene.ask(contentKey, { tenantId, contentId: titleId });
  const { titleId } = gone;
  await scene.db.tenantTx(null, (tx) => publishFact(tx, contentPurged, titleId, { tenantId, titleId }));
  const left = async () => (await scene.db.asOwner<{ content_id: string }>("select content_id from content_key")).rows;
  await eventually("it is gone", async () => (await left()).length === 1);
  assert.deepEqual(await left(), [{ content_id: kept.titleId }]);
});

test("a key is unwrapped as what it was wrapped as, under the key that wrapped it, or not at all", async (t) => {
  const file = join(await tempDir(t), "keys");
  const keys = new MasterKeys({ masterKey: null, file, mayMake: true });
  const wrapped = keys.wrap(Buffer.from("0123456789abcdef"), "content key 1");
  assert.equal(keys.unwrap(wrapped, "content key 1").toString(), "0123456789abcdef");
  assert.throws(() => keys.unwrap(wrapped, "content key 2"));
  for (let at = 0; at < wrapped.bytes.length; at += 7) {
    const bytes = Buffer.from(wrapped.bytes);
    bytes[at]! ^= 1;
    assert.throws(() => keys.unwrap({ ...wrapped, bytes }, "content key 1"));
  }
  const other = new MasterKeys({ masterKey: newMasterKeyText(), file: `${file}-none`, mayMake: false });
  assert.throws(() => other.unwrap(wrapped, "content key 1"), {
    code: "MASTER_KEY_MISSING",
    message: new RegExp(wrapped.masterKeyId),
  });
});

test("a new master key in the file counts at once, and a broken file changes nothing", async (t) => {
  const file = join(await tempDir(t), "keys");
  const keys = new MasterKeys({ masterKey: null, file, mayMake: true });
  const before = keys.presentId;
  const wrapped = keys.wrap(Buffer.from("x"), "a");
  writeFileSync(file, `# new\n${newMasterKeyText()}\n${readFileSync(file, "utf8")}`);
  assert.notEqual(keys.presentId, before);
  assert.equal(keys.unwrap(wrapped, "a").toString(), "x");
  appendFileSync(file, "no key\n");
  assert.notEqual(keys.presentId, before);
  assert.throws(() => new MasterKeys({ masterKey: null, file, mayMake: false }), /line 4 of .* is no key/);
  assert.throws(() => new MasterKeys({ masterKey: null, file: `${file}-none`, mayMake: false }), /there is no key/);
});

test("rows come under the present master key while keys are made and read", async (t) => {
  const scene = await playbackScene(t);
  const { db } = scene;
  const tenants = [scene.ours.tenantId, scene.theirs.tenantId];
  await scene.ask(tokenSigningKey, {});
  const titles = tenants.flatMap((tenantId) =>
    Array.from({ length: 130 }, () => ({ tenantId, contentId: randomUUID() })),
  );
  const before = await Promise.all(titles.map((title) => scene.ask(contentKey, title)));
  const file = join(scene.dataDir, "run", "master-key");
  const former = [...(await wrappedBy({ db })).keys()];
  assert.equal(former.length, 1);
  writeFileSync(file, `${newMasterKeyText()}\n${readFileSync(file, "utf8")}`);
  const masterKeys = new MasterKeys({ masterKey: null, file, mayMake: false });
  const made = { tenantId: tenants[0]!, contentId: randomUUID() };
  const [rowCount, extra] = await Promise.all([rewrapAll({ db, masterKeys }), scene.ask(contentKey, made)]);
  assert.ok(rowCount >= 261, String(rowCount));
  assert.deepEqual([...(await wrappedBy({ db }))], [[masterKeys.presentId, 262]]);
  assert.equal(await rewrapAll({ db, masterKeys }), 0);
  writeFileSync(file, `${readFileSync(file, "utf8").split("\n")[0]}\n`); // the former one is thrown away
  const alone = new ContentKeys({ db, masterKeys: new MasterKeys({ masterKey: null, file, mayMake: false }) });
  for (const [index, { tenantId, contentId }] of titles.entries()) {
    if (index % 13 !== 0) continue;
    assert.equal((await alone.newest(tenantId, contentId)).key.toString("base64"), before[index]!.key);
  }
  assert.equal((await alone.newest(made.tenantId, made.contentId)).key.toString("base64"), extra.key);
});

test("neither logs nor errors have a key's bytes in them", async (t) => {
  let text = "";
  const sink = new Writable({
    write: (chunk: Buffer, _, done) => {
      text += chunk;
      done();
    },
  });
  const scene = await playbackScene(t, { log: pino({ level: "trace" }, sink) });
  const title = await scene.newTitle();
  const { tenantId } = scene.ours;
  const { key } = await scene.ask(contentKey, { tenantId, contentId: title.titleId });
  const { privateKey } = await scene.ask(tokenSigningKey, {});
  const session = await scene.play(title);
  const base = new URL(session.hls.replace("master.m3u8", "key.1.bin"));
  for (const path of [base.pathname, base.pathname.replace("key.1", "key.9"), `${base.pathname}?a=b`]) {
    await (await fetch(scene.gatewayUrl + path)).arrayBuffer();
  }
  const master = readFileSync(join(scene.dataDir, "run", "master-key"), "utf8").trim();
  const bytes = Buffer.from(key, "base64");
  const secrets = [key, bytes.toString("hex"), bytes.toString("base64url"), privateKey, master];
  assert.ok(text.includes("/api/media/~*/"), "requests are in the log");
  for (const secret of secrets) assert.equal(text.includes(secret), false);
  const token = base.pathname.split("~")[1]!.split("/")[0]!;
  assert.equal(text.includes(token), false, "tokens are masked");
});
