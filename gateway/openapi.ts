/** The OpenAPI 3.1 document, generated from the contracts: what the gateway does is what it says. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { ERRORS, type ErrorCode, Fault } from "../contracts/errors.ts";
import { SCOPES } from "../contracts/tenant.ts";
import { EXAMPLES } from "./openapi-examples.ts";
import { JOB_EVENT_PATHS } from "./openapi-job-events.ts";
import { clientInput, type JsonSchema, Schemas } from "./openapi-schemas.ts";
import { TUS_PATHS } from "./openapi-uploads.ts";
import { problemReply } from "./reply.ts";
import { API_BASE, makesResource, ROUTES, type Route } from "./routes.ts";

const PROBLEM_REF = { $ref: "#/components/schemas/Problem" };
const EXAMPLE_REQUEST_ID = "2eb1adea-69f3-49de-a842-326968172e17";
/** What any call may meet, besides its own errors. */
const EVERYWHERE: readonly ErrorCode[] = [
  "UNAUTHENTICATED",
  "SCOPE_MISSING",
  "BAD_INPUT",
  "MAILBOX_FULL",
  "INTERNAL",
  "DATABASE_DOWN",
  "BUS_DOWN",
  "STARTING",
  "SHUTTING_DOWN",
  "DEADLINE_PASSED",
];
const WITH_BODY: readonly ErrorCode[] = ["BAD_JSON", "BODY_TOO_LARGE", "BODY_LATE", "UNSUPPORTED_MEDIA_TYPE"];
const IDEMPOTENT: readonly ErrorCode[] = ["IDEMPOTENCY_MISMATCH", "IDEMPOTENCY_RUNNING"];

const DESCRIPTION = `Everything under \`${API_BASE}\` takes and gives JSON.
A key goes into \`Authorization: Bearer <key>\`.

Answers are \`{"success": true, "data": …}\`; lists add \`nextCursor\` (give it back as \`cursor\`), channel writes add
\`failures\`, one entry per origin that did not take the stream. Errors are problem documents (RFC 9457) with a \`code\`
to match on, the \`requestId\` that the logs have too, and \`errors\` per field where the input was wrong.`;

const camel = (name: string): string => name.replace(/[.-]+(\w)/g, (_, letter: string) => letter.toUpperCase());

const errorCodesOf = ({ ask, rest, hasBody }: Route): ErrorCode[] => [
  ...new Set([...ask.errors, ...(hasBody ? WITH_BODY : []), ...(rest.idempotent ? IDEMPOTENT : []), ...EVERYWHERE]),
];

const problemResponse = (codes: readonly ErrorCode[]): JsonSchema => {
  const retry = codes.some((code) => ERRORS[code].retry);
  return {
    description: codes.map((code) => `\`${code}\`: ${ERRORS[code].message.replace(/[{}]/g, "`")}`).join("\n\n"),
    headers: {
      "X-Request-Id": { $ref: "#/components/headers/X-Request-Id" },
      ...(retry ? { "Retry-After": { $ref: "#/components/headers/Retry-After" } } : {}),
    },
    content: {
      "application/problem+json": {
        schema: { allOf: [PROBLEM_REF, { type: "object", properties: { code: { enum: [...codes] } } }] },
        ...(codes[0] ? { example: problemReply(new Fault(codes[0]), EXAMPLE_REQUEST_ID).document } : {}),
      },
    },
  };
};

const problemResponses = (route: Route): Record<string, JsonSchema> => {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of errorCodesOf(route)) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const sorted = [...byStatus].sort(([a], [b]) => a - b);
  return Object.fromEntries(sorted.map(([status, codes]) => [String(status), problemResponse(codes)]));
};

/** `data.version` comes back as ETag, whatever the method. */
const answersVersion = ({ ask: { result } }: Route): boolean => {
  const data = result instanceof z.ZodObject ? result.shape.data : undefined;
  return data instanceof z.ZodObject && "version" in data.shape;
};

const successResponse = (route: Route, schemas: Schemas): JsonSchema => {
  const result = schemas.of(route.ask.result, "output");
  const { properties, required = [] } = result as { properties?: JsonSchema; required?: string[] };
  const headers: Record<string, JsonSchema> = { "X-Request-Id": { $ref: "#/components/headers/X-Request-Id" } };
  if (answersVersion(route)) headers.ETag = { $ref: "#/components/headers/ETag" };
  if (makesResource(route)) headers.Location = { $ref: "#/components/headers/Location" };
  if (route.rest.idempotent) headers["Idempotency-Replayed"] = { $ref: "#/components/headers/Idempotency-Replayed" };
  return {
    description: "Success",
    headers,
    content: {
      "application/json": {
        schema: {
          type: "object",
          properties: { success: { type: "boolean", const: true }, ...properties },
          required: ["success", ...required],
        },
      },
    },
  };
};

const parametersOf = (route: Route, schemas: Schemas): JsonSchema[] => {
  const { properties = {}, required = [] } = schemas.of(route.ask.input, "input") as {
    properties?: Record<string, JsonSchema>;
    required?: string[];
  };
  const path = route.pathParams.map((name) => ({ name, in: "path", required: true, schema: properties[name] ?? {} }));
  const query = route.hasBody
    ? []
    : route.clientFields.map((name) => ({
        name,
        in: "query",
        required: required.includes(name),
        schema: { ...properties[name], ...defaultOf(route, name) },
      }));
  const headers = [
    ...(route.rest.idempotent ? [{ $ref: "#/components/parameters/Idempotency-Key" }] : []),
    ...(route.rest.versioned && route.rest.method !== "GET" ? [{ $ref: "#/components/parameters/If-Match" }] : []),
  ];
  return [...path, ...query, ...headers];
};

/** zod leaves a default out of the input's schema where a text form is converted. */
const defaultOf = ({ shape }: Route, name: string): JsonSchema => {
  const parsed = shape[name]?.safeParse(undefined);
  return parsed?.success && parsed.data !== undefined ? { default: parsed.data } : {};
};

const requestBodyOf = (route: Route, schemas: Schemas): JsonSchema | undefined => {
  if (!route.hasBody || route.clientFields.length === 0) return undefined;
  const schema = clientInput(schemas, route.ask.input, route.pathParams);
  const examples = EXAMPLES[route.ask.name];
  const content = { schema, ...(examples ? { examples } : {}) };
  const types = route.rest.method === "PATCH" ? ["application/merge-patch+json"] : [];
  return {
    required: true,
    content: Object.fromEntries(["application/json", ...types].map((type) => [type, content])),
  };
};

const operationOf = (route: Route, schemas: Schemas): JsonSchema => {
  const { rest, ask } = route;
  const requestBody = requestBodyOf(route, schemas);
  return {
    operationId: camel(ask.name),
    tags: [rest.tag],
    summary: rest.summary.replace(/\.$/, ""),
    description: `Needs the scope \`${rest.scope}\`.`,
    security: [{ apiKey: [rest.scope] }],
    parameters: parametersOf(route, schemas),
    ...(requestBody ? { requestBody } : {}),
    responses: { [String(rest.status ?? 200)]: successResponse(route, schemas), ...problemResponses(route) },
  };
};

const PROBLEM: JsonSchema = {
  type: "object",
  description: "A problem document (RFC 9457).",
  properties: {
    type: { type: "string", format: "uri" },
    title: { type: "string" },
    status: { type: "integer" },
    code: { type: "string", enum: Object.keys(ERRORS) },
    detail: { type: "string" },
    requestId: { type: "string" },
    errors: {
      type: "array",
      description: "What is wrong with which field.",
      items: {
        type: "object",
        properties: { path: { type: "string" }, message: { type: "string" } },
        required: ["path", "message"],
      },
    },
    failures: {
      type: "array",
      description: "Origins that did not take the stream.",
      items: { $ref: "#/components/schemas/Failure" },
    },
  },
  required: ["type", "title", "status", "code", "detail", "requestId"],
};

const text = (description: string, extra: JsonSchema = {}): JsonSchema => ({
  description,
  schema: { type: "string", ...extra },
});

const HEADERS: Record<string, JsonSchema> = {
  "X-Request-Id": text("The request's id: the one that was sent, or a new one."),
  ETag: text("The version of the resource; send it back as If-Match.", { example: '"3"' }),
  Location: text("The path of what was made.", { format: "uri-reference", example: `${API_BASE}/channels/7` }),
  "Retry-After": { description: "Seconds to wait.", schema: { type: "integer" } },
  "Idempotency-Replayed": text("`true` when this is the kept answer of an earlier request.", { enum: ["true"] }),
};

const PARAMETERS: Record<string, JsonSchema> = {
  "Idempotency-Key": {
    name: "Idempotency-Key",
    in: "header",
    ...text("Makes a repeat safe for 24 h: it gets the first answer.", { minLength: 1, maxLength: 255 }),
  },
  "If-Match": {
    name: "If-Match",
    in: "header",
    ...text("Write only if the resource still has this ETag; else 412.", { example: '"3"' }),
  },
};

const versionOf = (): string => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return manifest.version;
};

const pathsOf = (schemas: Schemas): Record<string, JsonSchema> => {
  const paths: Record<string, JsonSchema> = {};
  for (const route of ROUTES) {
    const path = route.rest.path.replace(/:(\w+)/g, "{$1}");
    paths[path] = { ...paths[path], [route.rest.method.toLowerCase()]: operationOf(route, schemas) };
  }
  const others = { ...TUS_PATHS, ...JOB_EVENT_PATHS };
  for (const [path, operations] of Object.entries(others)) paths[path] = { ...paths[path], ...operations };
  return paths;
};

const sorted = (schemas: Readonly<Record<string, JsonSchema>>): Record<string, JsonSchema> =>
  Object.fromEntries(Object.entries(schemas).sort(([a], [b]) => a.localeCompare(b)));

/** The whole document. Paths are below the server `/api/v1`. */
export const openApiDocument = (): JsonSchema => {
  const schemas = new Schemas();
  const { document: paths, components } = schemas.resolve(pathsOf(schemas));
  return {
    openapi: "3.1.0",
    info: {
      title: "Castellan",
      version: versionOf(),
      summary: "Live channels and titles on your own machines.",
      description: DESCRIPTION,
      license: { name: "AGPL-3.0-only", identifier: "AGPL-3.0-only" },
    },
    servers: [{ url: API_BASE }],
    security: [{ apiKey: [] }],
    tags: [...new Set(ROUTES.map(({ rest }) => rest.tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: sorted({ ...components, Problem: PROBLEM }),
      headers: HEADERS,
      parameters: PARAMETERS,
      securitySchemes: {
        apiKey: { type: "http", scheme: "bearer", description: `An API key. Scopes: ${SCOPES.join(", ")}.` },
      },
    },
  };
};
