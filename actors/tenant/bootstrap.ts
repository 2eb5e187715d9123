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

const ensureTenant = async (db: Database): Promise<string> =>
  db.tenantTx(null, async (tx) => {
    await insertTenant(tx, { id: randomUUIDv7(), slug: DEFAULT_TENANT, name: "Default" });
    return (await tenantIdBySlug(tx, DEFAULT_TENANT))!; // inserted now or there before
  });

/** The tenant `default`, and the operator's own key where there is one. Safe on every start, of several nodes too. */
export const ensureDefaultTenant = async (options: {
  db: Database;
  adminApiKey: string | null;
}): Promise<{ readonly tenantId: string }> => {
  const { db, adminApiKey } = options;
  const tenantId = await ensureTenant(db);
  if (adminApiKey === null) return { tenantId };
  return db.tenantTx(tenantId, async (tx) => {
    await lockBootstrap(tx);
    const key = keyRow(adminApiKey, { tenantId, name: GIVEN_KEY, scopes: SCOPES });
    await reviveKey(tx, key);
    await revokeNamesakes(tx, key);
    return { tenantId };
  });
};

/**
 * The text of a new admin key, or null where one is there: of several nodes that start at once one makes it. It can't
 * be had again, so it is made by a start that has nothing left to fail in and shows it at once.
 */
export const makeFirstKey = (db: Database, tenantId: string): Promise<string | null> =>
  db.tenantTx(tenantId, async (tx) => {
    await lockBootstrap(tx);
    if ((await lockAdminKeys(tx)).length > 0) return null;
    const secret = makeSecret(tenantId);
    await insertKey(tx, keyRow(secret, { tenantId, name: MADE_KEY, scopes: SCOPES }));
    return secret;
  });
