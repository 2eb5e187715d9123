import assert from "node:assert/strict";
import { test } from "node:test";
import { planOrigins } from "./changes.ts";
import type { OriginRow } from "./channel.store.ts";

const origin = (id: number, streamerId: number, ingestUrl: string | null, wanted: OriginRow["wanted"] = "present") => ({
  ...{ id, streamerId, ingestUrl, wanted, channelId: 1, streamId: "a.stream" },
  ...{ playbackUrl: null, status: "active" as const, message: null, generation: 1 },
});
const UDP = "udp://239.0.0.1:5000";
const OTHER = "udp://239.0.0.2:5000";
const configs = (ingestConfig: object, transcodeConfig: object | null = null) => ({
  ingestConfig: { ...ingestConfig },
  transcodeConfig: transcodeConfig && { ...transcodeConfig },
});
const ORIGINS = [origin(11, 1, UDP), origin(12, 2, OTHER)];
const known = new Set([1, 2, 3]);

test("an origin whose payload stays the same is not touched, one with another URL is", () => {
  const plan = planOrigins(
    { configs: configs({}), origins: ORIGINS },
    {
      configs: configs({}),
      origins: [
        { streamerId: 1, ingestUrl: UDP },
        { streamerId: 2, ingestUrl: UDP },
      ],
    },
    known,
  );
  assert.deepEqual(plan, {
    kept: [
      { id: 11, ingestUrl: UDP, touched: false },
      { id: 12, ingestUrl: UDP, touched: true },
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
    planOrigins(before, { configs: configs({}, transcodeConfig), origins: inputs }, known).kept.map((k) => k.touched);
  assert.deepEqual(touched({ profile: "sd", audioKbps: 96 }), [true, true]);
  assert.deepEqual(touched(null), [true, true]);
  assert.deepEqual(touched({ audioKbps: 96, profile: "hd" }), [false, false]);
});

test("where ingestConfig.url decides, another ingestUrl touches nothing", () => {
  const loop = configs({ url: "pl:///demo" });
  const plan = planOrigins(
    { configs: loop, origins: [origin(11, 1, null)] },
    { configs: loop, origins: [{ streamerId: 1, ingestUrl: UDP }] },
    known,
  );
  assert.deepEqual(plan.kept, [{ id: 11, ingestUrl: UDP, touched: false }]);
});

test("origins come, go, come back, and name streamers that are not there", () => {
  const plan = planOrigins(
    { configs: configs({}), origins: [...ORIGINS, origin(13, 3, UDP, "absent")] },
    { configs: configs({}), origins: [1, 3, 9].map((streamerId) => ({ streamerId, ingestUrl: UDP })) },
    known,
  );
  assert.deepEqual(plan.removed, [12]);
  assert.deepEqual(plan.added, [{ streamerId: 3, ingestUrl: UDP }]);
  assert.deepEqual(plan.unknown, [{ streamerId: 9, status: 404, message: "There is no streamer 9." }]);
});
