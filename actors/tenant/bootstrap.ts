/** What must be there before anybody can ask: the tenant `default` and a key that may do everything. */
import { randomUUIDv7 } from "node:crypto";
import { SCOPES } from "../../contracts/tenant.ts";
import type { Database } from "../../lib/db/database.ts";
import { keyRow, makeSecret } from "./api-key.ts";
import {
  insertKey,
  insertTenant,
  lockAdminKeys,
  lockBootstrap,
  reviveKey,
  revokeNamesakes,
  tenantIdBySlug,
} from "./tenant.store.ts";
import { DEFAULT_TENANT } from "./tenant.ts";

/** Name of the key that the operator gave; the next start with another one revokes it. */
const GIVEN_KEY = "ADMIN_API_KEY";
const MADE_KEY = "first admin key";

export interface Bootstrapped {
  readonly tenantId: string;
  /** The admin key's text when it was made by this call; it can't be had again. */
  readonly madeKey: string | null;
}

const ensureTenant = async (db: Database): Promise<string> =>
  db.tenantTx(null, async (tx) => {
    await insertTenant(tx, { id: randomUUIDv7(), slug: DEFAULT_TENANT, name: "Default" });
    return (await tenantIdBySlug(tx, DEFAULT_TENANT))!; // inserted now or there before
  });

/** Safe on every start and when several nodes start at once: one of them makes the key. */
export const ensureDefaultTenant = async (options: {
  db: Database;
  adminApiKey: string | null;
}): Promise<Bootstrapped> => {
  const { db, adminApiKey } = options;
  const tenantId = await ensureTenant(db);
  return db.tenantTx(tenantId, async (tx) => {
    await lockBootstrap(tx);
    if (adminApiKey !== null) {
      const key = keyRow(adminApiKey, { tenantId, name: GIVEN_KEY, scopes: SCOPES });
      await reviveKey(tx, key);
      await revokeNamesakes(tx, key);
      return { tenantId, madeKey: null };
    }
    if ((await lockAdminKeys(tx)).length > 0) return { tenantId, madeKey: null };
    const secret = makeSecret(tenantId);
    await insertKey(tx, keyRow(secret, { tenantId, name: MADE_KEY, scopes: SCOPES }));
    return { tenantId, madeKey: secret };
  });
};
