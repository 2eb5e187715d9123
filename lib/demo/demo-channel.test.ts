import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { test } from "node:test";
import { getSnapshot } from "../../contracts/fleet.ts";
import { makeBroker } from "../actor/broker.ts";
import { answer } from "../actor/contract.ts";
import { quietLog } from "../log/log.ts";
import { ensureDemoChannel } from "./demo-channel.ts";

test("a start after the first one names the demo's page only where the channel is still there", async (t) => {
  const dataDir = await mkdtemp(path.join(tmpdir(), "demo-"));
  t.after(() => rm(dataDir, { recursive: true }));
  await mkdir(path.join(dataDir, "run"));
  await writeFile(path.join(dataDir, "run", "demo-made"), "");
  const config = { nodeId: randomUUID(), namespace: "test", natsUrl: null };
  const broker = makeBroker({ config, log: quietLog });
  let streamId = "demo_channel.stream";
  const snapshot = answer(getSnapshot, () => ({
    snapshot: { version: 1, madeAt: "", channels: [{ tenant: "default", streamId, origins: [], segmentMs: 2_000 }] },
  }));
  broker.createService({ name: "fleet", actions: { snapshot } });
  await broker.start();
  t.after(() => broker.stop());
  const start = () =>
    ensureDemoChannel({
      config: { dataDir, ffmpegPath: null, streamers: 2 },
      ...{ broker, log: quietLog, tenantId: randomUUID() },
    });
  assert.equal(await start(), "/watch/default/demo_channel.stream");
  streamId = "other.stream";
  assert.equal(await start(), null);
});
