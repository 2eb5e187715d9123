/** Cursors of the lists of people, credits and films: where the last row of a page stood, whatever became of it. */
import { fail } from "../../contracts/errors.ts";
import { isUuid, openCursor, sealCursor } from "./lists.ts";
import type { CreditPlace, FilmPlace, PersonPlace } from "./people.store.ts";

const PEOPLE = "people";
const KEY_MAX = 2_000; // 300 characters of a name as up to five letters each
const INT_MAX = 2 ** 31 - 1;

const isKey = (value: unknown): value is string =>
  typeof value === "string" && value.length <= KEY_MAX && !value.includes("\0");
const isInt = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && Math.abs(value) <= INT_MAX;

export const personCursor = ({ nameKey, id }: PersonPlace): string => sealCursor(PEOPLE, [nameKey, id]);
/** Null for the first page. Fails with BAD_CURSOR, as the others do. */
export const personAfter = (cursor: string | undefined): PersonPlace | null => {
  if (cursor === undefined) return null;
  const [nameKey, id, ...rest] = openCursor(PEOPLE, cursor);
  return rest.length === 0 && isUuid(id) && isKey(nameKey) ? { nameKey, id } : fail("BAD_CURSOR");
};

const creditsOf = (titleId: string): string => `credits ${titleId}`;
export const creditCursor = (titleId: string, { kind, order, id }: CreditPlace): string =>
  sealCursor(creditsOf(titleId), [kind, order, id]);
export const creditAfter = (titleId: string, cursor: string | undefined): CreditPlace | null => {
  if (cursor === undefined) return null;
  const [kind, order, id, ...rest] = openCursor(creditsOf(titleId), cursor);
  if (kind !== "cast" && kind !== "crew") return fail("BAD_CURSOR");
  return rest.length === 0 && isUuid(id) && isInt(order) ? { kind, order, id } : fail("BAD_CURSOR");
};

const filmsOf = (personId: string): string => `films ${personId}`;
export const filmCursor = (personId: string, { year, sortKey, id }: FilmPlace): string =>
  sealCursor(filmsOf(personId), [year ?? 0, sortKey, id]);
export const filmAfter = (personId: string, cursor: string | undefined): FilmPlace | null => {
  if (cursor === undefined) return null;
  const [year, sortKey, id, ...rest] = openCursor(filmsOf(personId), cursor);
  if (rest.length > 0 || !isUuid(id) || !isInt(year)) return fail("BAD_CURSOR");
  return isKey(sortKey) ? { year, sortKey, id } : fail("BAD_CURSOR");
};
