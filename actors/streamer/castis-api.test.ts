import assert from "node:assert/strict";
import { test } from "node:test";
import { castisSuite } from "../../test/castis/suite.ts";
import type { Ingest, StartIngest } from "./ingest.ts";
import { CHEAP, KEYS, startWorld, type WorldOptions } from "./streamers.fixture.ts";

/** Gives nothing, costs nothing. */
const silent: StartIngest = (): Ingest => ({ stop: async () => {}, kill: async () => {} });
const world = (t: Parameters<typeof startWorld>[0], options: WorldOptions = {}) =>
  startWorld(t, { startIngest: silent, ...options });

const REQUEST_ID = "castis-1";
const call = async (
  base: string | undefined,
  method: string,
  path: string,
  options: { key?: string; body?: string } = {},
) => {
  const response = await fetch(`${base}/api/streams/${path}`, {
    method,
    headers: {
      "x-request-id": REQUEST_ID,
      ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
    },
    ...(options.body === undefined ? {} : { body: options.body }),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};
const URL_FIELD = { url: "udp://239.255.77.42:47111" };

test("our own node keeps the castis contract", async (t) => {
  const { bases } = await world(t);
  await castisSuite(t, { baseUrl: bases[0] ?? "", credential: KEYS.full });
});

test("GET shows exactly what was posted and the state; errors are problem documents", async (t) => {
  const { bases } = await world(t);
  const [base] = bases;
  const posted = { ...URL_FIELD, ...CHEAP, vendorKey: [1, { a: null }], castellan: { leaseEpoch: 3 } };
  const made = await call(base, "POST", "a.stream", { key: KEYS.full, body: JSON.stringify(posted) });
  assert.deepEqual(made, { status: 201, body: { streamId: "a.stream" } });
  const shown = await call(base, "GET", "a.stream", { key: KEYS.read });
  assert.deepEqual(shown, { status: 200, body: { ...posted, status: "starting" } });
  const again = await call(base, "POST", "a.stream", { key: KEYS.full, body: JSON.stringify(posted) });
  assert.deepEqual(again, {
    status: 500,
    body: {
      type: "urn:castellan:error:STREAM_EXISTS",
      title: "Stream exists",
      status: 500,
      code: "STREAM_EXISTS",
      detail: "stream already exists",
      requestId: REQUEST_ID,
    },
  });
});

test("what is not at the listener at all is a problem document too", async (t) => {
  const { bases } = await world(t);
  const { status, body } = await call(bases[0], "GET", "../nothing", {});
  assert.deepEqual([status, body.code, body.requestId], [404, "NOT_FOUND", REQUEST_ID]);
});

test("the tenant is that of the key: others neither see nor touch its streams", async (t) => {
  const { bases } = await world(t);
  const [base] = bases;
  const body = JSON.stringify({ ...URL_FIELD, ...CHEAP });
  await call(base, "POST", "a.stream", { key: KEYS.full, body });
  assert.equal((await call(base, "GET", "a.stream", { key: KEYS.other })).status, 404);
  assert.equal((await call(base, "DELETE", "a.stream", { key: KEYS.other })).status, 404);
  assert.equal((await call(base, "POST", "a.stream", { key: KEYS.other, body })).status, 201);
  assert.equal((await call(base, "GET", "a.stream", { key: KEYS.full })).status, 200);
});

test("a key without the scope is told so with 403, other methods with 405, bad fields with 422", async (t) => {
  const { bases } = await world(t);
  const [base] = bases;
  const codes: (readonly [string, number])[] = [];
  const note = ({ status, body }: { status: number; body: Record<string, unknown> }) =>
    void codes.push([String(body.code), status]);
  note(await call(base, "POST", "a.stream", { key: KEYS.read, body: JSON.stringify(URL_FIELD) }));
  note(await call(base, "PUT", "a.stream", { key: KEYS.full }));
  note(await call(base, "POST", "Not A Stream", { key: KEYS.full, body: JSON.stringify(URL_FIELD) }));
  note(await call(base, "POST", "%ff.stream", { key: KEYS.full, body: JSON.stringify(URL_FIELD) }));
  note(await call(base, "POST", "a.stream", { key: KEYS.full, body: `{"url":"${"x".repeat(70_000)}"}` }));
  for (const body of [
    { url: "file:///etc/passwd" },
    { url: "concat:a|b" },
    { url: "http://127.0.0.1/x.ts" },
    { url: "pl:///../x" },
    { url: "pl:///missing" },
    { ...URL_FIELD, chunkDuration: 4 },
    { ...URL_FIELD, ladder: [{ height: 1 }] },
  ]) {
    note(await call(base, "POST", "a.stream", { key: KEYS.full, body: JSON.stringify(body) }));
  }
  assert.deepEqual(codes, [
    ["SCOPE_MISSING", 403],
    ["METHOD_NOT_ALLOWED", 405],
    ["BAD_INPUT", 422],
    ["BAD_INPUT", 422],
    ["BODY_TOO_LARGE", 413],
    ["SOURCE_URL_REFUSED", 422],
    ["SOURCE_URL_REFUSED", 422],
    ["SOURCE_URL_REFUSED", 422],
    ["SOURCE_URL_REFUSED", 422],
    ["PLAYLIST_NOT_FOUND", 404],
    ["BAD_INPUT", 422],
    ["BAD_INPUT", 422],
  ]);
  assert.equal((await call(base, "GET", "a.stream", { key: KEYS.full })).status, 404);
});

test("an admin's key may name private addresses", async (t) => {
  const { bases } = await world(t);
  const body = JSON.stringify({ url: "http://127.0.0.1:9/x.ts" });
  assert.equal((await call(bases[0], "POST", "a.stream", { key: KEYS.admin, body })).status, 201);
});

test("a stream that a supervisor commands can't be removed over the castis API, nor made a second time", async (t) => {
  const started = await world(t);
  await started.start({ url: URL_FIELD.url, streamId: "a.stream" }, { leaseEpoch: 4 });
  const [base] = started.bases;
  const removed = await call(base, "DELETE", "a.stream", { key: KEYS.full });
  assert.deepEqual([removed.status, removed.body.code], [409, "STALE_EPOCH"]);
  const made = await call(base, "POST", "a.stream", { key: KEYS.full, body: JSON.stringify(URL_FIELD) });
  assert.equal(made.body.code, "STREAM_EXISTS");
});

test("posts beyond the capacity are refused", async (t) => {
  const { bases } = await world(t, { streamsMax: 1 });
  const body = JSON.stringify(URL_FIELD);
  assert.equal((await call(bases[0], "POST", "a.stream", { key: KEYS.full, body })).status, 201);
  const second = await call(bases[0], "POST", "b.stream", { key: KEYS.full, body });
  assert.deepEqual([second.status, second.body.code], [503, "STREAMER_FULL"]);
});
