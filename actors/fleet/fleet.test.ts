import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { before, describe, test } from "node:test";
import { Fault } from "../../contracts/errors.ts";
import type { Database } from "../../lib/db/database.ts";
import { quietLog } from "../../lib/log/log.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { Fleet } from "./fleet.ts";

const START_MS = Date.UTC(2030, 0, 1);
const BASE = "http://streamer-1:8082";

describe("snapshots", () => {
  let db: TestDatabase;
  before(async () => {
    db = await testDatabase();
  });

  /** A fleet actor as on one node of several. */
  const node = (options: { db?: Database; nowMs?: () => number } = {}) => {
    const made: number[] = [];
    const clock = { nowMs: options.nowMs ?? (() => START_MS) };
    const fleet = new Fleet({ db: options.db ?? db, clock, log: quietLog, made: (version) => made.push(version) });
    return { fleet, made };
  };
  const newTenant = async (slug: string): Promise<string> => {
    const id = randomUUID();
    await db.asOwner("insert into tenant (id, slug, name) values ($1, $2, $2)", [id, slug]);
    return id;
  };
  const newStreamer = async (publicUrl: string, baseUrl = publicUrl): Promise<number> => {
    const { rows } = await db.asOwner<{ id: string }>(
      `insert into streamer (kind, name, base_url, public_url, playback_url_template, streams_max, node_id, ordinal)
       values ('castellan', $1, $1, $2, '', 8, $1, 0)
       on conflict (tenant_id, base_url) do update set name = excluded.name returning id`,
      [baseUrl, publicUrl],
    );
    return Number(rows[0]?.id);
  };
  const newChannel = async (tenantId: string, streamId: string, streamerIds: number[]): Promise<number> => {
    const { rows } = await db.asOwner<{ id: string }>(
      `insert into channel (tenant_id, name, stream_id, source_type, ingest_config, status)
       values ($1, $2, $2, 'udp', '{"chunkDuration":"2s"}', 'pending') returning id`,
      [tenantId, streamId],
    );
    const channelId = Number(rows[0]?.id);
    for (const streamerId of streamerIds) {
      await db.asOwner(
        `insert into channel_origin (tenant_id, channel_id, streamer_id, stream_id, status)
         values ($1, $2, $3, $4, 'pending')`,
        [tenantId, channelId, streamerId, streamId],
      );
    }
    return channelId;
  };
  const basesOf = (snapshot: Awaited<ReturnType<Fleet["snapshotFor"]>>, tenant: string) =>
    snapshot?.channels
      .filter((channel) => channel.tenant === tenant)
      .map(({ streamId, origins }) => [streamId, ...origins.map(({ base }) => base)]);

  test("name the channels of every tenant that play, with their origins; the others not", async () => {
    const [first, second] = [await newTenant("first"), await newTenant("second")];
    const streamer = await newStreamer(BASE);
    await newChannel(first, "one.stream", [streamer]);
    await newChannel(second, "one.stream", [streamer]);
    const stopped = await newChannel(first, "stopped.stream", [streamer]);
    await db.asOwner("update channel set wanted = 'stopped', status = 'stopped' where id = $1", [stopped]);
    const deleted = await newChannel(first, "deleted.stream", [streamer]);
    await db.asOwner("update channel set deleted_at = now() where id = $1", [deleted]);
    const leaving = await newChannel(first, "two.stream", [streamer]);
    await db.asOwner("update channel_origin set wanted = 'absent' where channel_id = $1", [leaving]);
    const snapshot = await node().fleet.snapshotFor(0);
    assert.deepEqual(basesOf(snapshot, "first"), [["one.stream", `${BASE}/live/first/one.stream`], ["two.stream"]]);
    assert.deepEqual(basesOf(snapshot, "second"), [["one.stream", `${BASE}/live/second/one.stream`]]);
    assert.equal(snapshot?.channels.find(({ tenant }) => tenant === "first")?.segmentMs, 2_000);
  });

  test("name streamers of ours by the URL under which others find them", async () => {
    const tenant = await newTenant("outside");
    await newChannel(tenant, "one.stream", [await newStreamer("http://192.0.2.10:8082", "http://inside:8082")]);
    const snapshot = await node().fleet.snapshotFor(0);
    assert.deepEqual(basesOf(snapshot, "outside"), [["one.stream", "http://192.0.2.10:8082/live/outside/one.stream"]]);
  });

  test("have the same number on every node, and a higher one after each change", async () => {
    const tenant = await newTenant("numbers");
    const streamer = await newStreamer(BASE);
    const [here, there] = [node(), node()];
    const first = await here.fleet.snapshotFor(0);
    assert.deepEqual(await there.fleet.snapshotFor(0), first);
    assert.equal(await there.fleet.snapshotFor(first?.version ?? 0), null);
    await newChannel(tenant, "one.stream", [streamer]);
    await here.fleet.refresh();
    assert.ok(here.fleet.version > (first?.version ?? 0));
    assert.equal(here.made.at(-1), here.fleet.version);
    const second = await there.fleet.snapshotFor(first?.version ?? 0);
    assert.equal(second?.version, here.fleet.version);
    assert.deepEqual(there.made, []);
    await Promise.all([here.fleet.refresh(), there.fleet.refresh(), here.fleet.refresh()]);
    assert.equal(here.fleet.version, second?.version);
  });

  test("that nodes make side by side while rows change end with the newest rows under the highest number", async () => {
    const tenant = await newTenant("race");
    const streamer = await newStreamer(BASE);
    const nodes = [node(), node(), node()];
    const changes = Array.from({ length: 12 }, async (_, index) => {
      await newChannel(tenant, `race_${index}.stream`, [streamer]);
      await nodes[index % 3]?.fleet.refresh();
    });
    await Promise.all(changes);
    const snapshots = await Promise.all(nodes.map(({ fleet }) => fleet.snapshotFor(0)));
    for (const snapshot of snapshots) {
      assert.deepEqual(snapshot, snapshots[0]);
      assert.equal(basesOf(snapshot, "race")?.length, 12);
    }
    const numbers = nodes.flatMap(({ made }) => made);
    assert.equal(new Set(numbers).size, numbers.length, "a number stands for one content");
  });

  test("outgrow an edge that has a higher number than the database, as after a restore", async () => {
    const { fleet } = node();
    const first = await fleet.snapshotFor(0);
    const ahead = (first?.version ?? 0) + 5_000;
    const next = await fleet.snapshotFor(ahead);
    assert.ok((next?.version ?? 0) > ahead);
    assert.deepEqual(next?.channels, first?.channels);
  });

  test("are still given out while the database is away; a node that has none says so", async () => {
    let away = false;
    const flaky: Database = {
      ...db,
      query: (...args) => (away ? Promise.reject(new Fault("DATABASE_DOWN")) : db.query(...args)),
      tenantTx: (...args) => (away ? Promise.reject(new Fault("DATABASE_DOWN")) : db.tenantTx(...args)),
    };
    const { fleet } = node({ db: flaky });
    const first = await fleet.snapshotFor(0);
    away = true;
    assert.deepEqual(await fleet.snapshotFor(0), first);
    await assert.rejects(node({ db: flaky }).fleet.snapshotFor(0), { code: "DATABASE_DOWN" });
    away = false;
    assert.equal(await fleet.snapshotFor(fleet.version), null);
  });
});
