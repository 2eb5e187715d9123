import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { openDatabase } from "../../lib/db/database.ts";
import { migrate } from "../../lib/db/migrate.ts";
import { enqueueJob } from "../../lib/jobs/jobs.ts";
import { quietLog } from "../../lib/log/log.ts";
import { startEmbeddedPostgres } from "../../lib/postgres/embedded.ts";
import { proxyTo } from "../support/proxy.ts";
import { scene, until, workers } from "./jobs.fixture.ts";

/** A job that runs until `end` is called. */
const heldJob = () => {
  const runs: number[] = [];
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const run = async ({ epoch }: { epoch: number }) => {
    runs.push(epoch);
    await ended;
    return { result: { epoch } };
  };
  return { runs, run, end: () => end() };
};

test("a database that is away for three seconds costs a running job nothing", async (t) => {
  const place = await scene(t);
  const proxy = await proxyTo(t, place.db.url);
  const { runs, run, end } = heldJob();
  await workers(t, place, { url: proxy.url, kinds: { "test.job": run } });
  const jobId = await place.enqueue();
  await until("the run", () => runs.length === 1);
  proxy.cut();
  // What it has to write comes while nobody is there to take it.
  end();
  await pause(3_000);
  proxy.mend();
  const { result } = await place.untilState(jobId, "done");
  assert.deepEqual([result, runs], [{ epoch: 1 }, [1]]);
});

test("a database server that crashes under a running job costs it nothing", async (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), "castellan-jobs-"));
  const server = await startEmbeddedPostgres({ dataDir, log: quietLog });
  t.after(async () => {
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  await migrate({ url: server.url });
  const db = openDatabase({ url: server.url, applicationName: "test" });
  t.after(() => db.close());
  const tenantId = "019a0000-0000-7000-8000-000000000001";
  await db.query("insert into tenant (id, slug, name) values ($1, 't', 'T')", [tenantId]);
  const { runs, run, end } = heldJob();
  await workers(t, { db }, { kinds: { "test.job": run, "test.next": async () => ({}) } });
  const enqueue = async (kind: string) =>
    (await db.tenantTx(tenantId, (tx) => enqueueJob(tx, { kind, tenantId, payload: {} }))).jobId;
  const jobId = await enqueue("test.job");
  await until("the run", () => runs.length === 1);
  const { rows } = await db.query<{ pid: number }>("select pg_backend_pid() as pid");
  // The postmaster ends all the others too, and recovers.
  process.kill(rows[0]!.pid, "SIGKILL");
  end();
  const untilDone = (id: string) =>
    until("its end", async () => {
      const read = db.tenantTx(tenantId, (tx) => tx.query("select state, result from job where id = $1", [id]));
      const row = (await read.catch(() => undefined))?.rows[0];
      return row?.state === "done" && row;
    });
  assert.deepEqual([(await untilDone(jobId)).result, runs], [{ epoch: 1 }, [1]]);
  await untilDone(await enqueue("test.next"));
});
