import assert from "node:assert/strict";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { test } from "node:test";
import { MediaGate } from "../../lib/crypto/media-gate.ts";
import { addressesOf, sessionToken, tokenSigner } from "./addresses.ts";
import { RememberedAnswers } from "./remembered.ts";
import { rungsIn } from "./rungs.ts";

test("a session's token is let in by who knows the platform's key, from its address alone", () => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  const signer = tokenSigner("k", privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"));
  const [tenantId, contentId, sessionId] = [randomUUID(), randomUUID(), randomUUID()];
  const at = new Date("2030-01-01T00:00:00.500Z");
  const expiresAt = new Date(at.getTime() + 60_000);
  const ids = { tenantId, contentId, sessionId, maxHeight: null };
  const token = sessionToken(signer, { ...ids, address: "2001:db8::1", createdAt: at, expiresAt });
  const gate = new MediaGate();
  gate.admit({
    tokenKeys: [{ keyId: "k", publicKey: publicKey.export({ format: "jwk" }).x ?? "" }],
  });
  const { hls, dash, licence, rungs, heartbeat } = addressesOf("https://e.example", token, {
    titleId: contentId,
    rungs: ["4k"],
  });
  assert.deepEqual(rungs, { "4k": `https://e.example/api/media/~${token}/hls/${contentId}/4k.m3u8` });
  const isLetIn = (url: string, address: string, nowMs = at.getTime()) =>
    gate.check({ path: new URL(url).pathname, query: "", address, nowMs }).ok;
  for (const url of [hls, dash, licence, heartbeat]) {
    assert.equal(isLetIn(url, "2001:db8::ffff"), true);
    assert.equal(isLetIn(url, "2001:db8:1::1"), false);
    assert.equal(isLetIn(url, "2001:db8::1", at.getTime() + 80_000), false);
  }
});

test("an object store that hangs keeps nobody from a session: its rungs are in the master", async () => {
  let signal: AbortSignal | undefined;
  const hanging = {
    getBytes: (_name: unknown, asked: { readonly signal?: AbortSignal }) => {
      signal = asked.signal;
      return new Promise<never>(() => {});
    },
  };
  assert.deepEqual(await rungsIn(hanging, 20)(randomUUID()), []);
  assert.equal(signal?.aborted, true, "and nothing goes on behind it");
});

test("those who ask together wait for one answer, which is forgotten in time, and a failure at once", async () => {
  let [nowMs, count] = [0, 0];
  const answers = new RememberedAnswers<{ n: number }>(100, () => nowMs);
  const ask = async () => {
    count += 1;
    if (count === 3) throw new Error("away");
    return { n: count };
  };
  const both = await Promise.all([answers.get("a", ask), answers.get("a", ask)]);
  assert.deepEqual(both, [{ n: 1 }, { n: 1 }]);
  nowMs = 99;
  assert.deepEqual(await answers.get("a", ask), { n: 1 });
  nowMs = 100;
  assert.deepEqual(await answers.get("a", ask), { n: 2 });
  await assert.rejects(answers.get("b", ask), /away/);
  assert.deepEqual(await answers.get("b", ask), { n: 4 });
});
