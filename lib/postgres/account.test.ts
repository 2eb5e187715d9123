import assert from "node:assert/strict";
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { isReachable, serverAccount } from "./account.ts";

const AS_ROOT = process.getuid?.() === 0;

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "castellan-account-"));
  chmodSync(dir, 0o755);
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

test("an ordinary user runs the server itself", { skip: AS_ROOT && "runs as an ordinary user only" }, (t) => {
  assert.equal(serverAccount(folder(t)), undefined);
  assert.throws(() => serverAccount("/etc"), /^Error: The folder \/etc belongs to user 0: start as that user or root/);
});

test("root hands a new server to an account without rights", { skip: !AS_ROOT && "runs as root only" }, (t) => {
  assert.notEqual(serverAccount(join(folder(t), "new"))?.uid, 0);
});

test("root starts an existing server as its owner", { skip: !AS_ROOT && "runs as root only" }, (t) => {
  const dir = folder(t);
  chownSync(dir, 12_345, 12_346);
  assert.deepEqual(serverAccount(dir), { uid: 12_345, gid: 12_346 });
});

test("a path is reachable if every folder above lets one pass and the file can be read", (t) => {
  const dir = folder(t);
  const [own, group] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const [owner, member, other] = [
    { uid: own, gid: group },
    { uid: own + 1, gid: group },
    { uid: own + 1, gid: group + 1 },
  ];
  mkdirSync(join(dir, "inner"));
  const file = join(dir, "inner/file");
  writeFileSync(file, "");
  const seen = (dirMode: number, fileMode: number) => {
    chmodSync(join(dir, "inner"), dirMode);
    chmodSync(file, fileMode);
    return [owner, member, other].map((account) => isReachable(file, account));
  };
  assert.deepEqual(seen(0o755, 0o644), [true, true, true]);
  assert.deepEqual(seen(0o700, 0o644), [true, false, false]);
  assert.deepEqual(seen(0o750, 0o644), [true, true, false]);
  assert.deepEqual(seen(0o755, 0o640), [true, true, false]);
  assert.equal(isReachable(join(dir, "missing"), other), false);
  assert.equal(isReachable(file, undefined), true, "our own account");
});
