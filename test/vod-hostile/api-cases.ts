/** Hostile requests to the REST API: by a customer with a key of its own, and by those without one. */
import { randomUUID } from "node:crypto";
import { ROUTES, type Route } from "../../gateway/routes.ts";
import type { Random } from "../support/seeded.ts";
import type { Case, Ground } from "./cases.ts";
import { BROKEN, CURSORS, chance, NAMES, one, piece, value, wayUp } from "./words.ts";

type Field = readonly [string, string];

const JSON_TYPE: Field = ["Content-Type", "application/json"];
const bearer = (key: string): Field => ["Authorization", `Bearer ${key}`];

const api = (of: string, { scene }: Ground, more: Partial<Case> & Pick<Case, "target">): Case => ({
  ...{ of, to: scene.gateway, method: "GET", fields: [], body: null, isCutShort: false, isRefused: false },
  ...more,
});

/** Keys of other tenants and of the platform are no customer's to change: what is asked is never theirs alone. */
const OURS = ROUTES.filter(({ ask }) => ask.rest?.scope !== "platform:admin" && ask.name !== "tenant.revokeApiKey");
const WITH_BODY = OURS.filter(({ hasBody, clientFields }) => hasBody && clientFields.length > 0);
const LISTS = OURS.filter(({ clientFields }) => clientFields.includes("cursor"));
const VERSIONED = OURS.filter(({ rest }) => rest.versioned);

const idFor = (random: Random, { alice, mallory }: Ground): string =>
  one(random, [
    alice.titleId,
    mallory.titleId,
    mallory.titleId,
    randomUUID(),
    "x",
    "1",
    "-1",
    "null",
    "%00",
    wayUp(random),
  ]);

const pathOf = (random: Random, ground: Ground, { template }: Route): string =>
  template.replace(/:\w+/g, () => idFor(random, ground));

/** Fields of a body with values that fit or don't. */
const fieldsFor = (random: Random, ground: Ground, { clientFields }: Route): Record<string, unknown> => {
  const body: Record<string, unknown> = {};
  for (const name of clientFields) if (chance(random, 2)) body[name] = value(random);
  if (clientFields.includes("name") && chance(random, 2)) body.name = one(random, NAMES);
  if (clientFields.includes("kind") && chance(random, 2)) body.kind = "movie";
  if (clientFields.includes("titleIds")) body.titleIds = [ground.alice.titleId];
  if (chance(random, 6))
    body[one(random, ["tenantId", "trusted", "callerScopes", "ifVersion", "constructor"])] = value(random);
  return body;
};

export const bodies = (random: Random, ground: Ground): Case => {
  const route = one(random, WITH_BODY);
  const target = pathOf(random, ground, route);
  const text = JSON.stringify(fieldsFor(random, ground, route));
  // Twice the same key, and numbers that no number holds, are beyond JSON.stringify.
  const twisted = one(random, [
    text,
    text,
    text.replace("{", '{"name":"one","name":"two",'),
    text.replace("}", ',"year":1e999}'),
    text.replace("}", `,"number":${"9".repeat(400)}}`),
  ]);
  const fields = [JSON_TYPE, bearer(ground.mallory.key)];
  return api("JSON", ground, { method: route.rest.method, target, fields, body: Buffer.from(twisted) });
};

const NAMED = ["/api/v1/titles", "/api/v1/people", "/api/v1/genres", "/api/v1/libraries", "/api/v1/api-keys"];

/** Names that mean harm, in bodies that are right otherwise: they are words like any others, or refused. */
export const names = (random: Random, ground: Ground): Case => {
  const target = one(random, NAMED);
  const name = one(random, NAMES);
  const slug = `s${random.int(1e9)}`;
  const body = {
    "/api/v1/titles": { kind: "movie", name, description: one(random, NAMES), tags: [one(random, NAMES)] },
    "/api/v1/people": { name, biography: one(random, NAMES) },
    "/api/v1/api-keys": { name, scopes: ["title:read"] },
  }[target] ?? { slug, name };
  const fields = [JSON_TYPE, bearer(ground.mallory.key)];
  return api("names", ground, { method: "POST", target, fields, body: Buffer.from(JSON.stringify(body)) });
};

export const brokenBodies = (random: Random, ground: Ground): Case => {
  const route = one(random, WITH_BODY);
  const target = pathOf(random, ground, route);
  const type = chance(random, 6)
    ? one(random, ["text/plain", "application/json; charset=utf-16", "multipart/form-data"])
    : null;
  const fields: Field[] = [type === null ? JSON_TYPE : ["Content-Type", type], bearer(ground.mallory.key)];
  if (chance(random, 8)) fields.push(["Content-Encoding", one(random, ["gzip", "br", "x"])]);
  return api("broken JSON", ground, {
    ...{ method: route.rest.method, target, fields, body: one(random, BROKEN), isRefused: true },
  });
};

/** A head that says another length than that of what follows. */
export const lies = (random: Random, ground: Ground): Case => {
  const length = one(random, ["99999", "-1", "1e3", "0x10", "5, 6", "99999999999999999999", " ", "1\x00"]);
  const fields: Field[] = [JSON_TYPE, bearer(ground.mallory.key), ["Content-Length", length]];
  if (chance(random, 3)) fields.push(["Transfer-Encoding", one(random, ["chunked", "chunked, identity", "x"])]);
  const target = one(random, ["/api/v1/titles", "/api/v1/uploads", `/api/v1/titles/${ground.mallory.titleId}`]);
  return api("lengths", ground, {
    ...{ method: one(random, ["POST", "PATCH"]), target, fields, body: Buffer.from('{"name":"x"}'), isCutShort: true },
    isRefused: true,
  });
};

/** As a query has it; what is no text is written as JSON. */
const plain = (given: unknown): string => (typeof given === "string" ? given : JSON.stringify(given));

export const lists = (random: Random, ground: Ground): Case => {
  const route = one(random, LISTS);
  const query = route.clientFields
    .filter(() => chance(random, 3))
    .map((name) => {
      const text =
        name === "cursor"
          ? one(random, CURSORS)
          : encodeURIComponent(plain(value(random)).slice(0, 3_000).toWellFormed());
      return `${name}${one(random, ["=", "=", "=", "[]=", "[$gt]="])}${text}`;
    });
  if (chance(random, 3)) query.push(`cursor=${one(random, CURSORS)}`);
  if (chance(random, 5)) query.push(`${piece(random)}=${piece(random)}`);
  const target = `${pathOf(random, ground, route)}?${query.join("&").replaceAll(" ", "%20")}`;
  return api("lists", ground, { target, fields: [bearer(ground.mallory.key)] });
};

const VERSIONS = [
  '"1"',
  "*",
  "1",
  '"',
  'W/"1"',
  '"1", "2"',
  '"-1"',
  '"99999999999999999999"',
  "\xff",
  "",
  '"1'.repeat(900),
];
const ONCE = ["x", "", " ", "a".repeat(5_000), "\xff\xfe", '"x"', "../x", "\u0001", "a,b"];

export const conditions = (random: Random, ground: Ground): Case => {
  const isOnce = chance(random, 2);
  const route = isOnce ? one(random, WITH_BODY) : one(random, VERSIONED);
  const fields: Field[] = [JSON_TYPE, bearer(ground.mallory.key)];
  fields.push(isOnce ? ["Idempotency-Key", one(random, ONCE)] : ["If-Match", one(random, VERSIONS)]);
  const isDeleted = route.rest.method === "DELETE" || route.rest.method === "GET";
  return api("conditions", ground, {
    method: route.rest.method,
    target: pathOf(random, ground, route),
    fields,
    body: isDeleted ? null : Buffer.from(JSON.stringify(fieldsFor(random, ground, route))),
  });
};

export const events = (random: Random, ground: Ground): Case => {
  const ids = [ground.alice.titleId, ground.mallory.titleId, randomUUID(), "x", "%00", "*", "'", "a".repeat(4_000)];
  const kinds = ["title", "upload", "", "%00", "tenant", "*", "a".repeat(200)];
  const subject = `/api/v1/jobs/events?subjectKind=${one(random, kinds)}&subjectId=${one(random, ids)}`;
  const more = one(random, ["", "&subjectId=x", "&tenantId=x", "&limit=-1"]);
  const target = chance(random, 3) ? `/api/v1/jobs/${one(random, ids)}/events` : subject + more;
  const fields: Field[] = [bearer(ground.mallory.key), ["Accept", "text/event-stream"]];
  if (chance(random, 2))
    fields.push(["Last-Event-ID", one(random, ["x", "-1", "9".repeat(400), "\xff", "0", "1e9", ""])]);
  return api("events", ground, { target, fields });
};

const NO_KEYS = ["x", "", "cst_", "Basic x", "\xff", "a".repeat(600), "' or 1=1", "null", "../"];

export const keyless = (random: Random, ground: Ground): Case => {
  const route = one(random, ROUTES);
  const field: Field = chance(random, 3) ? ["X-Castellan-Tenant", "platform"] : bearer(one(random, NO_KEYS));
  const other: Field = ["X-Castellan-Scopes", "platform:admin"];
  const body = route.hasBody ? Buffer.from("{}") : null;
  const isRefused = true;
  return api("no key", ground, {
    ...{
      method: route.rest.method,
      target: pathOf(random, ground, route),
      fields: [field, other, JSON_TYPE],
      body,
      isRefused,
    },
  });
};

/** Of the platform's own, with a customer's key. */
const ADMIN = ROUTES.filter(({ ask }) => ask.rest?.scope === "platform:admin");

export const overreaching = (random: Random, ground: Ground): Case => {
  const route = one(random, ADMIN);
  const fields: Field[] = [JSON_TYPE, bearer(ground.mallory.key), ["X-HTTP-Method-Override", "GET"]];
  const body = route.hasBody ? Buffer.from('{"all":true,"slug":"x"}') : null;
  const target = pathOf(random, ground, route);
  return api("the platform's own", ground, { method: route.rest.method, target, fields, body, isRefused: true });
};

/** Paths of the API and of pages, spelled in ways that lead elsewhere. */
export const addresses = (random: Random, ground: Ground): Case => {
  const route = one(random, OURS);
  const path = pathOf(random, ground, route);
  const target = one(random, [
    `${path}/${wayUp(random)}`,
    `/${wayUp(random)}${path}`,
    path.replace("/v1", `/${piece(random)}/v1`),
    `http://127.0.0.1:1${path}`,
    `http://[::1${path}`,
    `${path}?${"a=b&".repeat(2_000)}`,
    `/api/v1/${"x/".repeat(3_000)}`,
    `/watch/${wayUp(random)}`,
    `/upload/${wayUp(random)}`,
    `/api/docs/${wayUp(random)}`,
    "*",
    path.slice(1),
  ]).replaceAll(" ", "%20");
  const method = one(random, ["GET", "GET", "HEAD", "OPTIONS", "DELETE"]);
  return api("addresses", ground, { method, target, fields: [bearer(ground.mallory.key)] });
};
