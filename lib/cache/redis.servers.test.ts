import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, createServer, type Socket } from "node:net";
import { test } from "node:test";
import { eventually } from "../../test/support/control.ts";
import { quietLog } from "../log/log.ts";
import { redisCache } from "./redis.ts";
import { cacheSuite } from "./suite.ts";

const URL_OF_REDIS = process.env.TEST_REDIS_URL ?? "redis://127.0.0.1:6379";

const opened = async (url: string) => {
  const cache = redisCache({ url, log: quietLog, prefix: `castellan-test-${process.pid}:` });
  await eventually("Redis answers", async () => {
    await cache.set("ready", "yes", 1_000);
    return (await cache.get("ready")) === "yes";
  });
  return cache;
};

cacheSuite("Redis", () => opened(URL_OF_REDIS));

test("Redis: nobody waits while it is away, and it is used again when it is back", async (t) => {
  const { hostname, port } = new URL(URL_OF_REDIS);
  const sockets = new Set<Socket>();
  const gate = createServer((socket) => {
    const there = createConnection({ host: hostname, port: Number(port) });
    for (const one of [socket, there]) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => sockets.delete(one));
    }
    socket.pipe(there).pipe(socket);
  }).listen(0, "127.0.0.1");
  await once(gate, "listening");
  const { port: gatePort } = gate.address() as { port: number };
  const cache = await opened(`redis://127.0.0.1:${gatePort}`);
  t.after(() => cache.close());
  await cache.set("kept", "1", 60_000);
  gate.close();
  for (const socket of sockets) socket.destroy();
  const startedAt = performance.now();
  for (let round = 0; round < 20; round += 1) {
    assert.equal(await cache.get("kept"), undefined);
    await cache.set("lost", "2", 60_000);
  }
  assert.ok(performance.now() - startedAt < 5_000, "half of what forty commands take that wait for their deadlines");
  gate.listen(gatePort, "127.0.0.1");
  t.after(() => {
    gate.close();
    for (const socket of sockets) socket.destroy();
  });
  assert.equal(await eventually("it is back", () => cache.get("kept")), "1");
});
