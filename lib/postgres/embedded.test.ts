import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import test, { type TestContext } from "node:test";
import pg from "pg";
import { quietLog } from "../log/log.ts";
import { type EmbeddedPostgres, endLeftServer, startEmbeddedPostgres } from "./embedded.ts";
import { isAlive, waitForExit } from "./processes.ts";

const AS_ROOT = process.getuid?.() === 0;
const DEADLINE_MS = 30_000;

/** A new DATA_DIR; what runs in it is ended with the test. */
function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), "castellan-embedded-"));
  chmodSync(dir, 0o755);
  t.after(async () => {
    await endLeftServer(dir);
    rmSync(dir, { recursive: true, force: true });
  });
  return dir;
}

async function started(t: TestContext, dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog });
  t.after(() => server.stop());
  return server;
}

const pidIn = (dataDir: string): number =>
  Number(readFileSync(join(dataDir, "postgres/postmaster.pid"), "utf8").split("\n")[0]);
const socketFolderOf = (url: string): string => new URL(url).searchParams.get("host") ?? "";

async function ask<R extends object>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => {});
  try {
    await client.connect();
    return (await client.query<R>(text)).rows;
  } finally {
    await client.end();
  }
}

/** Asks until it is answered: a server that was killed needs a moment. */
async function askAgain<R extends object>(url: string, text: string): Promise<R[]> {
  const deadline = AbortSignal.timeout(DEADLINE_MS);
  for (;;) {
    try {
      return await ask<R>(url, text);
    } catch (error) {
      if (deadline.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

interface Word {
  readonly url: string;
  readonly adopted: boolean;
  readonly error?: string;
}

/** The server in a process of its own. */
async function startedElsewhere(t: TestContext, dataDir: string) {
  const script = join(import.meta.dirname, "embedded.fixture.ts");
  const child = spawn(process.execPath, [script, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
  const kill = async (signal: NodeJS.Signals) => {
    const exit = once(child, "exit");
    child.kill(signal);
    await exit;
  };
  return { word: JSON.parse(line) as Word, kill, pid: child.pid };
}

test("data outlives a stop, and a stop leaves nothing running", async (t) => {
  const dataDir = folder(t);
  const first = await started(t, dataDir);
  await ask(first.url, "create table kept as select 42 as n");
  const pid = pidIn(dataDir);
  await first.stop();
  assert.equal(isAlive(pid), false);
  assert.equal(existsSync(socketFolderOf(first.url)), false);
  const second = await started(t, dataDir);
  assert.equal(second.adopted, false);
  assert.deepEqual(await ask(second.url, "select n from kept"), [{ n: 42 }]);
});

test("the server listens on no port, and its folders are closed to others", async (t) => {
  const dataDir = folder(t);
  const { url } = await started(t, dataDir);
  assert.deepEqual(await ask(url, "show listen_addresses"), [{ listen_addresses: "" }]);
  for (const dir of [join(dataDir, "postgres"), socketFolderOf(url)])
    assert.equal(statSync(dir).mode & 0o777, 0o700, dir);
  assert.deepEqual(await ask(url, "select current_setting('fsync') as f, current_setting('synchronous_commit') as s"), [
    { f: "on", s: "on" },
  ]);
});

test("a process that ends without stopping its server takes it along, and no byte of its data is lost", async (t) => {
  const dataDir = folder(t);
  const parent = await startedElsewhere(t, dataDir);
  await ask(parent.word.url, "create table kept as select 42 as n");
  const pid = pidIn(dataDir);
  await parent.kill("SIGINT");
  assert.equal(await waitForExit(pid, DEADLINE_MS), true);
  assert.equal(existsSync(socketFolderOf(parent.word.url)), false);
  const next = await started(t, dataDir);
  assert.equal(next.adopted, false);
  assert.deepEqual(await ask(next.url, "select n from kept"), [{ n: 42 }]);
});

test("a process that was refused a server that belongs to another leaves it alone as it ends", async (t) => {
  const dataDir = folder(t);
  const server = await started(t, dataDir);
  const other = await startedElsewhere(t, dataDir);
  assert.ok(other.word.error);
  assert.equal(await waitForExit(other.pid ?? 0, DEADLINE_MS), true);
  assert.deepEqual(await ask(server.url, "select 1 as n"), [{ n: 1 }]);
});

test("a server that outlived its killed parent is adopted with its data, and stopped in the end", async (t) => {
  const dataDir = folder(t);
  const parent = await startedElsewhere(t, dataDir);
  await ask(parent.word.url, "create table kept as select 42 as n");
  const pid = pidIn(dataDir);
  await parent.kill("SIGKILL");
  assert.ok(isAlive(pid));
  const server = await started(t, dataDir);
  assert.ok(server.adopted);
  assert.equal(pidIn(dataDir), pid);
  assert.deepEqual(await ask(server.url, "select n from kept"), [{ n: 42 }]);
  await server.stop();
  assert.equal(isAlive(pid), false);
});

test("a second process on the same folder is refused by the first one's id, and does it no harm", async (t) => {
  const dataDir = folder(t);
  const first = await startedElsewhere(t, dataDir);
  const second = startEmbeddedPostgres({ dataDir, log: quietLog });
  await assert.rejects(second, {
    message: `Another Castellan (process ${first.pid}) uses the data directory ${dataDir}.`,
  });
  assert.deepEqual(await ask(first.word.url, "select 1 as one"), [{ one: 1 }]);
});

test("a server that is killed under us is started again under the same URL", async (t) => {
  const dataDir = folder(t);
  const { url } = await started(t, dataDir);
  await ask(url, "create table kept as select 42 as n");
  const pid = pidIn(dataDir);
  process.kill(pid, "SIGKILL");
  assert.deepEqual(await askAgain(url, "select n from kept"), [{ n: 42 }]);
  assert.notEqual(pidIn(dataDir), pid);
});

test("a killed session of the server costs no more than the server's own restart", async (t) => {
  const dataDir = folder(t);
  const { url } = await started(t, dataDir);
  const pid = pidIn(dataDir);
  const [session] = await ask<{ pid: number }>(
    url,
    "select pid from pg_stat_activity where application_name like 'castellan-owner%'",
  );
  process.kill(session!.pid, "SIGKILL");
  assert.deepEqual(await askAgain(url, "select 1 as one"), [{ one: 1 }]);
  assert.equal(pidIn(dataDir), pid);
});

test("a stop in the middle of a repair ends the server", async (t) => {
  const dataDir = folder(t);
  const server = await started(t, dataDir);
  const pid = pidIn(dataDir);
  process.kill(pid, "SIGKILL");
  await waitForExit(pid, DEADLINE_MS);
  await server.stop();
  assert.equal(await endLeftServer(dataDir), false);
});

test("parent and server killed together: the next start repairs the data", async (t) => {
  const dataDir = folder(t);
  const parent = await startedElsewhere(t, dataDir);
  await ask(parent.word.url, "create table kept as select 42 as n");
  const pid = pidIn(dataDir);
  await parent.kill("SIGKILL");
  process.kill(pid, "SIGKILL");
  await waitForExit(pid, DEADLINE_MS);
  const server = await started(t, dataDir);
  assert.equal(server.adopted, false);
  assert.deepEqual(await ask(server.url, "select n from kept"), [{ n: 42 }]);
  assert.equal(existsSync(socketFolderOf(parent.word.url)), false, "the dead server's socket folder");
});

test("a server whose folder was removed is stopped all the same", async (t) => {
  const dataDir = folder(t);
  const server = await started(t, dataDir);
  const pid = pidIn(dataDir);
  rmSync(dataDir, { recursive: true });
  await server.stop();
  assert.equal(isAlive(pid), false);
});

test("a process id that another program has got by now is not taken for the server", async (t) => {
  const dataDir = folder(t);
  const first = await started(t, dataDir);
  await first.stop();
  const text = [process.pid, join(dataDir, "postgres"), 1, 5432, "/tmp", "", "", "ready"].join("\n");
  writeFileSync(join(dataDir, "postgres/postmaster.pid"), `${text}\n`);
  const second = await started(t, dataDir);
  assert.equal(second.adopted, false);
  assert.deepEqual(await ask(second.url, "select 1 as one"), [{ one: 1 }]);
  assert.ok(existsSync("/tmp"));
});

test("a first start that was killed half way is begun anew", async (t) => {
  const dataDir = folder(t);
  mkdirSync(join(dataDir, "postgres.part/base"), { recursive: true });
  writeFileSync(join(dataDir, "postgres.part/PG_VERSION"), "18\n");
  const { url } = await started(t, dataDir);
  assert.deepEqual(await ask(url, "select 1 as one"), [{ one: 1 }]);
  assert.equal(existsSync(join(dataDir, "postgres.part")), false);
});

test("a folder that holds something else is left alone", async (t) => {
  const dataDir = folder(t);
  mkdirSync(join(dataDir, "postgres"));
  writeFileSync(join(dataDir, "postgres/holiday.jpg"), "");
  await assert.rejects(startEmbeddedPostgres({ dataDir, log: quietLog }), /holds no database and is not empty/);
  assert.ok(existsSync(join(dataDir, "postgres/holiday.jpg")));
});

test("a server that can't start says why in one line", async (t) => {
  const dataDir = folder(t);
  await (await started(t, dataDir)).stop();
  writeFileSync(join(dataDir, "postgres/postgresql.auto.conf"), "shared_buffers = lots\n");
  const starting = startEmbeddedPostgres({ dataDir, log: quietLog });
  await assert.rejects(starting, /^Error: The built-in PostgreSQL did not start: .*shared_buffers.*$/);
});

test("as root below a private home the data stays in its folder", {
  skip: !AS_ROOT && "runs as root only",
}, async (t) => {
  const home = folder(t);
  chmodSync(home, 0o700);
  const dataDir = join(home, "checkout/data");
  const first = await started(t, dataDir);
  await ask(first.url, "create table kept as select 42 as n");
  assert.ok(existsSync(join(dataDir, "postgres/PG_VERSION")));
  process.kill(pidIn(dataDir), "SIGKILL");
  assert.deepEqual(await askAgain(first.url, "select n from kept"), [{ n: 42 }]);
  await first.stop();
  const second = await started(t, dataDir);
  assert.deepEqual(await ask(second.url, "select n from kept"), [{ n: 42 }]);
  assert.equal(statSync(dirname(dataDir)).uid, 0);
  await second.stop();
});
