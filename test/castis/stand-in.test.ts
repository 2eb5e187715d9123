import assert from "node:assert/strict";
import { test } from "node:test";
import { castisStandIn } from "./stand-in.ts";
import { castisSuite } from "./suite.ts";

test("the stand-in keeps the castis contract", async (t) => {
  const node = await castisStandIn(t);
  await castisSuite(t, { baseUrl: node.baseUrl, credential: null });
  assert.deepEqual([...node.streams.keys()], []);
});

test("the stand-in keeps the castis contract with a credential", async (t) => {
  const node = await castisStandIn(t, { credential: "s3cret" });
  await castisSuite(t, { baseUrl: node.baseUrl, credential: "s3cret" });
});

test("the stand-in fails as it is told, and only then", async (t) => {
  const node = await castisStandIn(t);
  const post = async (deadlineMs = 10_000) => {
    const response = await fetch(`${node.baseUrl}/api/streams/a.stream`, {
      method: "POST",
      body: '{"url":"udp://239.0.0.1:1"}',
      signal: AbortSignal.timeout(deadlineMs),
    });
    return { status: response.status, text: await response.text() };
  };
  node.fail({ method: "POST", how: { status: 503, body: "no" }, times: 1 });
  assert.deepEqual(await post(), { status: 503, text: "no" });
  node.fail({ how: "reset", times: 1 });
  await assert.rejects(post());
  node.fail({ how: "hang", times: 1 });
  await assert.rejects(post(100), { name: "TimeoutError" });
  node.fail({ how: "dropBody", times: 1 });
  await assert.rejects(post());
  assert.equal(node.streams.size, 0);
  node.fail({ how: "hang", times: 1, afterDoing: true });
  await assert.rejects(post(100), { name: "TimeoutError" });
  assert.equal(node.streams.size, 1);
  node.streams.clear();
  node.fail({ how: { slowMs: 30 }, times: 1 });
  assert.equal((await post()).status, 201);
  assert.equal(node.count("POST", "a.stream"), 6);
});
