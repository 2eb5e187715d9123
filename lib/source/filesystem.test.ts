import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { appendFile, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { quietLog } from "../log/log.ts";
import { openSource } from "./open.ts";
import type { ContentSource } from "./port.ts";

interface Stage {
  readonly source: ContentSource;
  readonly root: string;
  readonly outside: string;
}

const listed = async (source: ContentSource, path: string): Promise<string[]> => {
  const names: string[] = [];
  for await (const { path: name, kind } of source.list(path)) names.push(`${kind} ${name}`);
  return names;
};

const begin = async (t: TestContext): Promise<Stage> => {
  const dir = await mkdtemp(join(tmpdir(), "castellan-source-"));
  t.after(() => rm(dir, { recursive: true }));
  const [root, outside] = [join(dir, "media"), join(dir, "outside")];
  await mkdir(join(root, "sub"), { recursive: true });
  await mkdir(outside);
  await writeFile(join(outside, "secret"), "secret");
  await writeFile(join(root, "sub", "a.bin"), "0123456789");
  const source = await openSource({ kind: "filesystem", root }, { log: quietLog });
  t.after(() => source.close());
  return { source, root, outside };
};

const read = async (source: ContentSource, path: string): Promise<string> => {
  const object = await source.open(path);
  const bytes = new Uint8Array(object.stat.sizeBytes);
  await object.readRange(0, bytes);
  await object.close();
  return Buffer.from(bytes).toString();
};

test("a symbolic link is followed while it stays below the root, and is not there when it leaves it", async (t) => {
  const { source, root, outside } = await begin(t);
  await symlink("sub/a.bin", join(root, "in"));
  await symlink(join(root, "sub"), join(root, "in-folder"));
  await symlink(join(outside, "secret"), join(root, "out"));
  await symlink("../outside", join(root, "out-folder"));
  await symlink("loop", join(root, "loop"));
  await symlink("nowhere", join(root, "dangling"));
  assert.equal(await read(source, "in"), "0123456789");
  assert.equal(await read(source, "in-folder/a.bin"), "0123456789");
  for (const path of ["out", "out-folder/secret", "loop", "dangling"]) {
    await assert.rejects(source.stat(path), { code: "SOURCE_NOT_FOUND" }, path);
    await assert.rejects(source.open(path), { code: "SOURCE_NOT_FOUND" }, path);
  }
  await assert.rejects(listed(source, "out-folder"), { code: "SOURCE_NOT_FOUND" });
  assert.deepEqual(await listed(source, ""), ["file in", "folder in-folder", "folder sub"]);
});

test("a root that is itself a link is followed wherever it leads at the time", async (t) => {
  const { root } = await begin(t);
  const next = `${root}-2`;
  await mkdir(next);
  await writeFile(join(next, "b.bin"), "second");
  const link = `${root}-link`;
  await symlink(root, link);
  const source = await openSource({ kind: "filesystem", root: link }, { log: quietLog });
  t.after(() => source.close());
  assert.equal(await read(source, "sub/a.bin"), "0123456789");
  await symlink(next, `${link}-new`);
  await rename(`${link}-new`, link);
  assert.equal(await read(source, "b.bin"), "second");
  await assert.rejects(source.stat("sub/a.bin"), { code: "SOURCE_NOT_FOUND" });
});

test("a root that is not there is a source that failed, not a file that is missing", async (t) => {
  const { root } = await begin(t);
  const source = await openSource({ kind: "filesystem", root: join(root, "not mounted") }, { log: quietLog });
  await assert.rejects(source.stat("a"), { code: "SOURCE_FAILED" });
});

test("a FIFO, a socket and a device are not there, and nothing waits for them", async (t) => {
  const { source, root } = await begin(t);
  execFileSync("mkfifo", [join(root, "fifo")]);
  const server = createServer().listen(join(root, "socket"));
  t.after(() => server.close());
  await symlink("/dev/zero", join(root, "zero"));
  for (const path of ["fifo", "socket", "zero"]) {
    await assert.rejects(source.stat(path), { code: "SOURCE_NOT_FOUND" }, path);
    await assert.rejects(source.open(path), { code: "SOURCE_NOT_FOUND" }, path);
  }
});

test("an opened file stays the old one when another is put in its place", async (t) => {
  const { source, root } = await begin(t);
  const object = await source.open("sub/a.bin");
  await writeFile(join(root, "new"), "abcdefghij");
  await rename(join(root, "new"), join(root, "sub", "a.bin"));
  const bytes = new Uint8Array(4);
  await object.readRange(3, bytes);
  assert.equal(Buffer.from(bytes).toString(), "3456");
  assert.notEqual((await source.stat("sub/a.bin")).version, object.stat.version);
});

test("a file that is appended to while it is open has changed", async (t) => {
  const { source, root } = await begin(t);
  const object = await source.open("sub/a.bin");
  await appendFile(join(root, "sub", "a.bin"), "more");
  await assert.rejects(object.readRange(0, new Uint8Array(4)), { code: "SOURCE_CHANGED" });
});

test("a close waits for the reads under way", async (t) => {
  const { source, root } = await begin(t);
  await writeFile(join(root, "big"), Buffer.alloc(20_000_000, 7));
  const object = await source.open("big");
  const bytes = new Uint8Array(20_000_000);
  const reading = object.readRange(0, bytes);
  await Promise.all([object.close(), object.close(), reading]);
  assert.ok(bytes.every((byte) => byte === 7));
  await assert.rejects(object.readRange(0, bytes), /bug: big is read after it was closed/);
});
