import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import type { TLSSocket } from "node:tls";
import { h2Listener, tlsTo } from "./h2.fixture.ts";
import { RawClient } from "./raw.fixture.ts";

const TURNED_AWAY_MAX = 256; // these are told why

test("connections that never shake hands are limited for each address, and leave nothing behind", async (t) => {
  const { port } = await h2Listener(t, (request) => request.send(200, "", Buffer.from("fine")), {
    limits: { connectionsPerAddress: 2, firstByteMs: 5_000 },
  });
  for (let i = 0; i < 2 * TURNED_AWAY_MAX; i += 1) (await tlsTo(t, port)).destroy();
  const silent: RawClient[] = [];
  t.after(() => {
    for (const client of silent) client.destroy();
  });
  for (let i = 0; i < TURNED_AWAY_MAX + 3; i += 1) silent.push(await RawClient.to(port));
  const last = silent.at(-1);
  await last?.until(() => last.ending !== undefined);
  for (const client of silent) client.destroy();
  // They are let go once they are late with their handshakes.
  let socket: TLSSocket | undefined;
  while (!socket) socket = await tlsTo(t, port, ["http/1.1"]).catch(() => undefined);
  socket.write("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
  assert.match(String((await once(socket, "data"))[0]), /^HTTP\/1\.1 200 OK/);
});
