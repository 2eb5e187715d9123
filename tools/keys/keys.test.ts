import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ContentKeys, type PlainKey } from "../../actors/keyserver/content-keys.ts";
import { wrappedBy } from "../../actors/keyserver/rotation.ts";
import { MasterKeys } from "../../lib/crypto/master-keys.ts";
import { newTenant } from "../../test/support/control.ts";
import { testDatabase } from "../../test/support/database.ts";
import { tempDir } from "../../test/support/platform.ts";
import { main } from "./keys.ts";

const START = join(import.meta.dirname, "..", "..", "start.mjs");

const output = async (args: readonly string[], env: NodeJS.ProcessEnv) => {
  let text = "";
  const code = await main(args, env, (more) => {
    text += more;
  });
  return { code, text };
};

test("a rotation that is killed again and again loses no key, and comes to its end", async (t) => {
  const db = await testDatabase(t);
  const { tenantId } = await newTenant(db, "ours");
  const dataDir = await tempDir(t);
  const env = { PATH: process.env.PATH, DATA_DIR: dataDir, DATABASE_URL: db.ownerUrl };
  const file = join(dataDir, "run", "master-key");
  const masterKeys = new MasterKeys({ masterKey: null, file, mayMake: true });
  const keys = new ContentKeys({ db, masterKeys });
  const contentIds = Array.from({ length: 1_000 }, () => randomUUID());
  const before: PlainKey[] = [];
  for (const contentId of contentIds) before.push(await keys.newest(tenantId, contentId));
  let killed = 0;
  for (const args of [["rotate", "--new"], ["rotate"], ["rotate"]]) {
    const child = spawn(process.execPath, [START, "keys", ...args], { env, stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "exit");
    child.stdout.once("data", () => child.kill("SIGKILL"));
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    if (signal === "SIGKILL") killed += 1;
    const counts = await wrappedBy({ db });
    assert.equal(
      [...counts.values()].reduce((sum, count) => sum + count, 0),
      1_000,
    );
  }
  assert.ok(killed >= 2, `${killed} were killed`);
  assert.equal((await wrappedBy({ db })).size, 2, "it was in the middle");
  assert.match((await output(["status"], env)).text, /\(former\)/);
  const dry = await output(["rotate", "--dry-run", "--json"], env);
  assert.match(dry.text, /^\{"dryRun":true,"keyCount":[1-9]\d*\}\n$/);
  assert.equal((await output(["rotate"], env)).code, 0);
  assert.equal(
    (await output(["rotate", "--json"], env)).text,
    `{"keyCount":0,"presentId":"${masterKeys.presentId}"}\n`,
  );
  const after: PlainKey[] = [];
  for (const contentId of contentIds) after.push(await keys.newest(tenantId, contentId));
  assert.deepEqual(after, before);
});

test("a node without one of the master keys says which one is wanting, and brings over what the others wrapped", async (t) => {
  const db = await testDatabase(t);
  const { tenantId } = await newTenant(db, "ours");
  const dirs = [await tempDir(t), await tempDir(t)];
  const env = (dir: string) => ({ PATH: process.env.PATH, DATA_DIR: dir, DATABASE_URL: db.ownerUrl });
  const file = join(dirs[0]!, "run", "master-key");
  const masterKeys = new MasterKeys({ masterKey: null, file, mayMake: true });
  await new ContentKeys({ db, masterKeys }).newest(tenantId, randomUUID());
  const other = { masterKey: null, file: join(dirs[1]!, "run", "master-key"), mayMake: true };
  const otherKeys = new MasterKeys(other);
  const { text } = await output(["status"], env(dirs[1]!));
  assert.match(text, new RegExp(`${masterKeys.presentId} {2}1 keys {2}NOT KNOWN HERE`));
  await new ContentKeys({ db, masterKeys: otherKeys }).newest(tenantId, randomUUID());
  assert.equal((await output(["rotate", "--new"], env(dirs[1]!))).code, 1);
  const { presentId } = new MasterKeys(other);
  assert.deepEqual(new Map(await wrappedBy({ db })), new Map([masterKeys.presentId, presentId].map((id) => [id, 1])));
  appendFileSync(other.file, readFileSync(file, "utf8"));
  assert.equal((await output(["rotate"], env(dirs[1]!))).code, 0);
});

test("help is there, and what is not understood is said", async () => {
  assert.match((await output(["--help"], {})).text, /keys rotate/);
  assert.equal((await output(["rotat"], {})).code, 64);
  assert.equal((await output(["rotate", "--what"], {})).code, 64);
});
