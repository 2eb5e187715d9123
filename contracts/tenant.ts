/** Tenants, API keys and idempotency records. Pool actor. */
import { z } from "zod";
import { Instant, NextCursor, Page, TenantId, TenantSlug } from "./ids.ts";
import { ask } from "./kit.ts";

export const SCOPES = [
  "channel:read",
  "channel:write",
  "streamer:read",
  "streamer:write",
  "key:read",
  "key:write",
  "title:read",
  "title:write",
  "upload:write",
  "job:read",
  "job:write",
  "playback:read",
  "playback:write",
  "platform:admin",
] as const;
const ScopeName = z.enum(SCOPES);
/** Filled by the gateway: scopes of the calling key. */
const callerScopes = z.array(ScopeName).default([]);

export const Tenant = z.object({ id: TenantId, slug: TenantSlug, name: z.string(), createdAt: Instant });
export const ApiKey = z.object({
  id: z.uuid(),
  name: z.string(),
  scopes: z.array(ScopeName),
  /** The first characters, to tell keys apart. */
  prefix: z.string(),
  createdAt: Instant,
  lastUsedAt: Instant.nullable(),
  revokedAt: Instant.nullable(),
});
/** `secret` is shown once and stored only as a SHA-256 hash. */
export const NewApiKey = ApiKey.extend({ secret: z.string() });

export const createTenant = ask("tenant.create", {
  input: z.strictObject({ slug: TenantSlug, name: z.string().trim().min(1).max(200).optional() }),
  result: z.object({ data: Tenant.extend({ apiKey: NewApiKey }) }),
  deadlineMs: 5_000,
  errors: ["TENANT_SLUG_TAKEN"],
  rest: {
    method: "POST",
    path: "/tenants",
    status: 201,
    scope: "platform:admin",
    tag: "tenants",
    idempotent: true,
    summary: "Create a tenant and its first API key (every scope but platform:admin).",
  },
});
export const listTenants = ask("tenant.list", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(Tenant), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { method: "GET", path: "/tenants", scope: "platform:admin", tag: "tenants", summary: "List tenants." },
});

export const createApiKey = ask("tenant.createApiKey", {
  input: z.strictObject({
    name: z.string().trim().min(1).max(200),
    scopes: z.array(ScopeName).min(1).max(SCOPES.length),
    /** No key makes a stronger one. */
    callerScopes,
  }),
  result: z.object({ data: NewApiKey }),
  deadlineMs: 5_000,
  errors: ["SCOPE_MISSING"],
  rest: {
    method: "POST",
    path: "/api-keys",
    status: 201,
    scope: "key:write",
    tag: "api keys",
    idempotent: true,
    summary: "Create an API key of this tenant; the secret is shown once.",
  },
});
export const listApiKeys = ask("tenant.listApiKeys", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(ApiKey), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    method: "GET",
    path: "/api-keys",
    scope: "key:read",
    tag: "api keys",
    summary: "List this tenant's API keys, revoked ones too.",
  },
});
export const revokeApiKey = ask("tenant.revokeApiKey", {
  /** No key revokes a stronger one. */
  input: z.strictObject({ apiKeyId: z.uuid(), callerScopes }),
  result: z.object({ data: ApiKey }),
  deadlineMs: 5_000,
  errors: ["API_KEY_NOT_FOUND", "SCOPE_MISSING", "LAST_ADMIN_KEY"],
  rest: {
    method: "DELETE",
    path: "/api-keys/:apiKeyId",
    scope: "key:write",
    tag: "api keys",
    summary: "Revoke an API key that has no scope more than the calling one; effective within 5 s everywhere.",
  },
});

/** Who a bearer key belongs to; null for an unknown or revoked one. */
export const authenticate = ask("tenant.authenticate", {
  input: z.object({ key: z.string().max(500) }),
  result: z
    .object({ tenantId: TenantId, tenant: TenantSlug, apiKeyId: z.uuid(), scopes: z.array(ScopeName) })
    .nullable(),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN"],
  retriable: true,
});

/** The stored answer of a request that was made once; bodies are JSON text. */
const Stored = z.object({ status: z.int(), body: z.string() });
/** Claims an Idempotency-Key for a request, or gives back the answer that it got (kept for 24 h). */
export const beginIdempotent = ask("tenant.beginIdempotent", {
  input: z.object({ idempotencyKey: z.string().min(1).max(255), fingerprint: z.string().length(64) }),
  result: z.object({ stored: Stored.nullable() }),
  deadlineMs: 3_000,
  errors: ["IDEMPOTENCY_MISMATCH", "IDEMPOTENCY_RUNNING", "DATABASE_DOWN"],
});
/** Keeps the answer; one with a 5xx status or none (null) frees the key instead. */
export const endIdempotent = ask("tenant.endIdempotent", {
  input: z.object({ idempotencyKey: z.string().min(1).max(255), answer: Stored.nullable() }),
  result: z.object({}),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN"],
});
