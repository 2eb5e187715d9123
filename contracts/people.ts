/** People, and what they did in titles. Part of the catalog. */
import { z } from "zod";
import { Instant, NextCursor, Page } from "./ids.ts";
import { ask } from "./kit.ts";

const PersonId = z.uuid();
const TitleId = z.uuid();
const CreditId = z.uuid();
const ifVersion = z.int().optional();
/** That the title has with this change. */
const titleVersion = z.int();
const words = (max: number) => z.string().trim().min(1).max(max);
const TmdbId = z.int().min(1).max(2_147_483_647);

const Fields = {
  biography: words(20_000).nullish(),
  bornOn: z.iso.date().nullish(),
  diedOn: z.iso.date().nullish(),
  birthplace: words(300).nullish(),
  /** What they are known for: `Acting`, `Directing`. */
  department: words(100).nullish(),
  /** Of the metadata service. Where another person has it the two become one. */
  tmdbId: TmdbId.nullish(),
};
export const Person = z.object({
  id: PersonId,
  name: z.string(),
  biography: z.string().nullable(),
  bornOn: z.string().nullable(),
  diedOn: z.string().nullable(),
  birthplace: z.string().nullable(),
  department: z.string().nullable(),
  tmdbId: z.int().nullable(),
  /** A path at gateway and edge. */
  pictureUrl: z.string().nullable(),
  version: z.int(),
  createdAt: Instant,
  updatedAt: Instant,
});
const Role = {
  kind: z.enum(["cast", "crew"]),
  character: z.string().nullable(),
  department: z.string().nullable(),
  job: z.string().nullable(),
};
/** One title of this tenant's catalog, with all that the person did in it. */
export const Filmography = z.object({
  titleId: TitleId,
  name: z.string(),
  kind: z.string(),
  state: z.string(),
  year: z.int().nullable(),
  roles: z.array(z.object(Role)),
});
/** They are a part of their title: a change of one gives that another version, and `If-Match` is the title's. */
export const Credit = z.object({
  id: CreditId,
  /** Null: of a title that another tenant has licensed; its people are that tenant's. */
  personId: PersonId.nullable(),
  name: z.string(),
  pictureUrl: z.string().nullable(),
  ...Role,
  /** Of the cast, and of the crew: 0 first. */
  order: z.int(),
  source: z.enum(["tmdb", "manual"]),
});

const read = { scope: "title:read", tag: "people", method: "GET" } as const;
const write = { scope: "title:write", tag: "people" } as const;

export const listPeople = ask("people.list", {
  input: z.strictObject({
    ...Page,
    /** Words, or beginnings of words, of the name. */
    q: z.string().max(200).optional(),
  }),
  result: z.object({ data: z.array(Person), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { ...read, path: "/people", summary: "People by name; with `q` those whose name has these words." },
});
export const createPerson = ask("people.create", {
  input: z.strictObject({ name: words(300), ...Fields }),
  result: z.object({ data: Person }),
  deadlineMs: 5_000,
  errors: ["PERSON_TAKEN"],
  rest: { ...write, method: "POST", path: "/people", status: 201, idempotent: true, summary: "Add a person." },
});
export const getPerson = ask("people.get", {
  input: z.strictObject({ personId: PersonId }),
  result: z.object({ data: Person }),
  deadlineMs: 5_000,
  errors: ["PERSON_NOT_FOUND"],
  retriable: true,
  rest: {
    ...read,
    path: "/people/:personId",
    versioned: true,
    summary: "A person; `/people/{personId}/filmography` has their titles.",
  },
});
export const listFilmography = ask("people.filmography", {
  input: z.strictObject({ personId: PersonId, ...Page }),
  result: z.object({ data: z.array(Filmography), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["PERSON_NOT_FOUND", "BAD_CURSOR"],
  retriable: true,
  rest: {
    ...read,
    path: "/people/:personId/filmography",
    summary: "The titles of this tenant's catalog that a person took part in, newest first.",
  },
});
export const patchPerson = ask("people.patch", {
  input: z.strictObject({ personId: PersonId, name: words(300).optional(), ...Fields, ifVersion }),
  result: z.object({ data: Person }),
  deadlineMs: 5_000,
  errors: ["PERSON_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "PATCH",
    path: "/people/:personId",
    versioned: true,
    summary: "Change a person; a refresh leaves alone what was changed here.",
  },
});
export const deletePerson = ask("people.delete", {
  input: z.strictObject({ personId: PersonId, ifVersion }),
  result: z.object({ data: z.object({ id: PersonId }) }),
  deadlineMs: 5_000,
  errors: ["PERSON_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/people/:personId",
    versioned: true,
    summary: "Delete a person with their credits.",
  },
});
export const mergePeople = ask("people.merge", {
  input: z.strictObject({ personId: PersonId, otherPersonId: PersonId, ifVersion }),
  result: z.object({ data: Person }),
  deadlineMs: 5_000,
  errors: ["PERSON_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "POST",
    path: "/people/:personId/merge",
    versioned: true,
    summary: "Make two people one: the other's credits, and what is known of it alone, go to this one.",
  },
});

export const listCredits = ask("people.credits", {
  input: z.strictObject({ titleId: TitleId, ...Page }),
  result: z.object({ data: z.array(Credit), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "BAD_CURSOR"],
  retriable: true,
  rest: { ...read, path: "/titles/:titleId/credits", summary: "Cast and crew of a title, in order." },
});
export const addCredit = ask("people.addCredit", {
  input: z.strictObject({
    titleId: TitleId,
    personId: PersonId,
    kind: z.enum(["cast", "crew"]),
    character: words(300).optional(),
    department: words(100).optional(),
    job: words(100).optional(),
    order: z.int().min(0).max(10_000).default(0),
    ifVersion,
  }),
  result: z.object({ data: Credit.extend({ titleVersion }) }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "PERSON_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "POST",
    path: "/titles/:titleId/credits",
    status: 201,
    idempotent: true,
    versioned: true,
    summary: "Add somebody to a title's cast or crew; `If-Match` is the title's.",
  },
});
export const removeCredit = ask("people.removeCredit", {
  input: z.strictObject({ titleId: TitleId, creditId: CreditId, ifVersion }),
  result: z.object({ data: z.object({ id: CreditId, titleVersion }) }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "CREDIT_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/titles/:titleId/credits/:creditId",
    versioned: true,
    summary:
      "Take a credit away (`If-Match` is the title's); one that was found elsewhere comes back with the next refresh.",
  },
});
