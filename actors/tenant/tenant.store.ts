/** All SQL of the tables `tenant`, `api_key` and `idempotency_key`. Each function runs in the caller's transaction. */
import type { Tx } from "../../lib/db/database.ts";

export interface TenantRow {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly created_at: Date;
}
export interface KeyRow {
  readonly id: string;
  readonly name: string;
  readonly scopes: string[];
  readonly prefix: string;
  readonly created_at: Date;
  readonly last_used_at: Date | null;
  readonly revoked_at: Date | null;
}
export interface NewKeyRow {
  readonly id: string;
  readonly tenantId: string;
  readonly name: string;
  readonly secretSha256: Buffer;
  readonly prefix: string;
  readonly scopes: readonly string[];
}
interface PageOf {
  /** Rows after this id; null for the first page. */
  readonly afterId: string | null;
  readonly rowCount: number;
}

const TENANT = "id, slug, name, created_at";
const KEY = "id, name, scopes, prefix, created_at, last_used_at, revoked_at";
const ADMIN = "'platform:admin' = any(scopes) and revoked_at is null";

/** Undefined when the slug is taken. */
export const insertTenant = async (
  tx: Tx,
  tenant: { id: string; slug: string; name: string },
): Promise<TenantRow | undefined> => {
  const { rows } = await tx.query<TenantRow>(
    `insert into tenant (id, slug, name) values ($1, $2, $3) on conflict (slug) do nothing returning ${TENANT}`,
    [tenant.id, tenant.slug, tenant.name],
  );
  return rows[0];
};

export const tenantIdBySlug = async (tx: Tx, slug: string): Promise<string | undefined> => {
  const { rows } = await tx.query<{ id: string }>("select id from tenant where slug = $1", [slug]);
  return rows[0]?.id;
};

export const tenantPage = async (tx: Tx, { afterId, rowCount }: PageOf): Promise<TenantRow[]> => {
  const { rows } = await tx.query<TenantRow>(
    `select ${TENANT} from tenant where $1::uuid is null or id > $1 order by id limit $2`,
    [afterId, rowCount],
  );
  return rows;
};

export const tenantIds = async (tx: Tx): Promise<string[]> => {
  const { rows } = await tx.query<{ id: string }>("select id from tenant order by id");
  return rows.map(({ id }) => id);
};

export const insertKey = async (tx: Tx, key: NewKeyRow): Promise<KeyRow> => {
  const { rows } = await tx.query<KeyRow>(
    `insert into api_key (id, tenant_id, name, secret_sha256, prefix, scopes)
     values ($1, $2, $3, $4, $5, $6) returning ${KEY}`,
    [key.id, key.tenantId, key.name, key.secretSha256, key.prefix, key.scopes],
  );
  return rows[0]!; // `returning` of a plain insert
};

/** Makes sure that the key is there, alive and has these scopes, whatever became of it earlier. */
export const reviveKey = async (tx: Tx, key: NewKeyRow): Promise<void> => {
  await tx.query(
    `insert into api_key (id, tenant_id, name, secret_sha256, prefix, scopes) values ($1, $2, $3, $4, $5, $6)
     on conflict (tenant_id, secret_sha256) do update
       set name = excluded.name, scopes = excluded.scopes, revoked_at = null`,
    [key.id, key.tenantId, key.name, key.secretSha256, key.prefix, key.scopes],
  );
};

/** Revokes every live key of that name except the one with this hash. */
export const revokeNamesakes = async (tx: Tx, key: { name: string; secretSha256: Buffer }): Promise<void> => {
  await tx.query(
    "update api_key set revoked_at = now() where name = $1 and secret_sha256 <> $2 and revoked_at is null",
    [key.name, key.secretSha256],
  );
};

export const keyPage = async (tx: Tx, { afterId, rowCount }: PageOf): Promise<KeyRow[]> => {
  const { rows } = await tx.query<KeyRow>(
    `select ${KEY} from api_key where $1::uuid is null or id > $1 order by id limit $2`,
    [afterId, rowCount],
  );
  return rows;
};

/** Locks the row, so that a decision about it holds until the transaction ends. */
export const lockKey = async (tx: Tx, id: string): Promise<KeyRow | undefined> => {
  const { rows } = await tx.query<KeyRow>(`select ${KEY} from api_key where id = $1 for update`, [id]);
  return rows[0];
};

/** Ids of the tenant's live admin keys, locked in one order: of two revocations at once the second sees the first. */
export const lockAdminKeys = async (tx: Tx): Promise<string[]> => {
  const { rows } = await tx.query<{ id: string }>(`select id from api_key where ${ADMIN} order by id for update`);
  return rows.map(({ id }) => id);
};

export const revokeKey = async (tx: Tx, id: string): Promise<KeyRow> => {
  const { rows } = await tx.query<KeyRow>(
    `update api_key set revoked_at = coalesce(revoked_at, now()) where id = $1 returning ${KEY}`,
    [id],
  );
  return rows[0]!; // the caller holds the row's lock
};

/** The live key with this hash, in the transaction's tenant. */
export const liveKeyByHash = async (
  tx: Tx,
  secretSha256: Buffer,
): Promise<{ id: string; scopes: string[]; tenant_id: string; slug: string } | undefined> => {
  const { rows } = await tx.query<{ id: string; scopes: string[]; tenant_id: string; slug: string }>(
    `select k.id, k.scopes, k.tenant_id, t.slug from api_key k join tenant t on t.id = k.tenant_id
     where k.secret_sha256 = $1 and k.revoked_at is null`,
    [secretSha256],
  );
  return rows[0];
};

export const touchKeys = async (tx: Tx, uses: readonly { id: string; at: Date }[]): Promise<void> => {
  await tx.query(
    `update api_key k set last_used_at = greatest(k.last_used_at, u.at)
     from unnest($1::uuid[], $2::timestamptz[]) as u (id, at) where k.id = u.id`,
    [uses.map(({ id }) => id), uses.map(({ at }) => at)],
  );
};

/** One bootstrap at a time in the whole platform; released at the end of the transaction. */
export const lockBootstrap = async (tx: Tx): Promise<void> => {
  await tx.query("select pg_advisory_xact_lock(hashtext('castellan.bootstrap'))");
};

export interface IdempotencyRow {
  readonly fingerprint: string;
  readonly status: number | null;
  readonly body: string | null;
}
export interface Claim {
  readonly tenantId: string;
  readonly key: string;
  readonly fingerprint: string;
  readonly lockSeconds: number;
  readonly keepSeconds: number;
}

/** True when the key is ours now: new, too old to count, or claimed by an equal request that never answered. */
export const claimIdempotency = async (tx: Tx, claim: Claim): Promise<boolean> => {
  const { rowCount } = await tx.query(
    `insert into idempotency_key as k (tenant_id, key, fingerprint, locked_until)
     values ($1, $2, $3, now() + $4 * interval '1 second')
     on conflict (tenant_id, key) do update
       set fingerprint = excluded.fingerprint, status = null, body = null,
           locked_until = excluded.locked_until, created_at = now()
       where k.created_at < now() - $5 * interval '1 second'
          or (k.status is null and k.locked_until < now() and k.fingerprint = excluded.fingerprint)`,
    [claim.tenantId, claim.key, claim.fingerprint, claim.lockSeconds, claim.keepSeconds],
  );
  return rowCount === 1;
};

export const readIdempotency = async (tx: Tx, key: string): Promise<IdempotencyRow | undefined> => {
  const { rows } = await tx.query<IdempotencyRow>(
    "select fingerprint, status, body from idempotency_key where key = $1",
    [key],
  );
  return rows[0];
};

export const storeIdempotency = async (
  tx: Tx,
  answer: { key: string; status: number; body: string },
): Promise<void> => {
  await tx.query("update idempotency_key set status = $2, body = $3 where key = $1 and status is null", [
    answer.key,
    answer.status,
    answer.body,
  ]);
};

export const freeIdempotency = async (tx: Tx, key: string): Promise<void> => {
  await tx.query("delete from idempotency_key where key = $1 and status is null", [key]);
};

/** How many of the tenant's records were too old. */
export const trimIdempotency = async (tx: Tx, keepSeconds: number): Promise<number> => {
  const { rowCount } = await tx.query(
    "delete from idempotency_key where created_at < now() - $1 * interval '1 second'",
    [keepSeconds],
  );
  return rowCount;
};
