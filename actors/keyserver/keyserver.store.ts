/**
 * All SQL of the tables `content_key`, `token_signing_key` and `key_delivery`, and what it reads of playback sessions.
 * Each function runs in the caller's transaction.
 */
import type { Wrapped } from "../../lib/crypto/master-keys.ts";
import type { Tx } from "../../lib/db/database.ts";

export interface ContentKeyRow {
  readonly generation: number;
  readonly keyId: Buffer;
  readonly wrapped: Buffer;
  readonly masterKeyId: string;
  readonly createdAt: Date;
}
export interface NewContentKey extends Omit<ContentKeyRow, "createdAt"> {
  readonly tenantId: string;
  readonly contentId: string;
}
export interface SigningKeyRow {
  readonly keyId: string;
  readonly publicKey: string;
  readonly wrapped: Buffer;
  readonly masterKeyId: string;
  readonly signsFrom: Date;
}
export interface SessionRow {
  readonly titleId: string;
  readonly ownerTenantId: string;
  readonly viewer: string | null;
  readonly address: string | null;
  readonly expiresAt: Date;
  readonly revokedAt: Date | null;
}
export interface DeliveryRow {
  readonly id: string;
  readonly tenantId: string;
  readonly contentId: string;
  readonly generation: number | null;
  readonly sessionId: string | null;
  readonly viewer: string | null;
  readonly address: string;
  readonly outcome: string;
  readonly at: Date;
}

const CONTENT_KEY = `generation, key_id as "keyId", wrapped, master_key_id as "masterKeyId", created_at as "createdAt"`;

/** Those of the highest generations, the highest first. */
export const newestKeys = async (tx: Tx, contentId: string, rowCount: number): Promise<ContentKeyRow[]> =>
  (
    await tx.query<ContentKeyRow>(
      `select ${CONTENT_KEY} from content_key where content_id = $1 order by generation desc limit $2`,
      [contentId, rowCount],
    )
  ).rows;

/** The one of the highest generation. */
export const newestKey = async (tx: Tx, contentId: string): Promise<ContentKeyRow | undefined> =>
  (await newestKeys(tx, contentId, 1))[0];

/** By generation, or by what licences name it by. */
export const keyOf = async (
  tx: Tx,
  contentId: string,
  { generation, keyId }: { readonly generation: number | undefined; readonly keyId: Buffer | undefined },
): Promise<ContentKeyRow | undefined> =>
  (
    await tx.query<ContentKeyRow>(
      `select ${CONTENT_KEY} from content_key
       where content_id = $1 and ($2::int is null or generation = $2) and ($3::bytea is null or key_id = $3)
       order by generation desc limit 1`,
      [contentId, generation ?? null, keyId ?? null],
    )
  ).rows[0];

/** Nothing happens where this generation is there already. */
export const insertKey = async (tx: Tx, key: NewContentKey): Promise<void> => {
  await tx.query(
    `insert into content_key (tenant_id, content_id, generation, key_id, wrapped, master_key_id)
     values ($1, $2, $3, $4, $5, $6) on conflict do nothing`,
    [key.tenantId, key.contentId, key.generation, key.keyId, key.wrapped, key.masterKeyId],
  );
};

export const deleteContent = async (tx: Tx, contentId: string): Promise<void> => {
  await tx.query("delete from content_key where content_id = $1", [contentId]);
  await tx.query("delete from key_delivery where content_id = $1", [contentId]);
};

/** In the order of `signs_from`, the newest last. */
export const signingKeys = async (tx: Tx): Promise<SigningKeyRow[]> =>
  (
    await tx.query<SigningKeyRow>(
      `select key_id as "keyId", public_key as "publicKey", wrapped, master_key_id as "masterKeyId",
         signs_from as "signsFrom"
       from token_signing_key order by signs_from, key_id`,
    )
  ).rows;

/** One maker at a time in the whole platform; held until the transaction ends. */
export const lockSigningKeys = async (tx: Tx): Promise<void> => {
  await tx.query("select pg_advisory_xact_lock(hashtext('castellan.token_signing_key'))");
};

export const insertSigningKey = async (tx: Tx, key: SigningKeyRow): Promise<void> => {
  await tx.query(
    `insert into token_signing_key (key_id, public_key, wrapped, master_key_id, signs_from)
     values ($1, $2, $3, $4, $5)`,
    [key.keyId, key.publicKey, key.wrapped, key.masterKeyId, key.signsFrom],
  );
};

/** Of the transaction's tenant. */
export const sessionOf = async (tx: Tx, sessionId: string): Promise<SessionRow | undefined> =>
  (
    await tx.query<SessionRow>(
      `select title_id as "titleId", owner_tenant_id as "ownerTenantId", viewer, address, expires_at as "expiresAt",
         revoked_at as "revokedAt"
       from playback_session where id = $1`,
      [sessionId],
    )
  ).rows[0];

/** All of the transaction's tenant. */
export const insertDeliveries = async (tx: Tx, rows: readonly DeliveryRow[]): Promise<void> => {
  await tx.query(
    `insert into key_delivery
       (id, tenant_id, content_id, generation, session_id, viewer, address, outcome, delivered_at)
     select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::text[],
       $8::text[], $9::timestamptz[])`,
    [
      rows.map(({ id }) => id),
      rows.map(({ tenantId }) => tenantId),
      rows.map(({ contentId }) => contentId),
      rows.map(({ generation }) => generation),
      rows.map(({ sessionId }) => sessionId),
      rows.map(({ viewer }) => viewer),
      rows.map(({ address }) => address),
      rows.map(({ outcome }) => outcome),
      rows.map(({ at }) => at),
    ],
  );
};

export const deliveryPage = async (
  tx: Tx,
  page: { readonly contentId: string; readonly afterId: string | null; readonly rowCount: number },
): Promise<DeliveryRow[]> =>
  (
    await tx.query<DeliveryRow>(
      `select id, tenant_id as "tenantId", content_id as "contentId", generation, session_id as "sessionId", viewer,
         address, outcome, delivered_at as at
       from key_delivery where content_id = $1 and ($2::uuid is null or id > $2) order by id limit $3`,
      [page.contentId, page.afterId, page.rowCount],
    )
  ).rows;

/** How many went. */
export const trimDeliveries = async (tx: Tx, before: Date, rowsMax: number): Promise<number> =>
  (
    await tx.query(
      `delete from key_delivery where ctid = any(array(
         select ctid from key_delivery where delivered_at < $1 limit $2))`,
      [before, rowsMax],
    )
  ).rowCount;

/** Outside of any tenant. */
export const allTenantIds = async (tx: Tx): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from tenant order by id")).rows.map(({ id }) => id);

/** Which master keys the transaction's rows need: of one tenant, or outside of any the platform's own. */
export const masterKeysNeeded = async (tx: Tx): Promise<{ masterKeyId: string; rowCount: number }[]> =>
  (
    await tx.query<{ masterKeyId: string; rowCount: number }>(
      `select master_key_id as "masterKeyId", count(*) as "rowCount" from (
         select master_key_id from content_key union all select master_key_id from token_signing_key) as keys
       group by 1 order by 1`,
    )
  ).rows;

interface Rewrappable extends Wrapped {
  readonly tenantId: string;
  readonly contentId: string;
  readonly generation: number;
}

/** Content keys of the transaction's tenant that these master keys wrap, locked. */
export const keysToRewrap = async (tx: Tx, formerIds: readonly string[], rowsMax: number): Promise<Rewrappable[]> =>
  (
    await tx.query<Rewrappable>(
      `select tenant_id as "tenantId", content_id as "contentId", generation, wrapped as bytes,
         master_key_id as "masterKeyId"
       from content_key where master_key_id = any($1) order by content_id, generation limit $2 for update`,
      [formerIds, rowsMax],
    )
  ).rows;

export const rewrapKey = async (tx: Tx, key: Rewrappable): Promise<void> => {
  await tx.query("update content_key set wrapped = $3, master_key_id = $4 where content_id = $1 and generation = $2", [
    key.contentId,
    key.generation,
    key.bytes,
    key.masterKeyId,
  ]);
};

export const rewrapSigningKey = async (tx: Tx, keyId: string, { bytes, masterKeyId }: Wrapped): Promise<void> => {
  await tx.query("update token_signing_key set wrapped = $2, master_key_id = $3 where key_id = $1", [
    keyId,
    bytes,
    masterKeyId,
  ]);
};
