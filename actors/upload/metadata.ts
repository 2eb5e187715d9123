/** What a client says of its file: `Upload-Metadata` of tus, decoded. */
import { EpisodePlace, Year } from "../../contracts/episode-place.ts";
import { type FieldError, fail } from "../../contracts/errors.ts";
import { UPLOAD_FILENAME_MAX } from "../../contracts/upload.ts";
import type { TitleKind } from "./upload.store.ts";

const BYTES_MAX = 4 * 1024;
const FIELDS_MAX = 32;
const NAME_MAX = 500;
const KINDS: readonly TitleKind[] = ["movie", "episode", "clip"];
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const FILENAME_OTHERWISE = "upload";

export type Metadata = Readonly<Record<string, string | null>>;

export interface Described {
  readonly filename: string;
  readonly titleId: string | null;
  /** For a title that is made. */
  readonly name: string | null;
  readonly titleKind: TitleKind;
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const CONTROL = /[\u0000-\u001f\u007f]/;

/** PostgreSQL, logs and file lists take it. */
const isPlain = (text: string): boolean => !CONTROL.test(text) && text.isWellFormed();

/** Some clients send a path: the file's own name is what is behind it. */
const baseNameOf = (text: string): string => text.split(/[\\/]/).at(-1)?.trim() ?? "";

/** The name of what is fetched, as a part of an address says it: what nothing takes is left out. */
export const plainNameOf = (text: string): string =>
  [...baseNameOf(text)]
    .filter((character) => !CONTROL.test(character))
    .join("")
    .trim()
    .slice(0, UPLOAD_FILENAME_MAX)
    .toWellFormed();

/** For a title that is made; null without one. */
export const yearIn = ({ year }: Metadata): number | null => Year.safeParse(Number(year || "none")).data ?? null;

const PLACE_FIELDS = { series: "series", seriesYear: "seriesYear", season: "season", number: "episode" } as const;

/** As it stands in the fields; undefined where there is none of them. */
const placeFieldsIn = (metadata: Metadata): Record<string, string | number> | undefined => {
  const told = Object.entries(PLACE_FIELDS).flatMap(([name, field]) => {
    const text = metadata[field]?.trim();
    if (!text) return [];
    return [[name, name === "series" ? text : Number(text)] as const];
  });
  return told.length === 0 ? undefined : Object.fromEntries(told);
};

/** Where an episode belongs; null where the fields don't say it. */
export const placeIn = (metadata: Metadata): EpisodePlace | null =>
  EpisodePlace.safeParse(placeFieldsIn(metadata)).data ?? null;

const placeErrors = (metadata: Metadata): FieldError[] => {
  const fields = placeFieldsIn(metadata);
  if (fields === undefined) return [];
  if (metadata.kind && metadata.kind !== "episode") return [{ path: "kind", message: "must be episode with a series" }];
  const issues = EpisodePlace.safeParse(fields).error?.issues ?? [];
  return issues.map(({ path, message }) => ({ path: fieldOf(path[0]), message }));
};

const fieldOf = (name: PropertyKey | undefined): string => PLACE_FIELDS[name as keyof typeof PLACE_FIELDS] ?? "series";

/** Fails with BAD_INPUT, with a complaint per field. */
export const describe = (metadata: Metadata): Described => {
  const errors: FieldError[] = [];
  const complain = (path: string, message: string): void => void errors.push({ path: path.slice(0, 100), message });
  const entries = Object.entries(metadata);
  const bytes = entries.reduce((sum, [key, value]) => sum + key.length + Buffer.byteLength(value ?? ""), 0);
  if (entries.length > FIELDS_MAX || bytes > BYTES_MAX) complain("", `must not be over ${BYTES_MAX} bytes`);
  for (const [key, value] of entries) {
    if (!isPlain(key) || !isPlain(value ?? "")) complain("metadata", "must not have control characters");
  }
  const filename = baseNameOf(metadata.filename ?? "") || FILENAME_OTHERWISE;
  if (filename.length > UPLOAD_FILENAME_MAX)
    complain("filename", `must have ${UPLOAD_FILENAME_MAX} characters at most`);
  const titleId = metadata.titleId || null;
  if (titleId !== null && !UUID.test(titleId)) complain("titleId", "must be a UUID");
  const name = metadata.name?.trim() || null;
  if (name !== null && name.length > NAME_MAX) complain("name", `must have ${NAME_MAX} characters at most`);
  if (metadata.year && yearIn(metadata) === null) complain("year", "must be a year");
  errors.push(...placeErrors(metadata));
  const titleKind = KINDS.find((kind) => kind === (metadata.kind || (metadata.series ? "episode" : "movie")));
  if (titleKind === undefined) complain("kind", `must be one of ${KINDS.join(", ")}`);
  if (errors.length > 0 || titleKind === undefined) return fail("BAD_INPUT", { errors });
  return { filename, titleId: titleId?.toLowerCase() ?? null, name, titleKind };
};
