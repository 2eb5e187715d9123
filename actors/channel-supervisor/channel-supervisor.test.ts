import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { createChannel, createStreamer, deleteChannel, getChannel, listChannels } from "../../contracts/channel.ts";
import type { Anchor } from "../../contracts/streamer.ts";
import { castisStandIn } from "../../test/castis/stand-in.ts";
import {
  type Control,
  eventually,
  newTenant,
  ownStreamerIds,
  startControl,
  type Tenant,
} from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";

const UDP = "udp://239.0.21.41:5000";
const PAYLOAD = { netTimeout: "500ms", url: UDP };
const ANCHOR: Anchor = {
  ...{ offsetTicks: 360_000, residualMs: 5, firstSegmentNumber: 4, frameRateNum: 25, frameRateDen: 1 },
  anchorEpoch: 1,
};

describe("the supervisor of a channel", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  let ids: [number, number];

  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant });
    ids = await ownStreamerIds(control);
  });
  after(() => control.stop());
  afterEach(async () => {
    control.node.report();
    control.node.refuse(undefined);
    const { data } = await control.ask(listChannels, {});
    for (const { id } of data) await control.ask(deleteChannel, { channelId: id });
    control.node.commands.length = 0;
  });

  const create = async (name: string, streamerIds: readonly number[] = ids) => {
    const origins = streamerIds.map((streamerId) => ({ streamerId, ingestUrl: UDP }));
    const ingestConfig = { netTimeout: "500ms" };
    const { data } = await control.ask(createChannel, { name, sourceType: "udp", ingestConfig, origins });
    control.node.goLive();
    return data;
  };
  const statuses = async (channelId: number) => {
    const { data } = await control.ask(getChannel, { channelId });
    return [data.status, ...data.origins.map(({ status }) => status)].join(" ");
  };
  const becomes = (channelId: number, wanted: string) =>
    eventually(`status ${wanted}`, async () => (await statuses(channelId)) === wanted, 30_000);
  const starts = () => control.node.commands.filter(({ verb }) => verb === "start").length;

  test("marks a streamer that falls silent, commands nothing, and takes it as it is when it is back", async () => {
    const { id } = await create("Silent");
    await becomes(id, "active active active");
    control.node.silent();
    await becomes(id, "failed failed failed");
    const { data } = await control.ask(getChannel, { channelId: id });
    assert.equal(data.origins[0]?.message, "the streamer node has not reported for 7 s");
    assert.equal(data.origins[0]?.live?.state, "unreachable");
    control.node.report();
    await becomes(id, "active active active");
    assert.equal(starts(), 2);
  });

  test("starts the streams of a node again that came back without them", async () => {
    const { id } = await create("Restarted Node");
    await becomes(id, "active active active");
    control.node.loseStreams();
    await eventually("started again", () => control.node.streamCount === 2);
    control.node.goLive();
    await becomes(id, "active active active");
    assert.equal(starts(), 4);
  });

  test("restarts a stream that its streamer gave up, and leaves the other origin alone", async () => {
    const { id } = await create("Gave Up");
    await becomes(id, "active active active");
    control.node.stream("gave_up.stream", 1)!.state = "failed";
    await eventually("restarted", () => control.node.stream("gave_up.stream", 1)?.startCount === 2);
    control.node.goLive();
    await becomes(id, "active active active");
    assert.deepEqual(
      control.node.commands.filter(({ verb }) => verb === "restart").map(({ ordinal }) => ordinal),
      [1],
    );
    assert.equal(control.node.stream("gave_up.stream", 0)?.startCount, 1);
  });

  test("shows a channel on slate as active, one in back-off as failed, with the streamer's own words", async () => {
    const { id } = await create("Words", [ids[0]]);
    const stream = control.node.stream("words.stream")!;
    Object.assign(stream, { state: "slate", says: { message: "no input for 3 s" } });
    await eventually("told", async () => {
      const { data } = await control.ask(getChannel, { channelId: id });
      return data.status === "active" && data.origins[0]?.message === "no input for 3 s";
    });
    Object.assign(stream, { state: "backoff", says: { message: "ffmpeg ended" } });
    await becomes(id, "failed failed");
    stream.state = "live";
    await becomes(id, "active active");
    assert.equal(control.node.commands.filter(({ verb }) => verb !== "start").length, 0);
  });

  test("sets the first anchor that an origin proposes, gives it to all, and starts later streams with it", async () => {
    const { id } = await create("Anchored");
    const [one, other] = [control.node.stream("anchored.stream", 0)!, control.node.stream("anchored.stream", 1)!];
    assert.equal(one.spec.anchor, null);
    one.says = { anchorProposal: ANCHOR };
    other.says = { anchorProposal: { ...ANCHOR, offsetTicks: 720_000 } };
    await eventually("both have one and the same", () => one.anchor !== null && other.anchor !== null);
    assert.deepEqual(one.anchor, other.anchor);
    const row = async () => (await db.asOwner("select * from channel_anchor where channel_id = $1", [id])).rows[0];
    assert.equal(Number((await row())?.offset_ticks), one.anchor?.offsetTicks);
    const moved = { ...one.anchor!, offsetTicks: 1_080_000, anchorEpoch: 2 };
    one.says = { anchorProposal: moved };
    await eventually("the move reaches the other", () => other.anchor?.anchorEpoch === 2);
    assert.deepEqual(other.anchor, moved);
    one.says = { residualMs: 250 };
    await eventually("the residual is kept", async () => (await row())?.residual_ms === 250);
    control.node.loseStreams();
    const again = await eventually("started again", () => control.node.stream("anchored.stream", 0));
    assert.deepEqual(again.spec.anchor, { ...moved, residualMs: 250 });
  });

  test("tells origins apart whose init segments differ", async () => {
    const { id } = await create("Inits");
    const [one, other] = [control.node.stream("inits.stream", 0)!, control.node.stream("inits.stream", 1)!];
    one.says = { initHashes: { v0: "aa", a0: "bb" } };
    other.says = { initHashes: { v0: "aa", a0: "cc" } };
    await becomes(id, "degraded active conflict");
    // The first one decides while it is there; when it is gone the channel must not stay dark for its sake.
    one.state = "backoff";
    await becomes(id, "degraded failed active");
    one.state = "live";
    await becomes(id, "degraded active conflict");
    other.says = { initHashes: { v0: "aa", a0: "bb" } };
    await becomes(id, "active active active");
  });

  test("gives a stream back to a castis node that lost it, and leaves a stranger's alone", async (t) => {
    const node = await castisStandIn(t);
    const { data: streamer } = await control.ask(createStreamer, { name: "castis", baseUrl: node.baseUrl });
    const { id } = await create("Watched", [streamer.id]);
    assert.equal(await statuses(id), "active active");
    node.streams.delete("watched.stream");
    await eventually("it is there again", () => node.streams.has("watched.stream"), 30_000);
    assert.deepEqual(node.streams.get("watched.stream"), PAYLOAD);
    await becomes(id, "active active");
    const foreign = { url: "udp://239.9.9.9:9" };
    node.streams.set("watched.stream", foreign);
    await becomes(id, "failed conflict");
    await control.ask(deleteChannel, { channelId: id });
    assert.deepEqual(node.streams.get("watched.stream"), foreign);
  });

  test("bears a castis node that comes and goes: told when it is away, never made twice", async (t) => {
    const node = await castisStandIn(t);
    const { data: streamer } = await control.ask(createStreamer, { name: "flapping", baseUrl: node.baseUrl });
    const { id } = await create("Flapping", [streamer.id]);
    for (let round = 0; round < 2; round += 1) {
      await node.stop();
      await becomes(id, "failed failed");
      await node.start();
      await becomes(id, "active active");
    }
    assert.equal(node.count("POST"), 1);
    assert.equal(node.count("DELETE"), 0);
  });

  test("one origin's hanging node keeps neither the others nor the next order waiting for ever", async (t) => {
    const node = await castisStandIn(t);
    node.fail({ how: "hang" });
    const { data: streamer } = await control.ask(createStreamer, { name: "hanging", baseUrl: node.baseUrl });
    const { id } = await create("Hanging", [ids[0], streamer.id]);
    await becomes(id, "degraded active failed");
    control.node.loseStreams();
    await eventually("ours is started again", () => control.node.streamCount === 1);
    node.behave();
    control.node.goLive();
    await becomes(id, "active active active");
  });
});
