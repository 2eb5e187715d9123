import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  createChannel,
  createStreamer,
  deleteChannel,
  getChannel,
  listChannels,
  listStreamers,
  startChannel,
} from "../../contracts/channel.ts";
import { type Database, openDatabase } from "../../lib/db/database.ts";
import { castisStandIn } from "../../test/castis/stand-in.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { type CuttableProxy, proxyTo } from "../../test/support/proxy.ts";

const UDP = "udp://239.0.21.41:5000";
/** Longer than a lease: the process must let its channels go, and take them again. */
const OUTAGE_MS = 8_000;

describe("a database that goes away and comes back", () => {
  const cleaners: (() => Promise<void>)[] = [];
  let db: TestDatabase;
  let far: Database;
  let proxy: CuttableProxy;
  let tenant: Tenant;
  let control: Control;
  let streamerId: number;

  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    proxy = await proxyTo({ after: (clean) => cleaners.push(clean) }, db.ownerUrl);
    far = openDatabase({ url: proxy.url, applicationName: "control" });
    control = await startControl({ db: far, tenant, ordinals: 1 });
    streamerId = await eventually("a streamer", async () => (await control.ask(listStreamers, {})).data[0]?.id);
  });
  after(async () => {
    proxy.mend();
    await control.stop();
    await far.close();
    for (const clean of cleaners) await clean();
  });
  const create = (name: string, on: number = streamerId) =>
    control.ask(createChannel, {
      ...{ name, sourceType: "udp", ingestConfig: {} },
      origins: [{ streamerId: on, ingestUrl: UDP }],
    });
  const status = async (channelId: number) => (await control.ask(getChannel, { channelId })).data.status;

  test("costs no stream, is answered with DATABASE_DOWN, and all goes on under a higher epoch", async () => {
    const { data } = await create("Runs On");
    control.node.goLive();
    await eventually("active", async () => (await status(data.id)) === "active");
    const epochBefore = control.node.stream("runs_on.stream")!.leaseEpoch;
    const commandsBefore = control.node.commands.length;
    proxy.cut();
    const cutAt = performance.now();
    await assert.rejects(create("During"), { code: "DATABASE_DOWN" });
    await assert.rejects(control.ask(listChannels, {}), { code: "DATABASE_DOWN" });
    await assert.rejects(control.ask(startChannel, { channelId: data.id }), { code: "DATABASE_DOWN" });
    await assert.rejects(control.ask(deleteChannel, { channelId: data.id }), { code: "DATABASE_DOWN" });
    await eventually("the lease is lost", () => performance.now() - cutAt > OUTAGE_MS && !control.placement.check());
    assert.equal(control.node.commands.length, commandsBefore);
    assert.equal(control.node.streamCount, 1);
    proxy.mend();
    await eventually("answers again", async () => (await status(data.id)) === "active");
    const stream = control.node.stream("runs_on.stream")!;
    await eventually("the streamer knows the new owner", () => stream.leaseEpoch > epochBefore);
    assert.equal(stream.startCount, 1);
    // What was refused left nothing, and its name is free.
    const names = (await control.ask(listChannels, {})).data.map(({ name }) => name);
    assert.deepEqual([names.includes("Runs On"), names.includes("During")], [true, false]);
    const during = await create("During");
    for (const { id } of [data, during.data]) await control.ask(deleteChannel, { channelId: id });
    assert.equal(control.node.streamCount, 0);
  });

  test("in the middle of a creation: afterwards it is finished or undone, on both sides", async (t) => {
    const node = await castisStandIn(t);
    const { data: castis } = await control.ask(createStreamer, { name: "castis", baseUrl: node.baseUrl });
    node.fail({ method: "POST", how: { slowMs: 300 }, times: 1 });
    const creating = create("Torn", castis.id).then(
      () => "made",
      (error: { code?: string }) => error.code,
    );
    await node.until(() => node.count("POST") === 1);
    proxy.cut();
    await eventually("the lease is lost", () => !control.placement.check());
    proxy.mend();
    assert.match(String(await creating), /^(DATABASE_DOWN|ACTOR_MOVED|DEADLINE_PASSED|made)$/);
    const sagas = async () => (await db.asOwner("select 1 from saga")).rowCount;
    await eventually("no saga is left", async () => (await sagas()) === 0, 40_000);
    await eventually(
      "rows and node agree",
      async () => {
        const { rows } = await db.asOwner<{ status: string }>("select status from channel");
        return rows.length === 0 ? node.streams.size === 0 : rows[0]!.status === "active" && node.streams.size === 1;
      },
      40_000,
    );
  });
});
