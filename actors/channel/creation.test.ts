import assert from "node:assert/strict";
import { after, before, describe, type TestContext, test } from "node:test";
import {
  createChannel,
  createStreamer,
  deleteChannel,
  getChannel,
  listChannels,
  listStreamers,
} from "../../contracts/channel.ts";
import { type CastisStandIn, castisStandIn } from "../../test/castis/stand-in.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";

const UDP = "udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1";
const INGEST = { chunkDuration: "4000ms", fragmentDuration: "200ms", forceClean: true, netTimeout: "500ms" };
const PAYLOAD = { ...INGEST, url: UDP };

describe("creating a channel", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant });
  });
  after(() => control.stop());

  let count = 0;
  /** A castis node of the tenant's, with an entry in the registry. */
  const castis = async (t: TestContext, as?: Tenant): Promise<{ node: CastisStandIn; streamerId: number }> => {
    const node = await castisStandIn(t, { credential: "s3cret" });
    const fields = { name: `castis ${++count}`, baseUrl: node.baseUrl, credential: "s3cret" };
    const { data } = await control.ask(createStreamer, fields, as);
    return { node, streamerId: data.id };
  };
  const create = (name: string, streamerIds: readonly number[], more: { idempotencyKey?: string } = {}, as?: Tenant) =>
    control.ask(
      createChannel,
      {
        ...{ name, sourceType: "udp", ingestConfig: INGEST, ...more },
        origins: streamerIds.map((streamerId) => ({ streamerId, ingestUrl: UDP })),
      },
      as,
    );
  const rowsLeft = async (): Promise<Record<string, number>> => {
    const left: Record<string, number> = {};
    for (const table of ["channel", "channel_origin", "saga", "channel_runtime", "channel_anchor", "actor_placement"]) {
      const { rowCount } = await db.asOwner(`select 1 from ${table}`);
      if (rowCount > 0) left[table] = rowCount;
    }
    return left;
  };
  const remove = async (channelId: number, as?: Tenant) => {
    await control.ask(deleteChannel, { channelId }, as);
    await eventually("nothing is left", async () => Object.keys(await rowsLeft()).length === 0);
  };

  test("all nodes accept: 201, active, the payload as the playback document merges it", async (t) => {
    const [one, other] = [await castis(t), await castis(t)];
    const { data, failures } = await create("BBC World", [one.streamerId, other.streamerId]);
    assert.deepEqual(failures, []);
    assert.equal(data.status, "active");
    assert.deepEqual(
      data.origins.map(({ status, playbackUrl }) => ({ status, playbackUrl })),
      [one, other].map(({ node }) => ({
        status: "active",
        playbackUrl: `${node.baseUrl}/live/bbc_world.stream/master.m3u8`,
      })),
    );
    for (const { node } of [one, other]) {
      assert.deepEqual(node.streams.get("bbc_world.stream"), PAYLOAD);
      assert.equal(node.count("POST"), 1);
    }
    await remove(data.id);
    assert.deepEqual([one.node.streams.size, other.node.streams.size], [0, 0]);
  });

  test("partly failed: the channel stays, each failure is told, each status is the node's own", async (t) => {
    const [fine, broken, closed] = [await castis(t), await castis(t), await castis(t)];
    broken.node.fail({ method: "POST", how: { status: 503, body: "no capacity" } });
    await closed.node.stop();
    const { data, failures } = await create("CNN HD", [fine.streamerId, broken.streamerId, closed.streamerId, 999_999]);
    assert.deepEqual(failures, [
      { streamerId: 999_999, status: 404, message: "There is no streamer 999999." },
      { streamerId: broken.streamerId, status: 503, message: "HTTP 503: no capacity" },
      { streamerId: closed.streamerId, status: 0, message: "no answer: ECONNREFUSED" },
    ]);
    assert.equal(data.streamId, "cnn_hd.stream");
    assert.equal(data.status, "degraded");
    assert.deepEqual(
      data.origins.map(({ status }) => status),
      ["active", "failed", "failed"],
    );
    // P-10: and the failed ones are tried again by themselves.
    broken.node.behave();
    await closed.node.start();
    await eventually("all origins active", async () => {
      const { data: now } = await control.ask(getChannel, { channelId: data.id });
      return now.status === "active";
    });
    assert.equal(fine.node.count("POST"), 1);
    await remove(data.id);
  });

  for (const how of ["reset", "hang", "dropBody", { status: 503 }] as const)
    test(`all nodes make the stream and fail (${JSON.stringify(how)}): 502, no row, no stream is left`, async (t) => {
      const [one, other] = [await castis(t), await castis(t)];
      for (const { node } of [one, other]) {
        // dropBody alone would be an accepted stream: the status had come.
        node.fail({ method: "POST", how: how === "dropBody" ? "reset" : how, afterDoing: true });
        if (how === "dropBody") node.fail({ method: "GET", how, times: 1, afterDoing: true });
      }
      const ids = [one.streamerId, other.streamerId];
      await assert.rejects(create("All Fail", ids), (error: { code: string; data: { failures: unknown[] } }) => {
        assert.equal(error.code, "ALL_ORIGINS_FAILED");
        assert.equal(error.data.failures.length, 2);
        return true;
      });
      const { data } = await control.ask(listChannels, {});
      assert.deepEqual(data, []);
      await eventually("no rows", async () => Object.keys(await rowsLeft()).length === 0);
      assert.deepEqual([one.node.streams.size, other.node.streams.size], [0, 0]);
    });

  test("a node that is only slow, and makes the stream after all was undone, loses it again", async (t) => {
    const { node, streamerId } = await castis(t);
    node.fail({ method: "POST", how: "hang", times: 1 });
    await assert.rejects(create("Late", [streamerId]), { code: "ALL_ORIGINS_FAILED" });
    // The name is taken until it is sure that nothing comes of it, and the answer says why.
    await assert.rejects(create("Late", [streamerId]), (error: { code: string; data: { streamers: string } }) => {
      assert.equal(error.code, "CHANNEL_SLUG_LEAVING");
      assert.match(error.data.streamers, new RegExp(`^${streamerId}\\b`));
      return true;
    });
    node.streams.set("late.stream", PAYLOAD);
    await eventually("the late stream is removed", () => node.streams.size === 0);
    await eventually("no rows", async () => Object.keys(await rowsLeft()).length === 0);
  });

  test("no known streamer at all: 502 with a 404 for each, and not one row", async () => {
    await assert.rejects(create("Nowhere", [111_111, 222_222]), (error: { code: string; data: unknown }) => {
      assert.equal(error.code, "ALL_ORIGINS_FAILED");
      assert.deepEqual(error.data, {
        failures: [
          { streamerId: 111_111, status: 404, message: "There is no streamer 111111." },
          { streamerId: 222_222, status: 404, message: "There is no streamer 222222." },
        ],
      });
      return true;
    });
    assert.deepEqual(await rowsLeft(), {});
  });

  test("500 = exists: the same stream is adopted, another one is a conflict that is left alone", async (t) => {
    const [same, different] = [await castis(t), await castis(t)];
    const foreign = { ...PAYLOAD, netTimeout: "900ms" };
    same.node.streams.set("arte.stream", { ...PAYLOAD, startedBy: "an operator" });
    different.node.streams.set("arte.stream", foreign);
    const { data, failures } = await create("Arte", [same.streamerId, different.streamerId]);
    assert.deepEqual(
      data.origins.map(({ status }) => status),
      ["active", "conflict"],
    );
    assert.equal(failures.length, 1);
    assert.deepEqual([failures[0]?.streamerId, failures[0]?.status], [different.streamerId, 500]);
    await remove(data.id);
    assert.equal(same.node.streams.size, 0);
    assert.deepEqual(different.node.streams.get("arte.stream"), foreign);
  });

  test("a taken slug is 409 before any node hears of it, also from several requests at once", async (t) => {
    const { node, streamerId } = await castis(t);
    const tries = await Promise.allSettled(
      ["Das Erste", "das erste", "DAS_ERSTE"].map((name) => create(name, [streamerId])),
    );
    const made = tries.flatMap((r) => (r.status === "fulfilled" ? [r.value.data] : []));
    const refused = tries.flatMap((r) => (r.status === "rejected" ? [r.reason] : []));
    assert.equal(made.length, 1);
    for (const { code, data } of refused) {
      assert.equal(code, "CHANNEL_SLUG_TAKEN");
      assert.deepEqual(data, { streamId: "das_erste.stream", channelId: made[0]?.id });
    }
    assert.equal(node.count("POST"), 1);
    await remove(made[0]!.id);
  });

  test("a repeated Idempotency-Key finds its channel", async (t) => {
    const { node, streamerId } = await castis(t);
    const first = await create("Once", [streamerId], { idempotencyKey: "k1" });
    const second = await create("Once", [streamerId], { idempotencyKey: "k1" });
    assert.deepEqual(second, first);
    assert.equal(node.count("POST"), 1);
    await assert.rejects(create("Twice", [streamerId], { idempotencyKey: "k1" }), { code: "IDEMPOTENCY_MISMATCH" });
    await db.asOwner("update channel set created_at = now() - interval '25 h'");
    const later = await create("Twice", [streamerId], { idempotencyKey: "k1" });
    assert.equal(later.data.streamId, "twice.stream");
    await control.ask(deleteChannel, { channelId: later.data.id });
    await remove(first.data.id);
    const anew = await create("Once", [streamerId], { idempotencyKey: "k1" });
    assert.notEqual(anew.data.id, first.data.id);
    await remove(anew.data.id);
  });

  test("a stream that another tenant's channel has on a shared node fails, and is never touched", async (t) => {
    const rival = await newTenant(db, `rival-${++count}`);
    const { node, streamerId } = await castis(t);
    const shared = { name: "the same node", baseUrl: node.baseUrl, credential: "s3cret" };
    const { data: entry } = await control.ask(createStreamer, shared, rival);
    const own = await castis(t, rival);
    const { data: first } = await create("Sky", [streamerId]);
    const { data: second, failures } = await create("Sky", [entry.id, own.streamerId], {}, rival);
    assert.deepEqual(failures, [
      { streamerId: entry.id, status: 500, message: "another tenant's channel has this stream id on this node" },
    ]);
    assert.deepEqual(
      second.origins.map(({ status }) => status),
      ["conflict", "active"],
    );
    await control.ask(deleteChannel, { channelId: second.id }, rival);
    assert.deepEqual([...node.streams.keys()], ["sky.stream"]);
    assert.equal(node.count("DELETE"), 0);
    await remove(first.id);
  });

  test("a channel that is deleted while its node is away is gone at once, its stream goes later", async (t) => {
    const { node, streamerId } = await castis(t);
    const { data } = await create("Leftover", [streamerId]);
    await node.stop();
    const { data: deleted } = await control.ask(deleteChannel, { channelId: data.id });
    assert.deepEqual(deleted, {
      id: data.id,
      leftovers: [{ streamerId, status: 0, message: "no answer: ECONNREFUSED" }],
    });
    await assert.rejects(control.ask(getChannel, { channelId: data.id }), { code: "CHANNEL_NOT_FOUND" });
    await assert.rejects(create("Leftover", [streamerId]), { code: "CHANNEL_SLUG_LEAVING" });
    await node.start();
    await eventually("the stream goes", () => node.streams.size === 0);
    await eventually("no rows", async () => Object.keys(await rowsLeft()).length === 0);
  });

  test("our own streamer and a castis node side by side: what one refuses the other runs", async (t) => {
    const { node, streamerId } = await castis(t);
    const [own] = await eventually("our streamer registers itself", async () => {
      const { data } = await control.ask(listStreamers, {});
      const ours = data.filter(({ name }) => name === "node-1/0");
      return ours.length === 1 && ours;
    });
    control.node.refuse("STREAMER_FULL");
    const { data, failures } = await create("Mixed", [own!.id, streamerId]);
    assert.deepEqual(failures, [
      { streamerId: own!.id, status: 503, message: "The streamer runs its 1 streams already." },
    ]);
    assert.equal(data.status, "degraded");
    control.node.refuse(undefined);
    await eventually("our streamer takes it at last", () => control.node.stream("mixed.stream") !== undefined);
    await remove(data.id);
    assert.equal(node.streams.size, 0);
    assert.equal(control.node.streamCount, 0);
  });
});
