import assert from "node:assert/strict";
import { test } from "node:test";
import type { Channel, ChannelOrigin } from "../../contracts/channel.ts";
import { channelStatusOf, readObserved } from "./observed.ts";

const TABLE: readonly (readonly [readonly ChannelOrigin["status"][], Channel["status"]])[] = [
  [["active", "active"], "active"],
  [["active", "failed"], "degraded"],
  [["active", "conflict"], "degraded"],
  [["active", "pending"], "degraded"],
  [["failed", "conflict"], "failed"],
  [["pending", "failed"], "pending"],
  [["pending"], "pending"],
  [["stopped", "stopped"], "pending"],
  [[], "failed"],
];
for (const [origins, status] of TABLE)
  test(`origins [${origins.join(", ")}] make a running channel ${status}`, () => {
    assert.equal(channelStatusOf("running", origins), status);
  });

test("a channel that shall be stopped is stopped, whatever its origins still do", () => {
  assert.equal(channelStatusOf("stopped", ["active", "failed"]), "stopped");
});

test("what can't be read counts as not seen", () => {
  for (const raw of [{}, null, "x", { origins: { 1: { status: "new word" } } }])
    assert.equal(readObserved(raw).size, 0);
});
