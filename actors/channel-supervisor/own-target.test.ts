import assert from "node:assert/strict";
import { test } from "node:test";
import { Fault } from "../../contracts/errors.ts";
import { OwnTarget } from "./own-target.ts";

const targetThatFails = (fault: Fault) =>
  new OwnTarget({
    ...{ nodeId: "node-1", ordinal: 0, leaseEpoch: 1, ask: () => Promise.reject(fault) },
    spec: () => ({
      ...{ tenantId: "t", tenant: "acme", streamId: "a.stream", channelId: 1 },
      ...{ anchor: null, loopStartedAt: null, trusted: false },
    }),
  });
const COMMAND = { payload: { url: "udp://239.0.0.1:1" }, remote: "none", sent: null, unclear: false } as const;

test("a streamer that refuses a payload says which fields are wrong", async () => {
  const errors = ["a", "b", "c", "d"].map((path) => ({ path, message: "is wrong" }));
  const { refusal } = await targetThatFails(new Fault("BAD_INPUT", { errors })).push(COMMAND);
  const message = "The request does not fit its schema. a: is wrong; b: is wrong; c: is wrong";
  assert.deepEqual(refusal, { status: 422, message });
});

test("a refusal without fields is the catalogue's sentence", async () => {
  const { refusal } = await targetThatFails(new Fault("STREAMER_FULL", { streamsMax: 4 })).push(COMMAND);
  assert.deepEqual(refusal, { status: 503, message: "The streamer runs its 4 streams already." });
});
