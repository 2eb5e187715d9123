/** Search by name: the index gives ids, their order and the counts; titles are read under row security. */
import type { z } from "zod";
import type { searchTitles } from "../../contracts/catalog.ts";
import { fail } from "../../contracts/errors.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { titlesById } from "./catalog.store.ts";
import { viewOf } from "./changes.ts";
import { fold } from "./fold.ts";
import { type Asked, type Found, type Hit, searchIndex } from "./index.store.ts";
import { licensedTitlesOf } from "./libraries.ts";
import { licensedView } from "./libraries-shown.ts";
import { isUuid, openCursor, sealCursor } from "./lists.ts";

type Input = z.output<typeof searchTitles.input>;
type Result = z.input<typeof searchTitles.result>;

const LIST = "search";
const SCORE_UNIT = 1e6;
const NAME_KEY_MAX = 500; // characters of title_index.name_key

const afterIn = (cursor: string | undefined, q: string): Hit | null => {
  if (cursor === undefined) return null;
  const [of, score, nameKey, id, ...rest] = openCursor(LIST, cursor);
  if (of !== q || rest.length > 0 || !Number.isSafeInteger(score) || !isUuid(id)) return fail("BAD_CURSOR");
  if (typeof nameKey !== "string" || nameKey.length > NAME_KEY_MAX || nameKey.includes("\0")) return fail("BAD_CURSOR");
  return [score as number, nameKey, id]; // looked at above
};

/** The most frequent first; years from the newest on. */
const facetOf = (counts: Readonly<Record<string, number>>, by: "count" | "value") =>
  Object.entries(counts)
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) =>
      by === "count" ? b.count - a.count || a.value.localeCompare(b.value) : Number(b.value) - Number(a.value),
    );

const facetsOf = (facets: Found["facets"]): Result["facets"] =>
  facets && {
    kind: facetOf(facets.kind, "count"),
    genre: facetOf(facets.genre, "count"),
    year: facetOf(facets.year, "value"),
    state: facetOf(facets.state, "count"),
  };

/** Whose titles are looked through: the tenant's own, and those that others have licensed to it. */
interface Place {
  readonly tenantId: string;
  /** Null: the one who asks. */
  readonly ownerTenant: string | null;
  readonly asked: Asked;
}
type Shown = Result["data"][number];
interface Part {
  readonly hits: readonly { readonly hit: Hit; readonly title: Shown | undefined }[];
  readonly total: number;
  readonly facets: Found["facets"];
}

const searchPlace = async (tx: Tx, { tenantId, ownerTenant, asked }: Place): Promise<Part> => {
  const { hits, total, facets } = await searchIndex(tx, tenantId, asked);
  const rows = await titlesById(
    tx,
    hits.map(([, , id]) => id),
  );
  const byId = new Map(rows.map((row) => [row.id, row]));
  const shown = (hit: Hit): Shown | undefined => {
    const row = byId.get(hit[2]);
    if (!row) return undefined;
    const score = hit[0] / SCORE_UNIT;
    return ownerTenant === null
      ? { ...viewOf(row), score }
      : { ...licensedView(row, { ownerTenant, parentId: null }), score };
  };
  return { hits: hits.map((hit) => ({ hit, title: shown(hit) })), total, facets };
};

/** Of others' titles only what is published is there. */
const placesOf = async (db: Database, tenantId: string, asked: Asked): Promise<Place[]> => {
  const own = { tenantId, ownerTenant: null, asked };
  if (asked.states && !asked.states.includes("published")) return [own];
  const licensed = await licensedTitlesOf(db, tenantId);
  const states = ["published"];
  return [
    own,
    ...licensed.map(({ ownerTenantId, ownerTenant, titleIds: ids }) => ({
      ...{ tenantId: ownerTenantId, ownerTenant, asked: { ...asked, states, ids } },
    })),
  ];
};

/** As the database orders them; all of it is ASCII. */
const inOrder = ([score, name, id]: Hit, [otherScore, otherName, otherId]: Hit): number => {
  if (score !== otherScore) return otherScore - score;
  if (name !== otherName) return name < otherName ? -1 : 1;
  return id < otherId ? -1 : 1;
};

const sum = (parts: readonly Readonly<Record<string, number>>[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const part of parts) for (const [value, n] of Object.entries(part)) counts[value] = (counts[value] ?? 0) + n;
  return counts;
};
const facetsOfAll = (parts: readonly Part[]): Found["facets"] => {
  const all = parts.flatMap(({ facets }) => (facets ? [facets] : []));
  if (all.length === 0) return null;
  const of = (name: "kind" | "state" | "year" | "genre") => sum(all.map((facets) => facets[name]));
  return { kind: of("kind"), state: of("state"), year: of("year"), genre: of("genre") };
};

export const searchIn = async (db: Database, tenantId: string, input: Input): Promise<Result> => {
  const q = fold(input.q);
  const { kind, state, genre, year, limit, cursor } = input;
  // Words of signs alone are not the same as no words.
  if (q === "" && input.q.trim() !== "") return { data: [], nextCursor: null, total: 0, facets: null };
  const asked: Asked = {
    ...{ q, after: afterIn(cursor, q), facets: input.facets === "true" && cursor === undefined, rowCount: limit + 1 },
    ...{ kinds: kind, states: state, genres: genre },
    ...{ yearFrom: year ?? input.yearFrom, yearTo: year ?? input.yearTo },
  };
  const parts: Part[] = [];
  // One after the other: a search has one connection at a time.
  for (const place of await placesOf(db, tenantId, asked)) {
    parts.push(await db.tenantTx(place.tenantId, (tx) => searchPlace(tx, place)));
  }
  const hits = parts.flatMap((part) => part.hits).sort((a, b) => inOrder(a.hit, b.hit));
  const page = hits.slice(0, limit);
  const last = page.at(-1)?.hit;
  return {
    data: page.flatMap(({ title }) => (title ? [title] : [])),
    nextCursor: hits.length > limit && last ? sealCursor(LIST, [q, ...last]) : null,
    total: parts.reduce((all, { total }) => all + total, 0),
    facets: facetsOf(facetsOfAll(parts)),
  };
};
