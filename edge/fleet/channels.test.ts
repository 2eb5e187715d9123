import assert from "node:assert/strict";
import { test } from "node:test";
import type { Snapshot } from "../../contracts/fleet.ts";
import { channelOf } from "../../test/origin/edge.ts";
import { channelsOf } from "./channels.ts";

type Channel = Snapshot["channels"][number];
const snapshotOf = (version: number, ...channels: Channel[]): Snapshot => ({ version, madeAt: "", channels });
const NAME = "acme/one.stream";
const one = channelOf([{ url: "http://a:1" }, { url: "http://b:2" }]);
const withIds = (channel: Channel, ...ids: number[]): Channel => ({
  ...channel,
  origins: channel.origins.slice(0, ids.length).map((origin, index) => ({ ...origin, originId: ids[index] ?? 0 })),
});

test("a channel is found by tenant and stream id, with its origins taken apart", () => {
  const found = channelsOf(snapshotOf(1, one)).get(NAME);
  assert.deepEqual(
    found?.families.map(({ id, origins }) => [id, ...origins.map(({ base, authority }) => `${authority} ${base}`)]),
    [["own", "http://a:1 http://a:1/live/acme/one.stream", "http://b:2 http://b:2/live/acme/one.stream"]],
  );
});

test("addresses that are none are left out, and durations brought into bounds", () => {
  const base = (text: string) => ({ originId: 1, kind: "castellan" as const, base: text });
  const odd = { ...one, segmentMs: 0, origins: ["ftp://a/x", "no address", "http://ok/x/"].map(base) };
  const found = channelsOf(snapshotOf(1, odd)).get(NAME);
  assert.deepEqual(
    found?.origins.map((origin) => origin.base),
    ["http://ok/x"],
  );
  assert.equal(found?.segmentMs, 500);
});

test("a channel keeps its key while it is the same, and gets another when it is not", () => {
  const first = channelsOf(snapshotOf(1, one));
  const keyAfter = (next: Channel) => channelsOf(snapshotOf(2, next), first).get(NAME)?.key;
  const key = first.get(NAME)?.key;
  assert.equal(keyAfter(one), key);
  assert.equal(keyAfter(withIds(one, 2)), key, "an origin less");
  assert.equal(keyAfter(withIds(one, 2, 7)), key, "another origin beside one that stays");
  assert.equal(keyAfter({ ...one, origins: [] }), key, "no origin for the moment");
  assert.notEqual(keyAfter(withIds(one, 8, 9)), key, "none of its origins");
  assert.notEqual(keyAfter({ ...one, segmentMs: 4_000 }), key, "other segments");
  const gone = channelsOf(snapshotOf(3), first);
  assert.notEqual(channelsOf(snapshotOf(4, one), gone).get(NAME)?.key, key, "made anew");
});
