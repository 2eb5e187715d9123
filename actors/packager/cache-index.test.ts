import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { quietLog } from "../../lib/log/log.ts";
import { CacheIndex } from "./cache-index.store.ts";
import { rowsOf, TestClock, tempFolder, until } from "./caches.fixture.ts";

const INVALIDATE = "UPDATE segmentfile SET timestamp = 0; UPDATE inputfile SET timestamp = 0;";

/** Runs SQL in a process of its own, as an operator does. */
const outside = (file: string, sql: string): void => {
  const script = `const db = new (require("node:sqlite").DatabaseSync)(${JSON.stringify(file)}); db.exec(${JSON.stringify(sql)}); db.close();`;
  const { status, stderr } = spawnSync(process.execPath, ["-e", script], { encoding: "utf8" });
  assert.equal(status, 0, stderr);
};

test("the seed's SQL, run by another program, stands over every use that is written after it", (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file, clock, log: quietLog });
  index.inputs.add("a/=1", clock.ms);
  index.segments.add("b/=2", clock.ms);
  index.inputs.touch("a/=1"); // pending while the SQL runs
  outside(file, INVALIDATE);
  clock.ms += 60_000;
  index.inputs.touch("a/=1");
  index.segments.touch("b/=2");
  index.flush();
  const zero = (filename: string) => [{ filename, timestamp: 0 }];
  assert.deepEqual(index.inputs.olderThan(1000), zero("a/=1"));
  assert.deepEqual(index.segments.olderThan(1000), zero("b/=2"));
  index.inputs.remove("a/=1");
  index.inputs.add("a/=1", clock.ms);
  index.close();
  assert.deepEqual(
    rowsOf(file, "inputfile"),
    [{ filename: "a/=1", timestamp: clock.ms / 1000 }],
    "a new file is a new one",
  );
});

test("uses are written in batches: at the flush and at the close", (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file, clock, log: quietLog });
  const began = clock.ms / 1000;
  index.inputs.add("a", clock.ms);
  clock.ms += 10_000;
  for (let use = 0; use < 1000; use += 1) index.inputs.touch("a");
  assert.deepEqual(rowsOf(file, "inputfile"), [{ filename: "a", timestamp: began }]);
  index.flush();
  assert.deepEqual(rowsOf(file, "inputfile"), [{ filename: "a", timestamp: began + 10 }]);
  clock.ms += 10_000;
  index.inputs.touch("a");
  index.inputs.touch("gone");
  index.close();
  assert.deepEqual(rowsOf(file, "inputfile"), [{ filename: "a", timestamp: began + 20 }]);
  index.close();
  index.inputs.remove("a");
});

test("a database that somebody has locked keeps nobody: what is to be written is written later", async (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file, clock, log: quietLog, flushMs: 5 });
  t.after(() => index.close());
  index.inputs.add("a", clock.ms);
  const other = new DatabaseSync(file);
  t.after(() => other.close());
  other.exec("begin immediate");
  const startedMs = performance.now();
  index.inputs.add("b", clock.ms);
  index.inputs.remove("a");
  assert.ok(performance.now() - startedMs < 4_000, "less than the five seconds that an opening waits");
  other.exec("commit");
  await until("it is written", () => rowsOf(file, "inputfile").some((row) => row.filename === "b"));
  assert.equal(rowsOf(file, "inputfile").length, 1);
});

test("a change of another program is noticed within moments, one of our own is none", async (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file, clock, log: quietLog, flushMs: 5 });
  t.after(() => index.close());
  let noticed = 0;
  index.onOutsideChange(() => {
    noticed += 1;
  });
  index.inputs.add("a", clock.ms);
  index.inputs.touch("a");
  index.flush();
  const other = new DatabaseSync(file);
  t.after(() => other.close());
  assert.equal(noticed, 0);
  other.exec(INVALIDATE);
  await until("it is noticed", () => noticed > 0);
  assert.equal(noticed, 1);
});

test("a database that is none, is torn or has other tables is set aside and made anew", (t) => {
  const dir = tempFolder(t);
  const clock = new TestClock();
  const cases: Record<string, (file: string) => void> = {
    "no database": (file) => writeFileSync(file, "not a database, but long enough to be looked at ".repeat(100)),
    torn: (file) => {
      const db = new DatabaseSync(file);
      db.exec("create table inputfile (filename text primary key, timestamp integer)");
      const insert = db.prepare("insert into inputfile values (?, 1)");
      db.exec("begin");
      for (let row = 0; row < 2000; row += 1) insert.run(`a/rather/long/name/of/a/file/${row}`);
      db.exec("commit");
      db.close();
      const bytes = readFileSync(file);
      bytes.fill(0x5a, 4096 * 3, 4096 * 8);
      writeFileSync(file, bytes);
    },
    "other tables": (file) => {
      const db = new DatabaseSync(file);
      db.exec("create table inputfile (name text)");
      db.close();
    },
  };
  for (const [name, make] of Object.entries(cases)) {
    const file = join(dir, name, "cacheDB.db");
    new CacheIndex({ file, clock, log: quietLog }).close();
    for (const suffix of ["-wal", "-shm"]) assert.ok(!existsSync(file + suffix));
    make(file.replace("cacheDB", "made"));
    const made = file.replace("cacheDB", "made");
    const index = new CacheIndex({ file: made, clock, log: quietLog });
    index.inputs.add("x", clock.ms);
    index.close();
    assert.equal(rowsOf(made, "inputfile").length, 1, name);
    assert.ok(existsSync(`${made}.unreadable`), name);
  }
});

test("a row without a time counts as one that was never used", (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const index = new CacheIndex({ file, clock: new TestClock(), log: quietLog });
  t.after(() => index.close());
  outside(file, "insert into inputfile (filename) values ('x')");
  assert.deepEqual(index.inputs.olderThan(1000), [{ filename: "x", timestamp: 0 }]);
});

test("a database that breaks while it is used is made anew, and what uses it goes on", (t) => {
  const file = join(tempFolder(t), "cacheDB.db");
  const clock = new TestClock();
  const index = new CacheIndex({ file, clock, log: quietLog });
  t.after(() => index.close());
  for (let row = 0; row < 3000; row += 1) index.inputs.add(`a/rather/long/name/of/a/file/${row}`, clock.ms);
  const other = new DatabaseSync(file);
  other.exec("pragma wal_checkpoint(truncate)");
  other.close();
  const bytes = readFileSync(file);
  bytes.fill(0x5a, 4096);
  writeFileSync(file, bytes);
  for (let row = 0; row < 3000; row += 7) index.inputs.remove(`a/rather/long/name/of/a/file/${row}`);
  index.inputs.add("after", clock.ms);
  assert.ok(index.inputs.rows().some((row) => row.filename === "after"));
});
