/**
 * Ends sessions before their time. What edges refuse is written first and the sessions' own rows after it: a crash in
 * between leaves a session that no edge serves, and whoever asked for its end asks again. The hint makes it quick, the
 * list that edges ask for makes it certain.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { z } from "zod";
import type { sessionsRevoked } from "../../contracts/playback.ts";
import type { Cache } from "../../lib/cache/port.ts";
import type { Clock } from "../../lib/clock.ts";
import { revocationBytes, revocationsIn } from "../../lib/crypto/revocations.ts";
import type { Database } from "../../lib/db/database.ts";
import * as store from "./playback.store.ts";

export interface RevokingDeps {
  readonly db: Database;
  readonly cache: Cache;
  readonly clock: Clock;
  readonly sessionMs: number;
  /** Tells edges and gateways. */
  readonly announce: (hint: z.input<typeof sessionsRevoked.payload>) => void;
}

const ROWS_MAX = 5_000; // of one transaction, and of one hint
/** For so long a node may not have heard that a title can't be played any more (`PLAYABLE_MS`), and a clock be slow. */
export const STRAGGLERS_MS = 2_500;

export const sessionCacheKey = (sessionId: string): string => `session:${sessionId.replaceAll("-", "")}`;

export class Revoking {
  readonly #deps: RevokingDeps;

  constructor(deps: RevokingDeps) {
    this.#deps = deps;
  }

  async one(tenantId: string, { id, expiresAt }: { readonly id: string; readonly expiresAt: Date }): Promise<void> {
    await this.#some(tenantId, [{ id, expiresAt }]);
  }

  /** Resolves with their number. */
  async many(tenantId: string, filter: store.EndFilter): Promise<number> {
    let count = 0;
    for (let found = ROWS_MAX; found === ROWS_MAX; count += found) {
      const now = new Date(this.#deps.clock.nowMs());
      const rows = await this.#deps.db.tenantTx(tenantId, (tx) =>
        store.activeSessions(tx, filter, { now, rowCount: ROWS_MAX }),
      );
      found = rows.length;
      if (found > 0) await this.#some(tenantId, rows);
    }
    return count;
  }

  /** Of all tenants, since it may be licensed to others; those too that are being begun at this moment. */
  async title(titleId: string): Promise<void> {
    const { db, clock, sessionMs } = this.#deps;
    const nowMs = clock.nowMs();
    const beforeAt = new Date(nowMs + STRAGGLERS_MS);
    const expiresAt = new Date(nowMs + STRAGGLERS_MS + sessionMs);
    const rows = [{ kind: "title", id: titleId, beforeAt, expiresAt }] as const;
    await db.tenantTx(null, (tx) => store.insertRevocations(tx, rows));
    this.#tell(rows);
    await this.#markTitle(titleId, beforeAt);
    await pause(STRAGGLERS_MS);
    await this.#markTitle(titleId, beforeAt);
  }

  /** A hint says so: what is remembered of them here is forgotten. */
  heard(entries: Uint8Array): Promise<void> {
    return this.#forget([...revocationsIn(entries)].flatMap(({ kind, id }) => (kind === "session" ? [id] : [])));
  }

  #forget(sessionIds: readonly string[]): Promise<void> {
    return this.#deps.cache.delete(sessionIds.map(sessionCacheKey));
  }

  #tell(rows: readonly store.NewRevocation[]): void {
    this.#deps.announce({ entries: revocationBytes(rows.map(store.entryOf)).toString("base64") });
  }

  async #some(tenantId: string, sessions: readonly { readonly id: string; readonly expiresAt: Date }[]): Promise<void> {
    const { db, clock } = this.#deps;
    const now = new Date(clock.nowMs());
    const ids = sessions.map(({ id }) => id);
    const rows = sessions.map(({ id, expiresAt }) => ({ kind: "session", id, beforeAt: now, expiresAt }) as const);
    await db.tenantTx(null, (tx) => store.insertRevocations(tx, rows));
    await db.tenantTx(tenantId, (tx) => store.markRevoked(tx, ids, now));
    await this.#forget(ids);
    this.#tell(rows);
  }

  async #markTitle(titleId: string, before: Date): Promise<void> {
    const { db, clock } = this.#deps;
    const now = new Date(clock.nowMs());
    for (const tenantId of await db.tenantTx(null, (tx) => store.allTenantIds(tx))) {
      await db.tenantTx(tenantId, (tx) => store.markTitleRevoked(tx, titleId, { before, now }));
    }
  }
}
