/** The whole control plane is down, and the edge is started again meanwhile: it serves what it knew. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import type { ServiceBroker } from "moleculer";
import { acknowledgeConfig, getEdgeSnapshot, getSnapshot, type SignedConfig } from "../../contracts/fleet.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { answer } from "../../lib/actor/contract.ts";
import { newSigningPair, signText } from "../../lib/crypto/ed25519.ts";
import { quietLog } from "../../lib/log/log.ts";
import { channelOf, FOLDER } from "../origin/edge.ts";
import { mediaStandIn } from "../origin/stand-in.ts";
import { startNode, until } from "../support/platform.ts";
import { FaultyOrigin, headOf } from "./faulty-origin.ts";
import { bytesOf, edgeScene, folder, oneSite } from "./scene.ts";
import { type Got, view } from "./viewer.ts";

const HOST = "cdn.example";
const MASTER = `${FOLDER}/master.m3u8`;
const SEGMENT = `${FOLDER}/5/7.m4s`;
const SIZE = 300_000;
const MEDIA = bytesOf("segment", SIZE);

const signedConfigOf = (url: string): SignedConfig => {
  const { privateKey, publicKey } = newSigningPair();
  const { customers } = oneSite(url, {}, HOST);
  const revision = { kind: "castellan.edge-config", revision: 3, publishedAt: "2030-01-01T00:00:00.000Z" };
  const text = JSON.stringify({ ...revision, rollbackOf: null, customers });
  return { text, signature: signText(privateKey, text), publicKey };
};

/** A bus; `fleet` puts the actor on it that tells edges what to serve. */
const busOf = async (t: TestContext, fleet?: (broker: ServiceBroker) => void): Promise<ServiceBroker> => {
  const broker = makeBroker({ config: { nodeId: "edge-1", namespace: "test", natsUrl: null }, log: quietLog });
  fleet?.(broker);
  await broker.start();
  t.after(() => broker.stop());
  return broker;
};

/** Origins of a channel and of a customer, and an edge's folder that has heard of both. */
const informed = async (t: TestContext, threads: number) => {
  const live = await mediaStandIn(t);
  live.items.set(MASTER, { body: "#EXTM3U\n" });
  live.items.set(SEGMENT, { body: MEDIA });
  const origin = await FaultyOrigin.open(t, ({ socket, target }) => {
    socket.write(headOf("200 OK", `Content-Length: ${SIZE}`, "Cache-Control: max-age=60"));
    socket.write(bytesOf(target, SIZE));
  });
  const signed = signedConfigOf(origin.url);
  const snapshot = { version: 1, madeAt: new Date().toISOString(), channels: [channelOf([live])] };
  const bus = await busOf(t, (broker) => {
    broker.createService({
      name: "fleet",
      actions: {
        snapshot: answer(getSnapshot, ({ haveVersion }) => ({ snapshot: haveVersion < 1 ? snapshot : null })),
        edgeSnapshot: answer(getEdgeSnapshot, ({ haveRevision }) => ({ signed: haveRevision < 3 ? signed : null })),
        acknowledgeConfig: answer(acknowledgeConfig, () => ({})),
      },
    });
  });
  const dataDir = await folder(t);
  const edge = await edgeScene(t, null, { broker: bus, dataDir, threads });
  return { live, origin, dataDir, edge };
};

const assertServes = async (port: number, path: string): Promise<void> => {
  const whole = (got: Got, body: Buffer): void => {
    assert.deepEqual([got.status, got.looksWhole, got.body.length], [200, true, body.length], got.head);
    assert.ok(got.body.equals(body));
  };
  await until("the sites to be served", async () =>
    (await view(port, path, { host: HOST })).status === 200 ? true : undefined,
  );
  // On several connections, so that every thread has some.
  const viewers = Array.from({ length: 12 }, async () => {
    whole(await view(port, path, { host: HOST }), bytesOf(path, SIZE));
    assert.equal((await view(port, MASTER)).status, 200);
    whole(await view(port, SEGMENT), MEDIA);
    const part = await view(port, SEGMENT, { headers: { Range: "bytes=100-199" } });
    assert.equal(part.status, 206);
    assert.ok(part.body.equals(MEDIA.subarray(100, 200)));
    assert.equal((await view(port, "/o", { host: "other.example" })).status, 404);
  });
  await Promise.all(viewers);
};

describe("an edge whose control plane is gone", () => {
  for (const threads of [1, 2]) {
    test(`serves its channels and customers after a restart, with ${threads} thread(s)`, async (t) => {
      const { live, dataDir, edge } = await informed(t, threads);
      await assertServes(edge.port, "/before");
      assert.equal(live.countOf(SEGMENT), 1);
      await edge.stop();
      const again = await edgeScene(t, null, { broker: await busOf(t), dataDir, threads });
      assert.equal((await view(again.port, "/readyz", { host: "localhost" })).status, 200);
      await assertServes(again.port, "/after");
    });
  }

  test("is started as a process with a bus that nobody is at, and serves what it knew", async (t) => {
    const { dataDir, edge } = await informed(t, 1);
    await assertServes(edge.port, "/before");
    await edge.stop();
    const env = {
      ...{ ROLES: "edge", NATS_URL: "nats://127.0.0.1:1", EDGE_THREADS: "2" },
      ...{ ALLOW_PRIVATE_SOURCES: "127.0.0.0/8", EDGE_DISK_BYTES: "0" },
    };
    const node = await startNode(t, { dataDir, env });
    await assertServes(Number(new URL(node.endpoints.edge ?? "").port), "/after");
  });
});
