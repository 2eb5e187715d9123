import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import {
  addOrigin,
  createChannel,
  deleteChannel,
  listChannels,
  patchChannel,
  replaceChannel,
} from "../../contracts/channel.ts";
import { type Control, newTenant, ownStreamerIds, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";

const PUBLIC = "http://192.88.99.1/live.ts";
const PRIVATE = "http://10.0.0.1/live.ts";
const ELSEWHERE = "http://10.0.0.2/live.ts";
const REFUSED = { code: "SOURCE_URL_REFUSED" };
const ADMIN = { trusted: true };

describe("the private-address rule", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  let ids: [number, number];
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant, allowPrivateSources: [] });
    ids = await ownStreamerIds(control);
  });
  after(() => control.stop());
  afterEach(async () => {
    const { data } = await control.ask(listChannels, {});
    for (const { id } of data) await control.ask(deleteChannel, { channelId: id });
    control.node.commands.length = 0;
  });

  const fields = (name: string, ...urls: (string | undefined)[]) => ({
    ...{ name, sourceType: "http" as const, ingestConfig: {} },
    origins: urls.map((ingestUrl, i) => ({ streamerId: ids[i]!, ...(ingestUrl === undefined ? {} : { ingestUrl }) })),
  });
  const create = async (input: ReturnType<typeof fields>, as = {}) => {
    const { data } = await control.ask(createChannel, { ...input, ...as });
    control.node.commands.length = 0;
    return data.id;
  };
  const told = (streamId: string) => [0, 1].map((n) => control.node.stream(streamId, n)?.spec.trusted);
  const starts = () => control.node.commands.filter(({ verb }) => verb === "start").map(({ ordinal }) => ordinal);

  test("does not hold for an origin that an admin's key adds to a channel of a lesser key", async () => {
    const channelId = await create(fields("Added", PUBLIC));
    await assert.rejects(control.ask(addOrigin, { channelId, streamerId: ids[1], ingestUrl: PRIVATE }), REFUSED);
    await control.ask(addOrigin, { channelId, streamerId: ids[1], ingestUrl: PRIVATE, ...ADMIN });
    assert.deepEqual(told("added.stream"), [false, true]);
    assert.deepEqual(starts(), [1]);
    // What the admin named stays, for that URL alone.
    await control.ask(patchChannel, { channelId, ingestConfig: { netTimeout: "900ms" } });
    assert.deepEqual(told("added.stream"), [false, true]);
    const origins = [{ streamerId: ids[0], ingestUrl: ELSEWHERE }];
    await assert.rejects(control.ask(patchChannel, { channelId, origins }), REFUSED);
  });

  test("still holds for a lesser key's URLs after an admin's key has changed something else", async () => {
    const channelId = await create(fields("Renamed", PUBLIC, PUBLIC));
    await control.ask(patchChannel, { channelId, name: "Renamed By Admin", ...ADMIN });
    await control.ask(patchChannel, { channelId, ingestConfig: { netTimeout: "900ms" }, ...ADMIN });
    assert.deepEqual(told("renamed.stream"), [false, false]);
    const origins = fields("", PUBLIC, PRIVATE).origins.slice(1);
    await control.ask(patchChannel, { channelId, origins, ...ADMIN });
    assert.deepEqual(told("renamed.stream"), [undefined, true]);
  });

  test("ends for a URL that an admin's key gives again, and its streamers hear of it", async () => {
    const input = fields("Again", PUBLIC, "http://192.88.99.2/live.ts");
    const channelId = await create(input);
    await control.ask(replaceChannel, { channelId, ...input });
    assert.deepEqual(starts(), []);
    await control.ask(replaceChannel, { channelId, ...input, ...ADMIN });
    assert.deepEqual(starts().sort(), [0, 1]);
    assert.deepEqual(told("again.stream"), [true, true]);
    control.node.commands.length = 0;
    await control.ask(replaceChannel, { channelId, ...input });
    assert.deepEqual([starts(), told("again.stream")], [[], [true, true]]);
  });

  test("goes by the URL that is read: the channel's own where it has one", async () => {
    const shared = { ...fields("Shared", undefined), ingestConfig: { url: PRIVATE } };
    const channelId = await create(shared, ADMIN);
    await control.ask(addOrigin, { channelId, streamerId: ids[1] });
    assert.deepEqual(told("shared.stream"), [true, true]);
    const { origins } = fields("", ELSEWHERE, PRIVATE);
    // Nobody reads it, so it is not refused; but it is when it would be read.
    await control.ask(patchChannel, { channelId, origins });
    await assert.rejects(control.ask(patchChannel, { channelId, ingestConfig: { url: null } }), REFUSED);
    await assert.rejects(control.ask(patchChannel, { channelId, ingestConfig: { url: null }, ...ADMIN }), REFUSED);
    await control.ask(patchChannel, { channelId, ingestConfig: { url: null }, origins, ...ADMIN });
    assert.deepEqual(told("shared.stream"), [true, true]);
  });

  test("a refusal names the field as the request has it", async () => {
    const channelId = await create(fields("Lacking", PUBLIC));
    await assert.rejects(control.ask(addOrigin, { channelId, streamerId: ids[1] }), (error: { data: unknown }) => {
      const message = "is needed, as ingestConfig has no url";
      assert.deepEqual(error.data, { errors: [{ path: "ingestUrl", message }] });
      return true;
    });
  });
});
