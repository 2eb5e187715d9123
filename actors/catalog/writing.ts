/** How a title is written: its row, its place, its genres, what it is found by, and its facts, in one transaction. */
import {
  contentCreated,
  contentPublished,
  contentUpdated,
  contentWithdrawn,
  type TitlePatch,
} from "../../contracts/catalog.ts";
import { fail } from "../../contracts/errors.ts";
import { sameJson } from "../../domain/payload/payload.ts";
import type { Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/events.ts";
import type { TitleRow } from "./catalog.store.ts";
import * as store from "./catalog.store.ts";
import { badFields, changed } from "./changes.ts";
import { genresOf, setGenres } from "./genre.store.ts";
import { indexTitle } from "./index.store.ts";
import { Life, type LifeFact } from "./life.ts";

const PARENT_OF: Readonly<Record<string, string>> = { season: "series", episode: "season" };

/** The title, unless it is deleted: TITLE_NOT_FOUND. */
export const visible = (row: TitleRow | undefined, titleId: string): TitleRow =>
  row && row.deletedAt === null ? row : fail("TITLE_NOT_FOUND", { titleId });

export const checkVersion = ({ version }: TitleRow, ifVersion: number | undefined): void => {
  if (ifVersion !== undefined && ifVersion !== version) fail("VERSION_CONFLICT", { version });
};

/** The title with its lock. Fails with TITLE_NOT_FOUND and VERSION_CONFLICT. */
export const locked = async (
  tx: Tx,
  { titleId, ifVersion }: { readonly titleId: string; readonly ifVersion?: number | undefined },
): Promise<TitleRow> => {
  const row = visible(await store.lockTitle(tx, titleId), titleId);
  checkVersion(row, ifVersion);
  return row;
};

const noTitle = (id: string | null): string => `there is no title ${id}`;

const checkParent = async (tx: Tx, { kind, parentId }: TitleRow): Promise<void> => {
  if (parentId === null) return;
  const parent = await store.titleById(tx, parentId);
  const wanted = PARENT_OF[kind];
  if (!parent || parent.deletedAt !== null) fail("TITLE_PARENT", { reason: noTitle(parentId) });
  else if (parent.kind !== wanted) fail("TITLE_PARENT", { reason: `every ${kind} is part of a ${wanted}` });
};

/** Where it is written below its parent. */
export const place = async (tx: Tx, row: TitleRow): Promise<void> => {
  const { parentId, number } = row;
  const outcome = await store.placeTitle(tx, row);
  if (outcome === "taken") fail("TITLE_NUMBER_TAKEN", { parentId, number });
  if (outcome === "no parent") fail("TITLE_PARENT", { reason: noTitle(parentId) });
};

const placeAnew = async (tx: Tx, row: TitleRow, before: TitleRow | null): Promise<void> => {
  const { parentId, number, kind } = row;
  if (parentId === (before?.parentId ?? null) && number === (before?.number ?? null)) return;
  if (parentId !== before?.parentId || kind !== before?.kind) await checkParent(tx, row);
  await place(tx, row);
};

const writeGenres = async (tx: Tx, row: TitleRow, before: TitleRow | null): Promise<void> => {
  if (sameJson(row.genres, before?.genres ?? [])) return;
  const known = new Map((await genresOf(tx, row.genres)).map(({ id, slug }) => [slug, id]));
  const ids = row.genres.map(
    (slug, index) => known.get(slug) ?? badFields([{ path: `genres.${index}`, message: `there is no genre ${slug}` }]),
  );
  await setGenres(tx, row, ids);
};

const checkChannel = async (tx: Tx, { channelId }: TitleRow, before: TitleRow | null): Promise<void> => {
  if (channelId === null || channelId === before?.channelId) return;
  if (!(await store.hasChannel(tx, channelId))) fail("CHANNEL_NOT_FOUND", { channelId });
};

const LIFE_FACTS = { published: contentPublished, withdrawn: contentWithdrawn } as const;

export const publishLife = async (tx: Tx, { id: titleId, tenantId }: TitleRow, facts: readonly LifeFact[]) => {
  for (const name of facts) await publishFact(tx, LIFE_FACTS[name], titleId, { tenantId, titleId });
};

/** A new title. Gives it as it is in the database. */
export const insert = async (tx: Tx, row: TitleRow): Promise<TitleRow> => {
  const { id: titleId, tenantId } = row;
  await checkChannel(tx, row, null);
  await store.insertTitle(tx, row);
  await placeAnew(tx, row, null);
  await writeGenres(tx, row, null);
  await indexTitle(tx, row);
  await publishFact(tx, contentCreated, titleId, { tenantId, titleId });
  return (await store.titleById(tx, titleId))!; // inserted above
};

/** What became of a title whose lock the caller holds, with the facts of its life. A row that is the same is left. */
export const save = async (
  tx: Tx,
  before: TitleRow,
  { row, facts }: { readonly row: TitleRow; readonly facts: readonly LifeFact[] },
): Promise<TitleRow> => {
  if (sameJson(JSON.parse(JSON.stringify(before)), JSON.parse(JSON.stringify(row)))) return before;
  const { id: titleId, tenantId } = row;
  await checkChannel(tx, row, before);
  await placeAnew(tx, row, before);
  await writeGenres(tx, row, before);
  await store.updateTitle(tx, row);
  await indexTitle(tx, row);
  const version = before.version + 1;
  await publishFact(tx, contentUpdated, titleId, { tenantId, titleId, version });
  await publishLife(tx, row, facts);
  return (await store.titleById(tx, titleId))!; // updated above
};

/** Its cast or its pictures changed. Gives the version that it has now; undefined where it is deleted. */
export const touched = async (
  tx: Tx,
  { tenantId, titleId }: { readonly tenantId: string; readonly titleId: string },
): Promise<number | undefined> => {
  const version = await store.touchTitle(tx, titleId);
  if (version !== undefined) await publishFact(tx, contentUpdated, titleId, { tenantId, titleId, version });
  return version;
};

/** A change of fields, and what its window makes of the title. */
export const change = (
  tx: Tx,
  before: TitleRow,
  { patch, nowMs }: { readonly patch: TitlePatch; readonly nowMs: number },
): Promise<TitleRow> => {
  const life = new Life(changed(before, patch, "person"), nowMs);
  life.tick();
  return save(tx, before, life);
};

/**
 * What was found about a title elsewhere: fields that a person has set stay as they are. Null where the title is gone.
 * Fails with BAD_INPUT, as for genres that there are not.
 */
export const applyFound = async (tx: Tx, titleId: string, patch: TitlePatch): Promise<TitleRow | null> => {
  const before = await store.lockTitle(tx, titleId);
  if (!before || before.deletedAt !== null) return null;
  return save(tx, before, { row: changed(before, patch, "found"), facts: [] });
};
