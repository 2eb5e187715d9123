/**
 * The mark of a title that may be played without a session: an object beside its files, there or not. It follows the
 * title's facts, which come in order per title and more than once; each time the title itself is looked at.
 */
import { contentDeleted, contentPublished, contentUpdated, contentWithdrawn } from "../../contracts/catalog.ts";
import { publicMarkPath } from "../../contracts/content-set.ts";
import type { Database } from "../../lib/db/database.ts";
import type { EventBus } from "../../lib/events/events.ts";
import type { ObjectStore } from "../../lib/objects/port.ts";
import { titleById } from "./catalog.store.ts";
import { isFilm } from "./life.ts";

export interface MarksDeps {
  readonly db: Database;
  readonly objects: ObjectStore;
}

const FACTS = [contentUpdated, contentPublished, contentWithdrawn, contentDeleted] as const;

/** Brings a title's mark to what the title is. */
export const settleMark = async (
  { db, objects }: MarksDeps,
  { tenantId, titleId }: { readonly tenantId: string; readonly titleId: string },
): Promise<void> => {
  const row = await db.tenantTx(tenantId, (tx) => titleById(tx, titleId));
  const name = { bucket: "segments", key: publicMarkPath(titleId) } as const;
  // By its state and not by this node's clock: when that state ends, a fact says so.
  const isPublic = row?.state === "published" && row.deletedAt === null && row.access === "public" && isFilm(row.kind);
  if (!isPublic) return objects.delete(name.bucket, [name.key]);
  if ((await objects.head(name)) === null) await objects.put(name, Buffer.from("{}\n"));
};

export const listenForMarks = (events: EventBus, deps: MarksDeps): Promise<void> =>
  events.subscribe("catalog-marks", FACTS, ({ payload }) => settleMark(deps, payload));
