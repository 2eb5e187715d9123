import assert from "node:assert/strict";
import { test } from "node:test";
import { quietLog } from "../log/log.ts";
import { type Handler, openListener } from "./listener.ts";
import { writeProblem } from "./problem.ts";

/** What a listener with this handler answers. */
const answerOf = async (handle: Handler, init: RequestInit = {}): Promise<Response> => {
  const ready = () => ({ ready: true, checks: {} });
  const place = { name: "test", host: "127.0.0.1", port: 0, portVariable: "PORT" };
  const listener = await openListener({ ...place, log: quietLog, ready, handle });
  const response = await fetch(`http://127.0.0.1:${listener.port}/x`, init);
  const text = await response.arrayBuffer();
  await listener.close(0);
  return new Response(text.byteLength === 0 ? null : text, response);
};

test("a problem says what went wrong, in which words, and under which request id", async () => {
  const answer = await answerOf(
    (request, response) => writeProblem({ request, response }, { code: "STARTING", data: { what: "The stream" } }),
    { headers: { "x-request-id": "abc-1" } },
  );
  const names = ["content-type", "cache-control", "retry-after", "x-request-id"];
  assert.deepEqual(
    [answer.status, ...names.map((name) => answer.headers.get(name))],
    [503, "application/problem+json", "no-store", "1", "abc-1"],
  );
  assert.deepEqual(await answer.json(), {
    type: "urn:castellan:error:STARTING",
    title: "Starting",
    status: 503,
    code: "STARTING",
    detail: "The stream is not ready yet.",
    requestId: "abc-1",
  });
});

test("complaints are shown, other data only in the sentence", async () => {
  const data = { errors: [{ path: "url", message: "is needed" }], secret: "x" };
  const answer = await answerOf((request, response) =>
    writeProblem({ request, response }, { code: "BAD_INPUT", data }),
  );
  const { errors, secret } = (await answer.json()) as Record<string, unknown>;
  assert.deepEqual([errors, secret], [data.errors, undefined]);
});

test("an id that is no word of a log is not taken over; the header and the document have the same new one", async () => {
  const answer = await answerOf((request, response) => writeProblem({ request, response }, { code: "NOT_FOUND" }), {
    headers: { "x-request-id": "two words" },
  });
  const { requestId } = (await answer.json()) as { requestId: string };
  assert.match(requestId, /^[0-9a-f-]{36}$/);
  assert.equal(answer.headers.get("x-request-id"), requestId);
});

test("HEAD gets the head alone, and an answer that has begun is left as it is", async () => {
  const refuse: Handler = (request, response) => writeProblem({ request, response }, { code: "NOT_FOUND" });
  const head = await answerOf(refuse, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [404, ""]);
  const begun = await answerOf((request, response) => {
    response.end("well");
    refuse(request, response);
  });
  assert.deepEqual([begun.status, await begun.text()], [200, "well"]);
});

test("a handler that fails is INTERNAL without its message, under the id that the log has", async () => {
  for (const fails of [() => Promise.reject(new Error("password=hunter2")), () => assert.fail("password=hunter2")]) {
    const answer = await answerOf(fails, { headers: { "x-request-id": "abc-2" } });
    const text = await answer.text();
    assert.doesNotMatch(text, /hunter2/);
    const { code, requestId } = JSON.parse(text) as Record<string, unknown>;
    assert.deepEqual([answer.status, code, requestId], [500, "INTERNAL", "abc-2"]);
  }
});

test("who knows when to come again says so", async () => {
  const archived = { code: "SOURCE_ARCHIVED", data: { path: "a.mp4", retryAfterSeconds: 900 } } as const;
  const answer = await answerOf((request, response) => writeProblem({ request, response }, archived));
  assert.deepEqual([answer.status, answer.headers.get("retry-after")], [503, "900"]);
});
