/** All SQL of the upload actor: the tables `upload` and `upload_key`. */
import type { Tx } from "../../lib/db/database.ts";

export type UploadKind = "tus" | "pull" | "s3";
export type UploadState = "receiving" | "checking" | "done" | "refused" | "failed" | "expired" | "terminated";
export type TitleKind = "movie" | "episode" | "clip";

/** Where a pull's or an import's bytes come from; `etag` and `lastModified` tell the version that was begun with. */
export interface Origin {
  readonly url?: string;
  readonly bucket?: string;
  readonly key?: string;
  readonly trusted?: boolean;
  readonly etag?: string | null;
  readonly lastModified?: string | null;
}

export interface UploadRow {
  readonly id: string;
  readonly tenantId: string;
  readonly kind: UploadKind;
  readonly state: UploadState;
  readonly filename: string;
  readonly name: string | null;
  readonly titleKind: TitleKind;
  readonly titleId: string | null;
  readonly sizeBytes: number | null;
  readonly offset: number;
  readonly metadata: Readonly<Record<string, string | null>>;
  readonly origin: Origin | null;
  readonly error: string | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

const COLUMNS = `id, tenant_id as "tenantId", kind, state, filename, name, title_kind as "titleKind",
  title_id as "titleId", size_bytes as "sizeBytes", offset_bytes as "offset", metadata, origin, error,
  created_at as "createdAt", updated_at as "updatedAt"`;

export type NewUpload = Omit<UploadRow, "state" | "offset" | "error" | "createdAt" | "updatedAt">;

const QUOTA_CLASS = 20_261_122;

/** Others of the tenant that would take room wait until this transaction ends. */
export const lockQuota = async (tx: Tx, tenantId: string): Promise<void> => {
  await tx.query("select pg_advisory_xact_lock($1, hashtext($2))", [QUOTA_CLASS, tenantId]);
};

/** What the tenant's sources take, with all of those that are on their way. */
export const takenBytes = async (tx: Tx): Promise<number> => {
  const { rows } = await tx.query<{ taken: string }>(
    `select coalesce(sum(coalesce(size_bytes, offset_bytes)), 0)::text as taken from upload
     where state in ('receiving', 'checking', 'done')`,
  );
  return Number(rows[0]?.taken ?? 0);
};

export const insertUpload = async (tx: Tx, row: NewUpload): Promise<UploadRow> => {
  const { rows } = await tx.query<UploadRow>(
    `insert into upload (id, tenant_id, kind, state, filename, name, title_kind, title_id, size_bytes, metadata, origin)
     values ($1, $2, $3, 'receiving', $4, $5, $6, $7, $8, $9, $10) returning ${COLUMNS}`,
    [
      ...[row.id, row.tenantId, row.kind, row.filename, row.name, row.titleKind, row.titleId, row.sizeBytes],
      ...[JSON.stringify(row.metadata), row.origin && JSON.stringify(row.origin)],
    ],
  );
  return rows[0]!; // an insert that does not throw returns its row
};

export const readUpload = async (tx: Tx, id: string): Promise<UploadRow | undefined> =>
  (await tx.query<UploadRow>(`select ${COLUMNS} from upload where id = $1`, [id])).rows[0];

/** Held until the transaction ends. */
export const lockUpload = async (tx: Tx, id: string): Promise<UploadRow | undefined> =>
  (await tx.query<UploadRow>(`select ${COLUMNS} from upload where id = $1 for update`, [id])).rows[0];

export interface Wanted {
  readonly before: string | null;
  readonly limit: number;
  readonly state: UploadState | null;
  readonly titleId: string | null;
}

export const listUploads = async (tx: Tx, { before, limit, state, titleId }: Wanted): Promise<UploadRow[]> =>
  (
    await tx.query<UploadRow>(
      `select ${COLUMNS} from upload
       where ($1::uuid is null or id < $1) and ($2::text is null or state = $2) and ($3::uuid is null or title_id = $3)
       order by id desc limit $4`,
      [before, state, titleId, limit + 1],
    )
  ).rows;

/** From now on this writer alone moves the offset. */
export const takeOver = async (tx: Tx, id: string, writer: string): Promise<UploadRow | undefined> =>
  (await tx.query<UploadRow>(`update upload set writer = $2 where id = $1 returning ${COLUMNS}`, [id, writer])).rows[0];

export interface Advance {
  readonly id: string;
  readonly writer: string;
  readonly offset: number;
}

/** False: another writer has it, or it is no longer being received. */
export const advance = async (tx: Tx, { id, writer, offset }: Advance): Promise<boolean> =>
  (
    await tx.query(
      `update upload set offset_bytes = $3, updated_at = now()
       where id = $1 and writer = $2 and state = 'receiving' and offset_bytes <= $3`,
      [id, writer, offset],
    )
  ).rowCount > 0;

/** What the server of a pull says of its file; another version begins from the start. */
export const setOrigin = async (
  tx: Tx,
  { id, origin, sizeBytes, offset }: { id: string; origin: Origin; sizeBytes: number | null; offset: number },
): Promise<void> => {
  await tx.query(
    "update upload set origin = $2, size_bytes = $3, offset_bytes = $4, updated_at = now() where id = $1",
    [id, JSON.stringify(origin), sizeBytes, offset],
  );
};

/** Whole: from `receiving` to `checking`. False: it is in another state. */
export const setWhole = async (tx: Tx, id: string, sizeBytes: number): Promise<boolean> =>
  (
    await tx.query(
      `update upload set state = 'checking', size_bytes = $2, offset_bytes = $2, writer = null, updated_at = now()
       where id = $1 and state = 'receiving'`,
      [id, sizeBytes],
    )
  ).rowCount > 0;

/** It became the source of this title. */
export const setDone = async (tx: Tx, id: string, titleId: string): Promise<void> => {
  await tx.query(
    `update upload set state = 'done', title_id = $2, error = null, cleaned = true, updated_at = now()
     where id = $1 and state = 'checking'`,
    [id, titleId],
  );
};

export interface Ending {
  readonly id: string;
  readonly state: "refused" | "failed" | "expired" | "terminated";
  readonly error: string | null;
  /** Only if nothing of it has moved for so long. */
  readonly idleMs?: number;
}

/** It ends without a source; its bytes are still there. False: it had ended before, or has gone on. */
export const setEnded = async (tx: Tx, { id, state, error, idleMs }: Ending): Promise<boolean> =>
  (
    await tx.query(
      `update upload set state = $2, error = $3, writer = null, cleaned = false, updated_at = now()
       where id = $1 and state in ('receiving', 'checking')
         and ($4::bigint is null or (state = 'receiving' and updated_at < now() - $4 * interval '1 millisecond'))`,
      [id, state, error?.slice(0, 1_000) ?? null, idleMs ?? null],
    )
  ).rowCount > 0;

export const setCleaned = async (tx: Tx, id: string): Promise<void> => {
  await tx.query("update upload set cleaned = true where id = $1", [id]);
};

/** Those of `tus` that have waited too long for their next byte. */
export const expired = async (tx: Tx, waitMs: number): Promise<UploadRow[]> =>
  (
    await tx.query<UploadRow>(
      `select ${COLUMNS} from upload where kind = 'tus' and state = 'receiving' and not cleaned
         and updated_at < now() - $1 * interval '1 millisecond' order by updated_at limit 1000`,
      [waitMs],
    )
  ).rows;

/** Those that ended while their bytes could not be removed. */
export const uncleaned = async (tx: Tx): Promise<UploadRow[]> =>
  (
    await tx.query<UploadRow>(
      `select ${COLUMNS} from upload where not cleaned and state in ('refused', 'failed', 'expired', 'terminated')
       order by updated_at limit 1000`,
    )
  ).rows;

/** Those that wait for what a job does. */
export const waiting = async (tx: Tx): Promise<UploadRow[]> =>
  (
    await tx.query<UploadRow>(
      `select ${COLUMNS} from upload
       where not cleaned and (state = 'checking' or (state = 'receiving' and kind in ('pull', 's3')))
         and updated_at < now() - interval '1 minute' order by updated_at limit 1000`,
    )
  ).rows;

/** What ended without a source long ago. */
export const trimEnded = async (tx: Tx, keepDays: number): Promise<number> =>
  (
    await tx.query(
      `delete from upload where cleaned and state in ('refused', 'failed', 'expired', 'terminated')
         and updated_at < now() - $1 * interval '1 day'`,
      [keepDays],
    )
  ).rowCount;

/** The title is gone, and its sources with it. */
export const forgetTitle = async (tx: Tx, titleId: string): Promise<void> => {
  await tx.query("delete from upload where title_id = $1 and state = 'done'", [titleId]);
};

export interface KnownObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Why it was refused; null: it came, or is on its way. */
  readonly reason: string | null;
}
/** Which of those keys of a bucket were imported before; what failed for another reason than its bytes is not told. */
export const knownObjects = async (tx: Tx, bucket: string, keys: readonly string[]): Promise<KnownObject[]> =>
  (
    await tx.query<KnownObject>(
      `select distinct on (origin_path, size_bytes) origin ->> 'key' as key, size_bytes as "sizeBytes",
         case state when 'refused' then coalesce(error, '') end as reason
       from upload
       where origin_path = any($1) and state in ('receiving', 'checking', 'done', 'refused')
       order by origin_path, size_bytes, state = 'refused'`,
      [keys.map((key) => `${bucket}/${key}`)],
    )
  ).rows;

const IMPORT_CLASS = 20_261_124;

/** Whether another upload has this one's object. Of two imports at once the second waits here for the first one. */
export const isImported = async (tx: Tx, { id, tenantId, origin, sizeBytes }: UploadRow): Promise<boolean> => {
  const path = `${origin?.bucket}/${origin?.key}`;
  await tx.query("select pg_advisory_xact_lock($1, hashtext($2))", [IMPORT_CLASS, `${tenantId} ${path}`]);
  const { rowCount } = await tx.query(
    `select from upload where origin_path = $1 and size_bytes = $2 and id <> $3
       and state in ('receiving', 'checking', 'done', 'refused') limit 1`,
    [path, sizeBytes, id],
  );
  return rowCount > 0;
};

/** Outside of any tenant. */
export const tenantIds = async (tx: Tx): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from tenant order by id")).rows.map(({ id }) => id);

export const slugOf = async (tx: Tx, tenantId: string): Promise<string | undefined> =>
  (await tx.query<{ slug: string }>("select slug from tenant where id = $1", [tenantId])).rows[0]?.slug;

/** The key of all tickets, of the platform: outside of any tenant. The first that comes makes it. */
export const ticketKey = async (tx: Tx, made: Buffer): Promise<Buffer> => {
  await tx.query("insert into upload_key (secret) values ($1) on conflict do nothing", [made]);
  const { rows } = await tx.query<{ secret: Buffer }>("select secret from upload_key");
  return rows[0]!.secret; // there is one now, whoever inserted it
};
