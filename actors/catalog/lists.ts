/** Pages of titles in several orders: the cursor of a next page is where the last row of the page before it stood. */

import type { TITLE_SORTS } from "../../contracts/catalog.ts";
import { fail } from "../../contracts/errors.ts";
import { isInstant } from "../../contracts/ids.ts";

export interface Sort {
  readonly column: string;
  /** Its text in a cursor. */
  readonly text: string;
  /** What the text of a cursor is cast to. */
  readonly type: string;
  readonly order: "asc" | "desc";
}
export interface Keyset {
  readonly value: string;
  readonly id: string;
}

type SortName = (typeof TITLE_SORTS)[number];
const COLUMNS = {
  // Ids are UUIDv7: they grow with time.
  created: { column: "t.id", text: "t.id::text", type: "uuid" },
  updated: {
    column: "t.updated_at",
    text: `to_char(t.updated_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`,
    type: "timestamptz",
  },
  name: { column: "t.sort_key", text: "t.sort_key", type: 'text collate "C"' },
  // Titles without a year come first.
  year: { column: "coalesce(t.year, 0)", text: "coalesce(t.year, 0)::text", type: "int" },
} as const;
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;
const IS_VALUE: Readonly<Record<keyof typeof COLUMNS, (text: string) => boolean>> = {
  created: (text) => UUID.test(text),
  updated: (text) => INSTANT.test(text) && isInstant(Date.parse(text)),
  name: (text) => text.length <= 600 && !text.includes("\0"),
  year: (text) => /^\d{1,4}$/.test(text),
};
type Column = keyof typeof COLUMNS;
// The minus stands for the other direction.
const columnOf = (name: SortName): Column => name.replace("-", "") as Column;

export const sortOf = (name: SortName): Sort => ({
  ...COLUMNS[columnOf(name)],
  order: name.startsWith("-") ? "desc" : "asc",
});

/** Any JSON list as an opaque text, bound to its list. */
export const sealCursor = (list: string, parts: readonly unknown[]): string =>
  Buffer.from(JSON.stringify([list, ...parts])).toString("base64url");

/** Its parts, or BAD_CURSOR where this list did not give it out. */
export const openCursor = (list: string, cursor: string): readonly unknown[] => {
  try {
    const parts: unknown = JSON.parse(Buffer.from(cursor, "base64url").toString());
    // Written again it must be the same: base64url is lenient when it is read.
    if (Array.isArray(parts) && parts[0] === list && sealCursor(list, parts.slice(1)) === cursor) return parts.slice(1);
  } catch {
    // no JSON
  }
  return fail("BAD_CURSOR");
};

export const isUuid = (value: unknown): value is string => typeof value === "string" && UUID.test(value);

export const cursorAfter = (sort: SortName, { value, id }: Keyset): string => sealCursor(`titles ${sort}`, [value, id]);

export const keysetIn = (sort: SortName, cursor: string | undefined): Keyset | null => {
  if (cursor === undefined) return null;
  const [value, id, ...rest] = openCursor(`titles ${sort}`, cursor);
  if (rest.length > 0 || !isUuid(id) || typeof value !== "string") return fail("BAD_CURSOR");
  if (!IS_VALUE[columnOf(sort)](value)) return fail("BAD_CURSOR");
  return { value, id };
};
