/** Libraries of a tenant's titles, and licences to them that another tenant holds. Part of the catalog. */
import { z } from "zod";
import { Country, GivenInstant, Instant, NextCursor, Page, TenantId, TenantSlug } from "./ids.ts";
import { ask, fact } from "./kit.ts";

const LibraryId = z.uuid();
const TitleId = z.uuid();
const LicenceId = z.uuid();
const ifVersion = z.int().optional();
const Slug = TenantSlug;
const Name = z.string().trim().min(1).max(200);
const TITLES_MAX = 1_000; // of one request: three statements

export const Library = z.object({
  id: LibraryId,
  slug: Slug,
  name: z.string(),
  titleCount: z.int(),
  version: z.int(),
  createdAt: Instant,
  updatedAt: Instant,
});
export const LibraryTitle = z.object({
  titleId: TitleId,
  name: z.string(),
  kind: z.string(),
  state: z.string(),
  addedAt: Instant,
});
const Terms = {
  /** Null: all that is in the library. */
  titleId: TitleId.nullable(),
  startsAt: Instant,
  endsAt: Instant.nullable(),
  /** Of viewers: ISO 3166-1 alpha-2; null: everywhere. */
  territories: z.array(z.string()).nullable(),
  /** Lines of the picture, of an upright one its shorter side: rungs of more are for nobody. Null: no limit. */
  maxHeight: z.int().nullable(),
};
export const Licence = z.object({
  id: LicenceId,
  libraryId: LibraryId,
  /** Slug of the tenant that holds it. */
  tenant: TenantSlug,
  ...Terms,
  /** A licence changes once, when it is revoked. */
  version: z.int(),
  createdAt: Instant,
  revokedAt: Instant.nullable(),
});
export const ReceivedLicence = z.object({
  id: LicenceId,
  libraryId: LibraryId,
  /** Slug of the tenant that gives it. */
  ownerTenant: TenantSlug,
  ...Terms,
  /** It holds now. */
  active: z.boolean(),
});

const read = { scope: "title:read", tag: "libraries" } as const;
const write = { scope: "title:write", tag: "libraries" } as const;

export const listLibraries = ask("libraries.list", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(Library), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: {
    ...read,
    method: "GET",
    path: "/libraries",
    summary: "List libraries; the one called default is always there.",
  },
});
export const createLibrary = ask("libraries.create", {
  input: z.strictObject({ slug: Slug, name: Name.optional() }),
  result: z.object({ data: Library }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_SLUG_TAKEN"],
  rest: { ...write, method: "POST", path: "/libraries", status: 201, idempotent: true, summary: "Make a library." },
});
export const getLibrary = ask("libraries.get", {
  input: z.strictObject({ libraryId: LibraryId }),
  result: z.object({ data: Library }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND"],
  retriable: true,
  rest: { ...read, method: "GET", path: "/libraries/:libraryId", versioned: true, summary: "Read a library." },
});
export const patchLibrary = ask("libraries.patch", {
  input: z.strictObject({ libraryId: LibraryId, slug: Slug.optional(), name: Name.optional(), ifVersion }),
  result: z.object({ data: Library }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "LIBRARY_SLUG_TAKEN", "LIBRARY_DEFAULT", "VERSION_CONFLICT"],
  rest: { ...write, method: "PATCH", path: "/libraries/:libraryId", versioned: true, summary: "Change a library." },
});
export const deleteLibrary = ask("libraries.delete", {
  input: z.strictObject({ libraryId: LibraryId, ifVersion }),
  result: z.object({ data: z.object({ id: LibraryId }) }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "LIBRARY_DEFAULT", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/libraries/:libraryId",
    versioned: true,
    summary: "Delete a library with its licences; its titles stay.",
  },
});

export const listLibraryTitles = ask("libraries.titles", {
  input: z.strictObject({ libraryId: LibraryId, ...Page }),
  result: z.object({ data: z.array(LibraryTitle), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "BAD_CURSOR"],
  retriable: true,
  rest: { ...read, method: "GET", path: "/libraries/:libraryId/titles", summary: "List what is in a library." },
});
export const addLibraryTitles = ask("libraries.addTitles", {
  input: z.strictObject({ libraryId: LibraryId, titleIds: z.array(TitleId).min(1).max(TITLES_MAX), ifVersion }),
  /** `version`: of the library. */
  result: z.object({ data: z.object({ added: z.int(), version: z.int() }) }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "TITLE_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "POST",
    path: "/libraries/:libraryId/titles",
    versioned: true,
    summary: "Put titles into a library; a title may be in several.",
  },
});
export const removeLibraryTitle = ask("libraries.removeTitle", {
  input: z.strictObject({ libraryId: LibraryId, titleId: TitleId, ifVersion }),
  /** `version`: of the library. */
  result: z.object({ data: z.object({ titleId: TitleId, version: z.int() }) }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "TITLE_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/libraries/:libraryId/titles/:titleId",
    versioned: true,
    summary: "Take a title out of a library; who holds a licence to it loses it at once.",
  },
});

export const listLicences = ask("libraries.licences", {
  input: z.strictObject({ libraryId: LibraryId, ...Page }),
  result: z.object({ data: z.array(Licence), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "BAD_CURSOR"],
  retriable: true,
  rest: {
    ...read,
    method: "GET",
    path: "/libraries/:libraryId/licences",
    summary: "List the licences to a library, revoked ones too.",
  },
});
export const grantLicence = ask("libraries.grant", {
  input: z.strictObject({
    libraryId: LibraryId,
    /** Slug of the tenant that gets it. */
    tenant: TenantSlug,
    titleId: TitleId.optional(),
    startsAt: GivenInstant.optional(),
    endsAt: GivenInstant.nullable().optional(),
    territories: z.array(Country).min(1).max(300).optional(),
    maxHeight: z.int().min(100).max(10_000).optional(),
    ifVersion,
  }),
  result: z.object({ data: Licence }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "TITLE_NOT_FOUND", "TENANT_NOT_FOUND", "LICENCE_REFUSED", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "POST",
    path: "/libraries/:libraryId/licences",
    status: 201,
    idempotent: true,
    versioned: true,
    summary:
      "License a library, or one title in it, to another tenant, which may then find and play what is published. `If-Match` is the library's.",
  },
});
export const revokeLicence = ask("libraries.revoke", {
  input: z.strictObject({ libraryId: LibraryId, licenceId: LicenceId, ifVersion }),
  result: z.object({ data: Licence }),
  deadlineMs: 5_000,
  errors: ["LIBRARY_NOT_FOUND", "LICENCE_NOT_FOUND", "VERSION_CONFLICT"],
  rest: {
    ...write,
    method: "DELETE",
    path: "/libraries/:libraryId/licences/:licenceId",
    versioned: true,
    summary: "Revoke a licence; effective at once.",
  },
});
export const receivedLicences = ask("libraries.received", {
  input: z.strictObject(Page),
  result: z.object({ data: z.array(ReceivedLicence), nextCursor: NextCursor }),
  deadlineMs: 5_000,
  errors: ["BAD_CURSOR"],
  retriable: true,
  rest: { ...read, method: "GET", path: "/licences", summary: "List the licences that this tenant holds." },
});

/**
 * It was revoked, or the title was taken out of its library: the licensee may not show that any more, and what it plays
 * of it ends. `titleId` null: all of the library.
 */
export const licenceRevoked = fact(
  "library.licenceRevoked",
  z.object({
    tenantId: TenantId,
    licenseeId: TenantId,
    licenceId: LicenceId,
    libraryId: LibraryId,
    titleId: TitleId.nullable(),
  }),
);
