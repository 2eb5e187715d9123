/** All SQL of the tables `genre` and `title_genre`. Each function runs in the caller's transaction. */
import type { Tx } from "../../lib/db/database.ts";

export interface GenreRow {
  readonly id: string;
  readonly slug: string;
  readonly name: string;
  readonly translations: Readonly<Record<string, string>>;
  readonly version: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
const GENRE = `id, slug, name, translations, version, created_at as "createdAt", updated_at as "updatedAt"`;

/** Undefined when the slug is taken. */
export const insertGenre = async (
  tx: Tx,
  genre: Pick<GenreRow, "id" | "slug" | "name" | "translations"> & { readonly tenantId: string },
): Promise<GenreRow | undefined> => {
  const { rows } = await tx.query<GenreRow>(
    `insert into genre (id, tenant_id, slug, name, translations) values ($1, $2, $3, $4, $5)
     on conflict (tenant_id, slug) do nothing returning ${GENRE}`,
    [genre.id, genre.tenantId, genre.slug, genre.name, JSON.stringify(genre.translations)],
  );
  return rows[0];
};

export const genrePage = async (
  tx: Tx,
  { afterId, rowCount }: { afterId: string | null; rowCount: number },
): Promise<GenreRow[]> => {
  const text = `select ${GENRE} from genre where $1::uuid is null or id > $1 order by id limit $2`;
  return (await tx.query<GenreRow>(text, [afterId, rowCount])).rows;
};

export const genreById = async (tx: Tx, id: string): Promise<GenreRow | undefined> =>
  (await tx.query<GenreRow>(`select ${GENRE} from genre where id = $1`, [id])).rows[0];

export const lockGenre = async (tx: Tx, id: string): Promise<GenreRow | undefined> =>
  (await tx.query<GenreRow>(`select ${GENRE} from genre where id = $1 for update`, [id])).rows[0];

/** The caller holds its lock. */
export const updateGenre = async (tx: Tx, genre: GenreRow): Promise<GenreRow> => {
  const { rows } = await tx.query<GenreRow>(
    `update genre set slug = $2, name = $3, translations = $4, version = version + 1, updated_at = now()
     where id = $1 returning ${GENRE}`,
    [genre.id, genre.slug, genre.name, JSON.stringify(genre.translations)],
  );
  return rows[0]!; // it is locked
};

export const removeGenre = async (tx: Tx, id: string): Promise<void> => {
  await tx.query("delete from genre where id = $1", [id]);
};

/** Those of these slugs that there are, held until the transaction ends. */
export const genresOf = async (
  tx: Tx,
  slugs: readonly string[],
): Promise<{ readonly id: string; readonly slug: string }[]> =>
  (
    await tx.query<{ id: string; slug: string }>(
      "select id, slug from genre where slug = any ($1) order by id for key share",
      [slugs],
    )
  ).rows;

/** In this order. */
export const setGenres = async (
  tx: Tx,
  title: { readonly id: string; readonly tenantId: string },
  genreIds: readonly string[],
): Promise<void> => {
  await tx.query("delete from title_genre where title_id = $1", [title.id]);
  if (genreIds.length === 0) return;
  await tx.query(
    `insert into title_genre (title_id, genre_id, tenant_id, place)
     select $1, genre_id, $2, place from unnest($3::uuid[]) with ordinality as given (genre_id, place)`,
    [title.id, title.tenantId, genreIds],
  );
};
