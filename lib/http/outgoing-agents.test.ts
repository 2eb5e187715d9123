import assert from "node:assert/strict";
import { createServer, get } from "node:http";
import type { AddressInfo } from "node:net";
import { type TestContext, test } from "node:test";
import { ADDRESS_REFUSED, OutgoingAgents } from "./outgoing-agents.ts";

const portOf = async (t: TestContext): Promise<number> => {
  const server = createServer((_, response) => response.end("here"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close().closeAllConnections());
  return (server.address() as AddressInfo).port;
};
/** The status, or the code of the error. */
const ask = (agents: OutgoingAgents, url: string, trusted: boolean): Promise<number | string | undefined> =>
  new Promise((resolve) => {
    get(url, { agent: agents.for(new URL(url), { trusted }) }, (response) => resolve(response.resume().statusCode)).on(
      "error",
      (error: NodeJS.ErrnoException) => resolve(error.code),
    );
  });

test("a connection to a private address is refused, however the URL names it", async (t) => {
  const port = await portOf(t);
  const agents = new OutgoingAgents(["10.0.0.0/8"]);
  for (const host of ["127.0.0.1", "localhost", "127.1", "[::ffff:127.0.0.1]", "[::1]"]) {
    for (const scheme of ["http", "https"]) {
      const url = `${scheme}://${host}:${port}/`;
      assert.equal(scheme === "http" ? await ask(agents, url, false) : await askTls(agents, url), ADDRESS_REFUSED, url);
    }
  }
});

const askTls = async (agents: OutgoingAgents, url: string): Promise<unknown> => {
  const { get: getTls } = await import("node:https");
  return new Promise((resolve) => {
    const request = getTls(url, { agent: agents.for(new URL(url), { trusted: false }) }, (r) => resolve(r.statusCode));
    request.on("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
};

test("what is trusted or allowed is reached", async (t) => {
  const port = await portOf(t);
  for (const host of ["127.0.0.1", "localhost"]) {
    const url = `http://${host}:${port}/`;
    assert.equal(await ask(new OutgoingAgents([]), url, true), 200, host);
    assert.equal(await ask(new OutgoingAgents(["127.0.0.0/8", "::1"]), url, false), 200, host);
  }
});

test("a kept connection of a trusted one does not serve another", async (t) => {
  const port = await portOf(t);
  const agents = new OutgoingAgents([], { keepAlive: true });
  t.after(() => agents.close());
  const url = `http://localhost:${port}/`;
  assert.equal(await ask(agents, url, true), 200);
  assert.equal(await ask(agents, url, false), ADDRESS_REFUSED);
});
