/** Frames without sense, from a seed: nothing crashes, nothing hangs, and the next client is served. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { seeded } from "../../test/support/seeded.ts";
import { ask, FrameClient, frame, HEADERS, h2Client, headerBlock, REQUEST, timedH2 } from "./h2.fixture.ts";
import { settle } from "./raw.fixture.ts";

const ROUNDS = 150;
const FRAMES_MAX = 30;

type Random = ReturnType<typeof seeded>;

const PATHS = ["/", "/body", "/pieces", "/abort"];

/** Often a request, sometimes a frame that could be one, sometimes noise. */
const anyFrame = (random: Random, streamId: number): Buffer => {
  const noise = Buffer.from(Array.from({ length: random.int(60) }, () => random.int(256)));
  const kind = random.int(20);
  if (kind < 17) {
    const method = random.int(2) === 0 ? "GET" : "POST";
    const fields = REQUEST.map(([name, value]): readonly [string, string] => {
      if (name === ":path") return [name, PATHS[random.int(PATHS.length)]!];
      return [name, name === ":method" ? method : value];
    });
    return frame(HEADERS, 4 | (method === "GET" || random.int(2) === 0 ? 1 : 0), streamId, headerBlock(fields));
  }
  if (kind === 17) return frame(random.int(11), random.int(256), random.int(2) * streamId, noise);
  if (kind === 18)
    return frame(random.int(10), random.int(6), streamId, noise.subarray(0, [0, 4, 5, 6, 8][random.int(5)]));
  return random.int(8) === 0 ? noise : frame(0, random.int(2), streamId, noise);
};

test("no order of frames harms the listener or other clients", async (t) => {
  let answered = 0;
  const { listener, pass } = await timedH2(t, async (request) => {
    answered += 1;
    if (request.path === "/body") return request.send(200, "", await request.readBody(1_000));
    if (request.path === "/") return request.send(200, "", Buffer.alloc(70_000));
    const writer = request.begin(200, "", null);
    await writer.write(Buffer.alloc(100));
    if (request.path === "/abort") writer.abort();
    else await writer.end();
  });
  const { port } = listener;
  for (let seed = 1; seed <= ROUNDS; seed += 1) {
    const random = seeded(seed);
    const client = await FrameClient.to(t, port);
    const count = 1 + random.int(FRAMES_MAX);
    for (let i = 0; i < count && !client.isClosed; i += 1) {
      client.send(anyFrame(random, 2 * i + 1));
      if (random.int(3) === 0) await settle();
    }
    if (!client.isClosed) {
      const closed = once(client.socket, "close");
      if (random.int(2) === 0) client.socket.end();
      else client.socket.destroy();
      await closed;
    }
  }
  assert.ok(answered > ROUNDS, `${answered}`);
  // node:http2 stops reading after some errors of a client, and does not see it leave: deadlines do.
  for (let i = 0; i < 4 && listener.connectionCount > 0; i += 1) await pass(100);
  while (listener.connectionCount > 0) await settle();
  const session = await h2Client(t, port);
  assert.equal((await ask(session, { ":path": "/pieces" })).body.length, 100);
});
