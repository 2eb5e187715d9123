/** Titles in bulk, straight into the tables: a hundred thousand of them by the actor would take minutes. */
import { randomUUID } from "node:crypto";
import type pg from "pg";
import { fold } from "../actors/catalog/fold.ts";

export const GENRES: readonly string[] = Array.from({ length: 20 }, (_, index) => `genre-${index}`);
const BATCH = 2_000;

/** `pick` chooses the genre of a title. */
export const fillTenant = async (
  owner: pg.Pool,
  {
    id: tenantId,
    names,
    pick,
  }: { readonly id: string; readonly names: readonly string[]; readonly pick: () => string },
): Promise<void> => {
  await owner.query("insert into tenant (id, slug, name) values ($1, $2, $2)", [tenantId, `t-${tenantId}`]);
  for (let from = 0; from < names.length; from += BATCH) {
    const batch = names.slice(from, from + BATCH);
    const ids = batch.map(() => randomUUID());
    await owner.query(
      `insert into title (id, tenant_id, kind, state, name, sort_key, year)
       select id, $1, 'movie', 'published', name, name, 1950 + (n % 75)
       from unnest($2::uuid[], $3::text[]) with ordinality as given (id, name, n)`,
      [tenantId, ids, batch],
    );
    await owner.query(
      `insert into title_index (title_id, tenant_id, kind, state, year, genres, name_key, names, hidden)
       select id, $1, 'movie', 'published', 1950 + (n % 75), array[genre], name, ' ' || name, false
       from unnest($2::uuid[], $3::text[], $4::text[]) with ordinality as given (id, name, genre, n)`,
      [tenantId, ids, batch.map(fold), batch.map(pick)],
    );
  }
};
