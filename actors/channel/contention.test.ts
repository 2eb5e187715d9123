import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createChannel, deleteChannel, getChannel, listStreamers, patchChannel } from "../../contracts/channel.ts";
import { codeOf } from "../../contracts/errors.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { Channels } from "./channel.ts";

const WRITERS = 16;

describe("changes of one channel at once", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  let streamerId: number;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant, ordinals: 1 });
    streamerId = await eventually(
      "the streamer registers itself",
      async () => (await control.ask(listStreamers, {})).data[0]?.id,
    );
  });
  after(() => control.stop());

  const create = async (name: string, sourceType: "udp" | "http", ingestUrl: string) => {
    const origins = [{ streamerId, ingestUrl }];
    return (await control.ask(createChannel, { name, sourceType, ingestConfig: {}, origins })).data;
  };

  const ref = (channelId: number) => ({ channelId, trusted: false });
  const from = (host: string) => [{ streamerId, ingestUrl: `http://${host}/live` }];
  /** Behaviour alone: `look` is called for each host name that is looked up. */
  const channelsThat = (look: (host: string) => Promise<void>): Channels => {
    const resolve = async (host: string) => {
      await look(host);
      return ["127.0.0.1"];
    };
    return new Channels({
      ...{ db, settle: () => Promise.resolve([]), edgePublicUrl: "http://edge", heard: () => undefined },
      sources: { allowPrivateSources: ["127.0.0.0/8"], resolve },
    });
  };

  test("are all made without If-Match; with one, the first is", async () => {
    const { id: channelId, version } = await create("Busy", "udp", "udp://239.0.21.41:5000");
    const patches = Array.from({ length: WRITERS }, (_, i) =>
      control.ask(patchChannel, { channelId, ingestConfig: { [`key${i}`]: i } }),
    );
    await Promise.all(patches);
    const { data } = await control.ask(getChannel, { channelId });
    assert.equal(data.version, version + WRITERS);
    assert.equal(Object.keys(data.ingestConfig).length, WRITERS);
    const matching = await Promise.allSettled(
      Array.from({ length: WRITERS }, (_, sid) =>
        control.ask(patchChannel, { channelId, sid, ifVersion: data.version }),
      ),
    );
    const codes = matching.flatMap((result) => (result.status === "rejected" ? [codeOf(result.reason)] : []));
    assert.deepEqual(codes, new Array(WRITERS - 1).fill("VERSION_CONFLICT"));
    await control.ask(deleteChannel, { channelId });
  });

  test("are looked at again where another one has brought a source, and write what both want", async () => {
    const { id: channelId, version } = await create("Overtaken", "http", "http://127.0.0.1/a.m3u8");
    const other = channelsThat(async () => {});
    const looked: string[] = [];
    const channels = channelsThat(async (host) => {
      looked.push(host);
      if (host === "a.example") await other.patch(tenant, { ...ref(channelId), origins: from("b.example") });
    });
    await other.patch(tenant, { ...ref(channelId), origins: from("a.example") });
    // As another type the URL is another source; what comes meanwhile has not been looked at as one of that type.
    const { data } = await channels.patch(tenant, { ...ref(channelId), sourceType: "hls" });
    assert.deepEqual(looked, ["a.example", "b.example"]);
    assert.deepEqual(
      [data.sourceType, data.origins[0]?.ingestUrl, data.version],
      ["hls", "http://b.example/live", version + 3],
    );
    // A host that has no address now keeps nobody from a change of something else.
    await channels.patch(tenant, { ...ref(channelId), name: "Renamed" });
    assert.equal(looked.length, 2);
    await control.ask(deleteChannel, { channelId });
  });

  test("that bring sources faster than they can be looked at are told to come again", async () => {
    const { id: channelId } = await create("Restless", "http", "http://127.0.0.1/a.m3u8");
    const other = channelsThat(async () => {});
    let count = 0;
    const bringAnother = async () => {
      const origins = from(`host-${++count}.example`);
      await other.patch(tenant, { ...ref(channelId), origins });
    };
    await bringAnother();
    const channels = channelsThat(bringAnother);
    await assert.rejects(channels.patch(tenant, { ...ref(channelId), sourceType: "hls" }), { code: "MAILBOX_FULL" });
    await control.ask(deleteChannel, { channelId });
  });
});
