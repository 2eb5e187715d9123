/**
 * The contract of `POST/GET/DELETE {base}/api/streams/:streamId`, as the playback document has it, for any node that
 * claims to speak it: the stand-in and our own streamer.
 */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";

export interface CastisNode {
  readonly baseUrl: string;
  /** Bearer token; null for a node that asks for none. */
  readonly credential: string | null;
}

const ANSWER_DEADLINE_MS = 15_000;

/** A source that costs a node nothing: a multicast group on which nobody sends. */
const CONFIG = {
  chunkDuration: "4000ms",
  fragmentDuration: "200ms",
  forceClean: true,
  netTimeout: "500ms",
  profile: "low",
  url: "udp://239.255.77.41:47110?fifo_size=1000&overrun_nonfatal=1",
};

export const castisSuite = async (t: TestContext, node: CastisNode): Promise<void> => {
  const run = `${Date.now().toString(36)}${Math.floor(Math.random() * 1e6).toString(36)}`;
  let count = 0;
  const made: string[] = [];

  const call = async (
    method: string,
    streamId: string,
    options: { body?: string; credential?: string | null } = {},
  ) => {
    const credential = options.credential === undefined ? node.credential : options.credential;
    const response = await fetch(`${node.baseUrl}/api/streams/${encodeURIComponent(streamId)}`, {
      method,
      headers: {
        ...(credential === null ? {} : { authorization: `Bearer ${credential}` }),
        ...(options.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(options.body === undefined ? {} : { body: options.body }),
      redirect: "manual",
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
    });
    return { status: response.status, text: await response.text() };
  };
  const post = (streamId: string, config: unknown) => call("POST", streamId, { body: JSON.stringify(config) });
  const newId = (): string => {
    const streamId = `suite_${run}_${++count}.stream`;
    made.push(streamId);
    return streamId;
  };

  await t.test("a new stream is answered with 200 or 201", async () => {
    const { status } = await post(newId(), CONFIG);
    assert.ok(status === 200 || status === 201, `status ${status}`);
  });

  await t.test("GET shows each field that was sent, with its value", async () => {
    const streamId = newId();
    await post(streamId, CONFIG);
    const { status, text } = await call("GET", streamId);
    assert.equal(status, 200);
    const shown = JSON.parse(text) as Record<string, unknown>;
    for (const [key, value] of Object.entries(CONFIG)) assert.deepEqual(shown[key], value, key);
  });

  await t.test("a second POST of the same stream is answered with 500 and changes nothing", async () => {
    const streamId = newId();
    await post(streamId, CONFIG);
    assert.equal((await post(streamId, CONFIG)).status, 500);
    assert.equal((await post(streamId, { ...CONFIG, netTimeout: "900ms" })).status, 500);
    const shown = JSON.parse((await call("GET", streamId)).text) as Record<string, unknown>;
    assert.equal(shown.netTimeout, CONFIG.netTimeout);
  });

  await t.test("two POSTs at once make one stream: one is accepted, the other told that it exists", async () => {
    const streamId = newId();
    const statuses = (await Promise.all([post(streamId, CONFIG), post(streamId, CONFIG)])).map((r) => r.status);
    assert.equal(statuses.filter((status) => status === 500).length, 1, statuses.join());
  });

  await t.test("DELETE removes the stream, and it can be made again with another configuration", async () => {
    const streamId = newId();
    await post(streamId, CONFIG);
    const removed = await call("DELETE", streamId);
    assert.ok(removed.status === 200 || removed.status === 204, `status ${removed.status}`);
    assert.equal((await call("GET", streamId)).status, 404);
    const again = await post(streamId, { ...CONFIG, netTimeout: "900ms" });
    assert.ok(again.status === 200 || again.status === 201, `status ${again.status}`);
    const shown = JSON.parse((await call("GET", streamId)).text) as Record<string, unknown>;
    assert.equal(shown.netTimeout, "900ms");
  });

  await t.test("GET and DELETE of a stream that is not there are answered with 404", async () => {
    const streamId = newId();
    assert.equal((await call("GET", streamId)).status, 404);
    assert.equal((await call("DELETE", streamId)).status, 404);
  });

  await t.test("streams do not touch each other", async () => {
    const [one, other] = [newId(), newId()];
    await post(one, CONFIG);
    await post(other, CONFIG);
    await call("DELETE", one);
    assert.equal((await call("GET", other)).status, 200);
  });

  await t.test("a body that is not JSON, or has no url, is answered with 4xx and makes no stream", async () => {
    const { url: _url, ...withoutUrl } = CONFIG;
    for (const body of ["{", "[]", '"x"', JSON.stringify(withoutUrl), JSON.stringify({ ...CONFIG, url: 7 })]) {
      const streamId = newId();
      const { status } = await call("POST", streamId, { body });
      assert.ok(status >= 400 && status < 500, `${body}: status ${status}`);
      assert.equal((await call("GET", streamId)).status, 404);
    }
  });

  if (node.credential !== null)
    await t.test("without the credential, or with a wrong one, every request is answered with 401", async () => {
      const streamId = newId();
      for (const credential of [null, "wrong"])
        for (const method of ["POST", "GET", "DELETE"]) {
          const body = method === "POST" ? { body: JSON.stringify(CONFIG) } : {};
          assert.equal((await call(method, streamId, { ...body, credential })).status, 401, method);
        }
      assert.equal((await call("GET", streamId)).status, 404);
    });

  for (const streamId of made) await call("DELETE", streamId);
};
