/** Which key signs playback tokens and which are taken, where a master key is wanting. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { MasterKeys, newMasterKeyText } from "../../lib/crypto/master-keys.ts";
import { quietLog } from "../../lib/log/log.ts";
import { testDatabase } from "../../test/support/database.ts";
import { tempDir } from "../../test/support/platform.ts";
import { TokenKeys } from "./token-keys.ts";

const DAY_MS = 86_400_000;

const ground = async (t: TestContext) => {
  const db = await testDatabase(t);
  const folder = await tempDir(t);
  let nowMs = Date.parse("2030-01-01T00:00:00Z");
  const clock = { nowMs: () => nowMs };
  /** A node of control with a master key of its own. */
  const node = (): TokenKeys => {
    const masterKeys = new MasterKeys({ masterKey: newMasterKeyText(), file: join(folder, "none"), mayMake: false });
    return new TokenKeys({ db, masterKeys, clock, log: quietLog });
  };
  const pass = (ms: number): void => {
    nowMs += ms;
  };
  return { node, pass };
};
const namesOf = ({ publicKeys }: { readonly publicKeys: readonly { readonly keyId: string }[] }): string[] =>
  publicKeys.map(({ keyId }) => keyId);

test("where a master key is lost another key signs at once, and tokens of the former one are taken", async (t) => {
  const { node } = await ground(t);
  const before = await node().get();
  const left = node();
  const [after, again, together] = await Promise.all([left.get(), left.get(), left.get()]);
  assert.notEqual(after.keyId, before.keyId);
  assert.deepEqual([again.keyId, together.keyId], [after.keyId, after.keyId]);
  assert.deepEqual(new Set(namesOf(after)), new Set([before.keyId, after.keyId]));
  assert.equal(after.viewerSecrets.length, 1, "of what can be opened");
});

test("a node that can't open the newest key goes on with the one before for a day, then makes another", async (t) => {
  const { node, pass } = await ground(t);
  const [one, other] = [node(), node()];
  const first = await one.get();
  const second = await other.renew();
  pass(120_000);
  assert.deepEqual([(await one.get()).keyId, (await other.get()).keyId], [first.keyId, second]);
  assert.deepEqual(namesOf(await one.get()), [first.keyId, second]);
  pass(DAY_MS);
  const third = (await one.get()).keyId;
  assert.ok(third !== first.keyId && third !== second);
  assert.equal((await other.get()).keyId, second, "two such nodes do not make keys in turns");
  pass(DAY_MS / 2);
  assert.deepEqual([(await one.get()).keyId, (await other.get()).keyId], [third, second]);
  assert.equal((await one.get()).publicKeys.length, 3);
});

test("a new key signs a minute after it was made, and the former one is taken for as long as a token may live", async (t) => {
  const { node, pass } = await ground(t);
  const keys = node();
  const first = await keys.get();
  const second = await keys.renew();
  pass(59_999);
  assert.equal((await keys.get()).keyId, first.keyId);
  assert.deepEqual(namesOf(await keys.get()), [first.keyId, second], "edges hear of it before");
  pass(1);
  assert.equal((await keys.get()).keyId, second);
  pass(7 * DAY_MS);
  assert.deepEqual(namesOf(await keys.get()), [first.keyId, second]);
  pass(DAY_MS);
  assert.deepEqual(namesOf(await keys.get()), [second]);
});
