/** People and credits. A tenant has its own people: the graph never leaves its catalog. */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import type {
  addCredit,
  createPerson,
  listCredits,
  listFilmography,
  listPeople,
  mergePeople,
  patchPerson,
  removeCredit,
} from "../../contracts/people.ts";
import { sameJson } from "../../domain/payload/payload.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import type { Credits, Person } from "../../lib/tmdb/tmdb.ts";
import { fold } from "./fold.ts";
import { licensedTitle } from "./libraries-shown.ts";
import * as store from "./people.store.ts";
import { creditAfter, creditCursor, filmAfter, filmCursor, personAfter, personCursor } from "./people-lists.ts";
import { locked, touched } from "./writing.ts";

/** Of one title: more are not shown anywhere. */
const CREDITS_MAX = 300;
const CREW_KEPT_MAX = 100;

/** Where a picture is at gateway and edge; `id`: of a title or a person. */
export const pictureUrl = (id: string, name: string | null): string | null =>
  name === null ? null : `/api/media/images/${id}/artwork/${name}`;

const shown = (row: store.PersonRow) => ({
  ...row,
  pictureUrl: pictureUrl(row.id, row.picture),
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});
type ShownCredit = Omit<ReturnType<typeof creditOf>, "personId"> & { readonly personId: string | null };
const creditOf = ({ picture, ...row }: store.CreditRow) => ({ ...row, pictureUrl: pictureUrl(row.personId, picture) });

type Changes = Partial<{ [K in keyof store.PersonFields]: store.PersonFields[K] | undefined }>;
/** Fields that were given; null takes one back. */
const given = (changes: Changes): Partial<store.PersonFields> =>
  Object.fromEntries(Object.entries(changes).filter(([, value]) => value !== undefined));

const EMPTY: Omit<store.PersonFields, "name"> = {
  ...{ tmdbId: null, biography: null, bornOn: null, diedOn: null, birthplace: null, department: null, picture: null },
};

/** What both people have of their own: the first one's, where it has something. */
const merged = (first: store.PersonRow, other: store.PersonRow): store.PersonFields => ({
  name: first.name,
  tmdbId: first.tmdbId ?? other.tmdbId,
  biography: first.biography ?? other.biography,
  bornOn: first.bornOn ?? other.bornOn,
  diedOn: first.diedOn ?? other.diedOn,
  birthplace: first.birthplace ?? other.birthplace,
  department: first.department ?? other.department,
  picture: first.picture,
});

/** Both rows are locked. The other one is gone afterwards; the caller lets go of its picture. */
const makeOne = async (tx: Tx, first: store.PersonRow, other: store.PersonRow): Promise<store.PersonRow> => {
  await store.moveCredits(tx, other.id, first.id);
  await store.deletePerson(tx, other.id);
  const manualFields = [...new Set([...first.manualFields, ...other.manualFields])];
  return store.updatePerson(tx, {
    id: first.id,
    nameKey: fold(first.name),
    fields: merged(first, other),
    manualFields,
  });
};

/** A field that a person takes back (null) may be filled by what is found, as one of a title. */
const manualAfter = (now: readonly string[], set: Partial<store.PersonFields>): string[] => {
  const taken = Object.entries(set).flatMap(([field, value]) => (value === null ? [] : [field]));
  return [...now.filter((field) => !(field in set)), ...taken];
};

const checkVersion = (row: store.PersonRow, ifVersion: number | undefined): void => {
  if (ifVersion !== undefined && ifVersion !== row.version) fail("VERSION_CONFLICT", { version: row.version });
};

/** Where portraits are let go of. */
export interface Portraits {
  forgetPortrait(personId: string, name: string): Promise<void>;
}

export class People {
  readonly #db: Database;
  readonly #portraits: Portraits;
  readonly #clock: Clock;

  constructor({ db, portraits, clock }: { db: Database; portraits: Portraits; clock: Clock }) {
    this.#db = db;
    this.#portraits = portraits;
    this.#clock = clock;
  }

  async list(tenantId: string, { q = "", cursor, limit }: z.output<typeof listPeople.input>) {
    const words = fold(q).split(" ").filter(Boolean);
    // Signs alone are no words, and not the same as none.
    if (words.length === 0 && q.trim() !== "") return { data: [], nextCursor: null };
    const page = { words, after: personAfter(cursor), rowCount: limit + 1 };
    const rows = await this.#db.tenantTx(tenantId, (tx) => store.personPage(tx, page));
    const last = rows.length > limit ? rows[limit - 1] : undefined;
    return { data: rows.slice(0, limit).map(shown), nextCursor: last ? personCursor(last) : null };
  }

  async create(tenantId: string, input: z.output<typeof createPerson.input>) {
    const set = given(input);
    const person = {
      ...{ id: randomUUIDv7(), tenantId, nameKey: fold(input.name) },
      fields: { ...EMPTY, name: input.name, ...set },
      manualFields: manualAfter([], set),
    };
    return this.#db.tenantTx(tenantId, async (tx) => {
      const row = await store.insertPerson(tx, person);
      if (row) return { data: shown(row) };
      const { tmdbId } = person.fields;
      const taken = tmdbId === null ? undefined : await store.personByTmdbId(tx, tmdbId);
      return fail("PERSON_TAKEN", { tmdbId, personId: taken?.id });
    });
  }

  async get(tenantId: string, personId: string) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const row = await store.readPerson(tx, personId);
      return { data: shown(row ?? fail("PERSON_NOT_FOUND", { personId })) };
    });
  }

  async filmography(tenantId: string, { personId, cursor, limit }: z.output<typeof listFilmography.input>) {
    const of = { after: filmAfter(personId, cursor), rowCount: limit + 1 };
    const rows = await this.#db.tenantTx(tenantId, async (tx) => {
      if (!(await store.readPerson(tx, personId))) return fail("PERSON_NOT_FOUND", { personId });
      return store.filmPage(tx, personId, of);
    });
    const last = rows.length > limit ? rows[limit - 1] : undefined;
    const data = rows.slice(0, limit).map(({ id: titleId, sortKey: _, roles, ...film }) => ({
      ...{ titleId, ...film, roles: [...roles] },
    }));
    return { data, nextCursor: last ? filmCursor(personId, last) : null };
  }

  async patch(tenantId: string, { personId, ifVersion, ...input }: z.output<typeof patchPerson.input>) {
    const set = given(input);
    let left: store.PersonRow | undefined;
    const patched = await this.#db.tenantTx(tenantId, async (tx) => {
      const namesake = typeof set.tmdbId === "number" ? await store.personByTmdbId(tx, set.tmdbId) : undefined;
      const rows = await store.lockPeople(tx, namesake ? [personId, namesake.id] : [personId]);
      let row = rows.find(({ id }) => id === personId);
      if (!row) return fail("PERSON_NOT_FOUND", { personId });
      checkVersion(row, ifVersion);
      // As it is now that it is locked.
      left = rows.find(({ id, tmdbId }) => id !== personId && tmdbId === set.tmdbId);
      if (left) row = await makeOne(tx, row, left);
      const fields: store.PersonFields = { ...row, ...set };
      const manualFields = manualAfter(row.manualFields, set);
      return await store.updatePerson(tx, { id: personId, nameKey: fold(fields.name), fields, manualFields });
    });
    await this.#forget(left);
    return { data: shown(patched) };
  }

  async delete(tenantId: string, { personId, ifVersion }: { personId: string; ifVersion?: number | undefined }) {
    const { picture } = await this.#db.tenantTx(tenantId, async (tx) => {
      const [row] = await store.lockPeople(tx, [personId]);
      if (!row) return fail("PERSON_NOT_FOUND", { personId });
      checkVersion(row, ifVersion);
      await store.deletePerson(tx, personId);
      return row;
    });
    await this.#forget({ id: personId, picture });
    return { data: { id: personId } };
  }

  async merge(tenantId: string, { personId, otherPersonId, ifVersion }: z.output<typeof mergePeople.input>) {
    const { row, left } = await this.#db.tenantTx(tenantId, async (tx) => {
      const rows = await store.lockPeople(tx, [personId, otherPersonId]);
      const first = rows.find(({ id }) => id === personId);
      const other = rows.find(({ id }) => id === otherPersonId);
      if (!first || !other) return fail("PERSON_NOT_FOUND", { personId: first ? otherPersonId : personId });
      checkVersion(first, ifVersion);
      return first === other ? { row: first } : { row: await makeOne(tx, first, other), left: other };
    });
    await this.#forget(left);
    return { data: shown(row) };
  }

  async #forget(left: Pick<store.PersonRow, "id" | "picture"> | undefined): Promise<void> {
    if (left && left.picture !== null) await this.#portraits.forgetPortrait(left.id, left.picture);
  }

  /** Of a title of its own, or of one that is licensed to it: then without the owner's people behind the names. */
  async credits(
    tenantId: string,
    { titleId, cursor, limit }: z.output<typeof listCredits.input>,
  ): Promise<{ data: ShownCredit[]; nextCursor: string | null }> {
    const of = { after: creditAfter(titleId, cursor), rowCount: limit + 1 };
    const pageOf = (rows: readonly store.CreditRow[], show: (row: store.CreditRow) => ShownCredit) => {
      const last = rows.length > limit ? rows[limit - 1] : undefined;
      return { data: rows.slice(0, limit).map(show), nextCursor: last ? creditCursor(titleId, last) : null };
    };
    const own = await this.#db.tenantTx(tenantId, async (tx) =>
      (await store.hasTitle(tx, titleId)) ? store.creditPage(tx, titleId, of) : undefined,
    );
    if (own) return pageOf(own, creditOf);
    const licensed = await licensedTitle({ db: this.#db, clock: this.#clock }, tenantId, titleId);
    if (!licensed) return fail("TITLE_NOT_FOUND", { titleId });
    const rows = await this.#db.tenantTx(licensed.row.tenantId, (tx) => store.creditPage(tx, titleId, of));
    return pageOf(rows, (row) => ({ ...creditOf(row), personId: null }));
  }

  async addCredit(tenantId: string, { titleId, ifVersion, ...input }: z.output<typeof addCredit.input>) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      await locked(tx, { titleId, ifVersion });
      const { personId, character = null, department = null, job = null, ...rest } = input;
      if (!(await store.holdPerson(tx, personId))) return fail("PERSON_NOT_FOUND", { personId });
      const id = randomUUIDv7();
      const credit = { id, personId, character, department, job, ...rest };
      await store.insertCredits(tx, { tenantId, titleId, source: "manual" }, [credit]);
      const titleVersion = (await touched(tx, { tenantId, titleId }))!; // it is locked
      return { data: { ...creditOf((await store.readCredit(tx, id))!), titleVersion } }; // inserted just now
    });
  }

  async removeCredit(tenantId: string, { titleId, creditId, ifVersion }: z.output<typeof removeCredit.input>) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      await locked(tx, { titleId, ifVersion });
      if (!(await store.deleteCredit(tx, titleId, creditId))) return fail("CREDIT_NOT_FOUND", { creditId });
      return { data: { id: creditId, titleVersion: (await touched(tx, { tenantId, titleId }))! } }; // it is locked
    });
  }
}

/**
 * Puts what was found in the place of what was found before; credits by hand stay. People are known by the metadata
 * service's id; somebody whom a person put on this title without one, under the same name, is the same.
 */
export const replaceFoundCredits = async (
  tx: Tx,
  { tenantId, titleId }: { readonly tenantId: string; readonly titleId: string },
  found: Credits,
): Promise<void> => {
  const roles = [
    ...found.cast.map((one, index) => ({
      ...{ ...one, kind: "cast" as const, order: one.order ?? index, department: null, job: null },
    })),
    ...found.crew
      .slice(0, CREW_KEPT_MAX)
      .map((one, index) => ({ ...one, kind: "crew" as const, order: index, character: null })),
  ].slice(0, CREDITS_MAX);
  const tmdbIds = [...new Set(roles.map(({ id }) => id))].sort((a, b) => a - b);
  const known = await store.knownPeople(tx, { titleId, tmdbIds });
  const personIds = new Map(known.flatMap(({ id, tmdbId }) => (tmdbId === null ? [] : [[tmdbId, id] as const])));
  const byHand = new Map(known.flatMap(({ id, tmdbId, nameKey }) => (tmdbId === null ? [[nameKey, id] as const] : [])));
  // In one order: of two titles at once, neither waits for the other's people in a ring.
  for (const tmdbId of tmdbIds) {
    if (personIds.has(tmdbId)) continue;
    const name = roles.find(({ id }) => id === tmdbId)?.name ?? "";
    const namesake = byHand.get(fold(name));
    if (namesake !== undefined) await store.adoptTmdbId(tx, namesake, tmdbId);
    personIds.set(tmdbId, namesake ?? (await addFound(tx, { tenantId, tmdbId, name })));
  }
  const before = await store.creditsOf(tx, titleId);
  const manual = before.filter(({ source }) => source === "manual").map((credit) => keyOf(credit.personId, credit));
  const credits = roles
    .map(({ id, kind, character, department, job, order }) => ({
      ...{ id: randomUUIDv7(), personId: personIds.get(id)!, kind, character, department, job, order }, // set above
    }))
    .filter((credit) => !manual.includes(keyOf(credit.personId, credit)));
  const foundBefore = before.filter(({ source }) => source === "tmdb").map(rowText);
  // What is the same stays, with its ids.
  if (sameJson(foundBefore.sort(), credits.map(rowText).sort())) return;
  await store.deleteFoundCredits(tx, titleId);
  await store.insertCredits(tx, { tenantId, titleId, source: "tmdb" }, credits);
  await touched(tx, { tenantId, titleId });
};

const rowText = ({ personId, kind, character, department, job, order }: store.NewCredit): string =>
  JSON.stringify([personId, kind, character, department, job, order]);

const keyOf = (personId: string, { kind, job }: Pick<store.RoleRow, "kind" | "job">): string =>
  `${personId} ${kind} ${job ?? ""}`;

const addFound = async (
  tx: Tx,
  { tenantId, tmdbId, name }: { readonly tenantId: string; readonly tmdbId: number; readonly name: string },
): Promise<string> => {
  const id = randomUUIDv7();
  const fields = { ...EMPTY, name, tmdbId };
  const row = await store.insertPerson(tx, { id, tenantId, nameKey: fold(name), fields, manualFields: [] });
  return row?.id ?? (await store.personByTmdbId(tx, tmdbId))!.id; // another title's transaction was first
};

/** What was found of a person; fields that a person has set stay. Gives the picture that nobody shows any more. */
export const applyFoundPerson = async (
  tx: Tx,
  personId: string,
  found: { readonly person: Person; readonly picture: string | null },
): Promise<string | null> => {
  const [row] = await store.lockPeople(tx, [personId]);
  if (!row) return found.picture;
  const { person } = found;
  const news: Partial<store.PersonFields> = {
    name: person.name,
    bornOn: person.birthday,
    diedOn: person.deathday,
    birthplace: person.place_of_birth,
    department: person.known_for_department,
    // A language without a biography has an empty one: better the one that was there.
    biography: person.biography ?? row.biography,
    picture: found.picture ?? row.picture,
  };
  const free = Object.entries(news).filter(([field]) => !row.manualFields.includes(field));
  const fields: store.PersonFields = { ...row, ...Object.fromEntries(free) };
  const { manualFields } = row;
  await store.updatePerson(tx, { id: personId, nameKey: fold(fields.name), fields, manualFields, detailed: true });
  return row.picture === fields.picture ? null : row.picture;
};
