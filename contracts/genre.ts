/** Genres of a tenant's titles. Answered by the catalog actor. */
import { z } from "zod";
import { Language, Slug } from "./catalog.ts";
import { Instant, NextCursor, Page } from "./ids.ts";
import { ask } from "./kit.ts";

export const GenreId = z.uuid();
const Name = z.string().trim().min(1).max(200);
const Translations = z
  .record(Language, Name)
  .refine((map) => Object.keys(map).length <= 100, "has more than 100 members");

export const Genre = z.object({
  id: GenreId,
  slug: z.string(),
  name: z.string(),
  /** By language. */
  translations: z.record(z.string(), z.string()),
  version: z.int(),
  createdAt: Instant,
  updatedAt: Instant,
});
export type Genre = z.output<typeof Genre>;

const genres = { tag: "titles" } as const;
const write = { ...genres, scope: "title:write" } as const;
const Answer = z.object({ data: Genre });
const Changing = { genreId: GenreId, ifVersion: z.int().optional() };

export const createGenre = ask("catalog.createGenre", {
  input: z.strictObject({ slug: Slug, name: Name, translations: Translations.default({}) }),
  result: Answer,
  deadlineMs: 5_000,
  errors: ["GENRE_SLUG_TAKEN"],
  rest: { ...write, method: "POST", path: "/genres", status: 201, idempotent: true, summary: "Create a genre." },
});
export const listGenres = ask("catalog.listGenres", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(Genre), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { ...genres, scope: "title:read", method: "GET", path: "/genres", summary: "The tenant's genres." },
});
export const getGenre = ask("catalog.getGenre", {
  input: z.strictObject({ genreId: GenreId }),
  result: Answer,
  deadlineMs: 5_000,
  errors: ["GENRE_NOT_FOUND"],
  retriable: true,
  rest: { ...genres, scope: "title:read", method: "GET", path: "/genres/:genreId", summary: "One genre." },
});
/** RFC 7396. Titles follow a slug that changes. */
export const patchGenre = ask("catalog.patchGenre", {
  input: z.strictObject({
    ...Changing,
    slug: Slug.optional(),
    name: Name.optional(),
    translations: z.record(z.string(), Name.nullable()).nullish(),
  }),
  result: Answer,
  deadlineMs: 10_000,
  errors: ["GENRE_NOT_FOUND", "GENRE_SLUG_TAKEN", "VERSION_CONFLICT"],
  rest: { ...write, method: "PATCH", path: "/genres/:genreId", versioned: true, summary: "Change a genre." },
});
export const deleteGenre = ask("catalog.deleteGenre", {
  input: z.strictObject(Changing),
  result: z.object({ data: z.object({ id: GenreId }) }),
  deadlineMs: 10_000,
  errors: ["GENRE_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/genres/:genreId",
    versioned: true,
    summary: "Delete a genre; titles that had it have it no more.",
  },
});
/** What a patched genre's translations must be again. */
export const GenreTranslations = Translations;
