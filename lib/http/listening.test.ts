import assert from "node:assert/strict";
import { createServer } from "node:net";
import { test } from "node:test";
import { holdPort, listening } from "./listening.ts";

test("a port that is held is nobody else's until it is let go", async (t) => {
  const held = await holdPort("127.0.0.1");
  const place = { host: "127.0.0.1", port: held.port, portVariable: "EDGE_PORT" };
  await assert.rejects(listening(createServer(), place), { name: "ConfigError", message: /EDGE_PORT: .*is taken/ });
  await held.release();
  const server = createServer();
  t.after(() => server.close());
  assert.equal(await listening(server, place), held.port);
});
