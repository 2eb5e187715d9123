import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { OutgoingAgents } from "../../lib/http/outgoing-agents.ts";
import { type CastisStandIn, castisStandIn, type Failing } from "../../test/castis/stand-in.ts";
import { CastisTarget } from "./castis-target.ts";
import type { Command } from "./target.ts";

const ID = "bbc_world.stream";
const PAYLOAD = { chunkDuration: "4000ms", url: "udp://239.0.21.41:5000" };
const OTHER = { ...PAYLOAD, url: "udp://239.0.0.9:1" };
/** Of a node that answers; one that hangs has less, or the test takes long. */
const ANSWERS_MS = 10_000;
const HANGS_MS = 400;

const command = (fields: Partial<Command> = {}): Command => ({
  payload: PAYLOAD,
  remote: "none",
  sent: null,
  unclear: false,
  ...fields,
});
const setUp = async (
  t: TestContext,
  {
    heldByOther = false,
    alive = true,
    trusted = true,
    host = "127.0.0.1",
    credential = null as string | null,
    allowed = [] as string[],
    deadlineMs = ANSWERS_MS,
  } = {},
) => {
  const node = await castisStandIn(t, credential === null ? {} : { credential });
  const baseUrl = node.baseUrl.replace("127.0.0.1", host);
  const how = { deadlineMs, agents: new OutgoingAgents(allowed) };
  const options = { ...how, streamId: ID, heldByOther: async () => heldByOther, alive: () => alive };
  return { node, target: new CastisTarget({ node: { baseUrl, credential, trusted }, ...options }) };
};
const accepted = { remote: "ours", refusal: null, state: null, unclear: false };
const verbs = (node: CastisStandIn) => node.seen.map(({ method }) => method).join(" ");

test("a stream that the node takes is ours", async (t) => {
  const { node, target } = await setUp(t, { credential: "s3cret" });
  assert.deepEqual(await target.push(command()), accepted);
  assert.deepEqual(node.streams.get(ID), PAYLOAD);
});

test("500 and the very same stream there: accepted, whatever more the node says of it", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, { uptime: 5, ...PAYLOAD });
  assert.deepEqual(await target.push(command()), accepted);
  assert.equal(verbs(node), "POST GET");
});

test("500 and another stream there: a conflict, and the stream is left alone", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, OTHER);
  const { remote, refusal } = await target.push(command());
  assert.equal(remote, "foreign");
  assert.deepEqual(refusal, {
    status: 500,
    message: "a stream of this name exists with another configuration (url differs)",
  });
  assert.deepEqual(await target.remove(command({ remote: "foreign" })), { remote: "foreign", refusal: null });
  assert.deepEqual(node.streams.get(ID), OTHER);
});

test("500 and the same stream there, which another tenant's channel has: never adopted, never removed", async (t) => {
  const { node, target } = await setUp(t, { heldByOther: true });
  node.streams.set(ID, PAYLOAD);
  const { remote, refusal } = await target.push(command());
  assert.equal(remote, "foreign");
  assert.equal(refusal?.message, "another tenant's channel has this stream id on this node");
  assert.deepEqual(await target.remove(command({ remote: "maybe" })), { remote: "foreign", refusal: null });
  assert.equal(node.streams.size, 1);
});

test("500 without any stream there is a failure of the node", async (t) => {
  const { node, target } = await setUp(t);
  node.fail({ method: "POST", how: { status: 500, body: '{"error":"disk full"}' } });
  assert.deepEqual(await target.push(command()), {
    ...accepted,
    remote: "none",
    refusal: { status: 500, message: "HTTP 500: disk full" },
  });
});

test("500 and no answer to the question what is there: unknown whose it is", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, PAYLOAD);
  for (const how of ["reset", "dropBody", { status: 503 }] as const) {
    node.behave();
    node.fail({ method: "GET", how, afterDoing: true });
    const { remote, refusal } = await target.push(command());
    assert.equal(remote, "maybe");
    assert.equal(refusal?.status, 500);
    assert.match(refusal?.message ?? "", /^the stream exists and can't be verified: /);
  }
});

const FAILURES: readonly { how: Failing; status: number; message: RegExp; remote: string; unclear: boolean }[] = [
  {
    how: { status: 400, body: "bad\n url" },
    status: 400,
    message: /^HTTP 400: bad url$/,
    remote: "none",
    unclear: false,
  },
  { how: { status: 302 }, status: 302, message: /^HTTP 302/, remote: "none", unclear: false },
  { how: { status: 503 }, status: 503, message: /^HTTP 503/, remote: "maybe", unclear: false },
  { how: "reset", status: 0, message: /^no answer: ECONNRESET$/, remote: "maybe", unclear: false },
  { how: "hang", status: 0, message: /^no answer within 0.4 s$/, remote: "maybe", unclear: true },
  { how: { slowMs: 2_000 }, status: 0, message: /^no answer within 0.4 s$/, remote: "maybe", unclear: true },
];
for (const { how, status, message, remote, unclear } of FAILURES)
  test(`a node that fails with ${JSON.stringify(how)} gives a failure, and ${remote} of ours is there`, async (t) => {
    const { node, target } = await setUp(t, { deadlineMs: unclear ? HANGS_MS : ANSWERS_MS });
    node.fail({ method: "POST", how });
    const outcome = await target.push(command());
    assert.deepEqual({ ...outcome, refusal: null }, { ...accepted, remote, unclear });
    assert.equal(outcome.refusal?.status, status);
    assert.match(outcome.refusal?.message ?? "", message);
  });

test("an answer whose body breaks off is an answer: its status counts", async (t) => {
  const { node, target } = await setUp(t);
  node.fail({ method: "POST", how: "dropBody", afterDoing: true });
  assert.deepEqual(await target.push(command()), accepted);
});

test("where nobody listens, nothing of ours can be", async (t) => {
  const { node, target } = await setUp(t);
  await node.stop();
  const { remote, refusal } = await target.push(command());
  assert.equal(remote, "none");
  assert.deepEqual(refusal, { status: 0, message: "no answer: ECONNREFUSED" });
});

test("a changed payload replaces our own stream", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, OTHER);
  assert.deepEqual(await target.push(command({ remote: "ours", sent: OTHER })), accepted);
  assert.equal(verbs(node), "DELETE POST");
  assert.deepEqual(node.streams.get(ID), PAYLOAD);
});

test("a change that the node refuses leaves our old stream there, and known to be ours", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, OTHER);
  node.fail({ method: "DELETE", how: { status: 503 } });
  const { remote, refusal } = await target.push(command({ remote: "ours", sent: OTHER }));
  assert.deepEqual([remote, refusal?.status], ["ours", 503]);
  assert.deepEqual(node.streams.get(ID), OTHER);
});

test("a stream of ours from a command whose answer got lost is recognised and replaced", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, OTHER);
  assert.deepEqual(await target.push(command({ remote: "maybe", sent: OTHER })), accepted);
  assert.deepEqual(node.streams.get(ID), PAYLOAD);
});

test("removing: ours goes, one that is gone already is gone, an unreachable node keeps it", async (t) => {
  const { node, target } = await setUp(t);
  const ours = command({ remote: "ours", sent: PAYLOAD });
  node.streams.set(ID, PAYLOAD);
  assert.deepEqual(await target.remove(ours), { remote: "none", refusal: null });
  assert.deepEqual(await target.remove(ours), { remote: "none", refusal: null });
  node.fail({ how: { status: 503, body: "no" } });
  assert.deepEqual(await target.remove(ours), { remote: "ours", refusal: { status: 503, message: "HTTP 503: no" } });
});

test("removing what may be ours: looked at first, and only our own is taken away", async (t) => {
  const { node, target } = await setUp(t);
  node.streams.set(ID, OTHER);
  assert.deepEqual(await target.remove(command({ remote: "maybe" })), { remote: "foreign", refusal: null });
  assert.equal(node.streams.size, 1);
  node.fail({ method: "GET", how: "dropBody", times: 1, afterDoing: true });
  assert.equal((await target.remove(command({ remote: "maybe", sent: OTHER }))).remote, "maybe");
  assert.deepEqual(await target.remove(command({ remote: "maybe", sent: OTHER })), { remote: "none", refusal: null });
  assert.equal(node.streams.size, 0);
});

test("while a command may still take effect, nothing counts as removed", async (t) => {
  const { node, target } = await setUp(t);
  const late = { remote: "maybe", refusal: { status: 0, message: "waiting whether a late command takes effect" } };
  assert.deepEqual(await target.remove(command({ remote: "maybe", unclear: true })), late);
  node.streams.set(ID, PAYLOAD);
  assert.deepEqual(await target.remove(command({ remote: "ours", sent: PAYLOAD, unclear: true })), late);
  assert.equal(node.streams.size, 0);
});

test("a check tells the same stream from another, from none, and from silence", async (t) => {
  const { node, target } = await setUp(t, { deadlineMs: 2_000 });
  assert.deepEqual(await target.check(PAYLOAD), { found: "missing" });
  node.streams.set(ID, { ...PAYLOAD, more: 1 });
  assert.deepEqual(await target.check(PAYLOAD), { found: "same" });
  assert.deepEqual(await target.check(OTHER), { found: "different" });
  node.fail({ how: "hang" });
  assert.equal((await target.check(PAYLOAD)).found, "unreachable");
});

test("without a lease no request leaves, and nothing is forgotten", async (t) => {
  const { node, target } = await setUp(t, { alive: false });
  node.streams.set(ID, OTHER);
  const { remote, refusal } = await target.push(command({ remote: "ours", sent: OTHER }));
  assert.deepEqual([remote, refusal?.status], ["ours", 0]);
  assert.equal((await target.remove(command({ remote: "ours", sent: OTHER }))).remote, "ours");
  assert.equal(node.seen.length, 0);
});

test("a credential that no header may hold is told, and nothing is sent", async (t) => {
  const { node, target } = await setUp(t, { credential: "s3cret\n" });
  const refusal = { status: 0, message: "not sent: ERR_INVALID_CHAR" };
  assert.deepEqual(await target.push(command()), { ...accepted, remote: "none", refusal });
  assert.deepEqual(await target.check(PAYLOAD), { found: "unreachable", refusal });
  assert.equal(node.seen.length, 0);
});

test("a node that a tenant named is not followed to a private address, one that an admin named or allowed is", async (t) => {
  const message = "not sent: it leads to a private address (see ALLOW_PRIVATE_SOURCES)";
  for (const host of ["127.0.0.1", "localhost"]) {
    const refused = await setUp(t, { host, trusted: false });
    const refusal = { status: 0, message };
    assert.deepEqual(await refused.target.push(command()), { ...accepted, remote: "none", refusal }, host);
    assert.equal(refused.node.seen.length, 0);
    const allowed = await setUp(t, { host, trusted: false, allowed: ["127.0.0.0/8", "::1"] });
    assert.deepEqual(await allowed.target.push(command()), accepted, host);
    const trusted = await setUp(t, { host });
    assert.deepEqual(await trusted.target.push(command()), accepted, host);
  }
});
