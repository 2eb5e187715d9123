import assert from "node:assert/strict";
import { test } from "node:test";
import { Validator } from "@seriousme/openapi-schema-validator";
import { createChannel } from "../contracts/channel.ts";
import { ERRORS } from "../contracts/errors.ts";
import { TENANT_ID, testGateway } from "./gateway.fixture.ts";
import { openApiDocument } from "./openapi.ts";
import { EXAMPLES } from "./openapi-examples.ts";
import { JOB_EVENT_PATHS } from "./openapi-job-events.ts";
import type { JsonSchema } from "./openapi-schemas.ts";
import { TUS_PATHS } from "./openapi-uploads.ts";
import { ASKS, FILLED_FIELDS, ROUTES } from "./routes.ts";

interface Operation {
  readonly operationId: string;
  readonly parameters: readonly { name?: string; in?: string; $ref?: string; schema?: JsonSchema }[];
  readonly requestBody?: { content: Record<string, { schema: { properties: object; required?: string[] } }> };
  readonly responses: Record<string, { headers: object; content: Record<string, { schema: JsonSchema }> }>;
  readonly security: readonly { apiKey: readonly string[] }[];
}
const document = openApiDocument() as unknown as {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, JsonSchema> };
};
const operationAt = (method: string, path: string): Operation => document.paths[path]![method]!;

test("an independent validator takes it as OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  assert.deepEqual([valid, validator.version], [true, "3.1"], JSON.stringify(errors));
});

test("it is served to everybody, from every origin", async (t) => {
  const { call } = await testGateway(t);
  const { status, headers, body } = await call("GET", "/api/v1/openapi.json", {
    key: null,
    headers: { origin: "https://app.example.com" },
  });
  assert.deepEqual([status, headers.get("content-type")], [200, "application/json"]);
  assert.equal(headers.get("access-control-allow-origin"), "*");
  assert.deepEqual(body, JSON.parse(JSON.stringify(document)));
});

test("every route is an operation with its scope, its path parameters and its errors", () => {
  const all = Object.values(document.paths).flatMap((path) => Object.values(path));
  const declared = Object.values({ ...TUS_PATHS, ...JOB_EVENT_PATHS });
  const others = declared.flatMap((path) => Object.values(path) as Operation[]);
  const operations = all.filter(({ operationId }) => !others.some((other) => other.operationId === operationId));
  assert.equal(all.length, operations.length + others.length);
  assert.equal(operations.length, ROUTES.length);
  assert.equal(new Set(operations.map(({ operationId }) => operationId)).size, ROUTES.length);
  for (const { rest, ask, pathParams } of ROUTES) {
    const operation = operationAt(rest.method.toLowerCase(), rest.path.replace(/:(\w+)/g, "{$1}"));
    assert.deepEqual(operation.security, [{ apiKey: [rest.scope] }]);
    const inPath = operation.parameters.filter((parameter) => parameter.in === "path").map(({ name }) => name);
    assert.deepEqual(inPath, pathParams);
    assert.ok(operation.responses[String(rest.status ?? 200)]);
    for (const code of ask.errors) {
      const response = operation.responses[String(ERRORS[code].status)];
      assert.ok(JSON.stringify(response).includes(`"${code}"`), `${ask.name}: ${code}`);
    }
  }
});

test("streams of job events are in it with what they are asked with", () => {
  const ofSubject = operationAt("get", "/jobs/events");
  assert.deepEqual(
    ofSubject.parameters.map(({ name }) => name),
    ["subjectKind", "subjectId", "Last-Event-ID"],
  );
  for (const { security, responses } of [ofSubject, operationAt("get", "/jobs/{jobId}/events")]) {
    assert.deepEqual(security, [{ apiKey: ["job:read"] }]);
    assert.ok("text/event-stream" in (responses["200"]?.content ?? {}));
  }
});

test("what the gateway fills in is nowhere in it", () => {
  const text = JSON.stringify(document);
  for (const field of FILLED_FIELDS) assert.ok(!text.includes(`"${field}"`), field);
});

test("creating a channel: body, headers and answers as they are", () => {
  const { requestBody, parameters, responses } = operationAt("post", "/channels");
  const schema = requestBody?.content["application/json"]?.schema;
  assert.deepEqual(Object.keys(schema?.properties ?? {}), [
    "name",
    "sid",
    "quality",
    "sourceType",
    "ingestConfig",
    "transcodeConfig",
    "origins",
  ]);
  assert.deepEqual(schema?.required, ["name", "sourceType", "ingestConfig", "origins"]);
  assert.deepEqual(parameters, [{ $ref: "#/components/parameters/Idempotency-Key" }]);
  assert.deepEqual(Object.keys(responses).sort(), [
    "201",
    "400",
    "401",
    "403",
    "404",
    "408",
    "409",
    "413",
    "415",
    "422",
    "429",
    "500",
    "502",
    "503",
    "504",
  ]);
  const success = responses["201"]?.content["application/json"]?.schema as { properties: object; required: string[] };
  assert.deepEqual(success.required, ["success", "data", "failures"]);
  assert.deepEqual(Object.keys(responses["201"]?.headers ?? {}).sort(), [
    "ETag",
    "Idempotency-Replayed",
    "Location",
    "X-Request-Id",
  ]);
});

test("a success shows ETag where its answer has a version, and Location where it makes a resource", () => {
  const shown = (method: string, path: string): string[] => {
    const { responses } = operationAt(method, path);
    const [status = ""] = Object.keys(responses);
    return Object.keys(responses[status]?.headers ?? {}).filter((name) => name === "ETag" || name === "Location");
  };
  assert.deepEqual(shown("patch", "/channels/{channelId}"), ["ETag"]);
  assert.deepEqual(shown("post", "/channels/{channelId}/stop"), ["ETag"]);
  assert.deepEqual(shown("delete", "/channels/{channelId}"), []);
  assert.deepEqual(shown("post", "/channels/{channelId}/origins"), ["ETag"]);
  assert.deepEqual(shown("post", "/streamers"), ["Location"]);
  assert.deepEqual(shown("post", "/tenants"), []);
});

test("a change of a channel shows no error of its name: a rename keeps the stream id", () => {
  for (const method of ["put", "patch"]) {
    const codes = JSON.stringify(operationAt(method, "/channels/{channelId}").responses);
    for (const code of ["CHANNEL_SLUG_EMPTY", "CHANNEL_SLUG_TAKEN"]) assert.ok(!codes.includes(code), code);
  }
});

test("a list's limit shows its default and its bounds", () => {
  const limit = operationAt("get", "/channels").parameters.find(({ name }) => name === "limit");
  assert.deepEqual(limit?.schema, { type: "integer", minimum: 1, maximum: 200, default: 50 });
});

test("every example fits the ask that it shows", () => {
  for (const [name, examples] of Object.entries(EXAMPLES)) {
    const route = ROUTES.find(({ ask }) => ask.name === name);
    assert.ok(route && ASKS.includes(route.ask), name);
    const idOf = (param: string) => (route.shape[param]?.safeParse("7").success ? "7" : TENANT_ID);
    const path = Object.fromEntries(route.pathParams.map((param) => [param, idOf(param)]));
    for (const { value } of Object.values(examples)) {
      const { error } = route.ask.input.safeParse({ ...path, ...(value as object) });
      assert.equal(error, undefined, name);
    }
  }
  assert.ok(EXAMPLES[createChannel.name]);
});

test("one name is one schema, and none is left over", () => {
  const text = JSON.stringify(document);
  for (const name of Object.keys(document.components.schemas)) {
    assert.ok(text.includes(`"#/components/schemas/${name}"`), name);
  }
  assert.doesNotMatch(text, /schemas\/(?:input|output)\./);
  assert.doesNotMatch(text, /\$defs/);
});
