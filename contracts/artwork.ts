/** Pictures of titles, and what the metadata service knows of them. Part of the catalog. */
import { z } from "zod";
import { Instant, NextCursor, Page } from "./ids.ts";
import { ask } from "./kit.ts";

const TitleId = z.uuid();
const ArtworkId = z.uuid();
export const ARTWORK_KINDS = ["poster", "backdrop", "logo", "still"] as const;
const Kind = z.enum(ARTWORK_KINDS);
export const ARTWORK_SOURCES = ["tmdb", "frame", "manual"] as const;
/** ISO 639-1. */
const PictureLanguage = z.string().regex(/^[a-z]{2}$/, "must be two small letters");

const ifVersion = z.int().optional();
/** That the title has with this change. */
const titleVersion = z.int();

/** What is chosen is a part of its title: another choice gives that another version, and `If-Match` is the title's. */
export const Artwork = z.object({
  id: ArtworkId,
  kind: Kind,
  /** Null: no words are on it. */
  language: z.string().nullable(),
  /** `frame`: out of the film itself. */
  source: z.enum(ARTWORK_SOURCES),
  width: z.int().nullable(),
  height: z.int().nullable(),
  /** Shown for its kind and language. */
  chosen: z.boolean(),
  /** A path at gateway and edge; null for a candidate that was not fetched yet. */
  url: z.string().nullable(),
  createdAt: Instant,
});

const read = { scope: "title:read", tag: "artwork", method: "GET" } as const;
const write = { scope: "title:write", tag: "artwork" } as const;

export const listArtwork = ask("artwork.list", {
  input: z.strictObject({ titleId: TitleId, ...Page }),
  result: z.object({ data: z.array(Artwork), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "BAD_CURSOR"],
  retriable: true,
  rest: { ...read, path: "/titles/:titleId/artwork", summary: "A title's pictures: those chosen, and candidates." },
});
export const chooseArtwork = ask("artwork.choose", {
  input: z.strictObject({
    titleId: TitleId,
    /** One of its candidates; or a picture at `url`. */
    artworkId: ArtworkId.optional(),
    url: z
      .url({ protocol: /^https?$/ })
      .max(2_000)
      .optional(),
    /** With `url`. */
    kind: Kind.optional(),
    /** Null: no words are on it. Of a candidate: what it has, unless told. */
    language: PictureLanguage.nullable().optional(),
    /** Filled by the gateway: the key may name private addresses. */
    trusted: z.boolean().default(false),
    ifVersion,
  }),
  result: z.object({ data: Artwork.extend({ titleVersion }) }),
  deadlineMs: 25_000,
  errors: [
    ...(["TITLE_NOT_FOUND", "ARTWORK_NOT_FOUND", "BAD_INPUT", "PICTURE_REFUSED", "SOURCE_URL_REFUSED"] as const),
    ...(["SOURCE_FAILED", "SOURCE_TIMEOUT", "OBJECT_STORE_DOWN", "OBJECT_STORE_FULL", "VERSION_CONFLICT"] as const),
  ],
  rest: {
    ...write,
    method: "POST",
    path: "/titles/:titleId/artwork",
    versioned: true,
    summary:
      "Choose the picture of a kind and a language: a candidate, or one from an address (JPEG, PNG, WebP); `If-Match` is the title's.",
  },
});
export const deleteArtwork = ask("artwork.delete", {
  input: z.strictObject({ titleId: TitleId, artworkId: ArtworkId, ifVersion }),
  result: z.object({ data: z.object({ id: ArtworkId, titleVersion }) }),
  deadlineMs: 10_000,
  errors: ["TITLE_NOT_FOUND", "ARTWORK_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/titles/:titleId/artwork/:artworkId",
    versioned: true,
    summary: "Delete a picture (`If-Match` is the title's); a candidate comes back with the next refresh.",
  },
});

/** What the metadata service was asked of a title. `off`: this installation asks none. */
export const ENRICHMENT_STATES = ["off", "none", "waiting", "matched", "unsure", "unmatched", "failed"] as const;
export const Candidate = z.object({
  tmdbId: z.int(),
  name: z.string(),
  originalName: z.string().nullable(),
  year: z.int().nullable(),
  /** 0 to 1. */
  confidence: z.number(),
});
export type Candidate = z.output<typeof Candidate>;
export const Enrichment = z.object({
  state: z.enum(ENRICHMENT_STATES),
  /** Best first. */
  candidates: z.array(Candidate),
  /** The id that the title is taken for. */
  chosen: z.int().nullable(),
  /** By a person. */
  chosenByHand: z.boolean(),
  language: z.string().nullable(),
  error: z.string().nullable(),
  refreshedAt: Instant.nullable(),
  /** 1 before it was asked for. */
  version: z.int(),
});
const TextLanguage = z.string().regex(/^[a-z]{2}(?:-[A-Z]{2})?$/, "must be like en or pt-BR");
export const EnrichmentSettings = z.object({
  /** In which titles are looked up that say nothing themselves; null: English. */
  language: z.string().nullable(),
  version: z.int(),
});
export const getEnrichmentSettings = ask("enrichment.settings", {
  input: z.strictObject({}),
  result: z.object({ data: EnrichmentSettings }),
  deadlineMs: 5_000,
  errors: [],
  retriable: true,
  rest: {
    ...{ method: "GET", scope: "title:read", tag: "enrichment", path: "/enrichment/settings" },
    versioned: true,
    summary: "What this tenant wants of the metadata service.",
  },
});
export const patchEnrichmentSettings = ask("enrichment.patchSettings", {
  input: z.strictObject({ language: TextLanguage.nullish(), ifVersion }),
  result: z.object({ data: EnrichmentSettings }),
  deadlineMs: 5_000,
  errors: ["VERSION_CONFLICT"],
  rest: {
    ...{ method: "PATCH", scope: "title:write", tag: "enrichment", path: "/enrichment/settings" },
    versioned: true,
    summary: "Change it: titles that are looked up from now on, and refreshes, go by it.",
  },
});

export const getEnrichment = ask("enrichment.get", {
  input: z.strictObject({ titleId: TitleId }),
  result: z.object({ data: Enrichment }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND"],
  retriable: true,
  rest: {
    ...{ method: "GET", scope: "title:read", tag: "enrichment", path: "/titles/:titleId/enrichment" },
    versioned: true,
    summary: "What the metadata service knows of a title: state, candidates, what was chosen.",
  },
});
export const startEnrichment = ask("enrichment.start", {
  input: z.strictObject({
    titleId: TitleId,
    /** It is this one: no search. */
    tmdbId: z.int().min(1).max(2_147_483_647).optional(),
    /** Of this title from now on; else its series', the tenant's, English. */
    language: TextLanguage.optional(),
    ifVersion,
  }),
  result: z.object({ data: Enrichment }),
  deadlineMs: 5_000,
  errors: ["TITLE_NOT_FOUND", "ENRICHMENT_OFF", "VERSION_CONFLICT"],
  rest: {
    ...{ method: "POST", scope: "title:write", tag: "enrichment", path: "/titles/:titleId/enrich", status: 202 },
    versioned: true,
    summary: "Look a title up, or read the chosen one again; fields that a person has set stay.",
  },
});
