/** Castis nodes stand in for our origins by whole playlists, never segment by segment. */
import assert from "node:assert/strict";
import { describe, type TestContext, test } from "node:test";
import { channelOf, edgeUnderTest, FOLDER, get, lastNumberIn, mediaPlaylist } from "../../test/origin/edge.ts";
import { mediaStandIn, type StandIn } from "../../test/origin/stand-in.ts";
import { until } from "../../test/support/platform.ts";

const MASTER = `${FOLDER}/master.m3u8`;
const MEDIA = `${FOLDER}/v0/media.m3u8`;
const SEGMENT = `${FOLDER}/v0/5.m4s`;

const fill = (origin: StandIn, name: string, last: number): void => {
  origin.items.set(MASTER, { body: `#EXTM3U\n# ${name}\n` });
  origin.items.set(MEDIA, { body: mediaPlaylist(1, last) });
  origin.items.set(SEGMENT, { body: name });
};
const scene = async (t: TestContext) => {
  const [own, castis] = [await mediaStandIn(t), await mediaStandIn(t)];
  fill(own, "own", 5);
  fill(castis, "castis", 50);
  const channels = [channelOf([own, { url: castis.url, kind: "castis" }])];
  const edge = await edgeUnderTest(t, { channels });
  /** As players do it: on from where a redirect leads. */
  const follow = async (path: string) => {
    const answer = await get(`${edge.url}${path}`);
    if (answer.status !== 302) return { ...answer, path };
    const next = new URL(String(answer.headers.location), `${edge.url}${path}`).pathname;
    return { ...(await get(`${edge.url}${next}`)), path: next };
  };
  return { own, castis, edge, follow, at: (path: string) => `${edge.url}${path}` };
};

describe("a castis node", () => {
  test("is not asked while one of ours is up", async (t) => {
    const { castis, at } = await scene(t);
    for (const path of [MASTER, MEDIA, SEGMENT, `${FOLDER}/v0/404.m4s`, `${FOLDER}/v9/media.m3u8`]) await get(at(path));
    assert.equal(castis.seen.length, 0);
  });

  test("takes over whole playlists at addresses of its own when none of ours is up", async (t) => {
    const { own, edge, follow, at } = await scene(t);
    assert.equal((await follow(MEDIA)).path, MEDIA);
    await own.kill();
    edge.pass(3_000);
    const stale = await get(at(MEDIA));
    assert.ok([200, 302].includes(stale.status));
    const media = await until("the other playlist", async () => {
      const answer = await follow(MEDIA);
      return lastNumberIn(answer.body) === 50 ? answer : undefined;
    });
    assert.equal(media.path, `${FOLDER}/~castis-2/v0/media.m3u8`);
    const segment = await get(new URL("5.m4s", `${edge.url}${media.path}`).href);
    assert.equal(segment.body.toString(), "castis");
    const master = await follow(MASTER);
    assert.equal(master.path, `${FOLDER}/~castis-2/master.m3u8`);
    assert.match(master.body.toString(), /castis/);
  });

  test("never answers for a segment of ours", async (t) => {
    const { own, castis, at } = await scene(t);
    await own.kill();
    assert.equal((await get(at(SEGMENT))).status, 502);
    assert.equal(castis.countOf(SEGMENT), 0);
  });

  test("hands back to ours when they are back, while its own viewers stay where they are", async (t) => {
    const { own, edge, follow, at } = await scene(t);
    await own.kill();
    assert.equal((await follow(MASTER)).path, `${FOLDER}/~castis-2/master.m3u8`);
    await own.revive();
    edge.pass(1_000);
    await until("ours again", async () => ((await follow(MASTER)).path === MASTER ? true : undefined));
    assert.equal((await get(at(`${FOLDER}/~castis-2/v0/5.m4s`))).body.toString(), "castis");
    assert.equal((await get(at(SEGMENT))).body.toString(), "own");
  });

  test("that is the only origin is served under the channel's own address, its playlist under our name", async (t) => {
    const castis = await mediaStandIn(t);
    castis.items.set(`${FOLDER}/playlist.m3u8`, { body: "#EXTM3U\n# castis\n" });
    castis.items.set(`${FOLDER}/chunk.ts`, { body: "media" });
    const edge = await edgeUnderTest(t, {
      channels: [channelOf([{ url: castis.url, kind: "castis", master: "playlist.m3u8?key=1" }])],
    });
    const master = await get(`${edge.url}${MASTER}`);
    assert.equal(master.status, 200);
    assert.equal(castis.seen[0]?.path, `${FOLDER}/playlist.m3u8?key=1`);
    for (const query of ["?part=1", "?part=2"]) await get(`${edge.url}${FOLDER}/chunk.ts${query}`);
    assert.equal(castis.countOf(`${FOLDER}/chunk.ts?part=1`), 1);
    assert.equal(castis.countOf(`${FOLDER}/chunk.ts?part=2`), 1);
  });

  test("that the channel does not have is not there", async (t) => {
    const { castis, at } = await scene(t);
    assert.equal((await get(at(`${FOLDER}/~castis-1/master.m3u8`))).status, 404);
    assert.equal((await get(at(`${FOLDER}/~castis-9/master.m3u8`))).status, 404);
    assert.equal(castis.seen.length, 0);
  });

  test("that a tenant named is not followed to a private address, one that an admin named or allowed is", async (t) => {
    const castis = await mediaStandIn(t);
    fill(castis, "castis", 50);
    const statusOf = async (host: string, { trusted = false, allowed = [] as string[] } = {}) => {
      const origin = { url: castis.url.replace("127.0.0.1", host), kind: "castis" as const, trusted };
      const edge = await edgeUnderTest(t, { channels: [channelOf([origin])], allowPrivateSources: allowed });
      return (await get(`${edge.url}${MASTER}`)).status;
    };
    for (const host of ["127.0.0.1", "localhost"]) {
      assert.equal(await statusOf(host), 502, host);
      assert.equal(castis.seen.length, 0, host);
      assert.equal(await statusOf(host, { trusted: true }), 200, host);
      assert.equal(await statusOf(host, { allowed: ["127.0.0.0/8", "::1"] }), 200, host);
      castis.seen.length = 0;
    }
  });

  test("whose address is refused leaves a trusted one at the same address alone", async (t) => {
    const own = await mediaStandIn(t);
    fill(own, "own", 5);
    const refused = { ...channelOf([{ url: own.url, kind: "castis" }]), streamId: "two.stream" };
    const edge = await edgeUnderTest(t, { channels: [channelOf([own]), refused], allowPrivateSources: [] });
    assert.equal((await get(`${edge.url}${MASTER}`)).status, 200);
    assert.equal((await get(`${edge.url}${MASTER.replace("one", "two")}`)).status, 502);
    assert.equal((await get(`${edge.url}${SEGMENT}`)).body.toString(), "own");
    assert.equal(own.countOf(SEGMENT), 1);
  });
});
