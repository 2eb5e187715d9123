/**
 * What a licensee sees of a title: what is published of it, read as its owner after the licence was looked at, without
 * what is the owner's own business.
 */
import type { Title } from "../../contracts/catalog.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { type TitleRow, titleById } from "./catalog.store.ts";
import { viewOf } from "./changes.ts";
import { type Licensed, licensedOwnerOf } from "./libraries.ts";
import { isOpen } from "./life.ts";

export interface LicensedTitle {
  readonly owner: Licensed;
  readonly row: TitleRow;
}

/** Undefined: there is no such title for this tenant at the moment. Its own titles are not looked for. */
export const licensedTitle = async (
  { db, clock }: { readonly db: Database; readonly clock: Clock },
  tenantId: string,
  titleId: string,
): Promise<LicensedTitle | undefined> => {
  const owner = await licensedOwnerOf(db, tenantId, titleId);
  if (!owner) return undefined;
  const row = await db.tenantTx(owner.ownerTenantId, (tx) => titleById(tx, titleId));
  return row && isOpen(row, clock.nowMs()) ? { owner, row } : undefined;
};

/** `parentId`: where the licensee may know of the series as well. */
export const licensedView = (
  row: TitleRow,
  { ownerTenant, parentId }: { readonly ownerTenant: string; readonly parentId: string | null },
): Title & { readonly ownerTenant: string } => ({
  ...viewOf(row),
  // How the owner works with it.
  ...{ tags: [], processingError: null, channelId: null, autoPublish: false, codec: null, encryption: null },
  parentId,
  ownerTenant,
});

/** As the API shows it to a licensee. */
export const licensedTitleView = async (
  deps: { readonly db: Database; readonly clock: Clock },
  tenantId: string,
  titleId: string,
): Promise<ReturnType<typeof licensedView> | undefined> => {
  const found = await licensedTitle(deps, tenantId, titleId);
  if (!found) return undefined;
  const { row, owner } = found;
  const { ownerTenant, ownerTenantId } = owner;
  const parent = row.parentId === null ? null : await licensedOwnerOf(deps.db, tenantId, row.parentId);
  return licensedView(row, { ownerTenant, parentId: parent?.ownerTenantId === ownerTenantId ? row.parentId : null });
};
