import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, nextStep, type Situation, type Step } from "./origin-state.ts";

const SITUATION: Situation = {
  ...{ wanted: true, remote: "ours", upToDate: true, reported: "fine", restart: false, force: false },
  ...{ retryDue: true, checkDue: false },
};

const TABLE: readonly (readonly [what: string, now: Partial<Situation>, step: Step])[] = [
  ["runs as wanted", {}, "none"],
  ["new", { remote: "none", upToDate: false, reported: null }, "push"],
  ["a push got no answer", { remote: "maybe" }, "push"],
  ["its payload changed", { upToDate: false }, "push"],
  ["somebody else's stream is there", { remote: "foreign" }, "push"],
  ["failed, and its back-off runs", { remote: "none", retryDue: false }, "none"],
  ["failed, its back-off runs, but somebody asks", { remote: "none", retryDue: false, force: true }, "push"],
  ["its streamer lost it", { reported: "missing" }, "push"],
  ["its streamer lost it again and again", { reported: "missing", retryDue: false }, "none"],
  ["its streamer was told by an older owner", { reported: "olderEpoch" }, "push"],
  ["its streamer gave it up", { reported: "dead" }, "restart"],
  ["to be restarted", { restart: true, retryDue: false }, "restart"],
  ["to be restarted, but its payload changed as well", { restart: true, upToDate: false }, "push"],
  ["a check is due", { reported: null, checkDue: true }, "check"],
  ["asked about", { reported: null, force: true }, "check"],
  ["not wanted any more", { wanted: false }, "remove"],
  ["not wanted, and maybe there", { wanted: false, remote: "maybe" }, "remove"],
  ["not wanted, its removal failed just now", { wanted: false, retryDue: false }, "none"],
  ["not wanted, and gone", { wanted: false, remote: "none", force: true }, "none"],
  ["not wanted, and never ours", { wanted: false, remote: "foreign", force: true }, "none"],
];
for (const [what, now, step] of TABLE)
  test(`an origin that is ${what}: ${step}`, () => {
    assert.equal(nextStep({ ...SITUATION, ...now }), step);
  });

test("tries come after 0.5, 1, 2, 4, 8 s and then every 10 s", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 5, 6, 1000].map(backoffMs), [500, 1000, 2000, 4000, 8000, 10_000, 10_000, 10_000]);
});
