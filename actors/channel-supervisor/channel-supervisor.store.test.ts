import assert from "node:assert/strict";
import { before, describe, test } from "node:test";
import pg from "pg";
import { newTenant, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { historyOf, keepHistory, staleWrites } from "../../test/support/history.ts";
import * as store from "./channel-supervisor.store.ts";
import { type Observed, unknownOrigin } from "./origin-state.ts";

const ANCHOR = {
  ...{ offsetTicks: 152_000_000_000_000, residualMs: 5.25, firstSegmentNumber: 441_000_000 },
  ...{ frameRateNum: 30_000, frameRateDen: 1001, anchorEpoch: 1 },
};

describe("the supervisor's store", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let streamerId: number;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    const { rows } = await db.asOwner<{ id: string }>(
      `insert into streamer (kind, name, base_url, playback_url_template) values ('castis', 'c', 'http://c', '{base}')
       returning id`,
    );
    streamerId = Number(rows[0]!.id);
  });

  let count = 0;
  const channel = async (
    streamId = `c${++count}.stream`,
    { tenantId } = tenant,
    status = "pending",
  ): Promise<{ channelId: number; originId: number }> => {
    const { rows } = await db.asOwner<{ id: string }>(
      `insert into channel (tenant_id, name, stream_id, source_type, ingest_config, status)
       values ($1, 'c', $2, 'udp', '{"netTimeout":"500ms"}', 'pending') returning id`,
      [tenantId, streamId],
    );
    const channelId = Number(rows[0]!.id);
    const { rows: origins } = await db.asOwner<{ id: string }>(
      `insert into channel_origin (tenant_id, channel_id, streamer_id, stream_id, status, ingest_url)
       values ($1, $2, $3, $4, $5, 'udp://239.0.0.1:1') returning id`,
      [tenantId, channelId, streamerId, streamId, status],
    );
    return { channelId, originId: Number(origins[0]!.id) };
  };
  const run = <T>(work: (tx: Parameters<typeof store.readWanted>[0]) => Promise<T>) =>
    db.tenantTx(tenant.tenantId, work);
  const fence = (channelId: number, leaseEpoch: number) => ({ tenantId: tenant.tenantId, channelId, leaseEpoch });
  const observed = (nowMs: number): Observed => ({ origins: { 1: unknownOrigin(nowMs, 0) } });

  test("what the rows want is read whole, and of its own tenant only", async () => {
    const { channelId, originId } = await channel("read.stream");
    assert.deepEqual(await run((tx) => store.readWanted(tx, channelId)), {
      ...{ id: channelId, tenant: "acme", streamId: "read.stream", ingestConfig: { netTimeout: "500ms" } },
      ...{ transcodeConfig: null, wanted: "running", deleted: false, loopStartedAtMs: null },
      origins: [
        {
          ...{ id: originId, streamerId, ingestUrl: "udp://239.0.0.1:1", wanted: "present", generation: 1 },
          sourceTrusted: false,
          ...{ kind: "castis", baseUrl: "http://c", publicUrl: null, credential: null, nodeTrusted: false },
          ...{ playbackUrlTemplate: "{base}", nodeId: null, ordinal: null },
        },
      ],
    });
    const rival = await newTenant(db, "reader");
    assert.equal(await db.tenantTx(rival.tenantId, (tx) => store.readWanted(tx, channelId)), undefined);
  });

  test("a new owner raises the fence: what an older one writes afterwards is refused", async () => {
    const { channelId } = await channel();
    const first = await run((tx) => store.claimRuntime(tx, fence(channelId, 7)));
    assert.deepEqual(first, { observed: { origins: {} }, anchor: null, hadOwner: false });
    assert.equal(await run((tx) => store.writeObserved(tx, fence(channelId, 7), observed(1))), true);
    assert.deepEqual((await run((tx) => store.writeAnchor(tx, fence(channelId, 7), ANCHOR)))?.anchorEpoch, 1);
    const second = await run((tx) => store.claimRuntime(tx, fence(channelId, 8)));
    assert.deepEqual(second, { observed: observed(1), anchor: ANCHOR, hadOwner: true });
    assert.equal(await run((tx) => store.writeObserved(tx, fence(channelId, 7), observed(2))), false);
    assert.equal(await run((tx) => store.claimRuntime(tx, fence(channelId, 7))), undefined);
    const moved = { ...ANCHOR, offsetTicks: 1, anchorEpoch: 2 };
    assert.deepEqual(await run((tx) => store.writeAnchor(tx, fence(channelId, 7), moved)), ANCHOR);
    await run((tx) => store.writeResidual(tx, fence(channelId, 7), { anchorEpoch: 1, residualMs: 99 }));
    assert.deepEqual((await run((tx) => store.claimRuntime(tx, fence(channelId, 8))))?.anchor, ANCHOR);
    assert.deepEqual(await run((tx) => store.writeAnchor(tx, fence(channelId, 8), moved)), moved);
  });

  test("the history of failover rounds would show a write of an old epoch that no fence refused", async (t) => {
    const { channelId } = await channel();
    const owner = new pg.Client({ connectionString: db.ownerUrl });
    await owner.connect();
    t.after(() => owner.end());
    await keepHistory(owner);
    await run((tx) => store.claimRuntime(tx, fence(channelId, 8)));
    await run((tx) => {
      const unfenced: typeof tx = {
        query: (text, values) => tx.query(text.replace("and lease_epoch = $2", ""), values),
      };
      return store.writeObserved(unfenced, fence(channelId, 7), observed(1));
    });
    assert.deepEqual(
      staleWrites(await historyOf(owner)).map(({ leaseEpoch }) => leaseEpoch),
      [7],
    );
  });

  test("an anchor is set once per anchor epoch: who comes second reads the first one's", async () => {
    const { channelId } = await channel();
    const owner = fence(channelId, 3);
    await run((tx) => store.claimRuntime(tx, owner));
    const proposals = [0, 360_000, 720_000].map((offsetTicks) => ({ ...ANCHOR, offsetTicks }));
    const standing = await Promise.all(proposals.map((anchor) => run((tx) => store.writeAnchor(tx, owner, anchor))));
    assert.equal(new Set(standing.map((anchor) => anchor?.offsetTicks)).size, 1);
    await run((tx) => store.writeResidual(tx, owner, { anchorEpoch: 2, residualMs: 99 }));
    await run((tx) => store.writeResidual(tx, owner, { anchorEpoch: 1, residualMs: 111 }));
    assert.equal((await run((tx) => store.claimRuntime(tx, owner)))?.anchor?.residualMs, 111);
  });

  test("what can't be read of an earlier owner's notes is asked again", async () => {
    const { channelId } = await channel();
    await run((tx) => store.claimRuntime(tx, fence(channelId, 1)));
    await db.asOwner(`update channel_runtime set observed = '{"origins":{"1":{"new":"form"}}}' where channel_id = $1`, [
      channelId,
    ]);
    const claimed = await run((tx) => store.claimRuntime(tx, fence(channelId, 2)));
    assert.deepEqual(claimed, { observed: { origins: {} }, anchor: null, hadOwner: true });
  });

  test("of two tenants with one stream on one node, one has it, and it is always the same", async () => {
    const rival = await newTenant(db, "rival");
    const has = (as: Tenant, claim: { streamId: string; originId: number; baseUrl?: string }) =>
      db.tenantTx(as.tenantId, (tx) => store.hasStream(tx, { baseUrl: "http://c", ...claim }));
    const mine = await channel("shared.stream", tenant, "active");
    const theirs = await channel("shared.stream", rival, "conflict");
    assert.equal(await has(tenant, { streamId: "shared.stream", originId: theirs.originId }), true);
    assert.equal(await has(rival, { streamId: "shared.stream", originId: mine.originId }), false);
    // Both refused: the older one may take it.
    await db.asOwner("update channel_origin set status = 'conflict' where id = $1", [mine.originId]);
    assert.equal(await has(tenant, { streamId: "shared.stream", originId: theirs.originId }), true);
    assert.equal(await has(rival, { streamId: "shared.stream", originId: mine.originId }), false);
    assert.equal(await has(tenant, { streamId: "other.stream", originId: theirs.originId }), false);
    const elsewhere = { streamId: "shared.stream", originId: theirs.originId, baseUrl: "http://d" };
    assert.equal(await has(tenant, elsewhere), false);
    assert.deepEqual(
      (await db.tenantTx(null, (tx) => store.otherTenants(tx, tenant.tenantId))).includes(tenant.tenantId),
      false,
    );
  });
});
