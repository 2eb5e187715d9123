/** A tenant's genres. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import {
  type createGenre,
  type deleteGenre,
  type Genre,
  GenreTranslations,
  type listGenres,
  type patchGenre,
} from "../../contracts/genre.ts";
import { mergePatch } from "../../domain/payload/payload.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import { touchTitlesOf } from "./catalog.store.ts";
import { badFields } from "./changes.ts";
import * as store from "./genre.store.ts";
import { renameGenre } from "./index.store.ts";

const LIST = "genres";
type Answer = Promise<{ data: Genre }>;

const viewOf = (row: store.GenreRow): Genre => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});

const locked = async (tx: Tx, { genreId, ifVersion }: z.output<typeof deleteGenre.input>) => {
  const row = (await store.lockGenre(tx, genreId)) ?? fail("GENRE_NOT_FOUND", { genreId });
  if (ifVersion !== undefined && ifVersion !== row.version) return fail("VERSION_CONFLICT", { version: row.version });
  return row;
};

const merged = (row: store.GenreRow, patch: z.output<typeof patchGenre.input>["translations"]) => {
  const parsed = GenreTranslations.safeParse(patch === null ? {} : mergePatch(row.translations, patch ?? {}));
  return parsed.success ? parsed.data : badFields(fieldErrors(parsed.error));
};

const UNIQUE_VIOLATION = "23505";
const isTaken = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === UNIQUE_VIOLATION;

export class Genres {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async create(tenantId: string, { slug, name, translations }: z.output<typeof createGenre.input>): Answer {
    const genre = { id: randomUUIDv7(), tenantId, slug, name, translations };
    const row = await this.#db.tenantTx(tenantId, (tx) => store.insertGenre(tx, genre));
    return { data: row ? viewOf(row) : fail("GENRE_SLUG_TAKEN", { slug }) };
  }

  async list(tenantId: string, { cursor, limit }: z.output<typeof listGenres.input>) {
    const afterId = uuidAfter(LIST, cursor);
    const rows = await this.#db.tenantTx(tenantId, (tx) => store.genrePage(tx, { afterId, rowCount: limit + 1 }));
    const page = pageOf(LIST, rows, limit);
    return { data: page.rows.map(viewOf), nextCursor: page.nextCursor };
  }

  async get(tenantId: string, { genreId }: { readonly genreId: string }): Answer {
    const row = await this.#db.tenantTx(tenantId, (tx) => store.genreById(tx, genreId));
    return { data: viewOf(row ?? fail("GENRE_NOT_FOUND", { genreId })) };
  }

  async patch(tenantId: string, input: z.output<typeof patchGenre.input>): Answer {
    const write = this.#db.tenantTx(tenantId, async (tx) => {
      const row = await locked(tx, input);
      const { slug = row.slug, name = row.name } = input;
      const next = await store.updateGenre(tx, { ...row, slug, name, translations: merged(row, input.translations) });
      if (slug === row.slug) return next;
      await renameGenre(tx, row.slug, slug);
      await touchTitlesOf(tx, row.id);
      return next;
    });
    const row = await write.catch((error: unknown) => {
      if (isTaken(error)) return fail("GENRE_SLUG_TAKEN", { slug: input.slug });
      throw error;
    });
    return { data: viewOf(row) };
  }

  async delete(tenantId: string, input: z.output<typeof deleteGenre.input>): Promise<{ data: { id: string } }> {
    await this.#db.tenantTx(tenantId, async (tx) => {
      const row = await locked(tx, input);
      await touchTitlesOf(tx, row.id);
      await renameGenre(tx, row.slug, null);
      await store.removeGenre(tx, row.id);
    });
    return { data: { id: input.genreId } };
  }
}
