/** Stored media at edges and gateways, as viewers with sessions and without see it. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { contentKey, deliverKey, listKeyDeliveries } from "../../contracts/keyserver.ts";
import { revokeSession } from "../../contracts/playback.ts";
import { eventually } from "../support/control.ts";
import { bytesOf } from "./packager.ts";
import { at, type EdgeAt, playbackScene, type Scene, type StartedSession } from "./scene.ts";

/** Waits until the edge knows the platform's keys. */
const informed = async ({ url }: Pick<EdgeAt, "url">, { hls }: StartedSession): Promise<void> => {
  await eventually("the place knows who is let in", async () => (await fetch(at(url, hls))).status !== 503);
};
const places = async (scene: Scene, session: StartedSession): Promise<{ url: string }[]> => {
  const found = [await scene.edge(), await scene.edge({ threads: 2 }), { url: scene.gatewayUrl }];
  for (const place of found) await informed(place, session);
  return found;
};
const got = async (url: string, init?: RequestInit) => {
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
};

test("a session's addresses give the packager's bytes at edges of one thread and of two, and at the gateway", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const session = await scene.play(title);
  assert.deepEqual(Object.keys(session.rungs), ["720p"]);
  const segment = session.hls.replace("master.m3u8", "720p-3.m4s");
  for (const { url } of await places(scene, session)) {
    const playlist = await got(at(url, session.hls));
    assert.equal(playlist.status, 200);
    assert.equal(playlist.body.toString(), `#EXTM3U\n# /hls/${title.titleId}/master.m3u8\n`);
    assert.equal(playlist.headers.get("access-control-allow-origin"), "*");
    assert.equal(playlist.headers.get("vary"), null);
    assert.equal((await got(at(url, session.rungs["720p"]!))).status, 200);
    assert.equal((await got(at(url, session.dash))).status, 200);
    const part = await got(at(url, segment), { headers: { range: "bytes=1000-1999", authorization: "Bearer x" } });
    assert.equal(part.status, 206);
    assert.deepEqual(part.body, bytesOf(`/hls/${title.titleId}/720p-3.m4s`).subarray(1_000, 2_000));
  }
  for (const { path, headers } of scene.packager.asked) {
    assert.doesNotMatch(path, /~/);
    assert.equal(headers.authorization, undefined);
  }
});

test("a player on another host may send conditions, ranges and CMCD, at edges and at the gateway", async (t) => {
  const scene = await playbackScene(t);
  const session = await scene.play(await scene.newTitle());
  const sent = ["range", "if-none-match", "if-range", "cmcd-request", "cmcd-session", "content-type"];
  const headers = {
    ...{ origin: "https://player.test", "access-control-request-method": "GET" },
    "access-control-request-headers": sent.join(","),
  };
  for (const { url } of await places(scene, session)) {
    for (const [address, methods] of [
      [session.hls, "GET, HEAD, OPTIONS"],
      [session.dash, "GET, HEAD, OPTIONS"],
      [session.licence, "POST, OPTIONS"],
    ] as const) {
      const preflight = await got(at(url, address), { method: "OPTIONS", headers });
      assert.deepEqual([preflight.status, preflight.body.length], [204, 0]);
      assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
      assert.equal(preflight.headers.get("access-control-allow-methods"), methods);
      const taken = preflight.headers.get("access-control-allow-headers")?.toLowerCase().split(", ") ?? [];
      const refused = sent.filter((name) => !taken.includes(name));
      assert.deepEqual(refused, [], url);
    }
  }
});

test("two viewers of a title get the same bytes, and the second one's are in the cache", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const [one, other] = [await scene.play(title, { viewer: "one" }), await scene.play(title, { viewer: "other" })];
  for (const threads of [1, 2]) {
    const edge = await scene.edge({ threads });
    await informed(edge, one);
    const name = (session: StartedSession) => at(edge.url, session.hls.replace("master.m3u8", `s${threads}.m4s`));
    const first = await got(name(one), { headers: { authorization: "Bearer a", cookie: "a=1" } });
    const second = await got(name(other), { headers: { authorization: "Bearer b" } });
    assert.deepEqual(second.body, first.body);
    assert.match(second.headers.get("cache-status") ?? "", /; hit/);
    const asked = scene.packager.asked.filter(({ path }) => path.endsWith(`/s${threads}.m4s`));
    assert.equal(asked.length, 1);
  }
});

test("a key goes to the session's viewer, never into a cache, and each delivery is written down", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const { tenantId } = scene.ours;
  const made = await scene.ask(contentKey, { tenantId, contentId: title.titleId });
  const [one, other] = [await scene.play(title, { viewer: "one" }), await scene.play(title, { viewer: "other" })];
  const before = scene.packager.asked.length;
  for (const { url } of await places(scene, one)) {
    for (const session of [one, other]) {
      const key = await got(at(url, session.hls.replace("master.m3u8", "key.1.bin")));
      assert.equal(key.status, 200, url);
      assert.deepEqual(key.body, Buffer.from(made.key, "base64"));
      assert.equal(key.body.length, 16);
      assert.equal(key.headers.get("cache-control"), "no-store");
      assert.equal(key.headers.get("access-control-allow-origin"), "*");
    }
  }
  const missing = await got(at(scene.gatewayUrl, one.hls.replace("master.m3u8", "key.7.bin")));
  assert.equal(missing.status, 404);
  assert.equal(scene.packager.asked.filter(({ path }) => path.includes("key.")).length, 0, String(before));
  const { data } = await scene.ask(listKeyDeliveries, { titleId: title.titleId });
  assert.deepEqual(
    data.map(({ viewer, outcome, generation, sessionId, address }) => [
      viewer,
      outcome,
      generation,
      sessionId,
      address,
    ]),
    [
      ...[1, 2, 3].flatMap(() => [
        ["one", "delivered", 1, one.id, "127.0.0.1"],
        ["other", "delivered", 1, other.id, "127.0.0.1"],
      ]),
      ["one", "no-such-key", 7, one.id, "127.0.0.1"],
    ],
  );
});

test("an edge keeps keys neither in memory nor on disk, however they are asked for, and segments on both", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const made = await scene.ask(contentKey, { tenantId: scene.ours.tenantId, contentId: title.titleId });
  const key = Buffer.from(made.key, "base64");
  const session = await scene.play(title);
  const edge = await scene.edge({ diskBytes: 64 * 2 ** 20 });
  await informed(edge, session);
  const below = (name: string): string => at(edge.url, session.hls.replace("master.m3u8", name));
  const segment = await got(below("720p-1.m4s"));
  assert.match((await got(below("720p-1.m4s"))).headers.get("cache-status") ?? "", /; hit/);
  const ways: readonly RequestInit[] = [
    {},
    { headers: { range: "bytes=0-3" } },
    { headers: { "if-none-match": "*" } },
    { headers: { "if-modified-since": new Date().toUTCString() } },
  ];
  for (const way of ways) {
    const { status, headers, body } = await got(below("key.1.bin"), way);
    assert.deepEqual([status, headers.get("cache-control"), body], [200, "no-store", key], JSON.stringify(way));
    assert.doesNotMatch(headers.get("cache-status") ?? "", /; hit/);
  }
  const head = await got(below("key.1.bin"), { method: "HEAD" });
  assert.deepEqual([head.status, head.headers.get("content-length"), head.body.length], [200, "16", 0]);
  const { data } = await scene.ask(listKeyDeliveries, { titleId: title.titleId });
  assert.equal(data.length, ways.length + 1, "each one was asked of the key server");
  const onDisk = async (bytes: Buffer): Promise<boolean> => {
    const names = await readdir(edge.dataDir, { recursive: true, withFileTypes: true });
    const files = names.filter((name) => name.isFile()).map((name) => join(name.parentPath, name.name));
    return (await Promise.all(files.map((file) => readFile(file)))).some((content) => content.includes(bytes));
  };
  await eventually("the segment is on disk", () => onDisk(segment.body.subarray(0, 64)));
  assert.equal(await onDisk(key), false);
});

test("a key is refused to a session of another title or tenant, and to one that has ended", async (t) => {
  const scene = await playbackScene(t);
  const { ours, theirs } = scene;
  const [title, other] = [await scene.newTitle({ players: [ours, theirs] }), await scene.newTitle()];
  const { tenantId } = ours;
  await scene.ask(contentKey, { tenantId, contentId: title.titleId });
  const [elsewhere, ended] = [await scene.play(other), await scene.play(title)];
  const [licensed, live] = [await scene.play(title, { as: theirs }), await scene.play(title)];
  await scene.ask(revokeSession, { sessionId: ended.id });
  const deliver = (sessionId: string, of = tenantId) => {
    const wanted = { contentId: title.titleId, generation: 1, sessionId, tenantId: of, address: "::1" };
    return scene.ask(deliverKey, wanted).then(
      () => "given",
      (error: unknown) => codeOf(error),
    );
  };
  assert.equal(await deliver(elsewhere.id), "KEY_REFUSED");
  assert.equal(await deliver(ended.id), "KEY_REFUSED");
  assert.equal(await deliver(licensed.id), "KEY_REFUSED", "a session counts in its own tenant alone");
  assert.equal(await deliver(licensed.id, theirs.tenantId), "given");
  assert.equal(await deliver(live.id), "given");
  await scene.db.asOwner("update playback_session set expires_at = now() - interval '1 s' where id = $1", [live.id]);
  assert.equal(await deliver(live.id), "KEY_REFUSED");
  const { data } = await scene.ask(listKeyDeliveries, { titleId: title.titleId });
  assert.deepEqual(
    data.map(({ outcome }) => outcome),
    ["other-title", "session-ended", "no-session", "delivered", "delivered", "session-ended"],
  );
});

test("a ClearKey licence names the keys that were asked for", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  const { key, keyId } = await scene.ask(contentKey, { tenantId: scene.ours.tenantId, contentId: title.titleId });
  const session = await scene.play(title);
  const kid = Buffer.from(keyId, "base64").toString("base64url");
  for (const { url } of await places(scene, session)) {
    const address = at(url, session.licence);
    const body = JSON.stringify({ kids: [kid], type: "temporary" });
    const licence = await got(address, { method: "POST", body });
    assert.equal(licence.status, 200);
    const k = Buffer.from(key, "base64").toString("base64url");
    assert.deepEqual(JSON.parse(licence.body.toString()), { keys: [{ kty: "oct", kid, k }], type: "temporary" });
    assert.equal((await got(address, { method: "POST", body: "[" })).status, 400);
    assert.equal((await got(address, { method: "POST", body: '{"kids":[1]}' })).status, 422);
    assert.equal((await got(address)).status, 405);
  }
});

test("a licence request whose body never ends is the client's fault, and its connection ends", async (t) => {
  const scene = await playbackScene(t);
  const { port, hostname } = new URL(scene.gatewayUrl);
  const socket = connect(Number(port), hostname);
  socket.write(`POST /api/media/dash/${randomUUID()}/clearkey HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{`);
  let text = "";
  for await (const piece of socket) text += piece;
  const [head = "", body = ""] = text.split("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 408 /);
  assert.equal(codeOf(JSON.parse(body)), "BODY_LATE");
});

test("without a session only what is public plays, and pictures are for all", async (t) => {
  const scene = await playbackScene(t);
  const [open, closed] = [await scene.newTitle({ isPublic: true }), await scene.newTitle()];
  const { tenantId } = scene.ours;
  const made = await scene.ask(contentKey, { tenantId, contentId: open.titleId });
  await scene.ask(contentKey, { tenantId, contentId: closed.titleId });
  const session = await scene.play(open);
  for (const { url } of await places(scene, session)) {
    const status = async (path: string) => (await got(`${url}/api/media/${path}`)).status;
    assert.equal(await status(`hls/${open.titleId}/master.m3u8`), 200);
    assert.equal(await status(`hls/${closed.titleId}/master.m3u8`), 404);
    assert.equal(await status(`hls/${closed.titleId}/key.1.bin`), 403);
    assert.equal(await status(`images/${closed.titleId}/poster.jpg`), 200);
    assert.equal(await status("nothing/here"), 404);
    assert.deepEqual(
      (await got(`${url}/api/media/hls/${open.titleId}/key.1.bin`)).body,
      Buffer.from(made.key, "base64"),
    );
  }
  const edge = await scene.edge();
  for (const path of [`/hls/${closed.titleId}/master.m3u8`, `/public/hls/${open.titleId}/master.m3u8`]) {
    assert.equal((await got(edge.url + path)).status, 404, "inner paths are not there for viewers");
  }
});

test("an address-bound session plays from its address alone, whichever way its key comes", async (t) => {
  const scene = await playbackScene(t);
  const title = await scene.newTitle();
  await scene.ask(contentKey, { tenantId: scene.ours.tenantId, contentId: title.titleId });
  const [here, elsewhere] = [
    await scene.play(title, { address: "127.0.0.1" }),
    await scene.play(title, { address: "192.0.2.7" }),
  ];
  for (const { url } of await places(scene, here)) {
    const key = (session: StartedSession) => got(at(url, session.hls.replace("master.m3u8", "key.1.bin")));
    assert.equal((await key(here)).status, 200);
    assert.equal((await key(elsewhere)).status, 403);
    assert.equal((await got(at(url, elsewhere.hls))).status, 403);
  }
  // Whoever can reach a gateway can't claim an edge's viewer.
  const claimed = { headers: { "castellan-viewer": `192.0.2.7 ${Date.now()} ${"A".repeat(43)}` } };
  assert.equal((await got(at(scene.gatewayUrl, elsewhere.hls), claimed)).status, 403);
});
