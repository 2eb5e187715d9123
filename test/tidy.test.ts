import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { stalePages } from "../tools/docs/pages.ts";
import { isTestFile, ROOT, textOf } from "../tools/source/source.ts";
import {
  actorNames,
  bareCalls,
  deadLinks,
  loosePins,
  machinePaths,
  missingRooms,
  runsAlone,
  sharedTables,
  sources,
  tooLong,
  undeclaredPackages,
  unreasoned,
} from "../tools/source/tidy.ts";

const THIS = "test/tidy.test.ts"; // holds examples of what is forbidden
const code = sources(".ts", ".mjs").filter(({ file }) => file !== THIS);
const texts = sources(".md", ".yml", ".yaml", ".json", ".sql", ".html", ".css", "Dockerfile");
const migrations = sources(".sql").filter(({ file }) => file.startsWith("migrations/"));

// Written by the SQL function publish_event, in the transaction of the state that a fact announces.
const WRITTEN_IN_SQL = ["event"];

test("no file, line or service is longer than a reader likes", () => {
  assert.deepEqual(code.flatMap(tooLong), []);
});

test("no test runs alone, and nothing is put off without a reason", () => {
  assert.deepEqual(code.flatMap(runsAlone), []);
  assert.deepEqual([...code, ...texts].filter(({ file }) => file !== "package-lock.json").flatMap(unreasoned), []);
});

test("nothing names a path of one machine", () => {
  assert.deepEqual([...code, ...texts].flatMap(machinePaths), []);
});

test("actors are called through contracts only", () => {
  assert.deepEqual(code.flatMap(bareCalls), []);
});

test("each table is written by exactly one store", () => {
  assert.deepEqual(sharedTables(code, migrations, WRITTEN_IN_SQL), []);
});

test("each actor has its rooms: a README that says what it is, a service file, tests", () => {
  assert.ok(actorNames().length >= 5);
  assert.deepEqual(
    actorNames().flatMap((actor) => missingRooms(actor)),
    [],
  );
});

test("the generated pages are up to date", async () => {
  assert.deepEqual(await stalePages(), []);
});

test("every dependency is pinned to one version", () => {
  assert.deepEqual(loosePins(JSON.parse(textOf("package.json"))), []);
});

test("what runs in production imports only what a production install has", () => {
  assert.deepEqual(undeclaredPackages(code, JSON.parse(textOf("package.json"))), []);
  const bad = [{ file: "lib/x.ts", text: 'import { parse } from "yaml";' }];
  assert.equal(
    undeclaredPackages(bad, { dependencies: { zod: "4.0.0" }, devDependencies: { yaml: "2.0.0" } }).length,
    1,
  );
});

test("every script of package.json runs a file that is there", () => {
  const { scripts } = JSON.parse(textOf("package.json")) as { scripts: Record<string, string> };
  for (const [name, line] of Object.entries(scripts)) {
    const file = /^(?:exec )?node (\S+)/.exec(line)?.[1];
    assert.ok(file === undefined || existsSync(join(ROOT, file)), `${name}: ${file}`);
  }
});

test("links between documents lead somewhere", () => {
  assert.deepEqual(
    texts.filter(({ file }) => file.endsWith(".md")).flatMap((text) => deadLinks(text)),
    [],
  );
});

test("the change log has a place for what is not released yet", () => {
  assert.match(textOf("CHANGELOG.md"), /^## Unreleased$/m);
});

test("the checks see what they are for", () => {
  const see = (text: string, file = "lib/x/x.ts") => ({ file, text });
  assert.equal(tooLong(see("x\n".repeat(401))).length, 1);
  assert.equal(tooLong(see("x\n".repeat(121), "actors/x/x.service.ts")).length, 1);
  assert.equal(tooLong(see("x".repeat(121))).length, 1);
  assert.equal(tooLong(see(`${"x".repeat(120)}\n`.repeat(400))).length, 0);
  assert.equal(runsAlone(see('test.only("x", () => {});')).length, 1);
  assert.equal(runsAlone(see('test("x", { only: true }, () => {});')).length, 1);
  assert.equal(unreasoned(see("// TODO")).length, 1);
  assert.equal(unreasoned(see("// TODO: later")).length, 1);
  assert.equal(unreasoned(see("// TODO: waits for pg 9, whose pool closes its sockets")).length, 0);
  assert.equal(machinePaths(see('const dir = "/home/ann/castellan/x";')).length, 1);
  assert.equal(machinePaths(see("http://host/root/x and docs/work/x")).length, 0);
  assert.equal(bareCalls(see('broker.call("channel.start", {})')).length, 1);
  assert.deepEqual(loosePins({ dependencies: { a: "^1.2.3", b: "1.2.3", c: "latest", d: "1.0.0-beta.2" } }), [
    'a is "^1.2.3", not one version',
    'c is "latest", not one version',
  ]);
  assert.equal(deadLinks(see("[a](nowhere.md) [b](https://x.y/z) [c](#here)", "README.md")).length, 1);
});

test("a table with two writers, with one that is no store, or with none is seen", () => {
  const sql = [
    { file: "migrations/1.sql", text: "create table cat (id int);\n-- Down Migration\ncreate table dog ();" },
  ];
  const store = (name: string, text: string) => ({ file: `actors/${name}/${name}.store.ts`, text });
  const insert = "insert into cat (id) values (1)";
  assert.deepEqual(sharedTables([store("a", insert)], sql, []), []);
  assert.deepEqual(sharedTables([store("a", insert), store("b", "update cat set id = 2")], sql, []), [
    "cat is written by actors/a/a.store.ts and actors/b/b.store.ts: not by one store",
  ]);
  assert.deepEqual(sharedTables([{ file: "actors/a/a.ts", text: "delete from cat" }], sql, []), [
    "cat is written by actors/a/a.ts: not by one store",
  ]);
  const lib = (file: string) => ({ file: `lib/${file}`, text: insert });
  assert.deepEqual(sharedTables([lib("events/a.ts"), lib("events/b.ts")], sql, []), []);
  assert.equal(sharedTables([lib("events/a.ts"), lib("actor/b.ts")], sql, []).length, 1);
  assert.deepEqual(sharedTables([], sql, []), ["cat is written by nobody"]);
  assert.ok(isTestFile("actors/a/a.test.ts"), "tests may write anything");
});
