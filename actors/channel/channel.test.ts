import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import {
  addOrigin,
  createChannel,
  createStreamer,
  deleteChannel,
  getChannel,
  getPlayback,
  listChannels,
  patchChannel,
  removeOrigin,
  replaceChannel,
  restartChannel,
  startChannel,
  stopChannel,
} from "../../contracts/channel.ts";
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

const UDP = "udp://239.0.21.41:5000?fifo_size=1000000&overrun_nonfatal=1";
const OTHER = "udp://239.0.21.42:5000";

describe("a channel", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  /** Our two streamers, by ordinal. */
  let ids: [number, number];

  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant });
    ids = await ownStreamerIds(control);
  });
  after(() => control.stop());
  afterEach(async () => {
    const { data } = await control.ask(listChannels, {});
    for (const { id } of data) await control.ask(deleteChannel, { channelId: id });
    assert.equal(control.node.streamCount, 0);
    control.node.commands.length = 0;
  });

  const create = async (name: string, more: { origins?: { streamerId: number; ingestUrl?: string }[] } = {}) => {
    const origins = more.origins ?? ids.map((streamerId) => ({ streamerId, ingestUrl: UDP }));
    const input = { name, sourceType: "udp" as const, ingestConfig: { chunkDuration: "4000ms" }, origins };
    const { data } = await control.ask(createChannel, input);
    control.node.goLive();
    control.node.commands.length = 0;
    return data;
  };
  const commands = () =>
    control.node.commands
      .filter(({ verb }) => verb !== "anchor")
      .map(({ verb, ordinal }) => `${verb} ${ordinal}`)
      .sort();

  test("is created on both streamers, goes live, and leaves nothing when it is deleted", async () => {
    const made = await create("BBC World");
    assert.equal(made.streamId, "bbc_world.stream");
    assert.equal(made.status, "pending");
    assert.deepEqual(
      made.origins.map(({ status }) => status),
      ["pending", "pending"],
    );
    assert.deepEqual(control.node.stream("bbc_world.stream", 1)?.spec.payload, { chunkDuration: "4000ms", url: UDP });
    const live = await eventually("active", async () => {
      const { data } = await control.ask(getChannel, { channelId: made.id });
      return data.status === "active" && data;
    });
    assert.equal(live.origins[0]?.live?.state, "live");
    assert.equal(live.origins[0]?.live?.lastSegmentNumber, 7);
    assert.equal(live.origins[0]?.playbackUrl, "http://media.example:8082/live/acme/bbc_world.stream/master.m3u8");
    const deleted = await control.ask(deleteChannel, { channelId: made.id });
    assert.deepEqual(deleted.data, { id: made.id, leftovers: [] });
    for (const table of ["channel", "channel_origin", "saga", "channel_runtime", "actor_placement"])
      assert.equal((await db.asOwner(`select 1 from ${table}`)).rowCount, 0, table);
  });

  test("has one URL through the edge, and one per origin", async () => {
    const { id, origins } = await create("Play");
    const { data } = await control.ask(getPlayback, { channelId: id });
    assert.deepEqual(data, {
      channelId: id,
      streamId: "play.stream",
      status: data.status,
      hls: "http://edge.example/live/acme/play.stream/master.m3u8",
      dash: "http://edge.example/live/acme/play.stream/manifest.mpd",
      origins: origins.map(({ id: originId, streamerId }, i) => ({
        originId,
        streamerId,
        status: data.origins[i]?.status,
        hls: `http://media.example:${8082 + i}/live/acme/play.stream/master.m3u8`,
        dash: `http://media.example:${8082 + i}/live/acme/play.stream/manifest.mpd`,
      })),
    });
  });

  test("keeps its stream id when it is renamed, and no streamer hears of it", async () => {
    const { id, version } = await create("Old Name");
    const { data, failures } = await control.ask(patchChannel, {
      channelId: id,
      name: "New Name",
      sid: 7,
      ifVersion: version,
    });
    assert.deepEqual(
      [data.name, data.streamId, data.sid, data.version],
      ["New Name", "old_name.stream", 7, version + 1],
    );
    assert.deepEqual(failures, []);
    assert.deepEqual(commands(), []);
    const again = await control.ask(patchChannel, { channelId: id, sid: null });
    assert.equal(again.data.sid, null);
  });

  test("pushes only the origin that a change touches", async () => {
    const { id } = await create("Two Origins");
    const origins = [
      { streamerId: ids[0], ingestUrl: UDP },
      { streamerId: ids[1], ingestUrl: OTHER },
    ];
    const { data } = await control.ask(patchChannel, { channelId: id, origins });
    assert.deepEqual(commands(), ["start 1"]);
    assert.equal(control.node.stream("two_origins.stream", 1)?.spec.payload.url, OTHER);
    assert.deepEqual(
      data.origins.map(({ ingestUrl }) => ingestUrl),
      [UDP, OTHER],
    );
  });

  test("takes a merge patch: null removes a key, and what comes out is checked", async () => {
    const { id } = await create("Merge");
    const patch = { ingestConfig: { chunkDuration: null, netTimeout: "900ms", vendor: { a: 1 } } };
    const { data } = await control.ask(patchChannel, { channelId: id, ...patch, transcodeConfig: { profile: "sd" } });
    assert.deepEqual(data.ingestConfig, { netTimeout: "900ms", vendor: { a: 1 } });
    assert.deepEqual(control.node.stream("merge.stream")?.spec.payload, {
      ...{ profile: "sd", netTimeout: "900ms", vendor: { a: 1 } },
      url: UDP,
    });
    assert.deepEqual(commands(), ["start 0", "start 1"]);
    await assert.rejects(
      control.ask(patchChannel, { channelId: id, ingestConfig: { netTimeout: 5 } }),
      (error: { code: string; data: { errors: { path: string }[] } }) =>
        error.code === "BAD_INPUT" && error.data.errors[0]?.path === "ingestConfig.netTimeout",
    );
    const cleared = await control.ask(patchChannel, { channelId: id, transcodeConfig: null });
    assert.equal(cleared.data.transcodeConfig, null);
  });

  test("is replaced as a whole: origins go, stay and come", async () => {
    const { id } = await create("Replace", { origins: [{ streamerId: ids[0], ingestUrl: UDP }] });
    const { data, failures } = await control.ask(replaceChannel, {
      ...{ channelId: id, name: "Replaced", sourceType: "udp", ingestConfig: {} },
      origins: [
        { streamerId: ids[1], ingestUrl: OTHER },
        { streamerId: 424_242, ingestUrl: OTHER },
      ],
    });
    assert.deepEqual(commands(), ["start 1", "stop 0"]);
    assert.deepEqual(
      data.origins.map(({ streamerId }) => streamerId),
      [ids[1]],
    );
    assert.deepEqual(failures, [{ streamerId: 424_242, status: 404, message: "There is no streamer 424242." }]);
    await assert.rejects(
      control.ask(replaceChannel, {
        ...{ channelId: id, name: "Replaced", sourceType: "udp", ingestConfig: {} },
        origins: [{ streamerId: 424_242, ingestUrl: OTHER }],
      }),
      { code: "NO_ORIGINS" },
    );
  });

  test("refuses a change that was made from an older version, and keeps both of two changes at once", async () => {
    const { id, version } = await create("Versions");
    await control.ask(patchChannel, { channelId: id, quality: "HD" });
    await assert.rejects(
      control.ask(patchChannel, { channelId: id, quality: "SD", ifVersion: version }),
      (error: { code: string; data: unknown }) => {
        assert.equal(error.code, "VERSION_CONFLICT");
        assert.deepEqual(error.data, { version: version + 1 });
        return true;
      },
    );
    await assert.rejects(control.ask(deleteChannel, { channelId: id, ifVersion: version }), {
      code: "VERSION_CONFLICT",
    });
    await Promise.all([
      control.ask(patchChannel, { channelId: id, quality: "UHD" }),
      control.ask(patchChannel, { channelId: id, sid: 9 }),
      control.ask(patchChannel, { channelId: id, name: "Renamed" }),
    ]);
    const { data } = await control.ask(getChannel, { channelId: id });
    assert.deepEqual([data.quality, data.sid, data.name, data.version], ["UHD", 9, "Renamed", version + 4]);
  });

  test("stops, starts and restarts on all its origins", async () => {
    const { id } = await create("Switch");
    const stopped = await control.ask(stopChannel, { channelId: id });
    assert.equal(stopped.data.status, "stopped");
    assert.deepEqual(
      stopped.data.origins.map(({ status }) => status),
      ["stopped", "stopped"],
    );
    assert.equal(control.node.streamCount, 0);
    const started = await control.ask(startChannel, { channelId: id });
    assert.equal(started.data.status, "pending");
    assert.equal(control.node.streamCount, 2);
    control.node.goLive();
    control.node.commands.length = 0;
    await control.ask(restartChannel, { channelId: id });
    assert.deepEqual(commands(), ["restart 0", "restart 1"]);
    assert.equal(control.node.stream("switch.stream")?.startCount, 2);
  });

  test("gains and loses origins one by one while the others run on untouched", async () => {
    const made = await create("Grow", { origins: [{ streamerId: ids[0], ingestUrl: UDP }] });
    const channelId = made.id;
    const grown = await control.ask(addOrigin, { channelId, streamerId: ids[1], ingestUrl: OTHER });
    assert.deepEqual(commands(), ["start 1"]);
    assert.equal(grown.data.origins.length, 2);
    await assert.rejects(control.ask(addOrigin, { channelId, streamerId: ids[1], ingestUrl: UDP }), {
      code: "ORIGIN_TAKEN",
    });
    await assert.rejects(control.ask(addOrigin, { channelId, streamerId: 31_337, ingestUrl: UDP }), {
      code: "STREAMER_NOT_FOUND",
    });
    const [first, second] = grown.data.origins.map(({ id }) => id);
    await assert.rejects(control.ask(removeOrigin, { channelId, originId: 999_999 }), { code: "ORIGIN_NOT_FOUND" });
    const shrunk = await control.ask(removeOrigin, { channelId, originId: first! });
    assert.deepEqual(commands(), ["start 1", "stop 0"]);
    assert.deepEqual(
      shrunk.data.origins.map(({ id }) => id),
      [second],
    );
    await assert.rejects(control.ask(removeOrigin, { channelId, originId: second! }), { code: "LAST_ORIGIN" });
    const back = await control.ask(addOrigin, { channelId, streamerId: ids[0], ingestUrl: UDP });
    assert.equal(back.data.origins.length, 2);
    assert.equal(control.node.streamCount, 2);
  });

  test("takes its source from ingestConfig.url where there is one, and loops are locked to one epoch", async () => {
    const { id } = await create("Loop Later");
    assert.equal(control.node.stream("loop_later.stream")?.spec.loopStartedAt, null);
    const { data } = await control.ask(patchChannel, {
      channelId: id,
      sourceType: "pl",
      ingestConfig: { url: "pl:///myloop" },
    });
    assert.equal(data.sourceType, "pl");
    const spec = control.node.stream("loop_later.stream")?.spec;
    assert.deepEqual(spec?.payload, { chunkDuration: "4000ms", url: "pl:///myloop" });
    assert.equal(spec?.loopStartedAt, 0);
    assert.equal(spec?.anchor, null);
    // An ingestUrl means nothing to a loop.
    control.node.commands.length = 0;
    await control.ask(patchChannel, { channelId: id, origins: ids.map((streamerId) => ({ streamerId })) });
    assert.deepEqual(commands(), []);
  });

  test("is listed page by page, oldest first, whatever comes and goes meanwhile", async () => {
    const made = [];
    for (const name of ["P1", "P2", "P3", "P4", "P5"]) made.push(await create(name));
    const names = async (input: { limit: number; cursor?: string }) => {
      const { data, nextCursor } = await control.ask(listChannels, input);
      return { names: data.map(({ name }) => name), cursor: nextCursor };
    };
    const first = await names({ limit: 2 });
    assert.deepEqual(first.names, ["P1", "P2"]);
    await control.ask(deleteChannel, { channelId: made[1]!.id });
    await control.ask(deleteChannel, { channelId: made[2]!.id });
    const second = await names({ limit: 2, cursor: first.cursor! });
    assert.deepEqual(second, { names: ["P4", "P5"], cursor: null });
    await control.ask(stopChannel, { channelId: made[4]!.id });
    const { data } = await control.ask(listChannels, { status: "stopped" });
    assert.deepEqual(
      data.map(({ name, origins }) => [name, origins.length]),
      [["P5", 2]],
    );
    await assert.rejects(control.ask(listChannels, { cursor: "nonsense" }), { code: "BAD_CURSOR" });
  });

  test("is seen and changed by its own tenant only", async () => {
    const rival = await newTenant(db, "rival");
    const { id, origins } = await create("Mine");
    const channelId = id;
    assert.deepEqual((await control.ask(listChannels, {}, rival)).data, []);
    const tries = [
      control.ask(getChannel, { channelId }, rival),
      control.ask(getPlayback, { channelId }, rival),
      control.ask(patchChannel, { channelId, name: "Theirs" }, rival),
      control.ask(stopChannel, { channelId }, rival),
      control.ask(removeOrigin, { channelId, originId: origins[0]!.id }, rival),
      control.ask(deleteChannel, { channelId }, rival),
    ];
    for (const result of await Promise.allSettled(tries))
      assert.equal(result.status === "rejected" && result.reason.code, "CHANNEL_NOT_FOUND");
    // The same name is free for the other tenant.
    const theirs = await control.ask(
      createChannel,
      { name: "Mine", sourceType: "udp", ingestConfig: {}, origins: [{ streamerId: ids[0], ingestUrl: UDP }] },
      rival,
    );
    assert.equal(theirs.data.streamId, "mine.stream");
    assert.equal(control.node.streamCount, 3);
    await control.ask(deleteChannel, { channelId: theirs.data.id }, rival);
  });

  test("survives a change whose castis node is away: it is told, and made when the node is back", async (t) => {
    const node = await castisStandIn(t);
    const { data: streamer } = await control.ask(createStreamer, { name: "castis", baseUrl: node.baseUrl });
    const made = await create("Away", { origins: [{ streamerId: streamer.id, ingestUrl: UDP }] });
    await node.stop();
    const origins = [{ streamerId: streamer.id, ingestUrl: OTHER }];
    const changed = await control.ask(patchChannel, { channelId: made.id, origins });
    assert.deepEqual(changed.failures, [{ streamerId: streamer.id, status: 0, message: "no answer: ECONNREFUSED" }]);
    assert.equal(changed.data.status, "failed");
    await node.start();
    await eventually(
      "the new payload is there",
      () => (node.streams.get("away.stream") as { url?: string })?.url === OTHER,
    );
    await eventually(
      "active",
      async () => (await control.ask(getChannel, { channelId: made.id })).data.status === "active",
    );
    assert.deepEqual(
      node.seen.filter(({ method }) => method !== "GET").map(({ method }) => method),
      ["POST", "DELETE", "POST"],
    );
  });
});
