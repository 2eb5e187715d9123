/**
 * Pages of lists that are ordered by their rows' ids. The cursor of a next page is opaque: the last id of the page
 * before it, bound to its list.
 */
import { fail } from "../contracts/errors.ts";

const NUMBER = /^[1-9]\d{0,14}$/;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

const cursorAfter = (list: string, id: number | string): string => Buffer.from(`${list}:${id}`).toString("base64url");

/** Cuts a read of `limit + 1` rows (one more says that there is a next page) into a page and the next one's cursor. */
export const pageOf = <Row extends { readonly id: number | string }>(
  list: string,
  rows: readonly Row[],
  limit: number,
): { rows: readonly Row[]; nextCursor: string | null } => {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { rows: page, nextCursor: rows.length > limit && last ? cursorAfter(list, last.id) : null };
};

/** The text of the id in a cursor that this list gave out; undefined without a cursor. Fails with BAD_CURSOR. */
const idIn = (list: string, cursor: string | undefined, form: RegExp): string | undefined => {
  if (cursor === undefined) return undefined;
  const text = Buffer.from(cursor, "base64url").toString("latin1");
  const id = text.slice(list.length + 1);
  // Written again it must be the same: base64url is lenient when it is read.
  return form.test(id) && cursorAfter(list, id) === cursor ? id : fail("BAD_CURSOR");
};

/** The id that a cursor of this list stands after; 0 for the first page. Fails with BAD_CURSOR. */
export const idAfter = (list: string, cursor: string | undefined): number => Number(idIn(list, cursor, NUMBER) ?? 0);

/** The same of a list whose ids are UUIDs; null for the first page. */
export const uuidAfter = (list: string, cursor: string | undefined): string | null => idIn(list, cursor, UUID) ?? null;
