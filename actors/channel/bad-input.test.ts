import assert from "node:assert/strict";
import { after, afterEach, before, describe, test } from "node:test";
import { addOrigin, createChannel, deleteChannel, listChannels, patchChannel } from "../../contracts/channel.ts";
import type { ErrorCode } from "../../contracts/errors.ts";
import { type Control, eventually, newTenant, startControl, type Tenant } from "../../test/support/control.ts";
import { type TestDatabase, testDatabase } from "../../test/support/database.ts";

const UDP = "udp://239.0.21.41:5000";
const FINE = {
  name: "Fine",
  sourceType: "udp",
  ingestConfig: {} as Record<string, unknown>,
  origins: [{ streamerId: 1, ingestUrl: UDP }] as unknown,
};
type Input = Partial<Record<string, unknown>>;

const from = (sourceType: string, ingestUrl: string): Input => ({
  sourceType,
  origins: [{ streamerId: 1, ingestUrl }],
});

const REFUSED: readonly (readonly [what: string, input: Input, code: ErrorCode])[] = [
  [
    "no body at all",
    { name: undefined, sourceType: undefined, ingestConfig: undefined, origins: undefined },
    "BAD_INPUT",
  ],
  ["a name that is a number", { name: 7 }, "BAD_INPUT"],
  ["an empty name", { name: "   " }, "BAD_INPUT"],
  ["a name of 10 kB", { name: "x".repeat(10_240) }, "BAD_INPUT"],
  ["a name without letters and digits", { name: "!!! ???" }, "CHANNEL_SLUG_EMPTY"],
  ["a sid that no DVB service can have", { sid: 65_536 }, "BAD_INPUT"],
  ["an unknown source type", { sourceType: "gopher" }, "BAD_INPUT"],
  ["an ingestConfig that is a list", { ingestConfig: [] }, "BAD_INPUT"],
  ["a duration without a unit", { ingestConfig: { chunkDuration: "4000" } }, "BAD_INPUT"],
  ["a ladder without rungs", { transcodeConfig: { ladder: [] } }, "BAD_INPUT"],
  ["a ladder in ingestConfig that is none", { ingestConfig: { ladder: "x" } }, "BAD_INPUT"],
  ["a duration in transcodeConfig that is none", { transcodeConfig: { chunkDuration: 5 } }, "BAD_INPUT"],
  ["a field that nobody knows", { nmae: "x" }, "BAD_INPUT"],
  ["origins that are no list", { origins: {} }, "BAD_INPUT"],
  ["no origins", { origins: [] }, "NO_ORIGINS"],
  [
    "17 origins",
    { origins: Array.from({ length: 17 }, (_, i) => ({ streamerId: i + 1, ingestUrl: UDP })) },
    "BAD_INPUT",
  ],
  [
    "a streamer that is named twice",
    { origins: [1, 1].map((streamerId) => ({ streamerId, ingestUrl: UDP })) },
    "BAD_INPUT",
  ],
  ["a streamer id that is no id", { origins: [{ streamerId: -1, ingestUrl: UDP }] }, "BAD_INPUT"],
  ["an unknown streamer", { origins: [{ streamerId: 77_777, ingestUrl: UDP }] }, "ALL_ORIGINS_FAILED"],
  ["an origin without any URL", { origins: [{ streamerId: 1 }] }, "BAD_INPUT"],
  ["a loop without ingestConfig.url", from("pl", "pl:///demo"), "BAD_INPUT"],
  ["a scheme of another source type", from("udp", "http://example.com/a.m3u8"), "SOURCE_TYPE_MISMATCH"],
  ["a loop of the type udp", { ingestConfig: { url: "pl:///demo" } }, "SOURCE_TYPE_MISMATCH"],
  ["file:", from("http", "file:///etc/passwd"), "SOURCE_URL_REFUSED"],
  ["concat:", from("http", "concat:/etc/passwd|/etc/group"), "SOURCE_URL_REFUSED"],
  ["pipe:", from("udp", "pipe:0"), "SOURCE_URL_REFUSED"],
  ["data:", from("http", "data:text/plain,x"), "SOURCE_URL_REFUSED"],
  ["a loop that leaves its folder", { sourceType: "pl", ingestConfig: { url: "pl:///../x" } }, "SOURCE_URL_REFUSED"],
  ["a loop with a path", { sourceType: "pl", ingestConfig: { url: "pl:///a/b" } }, "SOURCE_URL_REFUSED"],
  ["a URL with a line break", from("udp", "udp://239.0.0.1:5000\n-i x"), "SOURCE_URL_REFUSED"],
  ["a private address", from("http", "http://10.0.0.1/live.ts"), "SOURCE_URL_REFUSED"],
  ["the metadata address", from("hls", "http://169.254.169.254/x.m3u8"), "SOURCE_URL_REFUSED"],
  ["a loopback address in disguise", from("http", "http://0x7f.1/live.ts"), "SOURCE_URL_REFUSED"],
  ["a host that can't be resolved", from("srt", "srt://nowhere.invalid:9000"), "SOURCE_URL_REFUSED"],
];

describe("bad input", () => {
  let db: TestDatabase;
  let tenant: Tenant;
  let control: Control;
  before(async () => {
    db = await testDatabase();
    tenant = await newTenant(db, "acme");
    control = await startControl({ db, tenant, ordinals: 1, allowPrivateSources: [] });
    await eventually(
      "a streamer",
      async () => (await db.asOwner("select 1 from streamer where id = 1")).rowCount === 1,
    );
  });
  after(() => control.stop());
  afterEach(async () => {
    for (const table of ["channel", "channel_origin", "saga", "actor_placement", "channel_runtime"])
      assert.equal((await db.asOwner(`select 1 from ${table}`)).rowCount, 0, table);
    assert.equal(control.node.commands.length, 0);
  });
  // What the types forbid is what is tested here.
  const create = (input: Input) => control.ask(createChannel, { ...FINE, ...input } as never);

  for (const [what, input, code] of REFUSED)
    test(`${what}: ${code}, nothing left behind`, async () => {
      await assert.rejects(create(input), { code });
    });

  test("a refusal names the field, and no secret of the URL", async () => {
    await assert.rejects(create({ origins: [{ streamerId: 1 }] }), (error: { data: unknown }) => {
      const message = "is needed, as ingestConfig has no url";
      assert.deepEqual(error.data, { errors: [{ path: "origins.0.ingestUrl", message }] });
      return true;
    });
    const settings = { ingestConfig: { ladder: "x" }, transcodeConfig: { chunkDuration: 5 } };
    await assert.rejects(create(settings), (error: { data: { errors: { path: string }[] } }) => {
      const paths = error.data.errors.map(({ path }) => path);
      assert.deepEqual(paths.sort(), ["ingestConfig.ladder", "transcodeConfig.chunkDuration"]);
      return true;
    });
    const url = "srt://nowhere.invalid:9000?passphrase=0123456789";
    await assert.rejects(create(from("srt", url)), (error: Error & { data: { url: string } }) => {
      assert.equal(error.data.url, "srt://nowhere.invalid:9000?passphrase=…");
      assert.equal(error.message.includes("0123456789"), false);
      return true;
    });
  });

  test("the same rules hold for changes, which then change nothing", async () => {
    const { data } = await create({});
    const channelId = data.id;
    const changes = [
      [{ sourceType: "http" }, "SOURCE_TYPE_MISMATCH"],
      [{ ingestConfig: { url: "file:///etc/passwd" } }, "SOURCE_URL_REFUSED"],
      [{ ingestConfig: { chunkDuration: {} } }, "BAD_INPUT"],
      [{ transcodeConfig: { audioKbps: "loud" } }, "BAD_INPUT"],
      [{ ingestConfig: { ladder: "x" } }, "BAD_INPUT"],
      [{ transcodeConfig: { chunkDuration: 5 } }, "BAD_INPUT"],
      [{ origins: [] }, "NO_ORIGINS"],
      [{ origins: [{ streamerId: 1, ingestUrl: "http://127.0.0.1/" }], sourceType: "http" }, "SOURCE_URL_REFUSED"],
      [{ name: "x".repeat(10_240) }, "BAD_INPUT"],
    ] as const;
    for (const [change, code] of changes)
      await assert.rejects(
        control.ask(patchChannel, { channelId, ...change } as never),
        { code },
        JSON.stringify(change),
      );
    await assert.rejects(control.ask(addOrigin, { channelId, streamerId: 2, ingestUrl: "file:///x" }), {
      code: "SOURCE_URL_REFUSED",
    });
    const { data: list } = await control.ask(listChannels, {});
    assert.equal(list[0]?.version, data.version);
    assert.equal(control.node.commands.filter(({ verb }) => verb === "start").length, 1);
    await control.ask(deleteChannel, { channelId });
    control.node.commands.length = 0;
  });

  test("a key with platform:admin may name private addresses, a later one without it no others", async () => {
    const { data } = await create({ ...from("http", "http://10.0.0.1/live.ts"), trusted: true });
    assert.equal(control.node.stream("fine.stream")?.spec.trusted, true);
    const channelId = data.id;
    await control.ask(patchChannel, { channelId, ingestConfig: { netTimeout: "900ms" } });
    assert.equal(control.node.stream("fine.stream")?.spec.trusted, true);
    const origins = [{ streamerId: 1, ingestUrl: "http://10.0.0.2/live.ts" }];
    await assert.rejects(control.ask(patchChannel, { channelId, origins }), { code: "SOURCE_URL_REFUSED" });
    await control.ask(deleteChannel, { channelId });
    control.node.commands.length = 0;
  });
});
