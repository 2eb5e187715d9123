/** Tenants and their API keys. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import {
  type ApiKey,
  type authenticate,
  type createApiKey,
  type createTenant,
  type listTenants,
  type NewApiKey,
  type revokeApiKey,
  SCOPES,
  type Tenant,
} from "../../contracts/tenant.ts";
import type { Database } from "../../lib/db/database.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import { hashOf, keyRow, makeSecret, tenantIdIn } from "./api-key.ts";
import {
  insertKey,
  insertTenant,
  type KeyRow,
  keyPage,
  liveKeyByHash,
  lockAdminKeys,
  lockKey,
  revokeKey,
  type TenantRow,
  tenantIdBySlug,
  tenantPage,
} from "./tenant.store.ts";

export const DEFAULT_TENANT = "default";
type Scope = (typeof SCOPES)[number];
type Page = z.output<typeof listTenants.input>;
type Principal = z.output<typeof authenticate.result>;

/** What a tenant's own first key may do. */
export const TENANT_SCOPES: readonly Scope[] = SCOPES.filter((scope) => scope !== "platform:admin");

const tenantOfRow = (row: TenantRow): z.output<typeof Tenant> => ({
  id: row.id,
  slug: row.slug,
  name: row.name,
  createdAt: row.created_at.toISOString(),
});
const keyOfRow = (row: KeyRow): z.output<typeof ApiKey> => ({
  id: row.id,
  name: row.name,
  scopes: knownScopes(row.scopes),
  prefix: row.prefix,
  createdAt: row.created_at.toISOString(),
  lastUsedAt: row.last_used_at?.toISOString() ?? null,
  revokedAt: row.revoked_at?.toISOString() ?? null,
});
/** A scope that a newer version wrote is unknown here, and gives nothing. */
const knownScopes = (scopes: readonly string[]): Scope[] => SCOPES.filter((scope) => scopes.includes(scope));
/** No key makes or revokes a stronger one. */
const refuseStronger = (scopes: readonly Scope[], callerScopes: readonly Scope[]): void => {
  const missing = scopes.find((scope) => !callerScopes.includes(scope));
  if (missing) fail("SCOPE_MISSING", { scope: missing });
};
const newKeyOf = (row: KeyRow, secret: string): z.output<typeof NewApiKey> => ({ ...keyOfRow(row), secret });

export interface TenantsDeps {
  readonly db: Database;
  /** Told of every successful authentication. */
  readonly used: (tenantId: string, apiKeyId: string) => void;
}

export class Tenants {
  readonly #db: Database;
  readonly #used: TenantsDeps["used"];
  #defaultTenantId: string | undefined;

  constructor({ db, used }: TenantsDeps) {
    this.#db = db;
    this.#used = used;
  }

  async create(input: z.output<typeof createTenant.input>): Promise<z.output<typeof createTenant.result>> {
    const id = randomUUIDv7();
    const secret = makeSecret(id);
    return this.#db.tenantTx(id, async (tx) => {
      const tenant = await insertTenant(tx, { id, slug: input.slug, name: input.name ?? input.slug });
      if (!tenant) return fail("TENANT_SLUG_TAKEN", { slug: input.slug });
      const key = await insertKey(tx, keyRow(secret, { tenantId: id, name: "first key", scopes: TENANT_SCOPES }));
      return { data: { ...tenantOfRow(tenant), apiKey: newKeyOf(key, secret) } };
    });
  }

  async list({ cursor, limit }: Page): Promise<z.output<typeof listTenants.result>> {
    const afterId = uuidAfter("tenants", cursor);
    const rows = await this.#db.tenantTx(null, (tx) => tenantPage(tx, { afterId, rowCount: limit + 1 }));
    const page = pageOf("tenants", rows, limit);
    return { data: page.rows.map(tenantOfRow), nextCursor: page.nextCursor };
  }

  async createKey(
    tenantId: string,
    input: z.output<typeof createApiKey.input>,
  ): Promise<{ data: z.output<typeof NewApiKey> }> {
    const scopes = knownScopes(input.scopes);
    refuseStronger(scopes, input.callerScopes);
    const secret = makeSecret(tenantId);
    const row = keyRow(secret, { tenantId, name: input.name, scopes });
    return { data: newKeyOf(await this.#db.tenantTx(tenantId, (tx) => insertKey(tx, row)), secret) };
  }

  async listKeys(tenantId: string, { cursor, limit }: Page) {
    const afterId = uuidAfter("api-keys", cursor);
    const rows = await this.#db.tenantTx(tenantId, (tx) => keyPage(tx, { afterId, rowCount: limit + 1 }));
    const page = pageOf("api-keys", rows, limit);
    return { data: page.rows.map(keyOfRow), nextCursor: page.nextCursor };
  }

  /** Revoking twice gives the same answer twice. */
  async revokeKey(
    tenantId: string,
    { apiKeyId, callerScopes }: z.output<typeof revokeApiKey.input>,
  ): Promise<{ data: z.output<typeof ApiKey> }> {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const admins = await lockAdminKeys(tx);
      const row = await lockKey(tx, apiKeyId);
      if (!row) return fail("API_KEY_NOT_FOUND", { apiKeyId });
      refuseStronger(knownScopes(row.scopes), callerScopes);
      if (admins.length === 1 && admins[0] === apiKeyId) return fail("LAST_ADMIN_KEY");
      return { data: keyOfRow(await revokeKey(tx, apiKeyId)) };
    });
  }

  async authenticate(secret: string): Promise<Principal> {
    const named = tenantIdIn(secret);
    // An operator's own ADMIN_API_KEY may have our form and yet name no tenant of this database.
    const found = (named && (await this.#find(named, secret))) || (await this.#findInDefault(secret, named));
    if (found) this.#used(found.tenantId, found.apiKeyId);
    return found;
  }

  async #findInDefault(secret: string, tried: string | undefined): Promise<Principal> {
    this.#defaultTenantId ??= await this.#db.tenantTx(null, (tx) => tenantIdBySlug(tx, DEFAULT_TENANT));
    if (this.#defaultTenantId === undefined || this.#defaultTenantId === tried) return null;
    return this.#find(this.#defaultTenantId, secret);
  }

  async #find(tenantId: string, secret: string): Promise<Principal> {
    const row = await this.#db.tenantTx(tenantId, (tx) => liveKeyByHash(tx, hashOf(secret)));
    if (!row) return null;
    return { tenantId: row.tenant_id, tenant: row.slug, apiKeyId: row.id, scopes: knownScopes(row.scopes) };
  }
}
