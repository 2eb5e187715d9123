import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type TestContext, test } from "node:test";
import { descendants, parseStat } from "./leftovers.ts";
import { runTests } from "./run.ts";
import { kindOf, selectFiles, testFiles, wantsDatabase } from "./select.ts";

const folderOf = (t: TestContext, files: Record<string, string>): string => {
  const root = mkdtempSync(join(tmpdir(), "castellan-runner-"));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  for (const [file, text] of Object.entries({ "package.json": '{"type":"module"}', ...files })) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    writeFileSync(join(root, file), text);
  }
  return root;
};

const PASSES = 'import { test } from "node:test"; test("passes", () => {});';
const runIn = async (root: string, env: Record<string, string> = {}): Promise<{ status: number; said: string }> => {
  const said: string[] = [];
  const { CI: _, ...outer } = process.env;
  const status = await runTests({
    root,
    kind: "fast",
    named: [],
    env: { ...outer, ...env },
    say: (line) => void said.push(line),
    stdout: "ignore",
    graceMs: 200,
  });
  return { status, said: said.join("\n") };
};

test("files are sorted into kinds by their names, and packages and data are left alone", (t) => {
  const root = folderOf(t, {
    "a/a.test.ts": "",
    "a/b.servers.test.ts": "",
    "c.browser.test.ts": "",
    "d.long.test.ts": "",
    "a/e.ts": "",
    "node_modules/x/x.test.ts": "",
    "data/y.test.ts": "",
    ".hidden/z.test.ts": "",
  });
  assert.deepEqual(testFiles(root), ["a/a.test.ts", "a/b.servers.test.ts", "c.browser.test.ts", "d.long.test.ts"]);
  assert.deepEqual(testFiles(root).map(kindOf), ["fast", "servers", "browser", "long"]);
  assert.deepEqual(selectFiles(root, "servers", []), ["a/b.servers.test.ts"]);
  assert.deepEqual(selectFiles(root, "fast", ["a/"]), ["a/a.test.ts"]);
});

test("unit tests are the plain ones that use nothing of test/support", (t) => {
  const root = folderOf(t, {
    "a.test.ts": 'import { x } from "./a.ts";',
    "b.test.ts": 'import { testDatabase } from "../test/support/database.ts";',
  });
  assert.deepEqual(selectFiles(root, "unit", []), ["a.test.ts"]);
  assert.equal(wantsDatabase(readFileSync(join(root, "b.test.ts"), "utf8")), true);
  assert.equal(wantsDatabase(readFileSync(join(root, "a.test.ts"), "utf8")), false);
});

test("a run that passes says its counts and exits with 0", async (t) => {
  const { status, said } = await runIn(folderOf(t, { "a.test.ts": PASSES, "b.test.ts": PASSES }));
  assert.equal(status, 0, said);
  assert.match(said, /fast tests: 2 files, 2 passed, 0 failed, 0 skipped/);
});

test("one failing test fails the run", async (t) => {
  const fails = 'import { test } from "node:test"; test("fails", () => { throw new Error("no"); });';
  const { status, said } = await runIn(folderOf(t, { "a.test.ts": PASSES, "b.test.ts": fails }));
  assert.equal(status, 1);
  assert.match(said, /1 passed, 1 failed/);
});

test("a test that is skipped for want of a server fails the run in CI and nowhere else", async (t) => {
  const skips = 'import { test } from "node:test"; test("s", { skip: "skipped: needs NATS" }, () => {});';
  const root = folderOf(t, { "a.test.ts": skips });
  assert.equal((await runIn(root)).status, 0);
  const inCi = await runIn(root, { CI: "true" });
  assert.equal(inCi.status, 1);
  assert.match(inCi.said, /must not be skipped in CI: s: skipped: needs NATS/);
});

test("a process that a test leaves running fails the run and is killed", async (t) => {
  if (!existsSync("/proc/self/stat")) return t.skip("skipped: needs /proc");
  const leaves = `import { spawn } from "node:child_process"; import { test } from "node:test";
    test("leaves one", () => { spawn("sleep", ["987"], { detached: true, stdio: "ignore" }).unref();
      return new Promise((done) => setTimeout(done, 1500)); });`;
  const { status, said } = await runIn(folderOf(t, { "a.test.ts": leaves }));
  assert.equal(status, 1);
  const pid = /left running \(killed now\): (\d+) sleep 987/.exec(said)?.[1];
  assert.ok(pid, said);
  const stat = existsSync(`/proc/${pid}/stat`) ? parseStat(readFileSync(`/proc/${pid}/stat`, "utf8")) : undefined;
  assert.notEqual(stat?.name, "sleep");
});

test("a process line is read whatever its name holds, and dead ones don't count", () => {
  const tail = "0 -1 4194304 100 0 0 0 1 2 0 0 20 0 1 0 4242 1000";
  assert.deepEqual(parseStat(`12 (a) b (c) S 7 12 11 ${tail}`), {
    pid: 12,
    parent: 7,
    session: 11,
    startTicks: 4242,
    name: "a) b (c",
  });
  assert.equal(parseStat(`12 (x) Z 7 12 11 ${tail}`), undefined);
});

test("descendants are found through parents, through the session, and through those seen before", () => {
  const one = (pid: number, parent: number, session: number) => ({ pid, parent, session, startTicks: 1, name: "" });
  const all = [one(10, 1, 10), one(11, 10, 10), one(12, 11, 12), one(13, 1, 10), one(14, 1, 14), one(15, 14, 14)];
  const pids = (known: number[]) => descendants(all, 10, new Set(known)).map(({ pid }) => pid);
  assert.deepEqual(pids([]), [11, 12, 13]);
  assert.deepEqual(pids([14]), [11, 12, 13, 14, 15]);
});
