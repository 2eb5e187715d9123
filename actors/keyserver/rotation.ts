/**
 * Brings keys under the present master key, a few rows a transaction: it may be killed at any time, run again, and run
 * while everything serves, for former master keys go on opening what they wrapped. What none of this node's master keys
 * opens stays as it is.
 */
import type { MasterKeys } from "../../lib/crypto/master-keys.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { contentKeyLabel } from "./content-keys.ts";
import * as store from "./keyserver.store.ts";
import { signingKeyLabel } from "./token-keys.ts";

export interface RotationDeps {
  readonly db: Database;
  readonly masterKeys: MasterKeys;
  /** Told of each transaction's rows. */
  readonly moved?: (rowCount: number) => void;
}

const ROWS_MAX = 100;

/** How many rows each master key wraps. */
export const wrappedBy = async ({ db }: Pick<RotationDeps, "db">): Promise<ReadonlyMap<string, number>> => {
  const counts = new Map<string, number>();
  const add = async (tenantId: string | null): Promise<void> => {
    const needed = await db.tenantTx(tenantId, (tx) => store.masterKeysNeeded(tx));
    for (const { masterKeyId, rowCount } of needed) counts.set(masterKeyId, (counts.get(masterKeyId) ?? 0) + rowCount);
  };
  await add(null);
  for (const tenantId of await db.tenantTx(null, (tx) => store.allTenantIds(tx))) await add(tenantId);
  return counts;
};

/** Resolves with the number of rows that it brought over. */
export const rewrapAll = async (deps: RotationDeps): Promise<number> => {
  const { db, masterKeys, moved = () => {} } = deps;
  const needed = [...(await wrappedBy(deps)).keys()];
  const formerIds = needed.filter((id) => id !== masterKeys.presentId && masterKeys.has(id));
  const signing = await db.tenantTx(null, (tx) => rewrapSigning(tx, deps, formerIds));
  moved(signing);
  let rowCount = signing;
  for (const tenantId of await db.tenantTx(null, (tx) => store.allTenantIds(tx))) {
    for (let count = ROWS_MAX; count === ROWS_MAX; rowCount += count) {
      count = await db.tenantTx(tenantId, (tx) => rewrapSome(tx, deps, formerIds));
      if (count > 0) moved(count);
    }
  }
  return rowCount;
};

const rewrapSigning = async (tx: Tx, { masterKeys }: RotationDeps, formerIds: readonly string[]): Promise<number> => {
  await store.lockSigningKeys(tx);
  const rows = (await store.signingKeys(tx)).filter(({ masterKeyId }) => formerIds.includes(masterKeyId));
  for (const { keyId, wrapped: bytes, masterKeyId } of rows) {
    const label = signingKeyLabel(keyId);
    await store.rewrapSigningKey(tx, keyId, masterKeys.wrap(masterKeys.unwrap({ bytes, masterKeyId }, label), label));
  }
  return rows.length;
};

const rewrapSome = async (tx: Tx, { masterKeys }: RotationDeps, formerIds: readonly string[]): Promise<number> => {
  const rows = await store.keysToRewrap(tx, formerIds, ROWS_MAX);
  for (const row of rows) {
    const label = contentKeyLabel(row.tenantId, row.contentId, row.generation);
    await store.rewrapKey(tx, { ...row, ...masterKeys.wrap(masterKeys.unwrap(row, label), label) });
  }
  return rows.length;
};

/** Ids of master keys that rows need and this node does not have, with the number of those rows. */
export const missingMasterKeys = async ({
  db,
  masterKeys,
}: Pick<RotationDeps, "db" | "masterKeys">): Promise<ReadonlyMap<string, number>> =>
  new Map([...(await wrappedBy({ db }))].filter(([masterKeyId]) => !masterKeys.has(masterKeyId)));
