import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { channelChanged } from "../../contracts/channel.ts";
import { getSnapshot, snapshotMade } from "../../contracts/fleet.ts";
import { streamerReported } from "../../contracts/streamer.ts";
import { makeBroker } from "../../lib/actor/broker.ts";
import { announce, on, send } from "../../lib/actor/contract.ts";
import { systemClock } from "../../lib/clock.ts";
import { pgEvents, publishFact } from "../../lib/events/events.ts";
import { quietLog } from "../../lib/log/log.ts";
import { testDatabase } from "../../test/support/database.ts";
import { until } from "../../test/support/platform.ts";
import { fleetService } from "./fleet.service.ts";

test("a fact about a channel and the news of a streamer each lead to a new snapshot, and to a hint of it", async (t) => {
  const db = await testDatabase(t);
  const broker = makeBroker({ config: { nodeId: "control-1", namespace: "test", natsUrl: null }, log: quietLog });
  const events = pgEvents({ db, log: quietLog });
  broker.createService(fleetService({ broker, db, events, clock: systemClock, log: quietLog }));
  const hints: number[] = [];
  broker.createService({ name: "edge", events: { ...on(snapshotMade, ({ version }) => void hints.push(version)) } });
  await broker.start();
  t.after(() => broker.stop());
  await events.start();
  t.after(() => events.stop());
  const first = await send(broker, getSnapshot, {});
  assert.deepEqual(first.snapshot?.channels, []);

  const tenantId = randomUUID();
  await db.asOwner("insert into tenant (id, slug, name) values ($1, 'acme', 'Acme')", [tenantId]);
  await db.asOwner(
    `insert into streamer (kind, name, base_url, public_url, playback_url_template, streams_max, node_id, ordinal)
     values ('castellan', 'a', 'http://a:1', 'http://a:1', '', 8, 'node-1', 0)`,
  );
  await db.tenantTx(tenantId, async (tx) => {
    const { rows } = await tx.query<{ id: number }>(
      `insert into channel (tenant_id, name, stream_id, source_type, ingest_config, status)
       values ($1, 'One', 'one.stream', 'udp', '{}', 'pending') returning id`,
      [tenantId],
    );
    const channelId = rows[0]?.id ?? 0;
    await tx.query(
      `insert into channel_origin (tenant_id, channel_id, streamer_id, stream_id, status)
       select $1, $2, id, 'one.stream', 'pending' from streamer`,
      [tenantId, channelId],
    );
    await publishFact(tx, channelChanged, "one", { tenantId, channelId, version: 1 });
  });
  const baseAfter = async (hintCount: number): Promise<string | undefined> => {
    await until("the hint", () => (hints.length >= hintCount ? true : undefined));
    const { snapshot } = await send(broker, getSnapshot, { haveVersion: hints.at(hintCount - 2) ?? 0 });
    assert.equal(snapshot?.version, hints.at(hintCount - 1));
    return snapshot?.channels[0]?.origins[0]?.base;
  };
  assert.equal(await baseAfter(2), "http://a:1/live/acme/one.stream");

  await db.asOwner("update streamer set base_url = 'http://b:2', public_url = 'http://b:2'");
  announce(broker, streamerReported, {
    ...{ nodeId: "node-1", ordinal: 0, name: "a", baseUrl: "http://b:2", publicUrl: "http://b:2" },
    ...{ streamsMax: 8, draining: false, streams: [] },
  });
  assert.equal(await baseAfter(3), "http://b:2/live/acme/one.stream");
});
