import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamerRow } from "./streamer-registry.store.ts";
import { idAfter, OFFLINE_AFTER_MS, pageOf, streamerView } from "./view.ts";

const rows = (count: number) => Array.from({ length: count }, (_, i) => ({ id: i * 3 + 1 }));

test("a full page that is the last one gives no cursor", () => {
  assert.deepEqual(pageOf("channels", rows(2), 2), { rows: rows(2), nextCursor: null });
});

test("a cursor leads to what comes after the last row of its page", () => {
  const { rows: page, nextCursor } = pageOf("channels", rows(3), 2);
  assert.deepEqual(page, rows(2));
  assert.equal(idAfter("channels", nextCursor!), 4);
});

test("only cursors that this list gave out are taken", () => {
  const { nextCursor } = pageOf("channels", rows(3), 2);
  const foreign = ["", "x", "4", `${nextCursor}=`, `${nextCursor} `, Buffer.from("channels:-1").toString("base64url")];
  for (const cursor of foreign) assert.throws(() => idAfter("channels", cursor), { code: "BAD_CURSOR" }, cursor);
  assert.throws(() => idAfter("streamers", nextCursor!), { code: "BAD_CURSOR" });
});

const OWN: StreamerRow = {
  id: 1,
  tenantId: null,
  kind: "castellan",
  name: "n/0",
  baseUrl: "http://10.0.0.7:8082",
  hasCredential: false,
  credential: null,
  playbackUrlTemplate: "{base}/x",
  streamsMax: 10,
  streamCount: 2,
  draining: false,
  reachable: null,
  nodeId: "n",
  ordinal: 0,
  lastSeenAt: new Date(1_000_000),
  createdAt: new Date(0),
};

test("a streamer of ours is online while it reports, draining when it says so, offline when it is silent", () => {
  const health = (row: Partial<StreamerRow>, nowMs: number) => streamerView({ ...OWN, ...row }, nowMs).health;
  assert.equal(health({}, 1_000_000 + OFFLINE_AFTER_MS), "online");
  assert.equal(health({ draining: true }, 1_000_000), "draining");
  assert.equal(health({ draining: true }, 1_000_001 + OFFLINE_AFTER_MS), "offline");
  assert.equal(health({ lastSeenAt: null }, 0), "unknown");
});

test("a castis node is what the last check of it said", () => {
  const health = (reachable: boolean | null) => streamerView({ ...OWN, kind: "castis", reachable }, 0).health;
  assert.deepEqual([null, true, false].map(health), ["unknown", "online", "offline"]);
});

test("a credential is never shown", () => {
  const shown = streamerView({ ...OWN, credential: "s3cret", hasCredential: true }, 0);
  assert.equal(JSON.stringify(shown).includes("s3cret"), false);
  assert.equal(shown.hasCredential, true);
});
