import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { h2Fields } from "./h2-lines.ts";

// What an origin repeats against its standard must not cost the whole answer: node:http2 refuses to send such fields.
test("fields that may stand once are sent once, lists as often as they came, and node sends the whole", async (t) => {
  const repeated = ["Content-Type: a/b", "Content-Type: c/d", 'ETag: "1"', 'ETag: "2"', "Vary: A", "Vary: B"];
  const more = ["Expires: 0", "Expires: 1", "X-Content-Type-Options: nosniff", "X-Content-Type-Options: nosniff"];
  const fields = h2Fields(999, [...repeated, ...more, "Connection: x", ""].join("\r\n"), 0);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  server.on("stream", (stream) => {
    const headers: Record<string, string | string[]> = { [constants.HTTP2_HEADER_STATUS]: fields[1] ?? "" };
    for (let at = 2; at < fields.length; at += 2) {
      const [name = "", value = ""] = fields.slice(at, at + 2);
      const before = headers[name];
      headers[name] = before === undefined ? value : [before, value].flat();
    }
    stream.respond(headers, { endStream: true });
  });
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  t.after(() => {
    client.close();
    server.close();
  });
  const request = client.request({ ":path": "/" });
  const [got] = await once(request, "response");
  assert.equal(got[":status"], 500);
  assert.deepEqual([got["content-type"], got.etag, got.vary], ["a/b", '"1"', "A, B"]);
  assert.deepEqual([got.expires, got["x-content-type-options"], got.connection], ["0", "nosniff", undefined]);
});
