import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { isAlive, waitForExit } from "../lib/postgres/processes.ts";
import { castisStandIn } from "./castis/stand-in.ts";
import { testDatabase } from "./support/database.ts";
import { apiOf, launchNode, startNode, until } from "./support/platform.ts";
import { proxyTo } from "./support/proxy.ts";

/** Less than the grace of requests in flight, and more than a stop without any takes. */
const SLOW_MS = 3_000;
const STOP_MAX_MS = 10_000;

test("after SIGTERM a request in flight gets its answer, a later one does not hang, and the process ends soon", async (t) => {
  const castis = await castisStandIn(t);
  const node = await startNode(t);
  const api = apiOf(node.endpoints.gateway ?? "");
  const made = await api.call<{ data: { id: number } }>("POST", "/streamers", { name: "C", baseUrl: castis.baseUrl });
  const channel = (name: string) => ({
    name,
    sourceType: "udp",
    ingestConfig: {},
    origins: [{ streamerId: made.body.data.id, ingestUrl: "udp://239.0.0.1:5000" }],
  });
  castis.fail({ method: "POST", how: { slowMs: SLOW_MS } });
  const slow = api.call("POST", "/channels", channel("Slow"));
  await castis.until(() => castis.count("POST") === 1);
  const stoppedAt = performance.now();
  const stopped = node.stop();
  await fetch(`${node.endpoints.streamers[0]}/readyz`).then(({ status }) => assert.equal(status, 503));
  // Finished or refused with its connection; what a process takes and can't finish would hold it up.
  const late = api.call("POST", "/channels", channel("Late")).catch(() => undefined);
  assert.equal((await slow).status, 201);
  await late;
  assert.equal(await stopped, 0, node.output().slice(-2_000));
  const tookMs = performance.now() - stoppedAt;
  assert.ok(tookMs < STOP_MAX_MS, `${Math.round(tookMs)} ms`);
  assert.ok(castis.streams.has("slow.stream"));
});

test("a stop in the middle of a start ends it with 0, and its PostgreSQL with it", async (t) => {
  const node = await launchNode(t);
  await until("the database", () => node.output().includes("database is up to date") || undefined);
  const postgres = Number((await readFile(join(node.dataDir, "postgres", "postmaster.pid"), "utf8")).split("\n")[0]);
  assert.equal(await node.stop(), 0, node.output().slice(-2_000));
  assert.ok(await waitForExit(postgres, STOP_MAX_MS));
});

test("a database that hangs does not hold up a stop, not even where it is the last that a start waits for", async (t) => {
  const proxy = await proxyTo(t, (await testDatabase()).ownerUrl);
  proxy.freezeAt("from api_key where"); // the first admin key is the last that a start asks for
  const node = await launchNode(t, { env: { DATABASE_URL: proxy.url } });
  await until("the last question of the start", () => proxy.isFrozen() || undefined);
  // 1 says that it failed, or was cut off at its last deadline.
  assert.equal(await node.stop(), 0, node.output().slice(-2_000));
});

test("a second Ctrl-C while a stop takes long ends the process at once, and its PostgreSQL with it", async (t) => {
  const castis = await castisStandIn(t);
  const node = await startNode(t);
  const api = apiOf(node.endpoints.gateway ?? "");
  const made = await api.call<{ data: { id: number } }>("POST", "/streamers", { name: "C", baseUrl: castis.baseUrl });
  castis.fail({ method: "POST", how: "hang" });
  const origins = [{ streamerId: made.body.data.id, ingestUrl: "udp://239.0.0.1:5000" }];
  const slow = api.call("POST", "/channels", { name: "Slow", sourceType: "udp", ingestConfig: {}, origins });
  slow.catch(() => {});
  await castis.until(() => castis.count("POST") === 1);
  const postgres = Number(readFileSync(join(node.dataDir, "postgres", "postmaster.pid"), "utf8").split("\n")[0]);
  assert.ok(isAlive(postgres));
  const status = await until("the end", () => {
    node.kill("SIGINT"); // within a second it still counts as the first one
    return node.child.exitCode ?? undefined;
  });
  assert.equal(status, 1, node.output().slice(-2_000));
  assert.ok(await waitForExit(postgres, STOP_MAX_MS));
});
