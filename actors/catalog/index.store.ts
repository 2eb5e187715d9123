/** All SQL of the table `title_index`: what titles are found by, and the functions that look past row security. */
import type { Tx } from "../../lib/db/database.ts";
import type { TitleRow } from "./catalog.store.ts";
import { fold, foldAll } from "./fold.ts";
import { dueAt } from "./life.ts";

const NAMES_CHARACTERS_MAX = 8_000; // 30 names of 250 characters: trigrams are made of all of it

const NAME_KEY_MAX = 500;
const SERIES_CLASS = 20_261_123;
const SERIES_MAX = 100; // of one name, told apart by their years

const nameKeyOf = (name: string): string => fold(name).slice(0, NAME_KEY_MAX);

const namesOf = ({ name, originalName, translations }: TitleRow): string[] => [
  name,
  ...(originalName === null ? [] : [originalName]),
  ...Object.values(translations).flatMap((translation) => translation.name ?? []),
];

/** Brings the title's entry to what the title is. */
export const indexTitle = async (tx: Tx, row: TitleRow): Promise<void> => {
  await tx.query(
    `insert into title_index (title_id, tenant_id, kind, state, year, genres, name_key, names, hidden, due_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
     on conflict (title_id) do update set kind = $3, state = $4, year = $5, genres = $6, name_key = $7, names = $8,
       hidden = $9, due_at = $10`,
    [
      ...[row.id, row.tenantId, row.kind, row.state, row.year, row.genres, nameKeyOf(row.name)],
      ...[foldAll(namesOf(row)).slice(0, NAMES_CHARACTERS_MAX), row.deletedAt !== null, dueAt(row)],
    ],
  );
};

/** Others that would make a series of this name wait until this transaction ends. */
export const lockSeriesName = async (
  tx: Tx,
  { tenantId, name }: Pick<TitleRow, "tenantId" | "name">,
): Promise<void> => {
  await tx.query("select pg_advisory_xact_lock($1, hashtext($2))", [SERIES_CLASS, `${tenantId} ${nameKeyOf(name)}`]);
};

/** Series of this name, whatever its accents and capitals; the oldest first. */
export const seriesNamed = async (tx: Tx, name: string): Promise<string[]> =>
  (
    await tx.query<{ id: string }>(
      `select title_id as id from title_index where name_key = $1 and kind = 'series' and not hidden order by title_id
       limit $2`,
      [nameKeyOf(name), SERIES_MAX],
    )
  ).rows.map(({ id }) => id);

/** Null: the genre is gone. */
export const renameGenre = async (tx: Tx, slug: string, next: string | null): Promise<void> => {
  const text =
    next === null
      ? "update title_index set genres = array_remove(genres, $1) where genres @> array[$1]"
      : "update title_index set genres = array_replace(genres, $1, $2) where genres @> array[$1]";
  await tx.query(text, next === null ? [slug] : [slug, next]);
};

/** A hit: score, what it is ordered by among its equals, id. */
export type Hit = readonly [score: number, nameKey: string, titleId: string];
export interface Asked {
  /** Folded. */
  readonly q: string;
  readonly kinds?: readonly string[] | undefined;
  readonly states?: readonly string[] | undefined;
  readonly genres?: readonly string[] | undefined;
  /** None but these. */
  readonly ids?: readonly string[] | undefined;
  readonly yearFrom?: number | undefined;
  readonly yearTo?: number | undefined;
  readonly after: Hit | null;
  readonly facets: boolean;
  readonly rowCount: number;
}
export interface Found {
  readonly hits: readonly Hit[];
  readonly total: number;
  readonly facets: Readonly<Record<"kind" | "state" | "year" | "genre", Readonly<Record<string, number>>>> | null;
}

/** A word that is not yet whole is the beginning of one. */
const startOf = (word: string): string => `% ${word}%`;

export const searchIndex = async (tx: Tx, tenantId: string, asked: Asked): Promise<Found> => {
  const { q, after, ids, kinds, states, genres, yearFrom, yearTo } = asked;
  const words = q === "" ? [] : q.split(" ").sort((a, b) => b.length - a.length);
  const [longest = ""] = words;
  const [score = null, nameKey = null, id = null] = after ?? [];
  const { rows } = await tx.query<{ found: Found }>(
    `select search_titles($1, $2, $3, $4, $5, $6, $7, $8::uuid[], $9, $10, $11, $12, $13, $14, $15) as found`,
    [
      ...[tenantId, q, startOf(longest), words.map(startOf), kinds ?? null, states ?? null, genres ?? null],
      ...[ids ?? null, yearFrom ?? null, yearTo ?? null, score, nameKey, id, asked.facets, asked.rowCount],
    ],
  );
  return rows[0]!.found; // a function that gives one value
};

interface Due {
  readonly tenantId: string;
  readonly titleId: string;
}
/** Of all tenants; outside of one. */
export const titlesDue = async (tx: Tx, at: Date, rowCount: number): Promise<Due[]> =>
  (await tx.query<Due>('select tenant_id as "tenantId", title_id as "titleId" from titles_due($1, $2)', [at, rowCount]))
    .rows;

/** Those of these ids that are titles, of whatever tenant, deleted ones too; outside of one. */
export const titlesKnown = async (tx: Tx, ids: readonly string[]): Promise<string[]> =>
  (await tx.query<{ id: string }>("select id from titles_known($1::uuid[]) id", [ids])).rows.map(({ id }) => id);
