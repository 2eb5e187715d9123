/** Titles: what there is to play, who may see it, and what is known of it. Pool actor. */
import { z } from "zod";
import { Encryption } from "./content-set.ts";
import { EpisodePlace, NAME_MAX, NUMBER_MAX, Year } from "./episode-place.ts";
import type { ErrorCode } from "./errors.ts";
import { ChannelId, Country, GivenInstant, Instant, NextCursor, Page, TenantId } from "./ids.ts";
import { ask, fact } from "./kit.ts";
import { number, someOf } from "./query-fields.ts";
import { MediaFacts } from "./transcoder.ts";

export const TitleId = z.uuid();
export const TITLE_STATES = ["draft", "processing", "ready", "scheduled", "published", "withdrawn"] as const;
export const TitleState = z.enum(TITLE_STATES);
export const TITLE_KINDS = ["movie", "series", "season", "episode", "clip", "live"] as const;
export const TitleKind = z.enum(TITLE_KINDS);
export type TitleKind = z.output<typeof TitleKind>;
export const Slug = z
  .string()
  .regex(/^[a-z0-9]+(?:-[a-z0-9]+)*$/, "lower-case letters and digits, words apart by -")
  .max(80);
/** BCP 47, as `pt-BR`. */
export const Language = z.string().regex(/^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,4}$/, "must be a BCP 47 language tag");

const words = (max: number) => z.string().trim().min(1).max(max);
const Name = words(NAME_MAX);
const mapOf = <V extends z.ZodType>(key: z.ZodType<string, string>, value: V, countMax: number) =>
  z.record(key, value).refine((map) => Object.keys(map).length <= countMax, `has more than ${countMax} members`);

export const Rating = z.strictObject({
  /** ISO 3166-1; the one of each country and system counts. */
  country: Country,
  /** FSK, MPA, BBFC … */
  system: words(40),
  certification: words(40),
  /** From what age on; 0: for all. */
  age: z.int().min(0).max(21),
});
const Translation = z.strictObject({
  name: Name.nullish(),
  description: words(10_000).nullish(),
  tagline: words(NAME_MAX).nullish(),
});
const Translations = mapOf(Language, Translation, 100);
const ExternalIds = mapOf(
  z.string().regex(/^[a-z][a-z0-9_]{0,39}$/, "must be the short name of a catalogue, as imdb"),
  words(200),
  30,
);

/** What may be left out and taken back (null). */
const OptionalFields = {
  originalName: Name.nullish(),
  sortName: Name.nullish(),
  description: words(10_000).nullish(),
  tagline: words(NAME_MAX).nullish(),
  year: Year.nullish(),
  releaseDate: z.iso.date().nullish(),
  runtimeSeconds: z.int().min(1).max(10_000_000).nullish(),
  ratings: z.array(Rating).max(60).nullish(),
  /** Slugs, the first is the main one. */
  genres: z.array(Slug).max(20).nullish(),
  tags: z.array(words(100)).max(100).nullish(),
  languages: z.array(Language).max(60).nullish(),
  /** `session`: who plays it needs a playback session. */
  access: z.enum(["session", "public"]).nullish(),
  /** Null: as the operator set it. Takes effect with the next source. */
  encryption: Encryption.nullish(),
  codec: z.enum(["h264", "hevc", "all"]).nullish(),
  /** Published as soon as it can be played, within its window. */
  autoPublish: z.boolean().nullish(),
  availableFrom: GivenInstant.nullish(),
  availableUntil: GivenInstant.nullish(),
  /** A season's series, an episode's season; with `number`. */
  parentId: TitleId.nullish(),
  number: z.int().min(0).max(NUMBER_MAX).nullish(),
  /** Of a title of the kind `live`. */
  channelId: ChannelId.nullish(),
};
const CreateFields = {
  kind: TitleKind,
  name: Name,
  ...OptionalFields,
  externalIds: ExternalIds.nullish(),
  translations: Translations.nullish(),
};
/** RFC 7396: null takes a field back; members of `externalIds` and `translations` are changed one by one. */
export const TitlePatch = z.strictObject({
  /** Of what is made from a file: movie, episode or clip. */
  kind: z.enum(["movie", "episode", "clip"]).optional(),
  name: Name.optional(),
  ...OptionalFields,
  externalIds: z.record(z.string(), z.string().nullable()).nullish(),
  translations: z.record(z.string(), Translation.nullable()).nullish(),
});
export type TitlePatch = z.output<typeof TitlePatch>;
/** What a change of the merged members must be again. */
export const TitleMaps = z.strictObject({ externalIds: ExternalIds, translations: Translations });

export const Title = z.object({
  id: TitleId,
  kind: TitleKind,
  state: TitleState,
  name: z.string(),
  originalName: z.string().nullable(),
  sortName: z.string().nullable(),
  description: z.string().nullable(),
  tagline: z.string().nullable(),
  year: z.int().nullable(),
  releaseDate: z.string().nullable(),
  runtimeSeconds: z.int().nullable(),
  ratings: z.array(Rating),
  genres: z.array(z.string()),
  tags: z.array(z.string()),
  languages: z.array(z.string()),
  externalIds: z.record(z.string(), z.string()),
  translations: z.record(z.string(), Translation),
  parentId: TitleId.nullable(),
  number: z.int().nullable(),
  channelId: z.int().nullable(),
  access: z.enum(["session", "public"]),
  encryption: Encryption.nullable(),
  codec: z.enum(["h264", "hevc", "all"]).nullable(),
  autoPublish: z.boolean(),
  availableFrom: Instant.nullable(),
  availableUntil: Instant.nullable(),
  /** Of the newest source; 0: there was none. What plays is the newest one that is ready. */
  revision: z.int(),
  readyRevision: z.int().nullable(),
  /** Why the newest source could not be made playable. */
  processingError: z.object({ code: z.string(), reason: z.string() }).nullable(),
  /** What the source is, by ffprobe. */
  media: MediaFacts.nullable(),
  rungs: z.array(z.object({ name: z.string(), width: z.int(), height: z.int(), bitsPerSecond: z.int() })).nullable(),
  version: z.int(),
  createdAt: Instant,
  updatedAt: Instant,
});
export type Title = z.output<typeof Title>;
/** Of a title that another tenant has licensed to this one and that is published: that tenant's slug. */
export const SeenTitle = Title.extend({ ownerTenant: z.string().optional() });

/** A source file is there, whole and checked; the title goes to `processing`. Without a title one is made. */
export const attachSource = ask("catalog.attachSource", {
  input: z.object({
    titleId: TitleId.nullable(),
    /** Of the source: the upload that brought it. A second call with the same one changes nothing. */
    sourceId: z.uuid(),
    /** In the bucket `sources`. */
    path: z.string().min(1).max(500),
    sizeBytes: z.int().positive(),
    filename: z.string().max(255),
    /** For a title that is made. */
    name: z.string().max(500).optional(),
    year: Year.optional(),
    kind: z.enum(["movie", "episode", "clip"]).default("movie"),
    place: EpisodePlace.optional(), // of an episode: the title there gets the source, and is made where there is none
  }),
  result: z.object({ titleId: TitleId, revision: z.int() }),
  deadlineMs: 5_000,
  errors: ["DATABASE_DOWN", "TITLE_NOT_FOUND", "TITLE_STATE"],
  retriable: true,
});

/** Whether a title may be played now by viewers of the calling tenant (its own, or one that is licensed to it). */
export const playableTitle = ask("catalog.playableTitle", {
  /** `country`: of the viewer, where it is known. */
  input: z.object({ titleId: TitleId, country: Country.optional() }),
  result: z.object({
    titleId: TitleId,
    /** Whose title it is. */
    ownerTenantId: TenantId,
    /** It may be played without a session too. */
    isPublic: z.boolean(),
    encryption: Encryption,
    /** When the window closes; null: never. */
    availableUntil: Instant.nullable(),
    /** Lines of the picture that a licence allows; null: all of them. */
    maxHeight: z.int().nullish(),
  }),
  deadlineMs: 3_000,
  errors: ["DATABASE_DOWN", "TITLE_NOT_FOUND", "TITLE_UNPLAYABLE", "COUNTRY_UNKNOWN", "TERRITORY_EXCLUDED"],
  retriable: true,
});

const Of = { tenantId: TenantId, titleId: TitleId };
/** Facts, delivered at least once, in order per title. */
export const contentSourceAttached = fact(
  "content.sourceAttached",
  z.object({
    ...Of,
    revision: z.int().positive(),
    sourceId: z.uuid(),
    path: z.string(),
    filename: z.string(),
    encryption: Encryption,
    /** Of the rungs; null: as the operator set it. */
    codec: z.enum(["h264", "hevc", "all"]).nullable(),
  }),
);
export const contentCreated = fact("content.created", z.object(Of));
export const contentUpdated = fact("content.updated", z.object({ ...Of, version: z.int() }));
export const contentPublished = fact("content.published", z.object(Of));
export const contentWithdrawn = fact("content.withdrawn", z.object(Of));
/** Soft: it is no longer there for anybody; its objects go with `content.purged`. */
export const contentDeleted = fact("content.deleted", z.object(Of));
/** Nothing of it is left in the catalog and the object store: others let go of what they hold for it. */
export const contentPurged = fact("content.purged", z.object(Of));

const Filter = {
  /** By commas. */
  kind: someOf(TitleKind).optional(),
  state: someOf(TitleState).optional(),
  /** Slugs by commas: a title has them all. */
  genre: someOf(Slug).optional(),
  yearFrom: number(1850, 2200).optional(),
  yearTo: number(1850, 2200).optional(),
};
const ListFilter = { ...Filter, parent: TitleId.optional(), updatedSince: GivenInstant.optional() };
export const TitleFilter = z.strictObject(ListFilter);
export type TitleFilter = z.output<typeof TitleFilter>;
export const TITLE_SORTS = ["created", "-created", "updated", "-updated", "name", "-name", "year", "-year"] as const;

const titles = { tag: "titles" } as const;
const read = { ...titles, scope: "title:read", method: "GET" } as const;
const write = { ...titles, scope: "title:write" } as const;
const One = { titleId: TitleId };
const Changing = { ...One, ifVersion: z.int().optional() };
const Answer = z.object({ data: Title });
const CHANGE_ERRORS = ["TITLE_NOT_FOUND", "VERSION_CONFLICT", "TITLE_STATE"] as const satisfies ErrorCode[];
const FIELD_ERRORS = ["TITLE_PARENT", "TITLE_NUMBER_TAKEN", "CHANNEL_NOT_FOUND"] as const satisfies ErrorCode[];

export const createTitle = ask("catalog.createTitle", {
  input: z.strictObject(CreateFields),
  result: Answer,
  deadlineMs: 5_000,
  errors: FIELD_ERRORS,
  rest: {
    ...write,
    method: "POST",
    path: "/titles",
    status: 201,
    idempotent: true,
    summary: "Create a title, as a draft.",
  },
});
export const getTitle = ask("catalog.getTitle", {
  input: z.strictObject(One),
  result: z.object({ data: SeenTitle }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND"],
  retriable: true,
  rest: { ...read, path: "/titles/:titleId", summary: "One title." },
});
export const listTitles = ask("catalog.listTitles", {
  input: z.strictObject({ ...Page, ...ListFilter, sort: z.enum(TITLE_SORTS).default("created") }),
  result: z.object({ data: z.array(Title), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { ...read, path: "/titles", summary: "Titles, filtered and in order; with `parent` the parts of one." },
});
const Facet = z.array(z.object({ value: z.string(), count: z.int() }));
export const searchTitles = ask("catalog.searchTitles", {
  input: z.strictObject({
    ...Page,
    ...Filter,
    /** Words, or beginnings of words, of any of its names; without it all titles fit. */
    q: z.string().max(200).default(""),
    year: number(1850, 2200).optional(),
    /** `false`: they are not counted. A page after the first has none. */
    facets: z.enum(["true", "false"]).default("true"),
  }),
  result: z.object({
    data: z.array(SeenTitle.extend({ score: z.number() })),
    nextCursor: NextCursor,
    total: z.int(),
    facets: z.object({ kind: Facet, genre: Facet, year: Facet, state: Facet }).nullable(),
  }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    ...read,
    path: "/titles/search",
    summary: "Search titles by name as one types, with typing errors and without accents, and count what was found.",
  },
});
export const patchTitle = ask("catalog.patchTitle", {
  input: z.strictObject({ ...Changing, ...TitlePatch.shape }),
  result: Answer,
  deadlineMs: 5_000,
  errors: [...CHANGE_ERRORS, ...FIELD_ERRORS],
  rest: { ...write, method: "PATCH", path: "/titles/:titleId", versioned: true, summary: "Change a title." },
});
export const deleteTitle = ask("catalog.deleteTitle", {
  input: z.strictObject(Changing),
  /** It and its parts. */
  result: z.object({ data: z.object({ id: TitleId, deletedCount: z.int(), version: z.int() }) }),
  deadlineMs: 10_000,
  errors: ["TITLE_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/titles/:titleId",
    versioned: true,
    summary: "Delete a title with its parts: gone at once; its files follow.",
  },
});
export const restoreTitle = ask("catalog.restoreTitle", {
  input: z.strictObject(Changing),
  result: Answer,
  deadlineMs: 10_000,
  errors: ["TITLE_NOT_FOUND", "VERSION_CONFLICT", "TITLE_STATE", "TITLE_NUMBER_TAKEN"],
  rest: {
    ...write,
    method: "POST",
    path: "/titles/:titleId/restore",
    versioned: true,
    summary: "Take a deletion back while nothing is removed yet; what was published is not so any more.",
  },
});
export const BULK_MAX = 1_000;
const BulkPatch = TitlePatch.omit({ kind: true, parentId: true, number: true, channelId: true });
export const editTitles = ask("catalog.editTitles", {
  input: z.strictObject({
    /** `version`: the one that it must have. */
    titles: z
      .array(z.strictObject({ id: TitleId, version: z.int().positive().optional() }))
      .min(1)
      .max(BULK_MAX)
      .optional(),
    filter: TitleFilter.optional(),
    patch: BulkPatch,
    /** Everything is checked, and nothing changed. */
    dryRun: z.boolean().default(false),
  }),
  result: z.object({
    data: z.array(
      z.object({
        id: TitleId,
        ok: z.boolean(),
        /** That it has now, or would have. */
        version: z.int().nullable(),
        error: z.object({ code: z.string(), message: z.string() }).nullable(),
      }),
    ),
  }),
  deadlineMs: 25_000,
  errors: ["BULK_TOO_MANY"],
  rest: {
    ...write,
    method: "POST",
    path: "/titles/bulk",
    summary:
      "Change many titles alike: those named, or those that fit a filter (either of them); each has its outcome.",
  },
});
const moved = (word: string, summary: string) =>
  ({ ...write, method: "POST", path: `/titles/:titleId/${word}`, versioned: true, summary }) as const;
export const publishTitle = ask("catalog.publishTitle", {
  input: z.strictObject({ ...Changing, at: GivenInstant.optional() }),
  result: Answer,
  deadlineMs: 5_000,
  errors: CHANGE_ERRORS,
  rest: moved("publish", "Publish a title: now, or when its window opens; `at` moves the opening."),
});
export const scheduleTitle = ask("catalog.scheduleTitle", {
  input: z.strictObject({ ...Changing, at: GivenInstant }),
  result: Answer,
  deadlineMs: 5_000,
  errors: CHANGE_ERRORS,
  rest: moved("schedule", "Publish a title at a time that is still to come."),
});
export const unscheduleTitle = ask("catalog.unscheduleTitle", {
  input: z.strictObject(Changing),
  result: Answer,
  deadlineMs: 5_000,
  errors: CHANGE_ERRORS,
  rest: moved("unschedule", "Do not publish a scheduled title."),
});
export const withdrawTitle = ask("catalog.withdrawTitle", {
  input: z.strictObject(Changing),
  result: Answer,
  deadlineMs: 5_000,
  errors: CHANGE_ERRORS,
  rest: moved("withdraw", "Withdraw a published title; it can be published again."),
});
