/** What a title is after a change: pure. What only the database knows is checked where it is written (writing.ts). */
import type { z } from "zod";
import { type createTitle, type Title, TitleMaps, type TitlePatch } from "../../contracts/catalog.ts";
import { type FieldError, fail } from "../../contracts/errors.ts";
import { mergePatch } from "../../domain/payload/payload.ts";
import { fieldErrors } from "../../lib/field-errors.ts";
import type { TitleRow } from "./catalog.store.ts";
import { sortKeyOf } from "./fold.ts";
import { isFilm } from "./life.ts";

type NewTitle = z.output<typeof createTitle.input>;
/** What may be asked of any title, `kind` of those that are made from a file. */
type Changes = Omit<TitlePatch, "kind"> & { readonly kind?: TitleRow["kind"] | undefined };

export const badFields = (errors: readonly FieldError[]): never => fail("BAD_INPUT", { errors });

/** Who changes: what a person has set, nobody else overwrites. */
export type By = "person" | "found";

const timeOf = (text: string | null | undefined): Date | null => (text ? new Date(text) : null);

/** A title of which nothing is known but its kind. */
export const blankTitle = (of: Pick<TitleRow, "id" | "tenantId" | "kind" | "name">, nowMs: number): TitleRow => ({
  ...of,
  ...{ state: "draft", originalName: null, sortName: null, sortKey: sortKeyOf(of.name), description: null },
  ...{ tagline: null, year: null, releaseDate: null, runtimeSeconds: null, ratings: [], genres: [], tags: [] },
  ...{ languages: [], externalIds: {}, translations: {}, parentId: null, number: null, channelId: null },
  ...{ access: "session", encryption: null, codec: null, autoPublish: false, availableFrom: null },
  ...{ availableUntil: null, revision: 0, playableRevision: null, readyRevision: null, processingError: null },
  ...{ media: null, rungs: null, manualFields: [], version: 1, createdAt: new Date(nowMs), updatedAt: new Date(nowMs) },
  ...{ deletedAt: null, deletedWith: null, purgingAt: null },
});

/** `translations.de.name`, `externalIds.imdb`, `description`: what can be set by itself. */
const leavesOf = (changes: Changes): { readonly field: string; readonly isTaken: boolean }[] =>
  Object.entries(changes).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (name === "externalIds" && value !== null) {
      return Object.entries(value).map(([key, id]) => ({ field: `externalIds.${key}`, isTaken: id !== null }));
    }
    if (name === "translations" && value !== null) {
      return Object.entries(value as Record<string, object | null>).flatMap(([language, texts]) =>
        ["name", "description", "tagline"].flatMap((key) => {
          const text = texts === null ? null : (texts as Record<string, string | null | undefined>)[key];
          return text === undefined ? [] : [{ field: `translations.${language}.${key}`, isTaken: text !== null }];
        }),
      );
    }
    return [{ field: name, isTaken: value !== null }];
  });

const isBelow = (field: string, name: string): boolean => field === name || field.startsWith(`${name}.`);

/** A field that a person takes back (null) may be filled by what is found. */
const manualAfter = (now: readonly string[], changes: Changes): string[] => {
  const leaves = leavesOf(changes);
  const kept = now.filter((field) => !leaves.some((leaf) => isBelow(field, leaf.field)));
  return [...kept, ...leaves.flatMap(({ field, isTaken }) => (isTaken ? [field] : []))].sort();
};

/** The changes without those of fields that a person has set. */
const withoutManual = (changes: Changes, manual: readonly string[]): Changes => {
  const isManual = (field: string) => manual.includes(field);
  const externalIds = Object.entries(changes.externalIds ?? {}).filter(([key]) => !isManual(`externalIds.${key}`));
  const translations = Object.entries(changes.translations ?? {}).map(([language, texts]) => [
    language,
    Object.fromEntries(Object.entries(texts ?? {}).filter(([key]) => !isManual(`translations.${language}.${key}`))),
  ]);
  const plain = Object.entries(changes).filter(([name]) => !isManual(name));
  return {
    ...(Object.fromEntries(plain) as Changes),
    ...(changes.externalIds ? { externalIds: Object.fromEntries(externalIds) } : {}),
    ...(changes.translations ? { translations: Object.fromEntries(translations) } : {}),
  };
};

const mergedMaps = (row: TitleRow, { externalIds, translations }: Changes) => {
  const merged = {
    externalIds: externalIds === null ? {} : mergePatch(row.externalIds, externalIds ?? {}),
    translations: translations === null ? {} : mergePatch(row.translations, translations ?? {}),
  };
  const parsed = TitleMaps.safeParse(merged);
  return parsed.success ? parsed.data : badFields(fieldErrors(parsed.error));
};

const uniqueRatings = (ratings: Title["ratings"]): Title["ratings"] => [
  ...new Map(ratings.map((rating) => [`${rating.country} ${rating.system}`, rating])).values(),
];

/** The fields of a row that changes name; null takes a field back to what it is from the start. */
const givenFields = (row: TitleRow, changes: Changes): Partial<TitleRow> => {
  const fallback = blankTitle(row, 0);
  const plain = [
    ...["kind", "name", "originalName", "sortName", "description", "tagline", "year", "releaseDate", "runtimeSeconds"],
    ...["languages", "parentId", "number", "channelId", "access", "encryption", "codec", "autoPublish"],
  ] as readonly (keyof Changes & keyof TitleRow)[];
  const given = plain.flatMap((name) =>
    changes[name] === undefined ? [] : [[name, changes[name] ?? fallback[name]] as const],
  );
  const { ratings, genres, tags, availableFrom, availableUntil } = changes;
  return {
    ...(Object.fromEntries(given) as Partial<TitleRow>),
    ...(ratings === undefined ? {} : { ratings: uniqueRatings(ratings ?? []) }),
    ...(genres === undefined ? {} : { genres: [...new Set(genres ?? [])] }),
    ...(tags === undefined ? {} : { tags: [...new Set(tags ?? [])] }),
    ...(availableFrom === undefined ? {} : { availableFrom: timeOf(availableFrom) }),
    ...(availableUntil === undefined ? {} : { availableUntil: timeOf(availableUntil) }),
  };
};

/** What must hold within a title. */
const check = (row: TitleRow, before: TitleRow): void => {
  const { kind, parentId, number, channelId, availableFrom, availableUntil } = row;
  const errors: FieldError[] = [];
  if (kind !== before.kind && !isFilm(before.kind))
    errors.push({ path: "kind", message: `a ${before.kind} stays one` });
  const isPart = kind === "season" || kind === "episode";
  if (!isPart && parentId !== null) errors.push({ path: "parentId", message: `a ${kind} has no parent` });
  if (!isPart && number !== null) errors.push({ path: "number", message: `a ${kind} has no number` });
  if (isPart && (parentId === null) !== (number === null))
    errors.push({ path: "number", message: "goes together with parentId" });
  if (kind !== "live" && channelId !== null) errors.push({ path: "channelId", message: `a ${kind} has no channel` });
  if (availableFrom !== null && availableUntil !== null && availableFrom >= availableUntil)
    errors.push({ path: "availableUntil", message: "must be later than availableFrom" });
  if (errors.length > 0) badFields(errors);
};

/** A part that becomes something else has no place any more. */
const withoutPlace = (row: TitleRow, { kind, parentId }: Changes): TitleRow =>
  kind !== undefined && kind !== "episode" && parentId === undefined ? { ...row, parentId: null, number: null } : row;

/** The row after a change (RFC 7396). Fails with BAD_INPUT. */
export const changed = (row: TitleRow, asked: Changes, by: By): TitleRow => {
  const changes = by === "person" ? asked : withoutManual(asked, row.manualFields);
  const merged: TitleRow = {
    ...withoutPlace(row, changes),
    ...givenFields(row, changes),
    ...mergedMaps(row, changes),
    manualFields: by === "person" ? manualAfter(row.manualFields, changes) : row.manualFields,
  };
  const next = { ...merged, sortKey: sortKeyOf(merged.sortName ?? merged.name) };
  check(next, row);
  return next;
};

export const newTitle = (
  of: { readonly id: string; readonly tenantId: string; readonly nowMs: number },
  { kind, name, ...fields }: NewTitle,
): TitleRow =>
  changed(blankTitle({ id: of.id, tenantId: of.tenantId, kind, name }, of.nowMs), { name, ...fields }, "person");

/** As the API shows it. */
export const viewOf = (row: TitleRow): Title => ({
  ...row,
  availableFrom: row.availableFrom?.toISOString() ?? null,
  availableUntil: row.availableUntil?.toISOString() ?? null,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});
