/** Whether viewers of a tenant may play a title now: its own, or one that another tenant has licensed to it. */
import type { z } from "zod";
import type { playableTitle } from "../../contracts/catalog.ts";
import type { Encryption } from "../../contracts/content-set.ts";
import { fail } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import * as store from "./catalog.store.ts";
import { licenceFor } from "./libraries.ts";
import { isFilm, isOpen } from "./life.ts";

export interface PlayableDeps {
  readonly db: Database;
  readonly clock: Clock;
  /** Of titles that don't say. */
  readonly encryption: Encryption;
}
type Result = z.input<typeof playableTitle.result>;

/** Undefined: it may be played. */
const refusalOf = (row: store.TitleRow, nowMs: number): string | undefined => {
  if (row.kind === "live") return "it is a live channel";
  if (!isFilm(row.kind)) return `it is a ${row.kind}`;
  if (!isOpen(row, nowMs)) return row.state === "published" ? "its window is closed" : `it is ${row.state}`;
  return row.playableRevision === null ? "nothing of it can be played yet" : undefined;
};

const earlier = (a: Date | null, b: Date | null): Date | null => (a && b ? (a < b ? a : b) : (a ?? b));

const resultOf = (row: store.TitleRow, { nowMs, encryption }: { nowMs: number; encryption: Encryption }): Result => {
  const reason = refusalOf(row, nowMs);
  if (reason !== undefined) return fail("TITLE_UNPLAYABLE", { titleId: row.id, reason });
  return {
    titleId: row.id,
    ownerTenantId: row.tenantId,
    isPublic: row.access === "public",
    encryption: row.encryption ?? encryption,
    availableUntil: row.availableUntil?.toISOString() ?? null,
    maxHeight: null,
  };
};

export const playable = async (
  { db, clock, encryption }: PlayableDeps,
  tenantId: string,
  { titleId, country }: z.output<typeof playableTitle.input>,
): Promise<Result> => {
  const read = async (ownerId: string): Promise<store.TitleRow | undefined> => {
    const row = await db.tenantTx(ownerId, (tx) => store.titleById(tx, titleId));
    return row?.deletedAt === null ? row : undefined;
  };
  const now = { nowMs: clock.nowMs(), encryption };
  const own = await read(tenantId);
  if (own) return resultOf(own, now);
  const licence = await licenceFor(db, tenantId, { titleId, country });
  const licensed = licence && (await read(licence.ownerId));
  if (!licensed) return fail("TITLE_NOT_FOUND", { titleId });
  const availableUntil = earlier(licensed.availableUntil, licence.endsAt)?.toISOString() ?? null;
  return { ...resultOf(licensed, now), availableUntil, maxHeight: licence.maxHeight };
};
