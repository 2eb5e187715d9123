import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { proxyTo } from "../support/proxy.ts";
import { scene, until, untilAborted, workers } from "./jobs.fixture.ts";
import { effectsOf, makeEffects, type WorkerProcess, workerProcess } from "./worker-process.fixture.ts";

test("the job of a worker that is killed runs elsewhere within its lease and a second", async (t) => {
  const place = await scene(t);
  await makeEffects(place);
  const settings = { url: place.db.ownerUrl, leaseTtlMs: 2_000, slots: 1 };
  const victim = await workerProcess(t, { ...settings, nodeId: "victim" });
  const jobId = await place.enqueue({ payload: { ms: 60_000 } });
  await victim.says("started", jobId, "1");
  await workers(t, place, {
    leaseTtlMs: 2_000,
    nodeId: "heir",
    kinds: { "test.job": async ({ attempt, epoch }) => ({ result: { attempt, epoch } }) },
  });
  const killedAt = performance.now();
  await victim.end("SIGKILL");
  const { result, nodeId } = await place.untilState(jobId, "done");
  t.diagnostic(`${Math.round(performance.now() - killedAt)} ms after the kill`);
  assert.deepEqual([result, nodeId], [{ attempt: 1, epoch: 2 }, "heir"]);
});

test("what a worker writes that was frozen while another one took its job is refused", async (t) => {
  const place = await scene(t);
  await makeEffects(place);
  const settings = { url: place.db.ownerUrl, leaseTtlMs: 1_500, slots: 1 };
  const sleeper = await workerProcess(t, { ...settings, nodeId: "sleeper" });
  const jobId = await place.enqueue({ payload: { ms: 500 } });
  await sleeper.says("started", jobId, "1");
  sleeper.child.kill("SIGSTOP");
  const heir = await workerProcess(t, { ...settings, nodeId: "heir" });
  await heir.says("started", jobId, "2");
  await place.untilState(jobId, "done");
  sleeper.child.kill("SIGCONT");
  await sleeper.says("returns", jobId, "1");
  await sleeper.end("SIGTERM");
  assert.deepEqual(await effectsOf(place), [{ jobId, epoch: 2, nodeId: "heir" }]);
});

test("a worker that is cut off from the database stops its work before anybody else may have it", async (t) => {
  const place = await scene(t);
  const proxy = await proxyTo(t, place.db.url);
  let running = 0;
  const starts: { readonly nodeId: string; readonly beside: number }[] = [];
  const handlerOf =
    (nodeId: string) =>
    async ({ signal }: { signal: AbortSignal }) => {
      starts.push({ nodeId, beside: running });
      running += 1;
      try {
        return nodeId === "cut" ? await untilAborted(signal) : {};
      } finally {
        running -= 1;
      }
    };
  await workers(t, place, {
    url: proxy.url,
    leaseTtlMs: 1_500,
    nodeId: "cut",
    kinds: { "test.job": handlerOf("cut") },
  });
  const jobId = await place.enqueue();
  await until("the first run", () => running === 1);
  await workers(t, place, { leaseTtlMs: 1_500, nodeId: "other", kinds: { "test.job": handlerOf("other") } });
  proxy.freeze();
  await place.untilState(jobId, "done");
  assert.deepEqual(starts, [
    { nodeId: "cut", beside: 0 },
    { nodeId: "other", beside: 0 },
  ]);
  proxy.cut();
});

test("two workers never have the same job at once", async (t) => {
  const place = await scene(t);
  const running = new Map<string, number>();
  const runs: string[] = [];
  let overlaps = 0;
  const run = async ({ jobId }: { jobId: string }) => {
    const beside = running.get(jobId) ?? 0;
    if (beside > 0) overlaps += 1;
    running.set(jobId, beside + 1);
    runs.push(jobId);
    await pause(runs.length % 7);
    running.set(jobId, beside);
    return {};
  };
  for (const nodeId of ["a", "b", "c"]) await workers(t, place, { nodeId, slots: 8, kinds: { "test.job": run } });
  const jobIds: string[] = [];
  for (let n = 0; n < 200; n += 1) jobIds.push(await place.enqueue());
  await until("all ends", async () => (await place.jobs()).every(({ state }) => state === "done"));
  assert.equal(overlaps, 0);
  assert.deepEqual(runs.sort(), jobIds.sort());
});

/** mulberry32: the same kills for the same seed. */
const randomOf = (seed: number): (() => number) => {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
};

test("whatever process is killed meanwhile, each of a hundred jobs takes effect exactly once", async (t) => {
  const seed = Number(process.env.TEST_SEED ?? Date.now() % 1e6);
  t.diagnostic(`TEST_SEED=${seed}`);
  const random = randomOf(seed);
  const place = await scene(t, 3);
  await makeEffects(place);
  let started = 0;
  const start = () => {
    started += 1;
    const settings = { url: place.db.ownerUrl, leaseTtlMs: 1_000, slots: 3 };
    return workerProcess(t, { ...settings, nodeId: `node-${started}` });
  };
  const nodes: WorkerProcess[] = [await start(), await start()];
  const jobIds: string[] = [];
  for (let n = 0; n < 100; n += 1) {
    const tenantId = place.tenants[n % 3]!;
    jobIds.push(await place.enqueue({ tenantId, payload: { ms: 10 + random() * 150 } }));
  }
  const areAllOver = async () => (await place.jobs()).every(({ state }) => state === "done");
  for (let kills = 0; kills < 5 && !(await areAllOver()); kills += 1) {
    await pause(random() * 400);
    const index = Math.floor(random() * nodes.length);
    await nodes[index]!.end("SIGKILL");
    nodes[index] = await start();
  }
  await until("all ends", areAllOver);
  const effects = await effectsOf(place);
  assert.deepEqual(
    effects.map(({ jobId }) => jobId),
    jobIds.sort(),
  );
});
