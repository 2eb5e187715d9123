/** Two tenants, and what can go wrong between and under them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { codeOf } from "../../contracts/errors.ts";
import { contentKey, deliverKey, listKeyDeliveries, renewContentKey } from "../../contracts/keyserver.ts";
import { getSession, heartbeat, listSessions, revokeSession, startPlayback } from "../../contracts/playback.ts";
import { eventually } from "../support/control.ts";
import { at, playbackScene } from "./scene.ts";

test("a tenant gets no session, no key, and sees nothing of another one's titles", async (t) => {
  const scene = await playbackScene(t);
  const { ours, theirs } = scene;
  const title = await scene.newTitle();
  const own = await scene.newTitle({ owner: theirs });
  await scene.ask(contentKey, { tenantId: ours.tenantId, contentId: title.titleId });
  const session = await scene.play(title);
  const theirSession = await scene.play(own, { as: theirs });
  const { titleId } = title;
  const codes = await Promise.all(
    [
      scene.ask(startPlayback, { titleId }, theirs),
      scene.ask(getSession, { sessionId: session.id }, theirs),
      scene.ask(revokeSession, { sessionId: session.id }, theirs),
      scene.ask(heartbeat, { sessionId: session.id }, theirs),
      scene.ask(renewContentKey, { titleId }, theirs),
      // A token of theirs opens their session, never our title's key; nor does one that lies about its tenant.
      ...[theirSession.id, session.id].map((sessionId) =>
        scene.ask(deliverKey, {
          ...{ contentId: titleId, generation: 1, sessionId, address: "::1" },
          tenantId: theirs.tenantId,
        }),
      ),
    ].map((asked) => (asked as Promise<unknown>).then(() => "done", codeOf)),
  );
  const hidden = "SESSION_NOT_FOUND";
  assert.deepEqual(codes, ["TITLE_NOT_FOUND", hidden, hidden, hidden, "TITLE_NOT_FOUND", "KEY_REFUSED", "KEY_REFUSED"]);
  assert.deepEqual((await scene.ask(listSessions, { titleId }, theirs)).data, []);
  assert.deepEqual((await scene.ask(listKeyDeliveries, { titleId }, theirs)).data, []);
  const { data } = await scene.ask(listKeyDeliveries, { titleId });
  assert.deepEqual(
    data.map(({ outcome }) => outcome).sort(), // both were asked for at once
    ["no-session", "other-title"],
    "refusals are written down for whose key it is",
  );
});

test("a licensed title plays for the other tenant, and its owner sees who got the key", async (t) => {
  const scene = await playbackScene(t);
  const { ours, theirs } = scene;
  const title = await scene.newTitle({ players: [ours, theirs] });
  await scene.ask(contentKey, { tenantId: ours.tenantId, contentId: title.titleId });
  const session = await scene.play(title, { as: theirs, viewer: "guest" });
  const key = await fetch(at(scene.gatewayUrl, session.hls.replace("master.m3u8", "key.1.bin")));
  assert.equal(key.status, 200);
  const { data } = await scene.ask(listKeyDeliveries, { titleId: title.titleId });
  assert.deepEqual(
    data.map(({ viewer, outcome }) => [viewer, outcome]),
    [["guest", "delivered"]],
  );
});

test("a token of one title opens no other one", async (t) => {
  const scene = await playbackScene(t);
  const [one, other] = [await scene.newTitle(), await scene.newTitle()];
  const session = await scene.play(one);
  const edge = await scene.edge();
  await eventually("it plays", async () => (await fetch(at(edge.url, session.hls))).status === 200);
  for (const url of [edge.url, scene.gatewayUrl]) {
    const address = at(url, session.hls.replace(`/${one.titleId}/`, `/${other.titleId}/`));
    assert.equal((await fetch(address)).status, 403);
  }
});

test("who is not entitled gets no session", async (t) => {
  const entitlements = {
    check: async ({ viewer }: { viewer: string | null }) =>
      viewer === "paid" ? ({ allowed: true } as const) : ({ allowed: false, reason: "nothing was paid" } as const),
  };
  const scene = await playbackScene(t, { entitlements });
  const title = await scene.newTitle();
  assert.ok((await scene.play(title, { viewer: "paid" })).id);
  await assert.rejects(scene.play(title), { code: "ENTITLEMENT_MISSING", message: /nothing was paid/ });
  assert.equal((await scene.ask(listSessions, {})).data.length, 1);
});

test("sessions live through a restart of the gateway", async (t) => {
  const scene = await playbackScene(t);
  const session = await scene.play(await scene.newTitle());
  assert.equal((await fetch(at(scene.gatewayUrl, session.hls))).status, 200);
  const url = await scene.restartGateway();
  assert.equal((await fetch(at(url, session.hls))).status, 200);
});

test("sessions begin and go on while Redis does not answer", async (t) => {
  const scene = await playbackScene(t, { env: { REDIS_URL: "redis://127.0.0.1:1" } });
  const session = await scene.play(await scene.newTitle());
  for (let count = 0; count < 5; count += 1) await scene.ask(heartbeat, { sessionId: session.id });
  assert.equal((await scene.ask(revokeSession, { sessionId: session.id })).data.state, "revoked");
  await assert.rejects(scene.ask(heartbeat, { sessionId: session.id }), { code: "SESSION_ENDED" });
});
