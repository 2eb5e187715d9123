/** Sessions as an administrator and players see them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  getSession,
  heartbeat,
  listSessions,
  mediaAdmission,
  revokeSession,
  revokeSessions,
} from "../../contracts/playback.ts";
import { entriesIn } from "../../lib/crypto/admission-news.ts";
import { revocationsIn } from "../../lib/crypto/revocations.ts";
import { eventually } from "../support/control.ts";
import { at, playbackScene } from "./scene.ts";

test("all sessions of a viewer end together, and only those", async (t) => {
  const scene = await playbackScene(t);
  const [one, other] = [await scene.newTitle(), await scene.newTitle()];
  const mine = [await scene.play(one, { viewer: "me" }), await scene.play(other, { viewer: "me" })];
  const yours = await scene.play(one, { viewer: "you" });
  const { data } = await scene.ask(revokeSessions, { viewer: "me" });
  assert.deepEqual(data, { revokedCount: 2 });
  const active = await scene.ask(listSessions, { state: "active" });
  assert.deepEqual(
    active.data.map(({ id }) => id),
    [yours.id],
  );
  const revoked = await scene.ask(listSessions, { state: "revoked", viewer: "me", limit: 1 });
  assert.equal(revoked.data[0]?.id, mine[0]?.id);
  const next = await scene.ask(listSessions, { state: "revoked", viewer: "me", cursor: revoked.nextCursor ?? "" });
  assert.deepEqual(
    next.data.map(({ id }) => id),
    [mine[1]?.id],
  );
  assert.deepEqual((await scene.ask(revokeSessions, { titleId: one.titleId })).data, { revokedCount: 1 });
  await assert.rejects(scene.ask(revokeSessions, {}), { code: "BAD_INPUT" });
});

test("heartbeats come by the API and by players, and end with the session", async (t) => {
  const scene = await playbackScene(t);
  const session = await scene.play(await scene.newTitle());
  const edge = await scene.edge();
  await eventually("it plays", async () => (await fetch(at(edge.url, session.hls))).status === 200);
  for (const url of [edge.url, scene.gatewayUrl]) {
    const beat = await fetch(at(url, session.heartbeat), { method: "POST" });
    assert.equal(beat.status, 200);
    const { data } = (await beat.json()) as { data: { id: string; heartbeatSeconds: number } };
    assert.deepEqual([data.id, data.heartbeatSeconds], [session.id, 30]);
  }
  await scene.ask(heartbeat, { sessionId: session.id });
  await eventually(
    "it was seen",
    async () => (await scene.ask(getSession, { sessionId: session.id })).data.lastSeenAt !== null,
    8_000,
  );
  await scene.ask(revokeSession, { sessionId: session.id });
  await assert.rejects(scene.ask(heartbeat, { sessionId: session.id }), { code: "SESSION_ENDED" });
  assert.equal((await fetch(at(edge.url, session.heartbeat), { method: "POST" })).status, 403);
});

test("what edges are told has the keys, and each revoked session until its tokens expire", async (t) => {
  const scene = await playbackScene(t);
  const session = await scene.play(await scene.newTitle());
  await scene.ask(revokeSession, { sessionId: session.id });
  const { admission, revoked } = await scene.ask(mediaAdmission, {});
  assert.equal(admission.tokenKeys.length, 1);
  assert.equal(admission.viewerSecrets?.length, 1);
  const [told, ...others] = revocationsIn(entriesIn(revoked.entries));
  const untilSeconds = Math.ceil(Date.parse(session.expiresAt) / 1_000);
  assert.deepEqual(
    [told?.kind, told?.id, told?.untilSeconds],
    ["session", session.id.replaceAll("-", ""), untilSeconds],
  );
  assert.deepEqual([others, revoked.hasMore], [[], false]);
});
