import assert from "node:assert/strict";
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { tempDir } from "../../test/support/platform.ts";
import { addMasterKey, MasterKeys, newMasterKeyText } from "./master-keys.ts";

test("what can't be read of a file of master keys keeps nobody from the keys that are known", async (t) => {
  const file = join(await tempDir(t), "keys", "master");
  const keys = new MasterKeys({ masterKey: null, file, mayMake: true });
  const [wrapped, { presentId }] = [keys.wrap(Buffer.from("x"), "a"), keys];
  rmSync(file);
  mkdirSync(file);
  assert.equal(keys.has("0123456789abcdef"), false);
  assert.equal(keys.presentId, presentId);
  assert.equal(keys.unwrap(wrapped, "a").toString(), "x");
  assert.equal(keys.unwrap(keys.wrap(Buffer.from("y"), "b"), "b").toString(), "y");
});

test("a new master key leaves its file to who owns it, and goes through a link", async (t) => {
  const folder = await tempDir(t);
  const [file, link] = [join(folder, "master"), join(folder, "link")];
  writeFileSync(file, `${newMasterKeyText()}\n`, { mode: 0o640 });
  const isRoot = process.getuid?.() === 0;
  if (isRoot) chownSync(file, 12_345, 54_321);
  symlinkSync(file, link);
  addMasterKey(link);
  const { uid, gid, mode } = statSync(file);
  assert.equal(mode & 0o777, 0o640);
  if (isRoot) assert.deepEqual([uid, gid], [12_345, 54_321]);
  assert.equal(readFileSync(file, "utf8").trim().split("\n").length, 2);
  assert.deepEqual(readdirSync(folder).sort(), ["link", "master"]);
});

test("two who put a master key into a file at once don't lose one, and no file gets more than can be read", async (t) => {
  const file = join(await tempDir(t), "master");
  writeFileSync(file, `${newMasterKeyText()}\n`);
  const before = readFileSync(file, "utf8");
  writeFileSync(`${file}.next`, ""); // another one is at it
  assert.throws(() => addMasterKey(file), /another process/);
  assert.equal(readFileSync(file, "utf8"), before);
  rmSync(`${file}.next`);
  for (let count = 1; count < 100; count += 1) addMasterKey(file);
  assert.throws(() => addMasterKey(file), /has 100 keys/);
  assert.equal(existsSync(`${file}.next`), false);
  const keys = new MasterKeys({ masterKey: null, file, mayMake: false });
  assert.equal(keys.unwrap(keys.wrap(Buffer.from("x"), "a"), "a").toString(), "x");
});
