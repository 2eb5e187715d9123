/** All SQL of the tables `title`, `title_child` and `title_source`. Each function runs in the caller's transaction. */
import type { Title, TitleFilter } from "../../contracts/catalog.ts";
import type { Tx } from "../../lib/db/database.ts";
import type { Keyset, Sort } from "./lists.ts";

export interface TitleRow
  extends Omit<Title, "availableFrom" | "availableUntil" | "createdAt" | "updatedAt" | "processingError"> {
  readonly processingError: Title["processingError"];
  readonly tenantId: string;
  readonly sortKey: string;
  readonly availableFrom: Date | null;
  readonly availableUntil: Date | null;
  readonly playableRevision: number | null;
  readonly manualFields: readonly string[];
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly deletedAt: Date | null;
  readonly deletedWith: string | null;
  readonly purgingAt: Date | null;
}

/** Written as they are given; `id`, `tenantId`, `version` and the times of writing are not among them. */
const WRITTEN = [
  ...["kind", "state", "name", "originalName", "sortName", "sortKey", "description", "tagline", "year", "releaseDate"],
  ...["runtimeSeconds", "ratings", "tags", "languages", "externalIds", "translations", "channelId", "access"],
  ...["encryption", "codec", "autoPublish", "availableFrom", "availableUntil", "revision", "playableRevision"],
  ...["readyRevision", "processingError", "media", "rungs", "manualFields", "deletedAt", "deletedWith", "purgingAt"],
] as readonly (keyof TitleRow)[];
const JSON_FIELDS = new Set<string>(["ratings", "externalIds", "translations", "processingError", "media", "rungs"]);
const columnOf = (field: string): string => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const COLUMNS = WRITTEN.map(columnOf).join(", ");
const PLACES = WRITTEN.map((_, index) => `$${index + 3}`).join(", ");
const FIELDS = WRITTEN.map((field) => `t.${columnOf(field)} as "${field}"`).join(", ");
const TITLE = `t.id, t.tenant_id as "tenantId", ${FIELDS},
  t.version, t.created_at as "createdAt", t.updated_at as "updatedAt", c.parent_id as "parentId", c.number,
  array(select g.slug from title_genre tg join genre g on g.id = tg.genre_id where tg.title_id = t.id order by tg.place)
    as genres`;
const FROM = "from title t left join title_child c on c.title_id = t.id";

const valuesOf = (row: TitleRow): unknown[] =>
  WRITTEN.map((field) => {
    const value = row[field];
    return JSON_FIELDS.has(field) && value !== null ? JSON.stringify(value) : value;
  });

export const insertTitle = async (tx: Tx, row: TitleRow): Promise<void> => {
  await tx.query(`insert into title (id, tenant_id, ${COLUMNS}) values ($1, $2, ${PLACES})`, [
    row.id,
    row.tenantId,
    ...valuesOf(row),
  ]);
};

/** The caller holds the row's lock. Its version grows. */
export const updateTitle = async (tx: Tx, row: TitleRow): Promise<void> => {
  await tx.query(
    `update title set (${COLUMNS}) = row(${PLACES}), version = version + 1, updated_at = now()
     where id = $1 and tenant_id = $2`,
    [row.id, row.tenantId, ...valuesOf(row)],
  );
};

/** Deleted ones too. */
export const titleById = async (tx: Tx, id: string): Promise<TitleRow | undefined> =>
  (await tx.query<TitleRow>(`select ${TITLE} ${FROM} where t.id = $1`, [id])).rows[0];

export const titlesById = async (tx: Tx, ids: readonly string[]): Promise<TitleRow[]> =>
  (await tx.query<TitleRow>(`select ${TITLE} ${FROM} where t.id = any ($1::uuid[]) and t.deleted_at is null`, [ids]))
    .rows;

/** Deleted ones too. Locks the row: what is decided about a title holds until the transaction ends. */
export const lockTitle = async (tx: Tx, id: string): Promise<TitleRow | undefined> => {
  // The row as it is once the lock is had: a statement that waited for it would answer from before.
  await tx.query("select from title where id = $1 for update", [id]);
  return titleById(tx, id);
};

/** The title, unless somebody else is at it. */
export const lockFreeTitle = async (tx: Tx, id: string): Promise<TitleRow | undefined> => {
  const { rowCount } = await tx.query("select from title where id = $1 for update skip locked", [id]);
  return rowCount === 0 ? undefined : titleById(tx, id);
};

const FILTER = `t.deleted_at is null
  and ($1::text[] is null or t.kind = any ($1)) and ($2::text[] is null or t.state = any ($2))
  and ($3::int is null or t.year >= $3) and ($4::int is null or t.year <= $4)
  and ($5::timestamptz is null or t.updated_at >= $5)
  and ($6::uuid is null or c.parent_id = $6)
  and ($7::text[] is null or cardinality($7) = (select count(*) from title_genre tg join genre g on g.id = tg.genre_id
    where tg.title_id = t.id and g.slug = any ($7)))`;
const filterValues = (filter: TitleFilter): unknown[] => [
  filter.kind ?? null,
  filter.state ?? null,
  filter.yearFrom ?? null,
  filter.yearTo ?? null,
  filter.updatedSince ?? null,
  filter.parent ?? null,
  filter.genre === undefined ? null : [...new Set(filter.genre)],
];

/** With what the cursor of the page after it is made of. */
export const titlePage = async (
  tx: Tx,
  filter: TitleFilter,
  { sort, after, rowCount }: { sort: Sort; after: Keyset | null; rowCount: number },
): Promise<(TitleRow & { readonly sortValue: string })[]> => {
  const { column, text, type, order } = sort;
  const more = order === "asc" ? ">" : "<";
  const { rows } = await tx.query<TitleRow & { sortValue: string }>(
    `select ${TITLE}, ${text} as "sortValue" ${FROM} where ${FILTER}
       and ($8::text is null or (${column}, t.id) ${more} ($8::${type}, $9::uuid))
     order by ${column} ${order}, t.id ${order} limit $10`,
    [...filterValues(filter), after?.value ?? null, after?.id ?? null, rowCount],
  );
  return rows;
};

export const titleIdsOf = async (tx: Tx, filter: TitleFilter, rowCount: number): Promise<string[]> => {
  const text = `select t.id ${FROM} where ${FILTER} order by t.id limit $8`;
  return (await tx.query<{ id: string }>(text, [...filterValues(filter), rowCount])).rows.map(({ id }) => id);
};

/** What belongs to a title is another by now. Gives its new version; undefined where it is deleted. */
export const touchTitle = async (tx: Tx, id: string): Promise<number | undefined> => {
  const { rows } = await tx.query<{ version: number }>(
    `update title set version = version + 1, updated_at = now() where id = $1 and deleted_at is null
     returning version`,
    [id],
  );
  return rows[0]?.version;
};

/** Titles whose genres changed by themselves are others by now. */
export const touchTitlesOf = async (tx: Tx, genreId: string): Promise<void> => {
  await tx.query(
    `update title set version = version + 1, updated_at = now()
     where id in (select title_id from title_genre where genre_id = $1)`,
    [genreId],
  );
};

/** Its place below a parent; null: none. */
export const placeTitle = async (
  tx: Tx,
  { id, tenantId, parentId, number, deletedAt }: TitleRow,
): Promise<"placed" | "taken" | "no parent"> => {
  if (parentId === null || number === null) {
    await tx.query("delete from title_child where title_id = $1", [id]);
    return "placed";
  }
  const live = deletedAt === null;
  // Two that want one place at once wait here for each other, and for a deletion of the parent.
  const parent = await tx.query(
    "select from title where id = $1 and (deleted_at is null or not $2) for no key update",
    [parentId, live],
  );
  if (parent.rowCount === 0) return "no parent";
  const { rowCount } = await tx.query(
    "select from title_child where parent_id = $1 and number = $2 and live and title_id <> $3 and $4",
    [parentId, number, id, live],
  );
  if (rowCount > 0) return "taken";
  await tx.query(
    `insert into title_child (title_id, tenant_id, parent_id, number, live) values ($1, $2, $3, $4, $5)
     on conflict (title_id) do update set parent_id = $3, number = $4, live = $5`,
    [id, tenantId, parentId, number, live],
  );
  return "placed";
};

/** The part that has this number. */
export const partAt = async (tx: Tx, parentId: string, number: number): Promise<string | undefined> =>
  (
    await tx.query<{ id: string }>(
      "select title_id as id from title_child where parent_id = $1 and number = $2 and live",
      [parentId, number],
    )
  ).rows[0]?.id;

/** The title and all that is below it, whatever became of it; parents first. */
export const familyOf = async (tx: Tx, id: string): Promise<string[]> => {
  const { rows } = await tx.query<{ id: string }>(
    `with recursive below (id, depth) as (
       select $1::uuid, 0 union all
       select c.title_id, depth + 1 from below b join title_child c on c.parent_id = b.id where depth < 3)
     select id from below order by depth, id`,
    [id],
  );
  return rows.map((row) => row.id);
};

export const deletedWith = async (tx: Tx, rootId: string): Promise<string[]> => {
  const text = `select t.id ${FROM} where t.deleted_with = $1 and t.deleted_at is not null
    order by (t.id = $1) desc, (t.kind = 'season') desc, t.id`;
  return (await tx.query<{ id: string }>(text, [rootId])).rows.map(({ id }) => id);
};

export const hasChannel = async (tx: Tx, channelId: number): Promise<boolean> =>
  (await tx.query("select from channel where id = $1 and deleted_at is null", [channelId])).rowCount > 0;

/** All that refers to it goes too. */
export const removeTitle = async (tx: Tx, id: string): Promise<void> => {
  await tx.query("delete from title where id = $1", [id]);
};

export interface SourceRow {
  readonly sourceId: string;
  readonly tenantId: string;
  readonly titleId: string;
  readonly revision: number;
  readonly path: string;
  readonly filename: string;
  readonly sizeBytes: number;
}
const SOURCE = `source_id as "sourceId", tenant_id as "tenantId", title_id as "titleId", revision, path, filename,
  size_bytes as "sizeBytes"`;

export const insertSource = async (tx: Tx, source: SourceRow): Promise<void> => {
  await tx.query(
    `insert into title_source (source_id, tenant_id, title_id, revision, path, filename, size_bytes)
     values ($1, $2, $3, $4, $5, $6, $7)`,
    [
      ...[source.sourceId, source.tenantId, source.titleId, source.revision, source.path],
      ...[source.filename, source.sizeBytes],
    ],
  );
};

type MediaFacts = NonNullable<Title["media"]>;
interface SourceOf {
  readonly titleId: string;
  readonly revision: number;
}
export const setSourceMedia = async (
  tx: Tx,
  { titleId, revision, media }: SourceOf & { readonly media: MediaFacts },
): Promise<void> => {
  const text = "update title_source set media = $3 where title_id = $1 and revision = $2";
  await tx.query(text, [titleId, revision, JSON.stringify(media)]);
};

export const sourceMedia = async (tx: Tx, { titleId, revision }: SourceOf): Promise<MediaFacts | null> => {
  const text = "select media from title_source where title_id = $1 and revision = $2";
  return (await tx.query<{ media: MediaFacts | null }>(text, [titleId, revision])).rows[0]?.media ?? null;
};

/** Of two calls about one source the second waits here until the first has ended. */
export const lockSource = async (tx: Tx, sourceId: string): Promise<SourceRow | undefined> => {
  await tx.query("select pg_advisory_xact_lock(20261122, hashtext($1))", [sourceId]);
  return (await tx.query<SourceRow>(`select ${SOURCE} from title_source where source_id = $1`, [sourceId])).rows[0];
};

export const sourcePaths = async (tx: Tx, titleId: string): Promise<string[]> =>
  (await tx.query<{ path: string }>("select path from title_source where title_id = $1", [titleId])).rows.map(
    ({ path }) => path,
  );

/** Those of these paths that a title was made from. */
export const knownPaths = async (tx: Tx, paths: readonly string[]): Promise<string[]> => {
  const text = "select path from title_source where path = any ($1)";
  return (await tx.query<{ path: string }>(text, [paths])).rows.map(({ path }) => path);
};

/** Deleted and not purged yet. */
export const deletedTitles = async (tx: Tx, rowCount: number): Promise<TitleRow[]> =>
  (
    await tx.query<TitleRow>(`select ${TITLE} ${FROM} where t.deleted_at is not null order by t.id limit $1`, [
      rowCount,
    ])
  ).rows;

/** Outside of a tenant. */
export const tenantIds = async (tx: Tx): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from tenant order by id")).rows.map(({ id }) => id);

/** Whose jobs are those of the platform. */
export const platformTenant = async (tx: Tx): Promise<string | undefined> =>
  (await tx.query<{ id: string }>("select id from tenant where slug = 'default'")).rows[0]?.id;
