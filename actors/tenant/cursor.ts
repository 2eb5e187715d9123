/** Opaque cursors of lists that are ordered by a UUIDv7: the last id of a page, bound to its list. */
import { fail } from "../../contracts/errors.ts";

const FORM = /^([a-z-]+):([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

export const cursorAfter = (list: string, id: string): string => Buffer.from(`${list}:${id}`).toString("base64url");

/** The id in a cursor that this list gave out; null without a cursor. Fails with BAD_CURSOR. */
export const idIn = (list: string, cursor: string | undefined): string | null => {
  if (cursor === undefined) return null;
  const found = FORM.exec(Buffer.from(cursor, "base64url").toString("utf8"));
  if (found?.[1] !== list || found[2] === undefined) return fail("BAD_CURSOR");
  return found[2];
};

/** Cuts a read of `limit + 1` rows into a page and the cursor of the next one. */
export const pageOf = <R extends { readonly id: string }>(
  list: string,
  { rows, limit }: { rows: readonly R[]; limit: number },
): { page: readonly R[]; nextCursor: string | null } => {
  const page = rows.slice(0, limit);
  const last = page.at(-1);
  return { page, nextCursor: last && rows.length > limit ? cursorAfter(list, last.id) : null };
};
