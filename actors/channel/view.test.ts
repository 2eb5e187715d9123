import assert from "node:assert/strict";
import { test } from "node:test";
import type { StreamerRow } from "./streamer-registry.store.ts";
import { OFFLINE_AFTER_MS, streamerView } from "./view.ts";

const OWN: StreamerRow = {
  id: 1,
  tenantId: null,
  kind: "castellan",
  name: "n/0",
  baseUrl: "http://10.0.0.7:8082",
  hasCredential: false,
  credential: null,
  playbackUrlTemplate: "{base}/x",
  trusted: false,
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
