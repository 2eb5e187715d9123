import assert from "node:assert/strict";
import { test } from "node:test";
import { planOrigins, stateOf } from "./changes.ts";
import type { ChannelRow, OriginRow } from "./channel.store.ts";
import { trustedUrlsOf } from "./sources.ts";

const origin = (id: number, streamerId: number, ingestUrl: string | null, wanted: OriginRow["wanted"] = "present") => ({
  ...{ id, streamerId, ingestUrl, wanted, channelId: 1, streamId: "a.stream" },
  ...{ playbackUrl: null, status: "active" as const, message: null, generation: 1, trusted: false },
});
const UDP = "udp://239.0.0.1:5000";
const OTHER = "udp://239.0.0.2:5000";
const configs = (ingestConfig: object, transcodeConfig: object | null = null) => ({
  ingestConfig: { ...ingestConfig },
  transcodeConfig: transcodeConfig && { ...transcodeConfig },
});
const ORIGINS = [origin(11, 1, UDP), origin(12, 2, OTHER)];
const known = new Set([1, 2, 3]);
const trustedUrls = new Set<string>();

test("an origin whose payload stays the same is not touched, one with another URL is", () => {
  const plan = planOrigins(
    { configs: configs({}), origins: ORIGINS },
    {
      ...{ configs: configs({}), trustedUrls },
      origins: [
        { streamerId: 1, ingestUrl: UDP },
        { streamerId: 2, ingestUrl: UDP },
      ],
    },
    known,
  );
  assert.deepEqual(plan, {
    kept: [
      { id: 11, ingestUrl: UDP, trusted: false, touched: false },
      { id: 12, ingestUrl: UDP, trusted: false, touched: true },
    ],
    removed: [],
    added: [],
    unknown: [],
  });
});

test("another transcode setting touches all; the same one written in another order touches none", () => {
  const inputs = ORIGINS.map(({ streamerId, ingestUrl }) => ({ streamerId, ingestUrl: ingestUrl! }));
  const before = { configs: configs({}, { profile: "hd", audioKbps: 96 }), origins: ORIGINS };
  const touched = (transcodeConfig: object | null) =>
    planOrigins(before, { configs: configs({}, transcodeConfig), origins: inputs, trustedUrls }, known).kept.map(
      (k) => k.touched,
    );
  assert.deepEqual(touched({ profile: "sd", audioKbps: 96 }), [true, true]);
  assert.deepEqual(touched(null), [true, true]);
  assert.deepEqual(touched({ audioKbps: 96, profile: "hd" }), [false, false]);
});

test("where ingestConfig.url decides, another ingestUrl touches nothing", () => {
  const loop = configs({ url: "pl:///demo" });
  const plan = planOrigins(
    { configs: loop, origins: [origin(11, 1, null)] },
    { configs: loop, origins: [{ streamerId: 1, ingestUrl: UDP }], trustedUrls },
    known,
  );
  assert.deepEqual(plan.kept, [{ id: 11, ingestUrl: UDP, trusted: false, touched: false }]);
});

test("origins come, go, come back, and name streamers that are not there", () => {
  const plan = planOrigins(
    { configs: configs({}), origins: [...ORIGINS, origin(13, 3, UDP, "absent")] },
    { configs: configs({}), origins: [1, 3, 9].map((streamerId) => ({ streamerId, ingestUrl: UDP })), trustedUrls },
    known,
  );
  assert.deepEqual(plan.removed, [12]);
  assert.deepEqual(plan.added, [{ streamerId: 3, ingestUrl: UDP, trusted: false }]);
  assert.deepEqual(plan.unknown, [{ streamerId: 9, status: 404, message: "There is no streamer 9." }]);
});

test("an admin's URL is trusted wherever it stands, all others stay as they were", () => {
  const PRIVATE = "http://10.0.0.1/live.ts";
  const rows = [{ ...origin(11, 1, PRIVATE), trusted: true }, origin(12, 2, OTHER)];
  const { trustedUrls: had } = stateOf({ ...configs({}) } as ChannelRow, rows);
  assert.deepEqual([...had], [PRIVATE]);
  assert.deepEqual([...trustedUrlsOf({ trusted: true }, had)], [PRIVATE]);
  assert.deepEqual([...trustedUrlsOf({ trusted: false, origins: [{ ingestUrl: OTHER }] }, had)], [PRIVATE]);
  const raised = trustedUrlsOf({ trusted: true, ingestConfig: { url: UDP }, origins: [{ ingestUrl: OTHER }] }, had);
  assert.deepEqual([...raised], [PRIVATE, UDP, OTHER]);
  const inputs = rows.map(({ streamerId, ingestUrl }) => ({ streamerId, ingestUrl: ingestUrl! }));
  const after = { configs: configs({}), origins: inputs, trustedUrls: raised };
  assert.deepEqual(planOrigins({ configs: configs({}), origins: rows }, after, known).kept, [
    { id: 11, ingestUrl: PRIVATE, trusted: true, touched: false },
    { id: 12, ingestUrl: OTHER, trusted: true, touched: true },
  ]);
});
