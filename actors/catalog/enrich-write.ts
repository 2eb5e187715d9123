/** Writes what was learned of a title, in the transaction that ends the job. */
import { randomUUIDv7 } from "node:crypto";
import type { Tx } from "../../lib/db/database.ts";
import type { TitleOf } from "./enrich.store.ts";
import type { Learned } from "./enrich-learn.ts";
import { insertGenre } from "./genre.store.ts";
import { replaceFoundCredits } from "./people.ts";
import type { FoundGenre } from "./tmdb-fields.ts";
import { applyFound } from "./writing.ts";

/** Those that the tenant does not have yet; one that it renamed keeps its name. */
export const addGenres = async (tx: Tx, tenantId: string, genres: readonly FoundGenre[]): Promise<void> => {
  const sorted = [...genres].sort((a, b) => (a.slug < b.slug ? -1 : 1));
  for (const { slug, name } of sorted) {
    await insertGenre(tx, { id: randomUUIDv7(), tenantId, slug, name, translations: {} });
  }
};

/** Fields that a person has set, and credits by hand, stay. */
export const applyEnriched = async (tx: Tx, of: TitleOf, { found, credits }: Learned): Promise<void> => {
  if (found) await applyFound(tx, of.titleId, found.patch);
  if (credits) await replaceFoundCredits(tx, of, credits);
};
