/**
 * Libraries and licences. A licensee never gets at rows of its licensor: row security shows it the licence and the ids
 * of the titles that it is for, and the catalog reads those titles as their owner, one decision at a time.
 */
import { randomUUIDv7 } from "node:crypto";
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import {
  type addLibraryTitles,
  type createLibrary,
  type grantLicence,
  licenceRevoked,
  type listLibraries,
  type listLibraryTitles,
  type patchLibrary,
  type removeLibraryTitle,
  type revokeLicence,
} from "../../contracts/libraries.ts";
import type { Database, Tx } from "../../lib/db/database.ts";
import { publishFact } from "../../lib/events/port.ts";
import { pageOf, uuidAfter } from "../../lib/page.ts";
import * as store from "./libraries.store.ts";

export const DEFAULT_LIBRARY = "default";
/** What a search looks through besides the tenant's own titles. */
const LICENSED_TITLES_MAX = 20_000;

type Page = z.output<typeof listLibraries.input>;
type PageOfLibrary = z.output<typeof listLibraryTitles.input>;

/** The owner of a title that another tenant may show now. */
export interface Licensed {
  readonly ownerTenantId: string;
  /** Its slug. */
  readonly ownerTenant: string;
}

/**
 * Whose title it is, where this tenant holds a licence to it that holds at this moment, wherever its viewers are; null
 * else, and for its own. It says nothing of whether the title is published.
 */
export const licensedOwnerOf = async (
  db: Pick<Database, "tenantTx">,
  tenantId: string,
  titleId: string,
): Promise<Licensed | null> => {
  const licence = await db.tenantTx(tenantId, (tx) => store.bestLicence(tx, { tenantId, titleId, country: null }));
  if (!licence) return null;
  const slugs = await db.tenantTx(null, (tx) => store.slugsOf(tx, [licence.ownerId]));
  return { ownerTenantId: licence.ownerId, ownerTenant: slugs.get(licence.ownerId) ?? "" };
};

/**
 * The licence by which this tenant's viewers in a country may play a title now; null: there is none at all. Fails with
 * COUNTRY_UNKNOWN and TERRITORY_EXCLUDED where there is one for elsewhere.
 */
export const licenceFor = async (
  db: Pick<Database, "tenantTx">,
  tenantId: string,
  { titleId, country }: { readonly titleId: string; readonly country?: string | undefined },
): Promise<store.LicenceTerms | null> => {
  const of = { tenantId, titleId, country: country ?? null };
  const best = await db.tenantTx(tenantId, (tx) => store.bestLicence(tx, of));
  if (!best || best.isGoodThere) return best ?? null;
  return country === undefined
    ? fail("COUNTRY_UNKNOWN", { titleId })
    : fail("TERRITORY_EXCLUDED", { titleId, country });
};

export interface LicensedTitles {
  readonly ownerTenantId: string;
  readonly ownerTenant: string;
  readonly titleIds: readonly string[];
}
/** Everything that this tenant may show of others now, by owner; whether it is published its owner's rows say. */
export const licensedTitlesOf = async (db: Pick<Database, "tenantTx">, tenantId: string): Promise<LicensedTitles[]> => {
  const found = await db.tenantTx(tenantId, (tx) => store.licensedTitles(tx, tenantId, LICENSED_TITLES_MAX));
  if (found.length === 0) return [];
  const owners = found.map(({ ownerId }) => ownerId);
  const slugs = await db.tenantTx(null, (tx) => store.slugsOf(tx, owners));
  return found.map(({ ownerId, titleIds }) => ({
    ...{ ownerTenantId: ownerId, ownerTenant: slugs.get(ownerId) ?? "", titleIds },
  }));
};

/** The library that is always there; made by whoever needs it first. */
const defaultLibrary = async (tx: Tx, tenantId: string): Promise<string> => {
  const made = { id: randomUUIDv7(), tenantId, slug: DEFAULT_LIBRARY, name: "Default" };
  const known = await store.libraryIdBySlug(tx, DEFAULT_LIBRARY);
  if (known !== undefined) return known;
  const inserted = await store.insertLibrary(tx, made);
  // Another transaction was first: it has committed by now.
  return inserted?.id ?? (await store.libraryIdBySlug(tx, DEFAULT_LIBRARY))!;
};

/** A new title begins in the library `default`. In the transaction that makes the title, or after it. */
export const joinDefaultLibrary = async (tx: Tx, tenantId: string, titleId: string): Promise<void> => {
  const libraryId = await defaultLibrary(tx, tenantId);
  // It may be deleted by now.
  const titleIds = await store.ownTitles(tx, [titleId]);
  await store.addTitles(tx, { tenantId, libraryId, titleIds });
};

const libraryOf = (row: store.LibraryRow) => ({
  ...row,
  createdAt: row.createdAt.toISOString(),
  updatedAt: row.updatedAt.toISOString(),
});
const termsOf = ({ id, libraryId, titleId, territories, maxHeight, ...row }: store.LicenceRow) => ({
  ...{ id, libraryId, titleId, territories, maxHeight },
  startsAt: row.startsAt.toISOString(),
  endsAt: row.endsAt?.toISOString() ?? null,
});
const licenceOf = (row: store.LicenceRow, tenant: string) => ({
  ...termsOf(row),
  tenant,
  version: row.version,
  createdAt: row.createdAt.toISOString(),
  revokedAt: row.revokedAt?.toISOString() ?? null,
});

const checkVersion = (row: Pick<store.LibraryRow, "version">, ifVersion: number | undefined): void => {
  if (ifVersion !== undefined && ifVersion !== row.version) fail("VERSION_CONFLICT", { version: row.version });
};
const found = (row: store.LibraryRow | undefined, libraryId: string): store.LibraryRow =>
  row ?? fail("LIBRARY_NOT_FOUND", { libraryId });
/** The library with its lock. Fails with LIBRARY_NOT_FOUND and VERSION_CONFLICT. */
const locked = async (tx: Tx, libraryId: string, ifVersion: number | undefined): Promise<store.LibraryRow> => {
  const row = found(await store.lockLibrary(tx, libraryId), libraryId);
  checkVersion(row, ifVersion);
  return row;
};

export class Libraries {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async list(tenantId: string, { cursor, limit }: Page) {
    const afterId = uuidAfter("libraries", cursor);
    const rows = await this.#db.tenantTx(tenantId, async (tx) => {
      await defaultLibrary(tx, tenantId);
      return store.libraryPage(tx, tenantId, { afterId, rowCount: limit + 1 });
    });
    const page = pageOf("libraries", rows, limit);
    return { data: page.rows.map(libraryOf), nextCursor: page.nextCursor };
  }

  async create(tenantId: string, { slug, name }: z.output<typeof createLibrary.input>) {
    const library = { id: randomUUIDv7(), tenantId, slug, name: name ?? slug };
    const row = await this.#db.tenantTx(tenantId, async (tx) => {
      await defaultLibrary(tx, tenantId);
      return store.insertLibrary(tx, library);
    });
    return { data: row ? libraryOf(row) : fail("LIBRARY_SLUG_TAKEN", { slug }) };
  }

  async get(tenantId: string, libraryId: string) {
    const row = await this.#db.tenantTx(tenantId, (tx) => store.readLibrary(tx, libraryId));
    return { data: libraryOf(found(row, libraryId)) };
  }

  async patch(tenantId: string, { libraryId, ifVersion, ...changes }: z.output<typeof patchLibrary.input>) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const before = await locked(tx, libraryId, ifVersion);
      const { slug = before.slug, name = before.name } = changes;
      if (slug !== before.slug) {
        if (before.slug === DEFAULT_LIBRARY) fail("LIBRARY_DEFAULT");
        if ((await store.libraryIdBySlug(tx, slug)) !== undefined) fail("LIBRARY_SLUG_TAKEN", { slug });
      }
      return { data: libraryOf(await store.updateLibrary(tx, { id: libraryId, slug, name })) };
    });
  }

  async delete(tenantId: string, { libraryId, ifVersion }: { libraryId: string; ifVersion?: number | undefined }) {
    await this.#db.tenantTx(tenantId, async (tx) => {
      const before = await locked(tx, libraryId, ifVersion);
      if (before.slug === DEFAULT_LIBRARY) fail("LIBRARY_DEFAULT");
      for (const licence of await store.activeLicences(tx, libraryId)) await revoked(tx, licence);
      await store.deleteLibrary(tx, libraryId);
    });
    return { data: { id: libraryId } };
  }

  async titles(tenantId: string, { libraryId, cursor, limit }: PageOfLibrary) {
    const afterId = uuidAfter("library-titles", cursor);
    const rows = await this.#db.tenantTx(tenantId, async (tx) => {
      found(await store.readLibrary(tx, libraryId), libraryId);
      return store.libraryTitlePage(tx, libraryId, { afterId, rowCount: limit + 1 });
    });
    const page = pageOf("library-titles", rows, limit);
    const data = page.rows.map(({ id: titleId, addedAt, ...row }) => ({
      ...{ titleId, ...row, addedAt: addedAt.toISOString() },
    }));
    return { data, nextCursor: page.nextCursor };
  }

  async addTitles(tenantId: string, { libraryId, titleIds, ifVersion }: z.output<typeof addLibraryTitles.input>) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const library = await locked(tx, libraryId, ifVersion);
      const own = new Set(await store.ownTitles(tx, titleIds));
      const stranger = titleIds.find((titleId) => !own.has(titleId));
      if (stranger !== undefined) return fail("TITLE_NOT_FOUND", { titleId: stranger });
      const added = await store.addTitles(tx, { tenantId, libraryId, titleIds: [...own] });
      const { version } = added > 0 ? await store.updateLibrary(tx, library) : library;
      return { data: { added, version } };
    });
  }

  async removeTitle(tenantId: string, { libraryId, titleId, ifVersion }: z.output<typeof removeLibraryTitle.input>) {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const library = await locked(tx, libraryId, ifVersion);
      if (!(await store.removeTitle(tx, libraryId, titleId))) fail("TITLE_NOT_FOUND", { titleId });
      const licences = await store.activeLicences(tx, libraryId);
      const covering = licences.filter((licence) => licence.titleId === null || licence.titleId === titleId);
      for (const licence of covering) await revoked(tx, { ...licence, titleId });
      return { data: { titleId, version: (await store.updateLibrary(tx, library)).version } };
    });
  }

  async licences(tenantId: string, { libraryId, cursor, limit }: PageOfLibrary) {
    const afterId = uuidAfter("library-licences", cursor);
    const rows = await this.#db.tenantTx(tenantId, async (tx) => {
      found(await store.readLibrary(tx, libraryId), libraryId);
      return store.licencePage(tx, libraryId, { afterId, rowCount: limit + 1 });
    });
    const { rows: kept, nextCursor } = pageOf("library-licences", rows, limit);
    const slugs = await this.#slugs(kept.map(({ licenseeId }) => licenseeId));
    return { data: kept.map((row) => licenceOf(row, slugs.get(row.licenseeId) ?? "")), nextCursor };
  }

  async grant(tenantId: string, input: z.output<typeof grantLicence.input>) {
    const { libraryId, tenant, titleId = null, startsAt = null, endsAt = null } = input;
    const licenseeId = await this.#db.tenantTx(null, (tx) => store.tenantBySlug(tx, tenant));
    if (licenseeId === undefined) return fail("TENANT_NOT_FOUND", { tenantId: tenant });
    if (licenseeId === tenantId) return fail("LICENCE_REFUSED", { reason: "a tenant needs none for its own titles" });
    const { territories = null, maxHeight = null } = input;
    const row = await this.#db.tenantTx(tenantId, async (tx) => {
      await locked(tx, libraryId, input.ifVersion);
      if (titleId !== null && !(await store.hasTitle(tx, libraryId, titleId))) fail("TITLE_NOT_FOUND", { titleId });
      const terms = { titleId, licenseeId, startsAt, endsAt, territories, maxHeight };
      const made = await store.insertLicence(tx, { id: randomUUIDv7(), tenantId, libraryId, ...terms });
      // Without a start it starts now, by the database's clock.
      if (made.endsAt !== null && made.endsAt <= made.startsAt) {
        return fail("LICENCE_REFUSED", { reason: "it ends before it starts" });
      }
      return made;
    });
    return { data: licenceOf(row, tenant) };
  }

  /** Revoking twice gives the same answer twice. */
  async revoke(tenantId: string, { ifVersion, ...of }: z.output<typeof revokeLicence.input>) {
    const row = await this.#db.tenantTx(tenantId, async (tx) => {
      found(await store.readLibrary(tx, of.libraryId), of.libraryId);
      const before = await store.lockLicence(tx, of);
      if (!before) return fail("LICENCE_NOT_FOUND", { licenceId: of.licenceId });
      checkVersion(before, ifVersion);
      if (before.revokedAt !== null) return before;
      const row = await store.revokeLicence(tx, of);
      await revoked(tx, row);
      return row;
    });
    const slugs = await this.#slugs([row.licenseeId]);
    return { data: licenceOf(row, slugs.get(row.licenseeId) ?? "") };
  }

  async received(tenantId: string, { cursor, limit }: Page) {
    const afterId = uuidAfter("licences", cursor);
    const rows = await this.#db.tenantTx(tenantId, (tx) =>
      store.receivedPage(tx, tenantId, { afterId, rowCount: limit + 1 }),
    );
    const { rows: kept, nextCursor } = pageOf("licences", rows, limit);
    const slugs = await this.#slugs(kept.map(({ ownerId }) => ownerId));
    const data = kept.map((row) => ({
      ...{ ...termsOf(row), ownerTenant: slugs.get(row.ownerId) ?? "", active: row.active },
    }));
    return { data, nextCursor };
  }

  #slugs(ids: readonly string[]): Promise<ReadonlyMap<string, string>> {
    return this.#db.tenantTx(null, (tx) => store.slugsOf(tx, ids));
  }
}

const revoked = (tx: Tx, { id, ownerId, licenseeId, libraryId, titleId }: store.LicenceRow): Promise<number> =>
  publishFact(tx, licenceRevoked, id, { tenantId: ownerId, licenseeId, licenceId: id, libraryId, titleId });
