import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  createChannel,
  createStreamer,
  deleteChannel,
  deleteStreamer,
  getStreamer,
  listStreamers,
  patchStreamer,
} from "../../contracts/channel.ts";
import { castisStandIn } from "../../test/castis/stand-in.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";
import { upsertOwn } from "./streamer-registry.store.ts";

const UDP = "udp://239.0.21.41:5000";

describe("the streamer registry", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let rival: Tenant;
  let control: Control;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    rival = await newTenant(db, "rival");
    control = await startControl({ db, tenant, ordinals: 1, allowPrivateSources: ["127.0.0.1/32"] });
  });
  after(() => control.stop());
  const admin = () => ({ ...tenant, scopes: ["platform:admin"] });

  test("shows our own streamers to every tenant as soon as they report", async () => {
    for (const as of [tenant, rival])
      await eventually("registered", async () => {
        const { data } = await control.ask(listStreamers, {}, as);
        const own = data.find(({ name }) => name === "node-1/0");
        return own?.platform && own.kind === "castellan" && own.health === "online";
      });
  });

  test("keeps a castis node to the tenant that entered it, and never shows its credential", async (t) => {
    const node = await castisStandIn(t);
    const fields = { name: "castis", baseUrl: `${node.baseUrl}/`, credential: "s3cret", streamsMax: 5 };
    const { data } = await control.ask(createStreamer, fields);
    assert.deepEqual(data, {
      ...{ id: data.id, name: "castis", kind: "castis", baseUrl: node.baseUrl, platform: false, hasCredential: true },
      playbackUrlTemplate: "{base}/live/{streamId}/master.m3u8",
      ...{ health: "unknown", streamsMax: 5, streamCount: 0, lastSeenAt: null, createdAt: data.createdAt },
    });
    const ref = { streamerId: data.id };
    await assert.rejects(control.ask(getStreamer, ref, rival), { code: "STREAMER_NOT_FOUND" });
    await assert.rejects(control.ask(patchStreamer, { ...ref, name: "x" }, rival), { code: "STREAMER_NOT_FOUND" });
    await assert.rejects(control.ask(deleteStreamer, ref, rival), { code: "STREAMER_NOT_FOUND" });
    await assert.rejects(control.ask(createStreamer, fields), { code: "STREAMER_TAKEN" });
    const patched = await control.ask(patchStreamer, { ...ref, name: "renamed", credential: null, streamsMax: null });
    assert.deepEqual(
      [patched.data.name, patched.data.hasCredential, patched.data.streamsMax],
      ["renamed", false, null],
    );
    await control.ask(deleteStreamer, ref);
    await assert.rejects(control.ask(getStreamer, ref), { code: "STREAMER_NOT_FOUND" });
  });

  test("has entries of the platform's, which only its admin writes", async (t) => {
    const node = await castisStandIn(t);
    const fields = { name: "shared castis", baseUrl: node.baseUrl, platform: true };
    await assert.rejects(control.ask(createStreamer, fields), { code: "SCOPE_MISSING" });
    const { data } = await control.ask(createStreamer, { ...fields, trusted: true }, admin());
    const ref = { streamerId: data.id };
    assert.equal((await control.ask(getStreamer, ref, rival)).data.platform, true);
    await assert.rejects(control.ask(patchStreamer, { ...ref, name: "x" }, rival), { code: "STREAMER_NOT_YOURS" });
    await assert.rejects(control.ask(deleteStreamer, ref, rival), { code: "STREAMER_NOT_YOURS" });
    const { data: used } = await control.ask(
      createChannel,
      { name: "Uses It", sourceType: "udp", ingestConfig: {}, origins: [{ ...ref, ingestUrl: UDP }] },
      rival,
    );
    await assert.rejects(control.ask(deleteStreamer, ref, admin()), { code: "STREAMER_IN_USE" });
    await control.ask(deleteChannel, { channelId: used.id }, rival);
    await control.ask(deleteStreamer, ref, admin());
  });

  test("refuses addresses that a tenant may not reach, and what is no base URL", async () => {
    const refused = [
      "http://10.0.0.7:8080",
      "http://[::1]:8080",
      "http://169.254.169.254/latest",
      "http://localhost.invalid",
      "http://user:secret@203.0.113.7",
      "http://203.0.113.7/?x=1",
      "http://203.0.113.7/#x",
    ];
    for (const baseUrl of refused)
      await assert.rejects(
        control.ask(createStreamer, { name: "x", baseUrl }),
        { code: "SOURCE_URL_REFUSED" },
        baseUrl,
      );
    for (const baseUrl of ["ftp://203.0.113.7", "file:///etc/passwd", "x", ""])
      await assert.rejects(control.ask(createStreamer, { name: "x", baseUrl }), { code: "BAD_INPUT" }, baseUrl);
    const { data } = await control.ask(createStreamer, { name: "x", baseUrl: "http://10.0.0.7:8080", trusted: true });
    await control.ask(deleteStreamer, { streamerId: data.id });
    await assert.rejects(
      control.ask(createStreamer, { name: "x", baseUrl: "http://127.0.0.1:1", playbackUrlTemplate: "{streamId}" }),
      { code: "BAD_INPUT" },
    );
  });

  test("a castis node is trusted as much as the key that named its URLs last", async () => {
    const trust = async (id: number): Promise<unknown> =>
      (await db.asOwner("select trusted from streamer where id = $1", [id])).rows[0]?.trusted;
    const fields = { name: "t", baseUrl: "http://127.0.0.1:9", playbackUrlTemplate: "http://10.0.0.9/{streamId}" };
    const { data } = await control.ask(createStreamer, { ...fields, trusted: true });
    const ref = { streamerId: data.id };
    assert.equal(await trust(data.id), true);
    await control.ask(patchStreamer, { ...ref, name: "renamed" });
    assert.equal(await trust(data.id), true);
    await control.ask(patchStreamer, { ...ref, playbackUrlTemplate: "{base}/{streamId}" });
    assert.equal(await trust(data.id), false);
    await control.ask(patchStreamer, { ...ref, name: "renamed by an admin", trusted: true });
    assert.equal(await trust(data.id), false);
    await control.ask(patchStreamer, { ...ref, baseUrl: "http://10.0.0.7:8080", trusted: true });
    assert.equal(await trust(data.id), true);
    const template = { playbackUrlTemplate: "{base}/other/{streamId}" };
    await assert.rejects(control.ask(patchStreamer, { ...ref, ...template }), { code: "SOURCE_URL_REFUSED" });
    await control.ask(deleteStreamer, ref);
  });

  test("gives up what a deleted channel left on a node whose entry goes", async (t) => {
    const node = await castisStandIn(t);
    const { data: streamer } = await control.ask(createStreamer, { name: "doomed", baseUrl: node.baseUrl });
    const ref = { streamerId: streamer.id };
    const { data } = await control.ask(createChannel, {
      ...{ name: "Doomed", sourceType: "udp", ingestConfig: {} },
      origins: [{ ...ref, ingestUrl: UDP }],
    });
    await assert.rejects(control.ask(deleteStreamer, ref), (error: { code: string; data: unknown }) => {
      assert.equal(error.code, "STREAMER_IN_USE");
      assert.deepEqual(error.data, { ...ref, originCount: 1 });
      return true;
    });
    await node.stop();
    assert.equal((await control.ask(deleteChannel, { channelId: data.id })).data.leftovers.length, 1);
    await control.ask(deleteStreamer, ref);
    assert.equal((await db.asOwner("select 1 from channel where name = 'Doomed'")).rowCount, 0);
  });

  test("tells castis nodes that answer from those that don't", async (t) => {
    const [fine, closed] = [await castisStandIn(t), await castisStandIn(t)];
    const [one, other] = await Promise.all(
      [fine, closed].map(({ baseUrl }) => control.ask(createStreamer, { name: "probed", baseUrl })),
    );
    await closed.stop();
    const health = async (streamerId: number) => (await control.ask(getStreamer, { streamerId })).data.health;
    await eventually("online", async () => (await health(one!.data.id)) === "online");
    await eventually("offline", async () => (await health(other!.data.id)) === "offline");
  });

  test("lets a streamer that came back under another node id, or at another's address, keep its channels", async () => {
    const seen = {
      ...{
        nodeId: "old",
        ordinal: 0,
        name: "old/0",
        baseUrl: "http://10.8.0.1:8082",
        publicUrl: "http://10.8.0.1:8082",
      },
      ...{ playbackUrlTemplate: "{base}/x", streamsMax: 4, streamCount: 0, draining: false },
    };
    const write = (fields: Partial<typeof seen>) => db.tenantTx(null, (tx) => upsertOwn(tx, { ...seen, ...fields }));
    const rows = async () => {
      const { rows: found } = await db.asOwner<{ id: string; node_id: string; base_url: string }>(
        "select id, node_id, base_url from streamer where base_url like 'http://10.8.%' order by id",
      );
      return found.map(({ node_id, base_url }) => `${node_id} ${base_url}`);
    };
    await write({});
    // A data directory that was wiped: the same machine, silent for a while, is back as another node.
    await db.asOwner("update streamer set last_seen_at = now() - interval '1 minute' where node_id = 'old'");
    await write({ nodeId: "new" });
    assert.deepEqual(await rows(), ["new http://10.8.0.1:8082"]);
    // Ports that were dealt anew: two streamers of one node change addresses.
    await write({ nodeId: "new", ordinal: 1, baseUrl: "http://10.8.0.1:8083" });
    await write({ nodeId: "new", ordinal: 0, baseUrl: "http://10.8.0.1:8083" });
    await write({ nodeId: "new", ordinal: 1, baseUrl: "http://10.8.0.1:8082" });
    assert.deepEqual(await rows(), ["new http://10.8.0.1:8083", "new http://10.8.0.1:8082"]);
  });

  test("lets a playback template lead to the node, or to where its tenant may go", async (t) => {
    const node = await castisStandIn(t);
    const enter = (playbackUrlTemplate: string, as = {}) =>
      control.ask(createStreamer, { name: "t", baseUrl: node.baseUrl, playbackUrlTemplate, ...as });
    const inner = "http://127.0.0.2:8099/x/{streamId}/master.m3u8";
    await assert.rejects(enter(inner), { code: "SOURCE_URL_REFUSED" });
    for (const anywhere of [
      "http://{streamId}.example/master.m3u8",
      "http://127.0.0.1:1{tenant}/m",
      "http://u:p@127.0.0.1/{streamId}.m3u8",
      "{base}.evil/{tenant}:",
    ])
      await assert.rejects(enter(anywhere), { code: /BAD_INPUT|SOURCE_URL_REFUSED/ }, anywhere);
    const { data } = await enter("{base}/{tenant}/{streamId}/index.m3u8");
    const ref = { streamerId: data.id };
    await assert.rejects(control.ask(patchStreamer, { ...ref, playbackUrlTemplate: inner }), {
      code: "SOURCE_URL_REFUSED",
    });
    const asAdmin = { ...ref, playbackUrlTemplate: inner, trusted: true };
    assert.equal((await control.ask(patchStreamer, asAdmin, admin())).data.playbackUrlTemplate, inner);
    assert.equal((await control.ask(patchStreamer, { ...ref, name: "named anew" })).data.playbackUrlTemplate, inner);
    await control.ask(deleteStreamer, ref);
  });

  test("keeps a streamer of ours that runs, and uses no ids up for its reports", async () => {
    const seen = {
      ...{ nodeId: "node-7", ordinal: 0, name: "node-7/0", baseUrl: "http://127.0.0.1:9", publicUrl: "http://x" },
      ...{ playbackUrlTemplate: "{base}/m", streamsMax: 1, streamCount: 0, draining: false },
    };
    for (let i = 0; i < 20; i += 1) await db.tenantTx(null, (tx) => upsertOwn(tx, seen));
    await db.tenantTx(null, (tx) =>
      upsertOwn(tx, { ...seen, ordinal: 1, name: "node-7/1", baseUrl: "http://127.0.0.1:8" }),
    );
    const { data } = await control.ask(listStreamers, {});
    const idOf = (name: string): number => data.find((streamer) => streamer.name === name)?.id ?? 0;
    assert.equal(idOf("node-7/1") - idOf("node-7/0"), 1);
    await assert.rejects(control.ask(deleteStreamer, { streamerId: idOf("node-7/0") }, admin()), {
      code: "STREAMER_ONLINE",
    });
  });
});
