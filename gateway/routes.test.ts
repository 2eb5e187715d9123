import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { fail } from "../contracts/errors.ts";
import { SCOPES } from "../contracts/tenant.ts";
import { keyWith, rawRequest, type Stub, TENANT_ID, testGateway } from "./gateway.fixture.ts";
import { EXAMPLES } from "./openapi-examples.ts";
import { ASKS, CONTRACTS, methodsAt, ROUTES, type Route } from "./routes.ts";

const NO_ASKS = ["episode-place", "error-entry", "query-fields", "title-errors", "errors", "ids", "kit"];
/** Ids are numbers or UUIDs. */
const pathOf = ({ template, shape }: Route): string =>
  template.replace(/:(\w+)/g, (_, name: string) => (shape[name]?.safeParse("7").success ? "7" : TENANT_ID));
const bodyOf = ({ ask, hasBody }: Route): unknown => {
  if (!hasBody) return undefined;
  const examples = EXAMPLES[ask.name] ?? (ask.name === "channel.replace" ? EXAMPLES["channel.create"] : undefined);
  return Object.values(examples ?? {})[0]?.value ?? {};
};

test("every contract file is in the list of asks", () => {
  const files = readdirSync(new URL("../contracts/", import.meta.url))
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => name.replace(/\.ts$/, ""));
  assert.deepEqual(Object.keys(CONTRACTS).sort(), files.filter((name) => !NO_ASKS.includes(name)).sort());
});

test("no two asks share a name, and no two routes a method and a path", () => {
  assert.equal(new Set(ASKS.map(({ name }) => name)).size, ASKS.length);
  const places = ROUTES.map(({ rest, template }) => `${rest.method} ${template.replace(/:\w+/g, ":")}`);
  assert.equal(new Set(places).size, places.length);
});

test("an ask with a REST route answers an object with data, whose names the envelope does not use", () => {
  for (const { ask } of ROUTES) {
    const shape = (ask.result as { shape?: Record<string, unknown> }).shape ?? {};
    assert.ok("data" in shape, ask.name);
    assert.ok(!("success" in shape), ask.name);
  }
});

test("every ask with a REST route is routed to, guarded by a key and by its scope", async (t) => {
  const reached: string[] = [];
  const noteAndRefuse =
    (name: string): Stub =>
    () => {
      reached.push(name);
      return fail("STREAM_NOT_FOUND"); // of no route: shows that the answer comes from the actor
    };
  const stubs = Object.fromEntries(ROUTES.map(({ ask }) => [ask.name, noteAndRefuse(ask.name)]));
  const { call } = await testGateway(t, { stubs });
  for (const route of ROUTES) {
    const { method, scope } = route.rest;
    const ask = (key: string | null) => call(method, pathOf(route), { key, body: bodyOf(route) });
    const name = `${method} ${route.template}`;

    for (const key of [null, "wrong"]) {
      const { status, body, headers } = await ask(key);
      assert.deepEqual([status, body.code], [401, "UNAUTHENTICATED"], name);
      assert.match(headers.get("www-authenticate") ?? "", /^Bearer/);
    }
    const others = SCOPES.filter((other) => other !== scope);
    const weak = await ask(keyWith(...others));
    assert.deepEqual([weak.status, weak.body.code], [403, "SCOPE_MISSING"], name);
    assert.match(String(weak.body.detail), new RegExp(scope));
    assert.equal(reached.length, 0, name);

    const { body } = await ask(keyWith(scope));
    assert.equal(body.code, "STREAM_NOT_FOUND", `${name}: ${JSON.stringify(body)}`);
    assert.deepEqual(reached.splice(0), [route.ask.name]);
  }
});

test("nothing internal is reachable, with whatever key", async (t) => {
  const { url, call, broker } = await testGateway(t);
  const internal = ASKS.filter(({ rest }) => !rest).map(({ name }) => name);
  const names = [...internal, "$node.list", "~node.list", "$node.health", "gateway.rest", "gateway.listAliases"];
  for (const name of names) {
    for (const path of [name, name.replaceAll(".", "/"), encodeURIComponent(name)]) {
      for (const method of ["GET", "POST"]) {
        const { status } = await rawRequest(url, method, `/api/v1/${path}`);
        assert.ok(status === 404 || status === 405, `${method} ${path}: ${status}`);
      }
    }
  }
  assert.equal((await call("GET", "/api/v1/list-aliases")).status, 404);
  assert.deepEqual(Object.keys(broker.getLocalService("gateway").actions), ["rest"]);
  // What every other node is told of this one.
  const services: object[] = Object.values(broker.getLocalNodeInfo().services);
  const announced = services.find((service) => "name" in service && service.name === "gateway") as
    | { settings: object; actions: object }
    | undefined;
  assert.deepEqual(Object.keys(announced?.settings ?? {}).includes("routes"), false);
  assert.deepEqual(Object.keys(announced?.actions ?? {}), []);
});

test("methodsAt knows every path and nothing else", () => {
  assert.deepEqual(methodsAt("/api/v1/channels"), ["GET", "HEAD", "POST", "OPTIONS"]);
  assert.deepEqual(methodsAt("/api/v1/channels/7/start"), ["POST", "OPTIONS"]);
  for (const path of [
    "/api/v1",
    "/api/v1/",
    "/api/v1/channels/",
    "/api/v1//channels",
    "/channels",
    "/API/v1/channels",
  ]) {
    assert.deepEqual(methodsAt(path), [], path);
  }
});
