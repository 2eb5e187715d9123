/** The raw listener behind TLS. A key that both sides know takes the place of certificates. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type TestContext, test } from "node:test";
import { connect, type TLSSocket } from "node:tls";
import type { RawHandler } from "./exchange.ts";
import { bodiesOf, masked, rawListener } from "./raw.fixture.ts";

const KEY = Buffer.from("0123456789abcdef");
const SHARED = { ciphers: "PSK-AES256-GCM-SHA384", minVersion: "TLSv1.2", maxVersion: "TLSv1.2" } as const;
const HOST = "Host: a.example\r\n";

const connected = async (t: TestContext, handle: RawHandler): Promise<TLSSocket> => {
  const { port } = await rawListener(t, handle, { tls: { ...SHARED, pskCallback: () => KEY } });
  const socket = connect({
    ...SHARED,
    port,
    host: "127.0.0.1",
    pskCallback: () => ({ psk: KEY, identity: "client" }),
    checkServerIdentity: () => undefined,
  });
  t.after(() => socket.destroy());
  await once(socket, "secureConnect");
  return socket;
};

const received = async (socket: TLSSocket): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of socket) chunks.push(chunk);
  return Buffer.concat(chunks);
};

test("requests over TLS are answered like others, and are known to be encrypted", async (t) => {
  const released: string[] = [];
  const large = Buffer.alloc(3_000_001, "large");
  const socket = await connected(t, async (request) => {
    if (request.path === "/large") return request.send(200, "", large, () => released.push("large"));
    const body = await request.readBody(100);
    request.send(200, "", Buffer.from(`${request.encrypted} ${request.host} ${body}`));
  });
  socket.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nhello`);
  socket.write(`GET /large HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
  const bytes = await received(socket);
  const [first = "", second = ""] = bodiesOf(masked(bytes.toString("latin1")));
  assert.equal(first, "true a.example hello");
  assert.equal(second.length, large.length);
  assert.ok(bytes.subarray(-large.length).equals(large));
  assert.deepEqual(released, ["large"]);
});

test("a body that is cut over TLS does not look whole", async (t) => {
  const socket = await connected(t, async (request) => {
    const writer = request.begin(200, "", null);
    await writer.write(Buffer.from("half"));
    writer.abort();
  });
  socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  const text = await received(socket).then(
    (bytes) => bytes.toString("latin1"),
    () => "",
  );
  assert.doesNotMatch(text, /\r\n0\r\n\r\n$/);
});

test("memory of a body is given back when its client leaves in the middle", async (t) => {
  const body = Buffer.alloc(64 * 1024 * 1024);
  const released = Promise.withResolvers<void>();
  const socket = await connected(t, (request) => request.send(200, "", body, () => released.resolve()));
  socket.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await once(socket, "data");
  socket.destroy();
  await released.promise;
});
