import assert from "node:assert/strict";
import { test } from "node:test";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { castisStandIn } from "../../test/castis/stand-in.ts";
import { probeCastis } from "./probe.ts";

const probe = probeCastis(new OutgoingAgents([]));

test("a node is there when it answers and takes our credential", async (t) => {
  const { baseUrl } = await castisStandIn(t, { credential: "s3cret" });
  assert.equal(await probe({ baseUrl, credential: "s3cret", trusted: true }), true);
  for (const credential of [null, "other", "no header holds\nthis"])
    assert.equal(await probe({ baseUrl, credential, trusted: true }), false);
  assert.equal(await probe({ baseUrl: "no URL", credential: null, trusted: true }), false);
});

test("a node that a tenant named is not followed to a private address", async (t) => {
  const node = await castisStandIn(t);
  for (const host of ["127.0.0.1", "localhost"]) {
    const baseUrl = node.baseUrl.replace("127.0.0.1", host);
    assert.equal(await probe({ baseUrl, credential: null, trusted: false }), false, host);
    assert.equal(node.seen.length, 0, host);
  }
});
