/** All SQL of `library`, `library_title` and `library_licence`. Each function runs in the caller's transaction. */
import type { Tx } from "../../lib/db/database.ts";

export interface LibraryRow {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly titleCount: number;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
export interface LibraryTitleRow {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly state: string;
  readonly addedAt: Date;
}
export interface LicenceRow {
  readonly id: string;
  readonly ownerId: string;
  readonly libraryId: string;
  readonly titleId: string | null;
  readonly licenseeId: string;
  readonly startsAt: Date;
  readonly endsAt: Date | null;
  readonly territories: string[] | null;
  readonly maxHeight: number | null;
  readonly createdAt: Date;
  readonly revokedAt: Date | null;
  readonly active: boolean;
  /** 1; 2 when it is revoked, the one change of a licence. */
  readonly version: number;
}
export interface PageOf {
  /** Rows after this id; null for the first page. */
  readonly afterId: string | null;
  readonly rowCount: number;
}

const LIBRARY = `id, slug, name, version, created_at as "createdAt", updated_at as "updatedAt",
  (select count(*)::int from library_title t where t.tenant_id = library.tenant_id and t.library_id = library.id)
    as "titleCount"`;
const ACTIVE = "(revoked_at is null and starts_at <= now() and (ends_at is null or ends_at > now()))";
const LICENCE = `id, tenant_id as "ownerId", library_id as "libraryId", title_id as "titleId",
  licensee_id as "licenseeId", starts_at as "startsAt", ends_at as "endsAt", territories, max_height as "maxHeight",
  created_at as "createdAt", revoked_at as "revokedAt", ${ACTIVE} as active,
  1 + (revoked_at is not null)::int as version`;

/** Undefined when the slug is taken. */
export const insertLibrary = async (
  tx: Tx,
  library: { readonly id: string; readonly tenantId: string; readonly slug: string; readonly name: string },
): Promise<LibraryRow | undefined> => {
  const { rows } = await tx.query<LibraryRow>(
    `insert into library (id, tenant_id, slug, name) values ($1, $2, $3, $4)
     on conflict (tenant_id, slug) do nothing returning ${LIBRARY}`,
    [library.id, library.tenantId, library.slug, library.name],
  );
  return rows[0];
};

// A licensee reads rows of its licensors in these tables: a tenant's own are asked for by name.
export const libraryPage = async (tx: Tx, tenantId: string, { afterId, rowCount }: PageOf): Promise<LibraryRow[]> =>
  (
    await tx.query<LibraryRow>(
      `select ${LIBRARY} from library where tenant_id = $1 and ($2::uuid is null or id > $2) order by id limit $3`,
      [tenantId, afterId, rowCount],
    )
  ).rows;

export const readLibrary = async (tx: Tx, id: string): Promise<LibraryRow | undefined> =>
  (await tx.query<LibraryRow>(`select ${LIBRARY} from library where id = $1`, [id])).rows[0];

export const lockLibrary = async (tx: Tx, id: string): Promise<LibraryRow | undefined> =>
  (await tx.query<LibraryRow>(`select ${LIBRARY} from library where id = $1 for update`, [id])).rows[0];

export const libraryIdBySlug = async (tx: Tx, slug: string): Promise<string | undefined> =>
  (await tx.query<{ id: string }>("select id from library where slug = $1", [slug])).rows[0]?.id;

export const updateLibrary = async (
  tx: Tx,
  { id, slug, name }: { readonly id: string; readonly slug: string; readonly name: string },
): Promise<LibraryRow> => {
  const { rows } = await tx.query<LibraryRow>(
    `update library set slug = $2, name = $3, version = version + 1, updated_at = now()
     where id = $1 returning ${LIBRARY}`,
    [id, slug, name],
  );
  return rows[0]!; // the caller holds its lock
};

export const deleteLibrary = async (tx: Tx, id: string): Promise<void> => {
  await tx.query("delete from library where id = $1", [id]);
};

export const libraryTitlePage = async (
  tx: Tx,
  libraryId: string,
  { afterId, rowCount }: PageOf,
): Promise<LibraryTitleRow[]> =>
  (
    await tx.query<LibraryTitleRow>(
      `select t.id, t.name, t.kind, t.state, l.added_at as "addedAt"
       from library_title l join title t on t.tenant_id = l.tenant_id and t.id = l.title_id
       where l.library_id = $1 and t.deleted_at is null and ($2::uuid is null or t.id > $2) order by t.id limit $3`,
      [libraryId, afterId, rowCount],
    )
  ).rows;

/** Those of the list that this tenant has. */
export const ownTitles = async (tx: Tx, titleIds: readonly string[]): Promise<string[]> =>
  (
    await tx.query<{ id: string }>("select id from title where id = any ($1::uuid[]) and deleted_at is null", [
      titleIds,
    ])
  ).rows.map(({ id }) => id);

/** How many of them were not in it yet. */
export const addTitles = async (
  tx: Tx,
  of: { readonly tenantId: string; readonly libraryId: string; readonly titleIds: readonly string[] },
): Promise<number> => {
  const { rowCount } = await tx.query(
    `insert into library_title (library_id, title_id, tenant_id) select $1, id, $2 from unnest($3::uuid[]) id
     on conflict do nothing`,
    [of.libraryId, of.tenantId, of.titleIds],
  );
  return rowCount;
};

export const removeTitle = async (tx: Tx, libraryId: string, titleId: string): Promise<boolean> => {
  const { rowCount } = await tx.query("delete from library_title where library_id = $1 and title_id = $2", [
    libraryId,
    titleId,
  ]);
  return rowCount === 1;
};

export const hasTitle = async (tx: Tx, libraryId: string, titleId: string): Promise<boolean> => {
  const values = [libraryId, titleId];
  return (await tx.query("select from library_title where library_id = $1 and title_id = $2", values)).rowCount === 1;
};

export interface NewLicence {
  readonly id: string;
  readonly tenantId: string;
  readonly libraryId: string;
  readonly titleId: string | null;
  readonly licenseeId: string;
  readonly startsAt: string | null;
  readonly endsAt: string | null;
  readonly territories: readonly string[] | null;
  readonly maxHeight: number | null;
}
export const insertLicence = async (tx: Tx, licence: NewLicence): Promise<LicenceRow> => {
  const { rows } = await tx.query<LicenceRow>(
    `insert into library_licence (id, tenant_id, library_id, title_id, licensee_id, starts_at, ends_at, territories,
       max_height)
     values ($1, $2, $3, $4, $5, coalesce($6, now()), $7, $8, $9) returning ${LICENCE}`,
    [
      ...[licence.id, licence.tenantId, licence.libraryId, licence.titleId, licence.licenseeId],
      ...[licence.startsAt, licence.endsAt, licence.territories, licence.maxHeight],
    ],
  );
  return rows[0]!; // `returning` of a plain insert
};

export const licencePage = async (tx: Tx, libraryId: string, { afterId, rowCount }: PageOf): Promise<LicenceRow[]> =>
  (
    await tx.query<LicenceRow>(
      `select ${LICENCE} from library_licence where library_id = $1 and ($2::uuid is null or id > $2)
       order by id limit $3`,
      [libraryId, afterId, rowCount],
    )
  ).rows;

/** Those that hold now. */
export const activeLicences = async (tx: Tx, libraryId: string): Promise<LicenceRow[]> =>
  (
    await tx.query<LicenceRow>(
      `select ${LICENCE} from library_licence where library_id = $1 and ${ACTIVE} order by id`,
      [libraryId],
    )
  ).rows;

interface LicenceOf {
  readonly libraryId: string;
  readonly licenceId: string;
}
export const lockLicence = async (tx: Tx, of: LicenceOf): Promise<LicenceRow | undefined> =>
  (
    await tx.query<LicenceRow>(`select ${LICENCE} from library_licence where library_id = $1 and id = $2 for update`, [
      of.libraryId,
      of.licenceId,
    ])
  ).rows[0];

export const revokeLicence = async (tx: Tx, of: LicenceOf): Promise<LicenceRow> => {
  const { rows } = await tx.query<LicenceRow>(
    `update library_licence set revoked_at = now() where library_id = $1 and id = $2 returning ${LICENCE}`,
    [of.libraryId, of.licenceId],
  );
  return rows[0]!; // the caller holds its lock
};

/** Those that the transaction's tenant holds and that are not revoked. */
export const receivedPage = async (tx: Tx, tenantId: string, { afterId, rowCount }: PageOf): Promise<LicenceRow[]> =>
  (
    await tx.query<LicenceRow>(
      `select ${LICENCE} from library_licence
       where licensee_id = $1 and revoked_at is null and ($2::uuid is null or id > $2) order by id limit $3`,
      [tenantId, afterId, rowCount],
    )
  ).rows;

const HOLDS = `from library_licence l join library_title t
    on t.tenant_id = l.tenant_id and t.library_id = l.library_id and (l.title_id is null or l.title_id = t.title_id)
  where l.licensee_id = $1 and l.tenant_id <> $1
    and l.revoked_at is null and l.starts_at <= now() and (l.ends_at is null or l.ends_at > now())`;

/** What a licence says of playing. */
export interface LicenceTerms extends Pick<LicenceRow, "ownerId" | "endsAt" | "maxHeight"> {
  /** Viewers there may play by it. */
  readonly isGoodThere: boolean;
}
/**
 * The licence by which this tenant may show a title now, in a country where there is one for that (null: somewhere): of
 * several the one that allows the largest picture, and of those the one that lasts longest.
 */
export const bestLicence = async (
  tx: Tx,
  {
    tenantId,
    titleId,
    country,
  }: { readonly tenantId: string; readonly titleId: string; readonly country: string | null },
): Promise<LicenceTerms | undefined> =>
  (
    await tx.query<LicenceTerms>(
      `select l.tenant_id as "ownerId", l.ends_at as "endsAt", l.max_height as "maxHeight",
         l.territories is null or coalesce($3::text = any (l.territories), false) as "isGoodThere"
       ${HOLDS} and t.title_id = $2
       order by "isGoodThere" desc, l.max_height desc nulls first, l.ends_at desc nulls first, l.id limit 1`,
      [tenantId, titleId, country],
    )
  ).rows[0];

/** What this tenant may show of others, by owner; at most so many titles. */
export const licensedTitles = async (
  tx: Tx,
  tenantId: string,
  titlesMax: number,
): Promise<{ ownerId: string; titleIds: string[] }[]> =>
  (
    await tx.query<{ ownerId: string; titleIds: string[] }>(
      `select "ownerId", array_agg(title_id::text) as "titleIds"
       from (select distinct l.tenant_id as "ownerId", t.title_id ${HOLDS} order by 2 limit $2) found
       group by 1 order by 1`,
      [tenantId, titlesMax],
    )
  ).rows;

/** Outside of a tenant, where the list of tenants is whole. */
export const tenantBySlug = async (tx: Tx, slug: string): Promise<string | undefined> =>
  (await tx.query<{ id: string }>("select id from tenant where slug = $1", [slug])).rows[0]?.id;
export const slugsOf = async (tx: Tx, ids: readonly string[]): Promise<ReadonlyMap<string, string>> => {
  const { rows } = await tx.query<{ id: string; slug: string }>(
    "select id, slug from tenant where id = any ($1::uuid[])",
    [ids],
  );
  return new Map(rows.map(({ id, slug }) => [id, slug]));
};
