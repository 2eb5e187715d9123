import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { test } from "node:test";
import { codeOf } from "../contracts/errors.ts";
import { readBody } from "./body.ts";
import { problemReply, writeReply } from "./reply.ts";

test("a body that does not arrive in time is the client's fault, and its connection ends with the answer", async (t) => {
  const server = createServer((request, response) => {
    readBody(request, 50).catch((fault) => writeReply(response, problemReply(fault, "late-1")));
  });
  t.after(() => server.close());
  await once(server.listen(0, "127.0.0.1"), "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.write("POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
  let text = "";
  socket.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  await once(socket, "end");
  const [head = "", body = ""] = text.split("\r\n\r\n");
  assert.match(head, /^HTTP\/1\.1 408 /);
  assert.match(head, /^Connection: close$/im);
  assert.match(head, /^Retry-After: 1$/im);
  assert.equal(codeOf(JSON.parse(body)), "BODY_LATE");
});
