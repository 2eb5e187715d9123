/**
 * Idempotency records: free → claimed (60 s) → answered (24 h) → free; a claim whose answer is not worth keeping is
 * freed at once. Bodies are opaque here: the gateway seals them, since an answer may hold a secret that is shown once.
 */
import type { z } from "zod";
import { fail } from "../../contracts/errors.ts";
import type { beginIdempotent, endIdempotent } from "../../contracts/tenant.ts";
import type { Database } from "../../lib/db/database.ts";
import {
  claimIdempotency,
  freeIdempotency,
  readIdempotency,
  storeIdempotency,
  tenantIds,
  trimIdempotency,
} from "./tenant.store.ts";

const KEEP_SECONDS = 24 * 3600;
const LOCK_SECONDS = 60; // the longest ask has 25 s: twice that and some more

export class Idempotency {
  readonly #db: Database;

  constructor(db: Database) {
    this.#db = db;
  }

  async begin(
    tenantId: string,
    { idempotencyKey: key, fingerprint }: z.output<typeof beginIdempotent.input>,
  ): Promise<z.output<typeof beginIdempotent.result>> {
    return this.#db.tenantTx(tenantId, async (tx) => {
      const claim = { tenantId, key, fingerprint, lockSeconds: LOCK_SECONDS, keepSeconds: KEEP_SECONDS };
      if (await claimIdempotency(tx, claim)) return { stored: null };
      const row = await readIdempotency(tx, key);
      if (row && row.fingerprint !== fingerprint) return fail("IDEMPOTENCY_MISMATCH");
      // No row: the first request freed the key between our two statements; the client comes again.
      if (!row || row.status === null) return fail("IDEMPOTENCY_RUNNING");
      return { stored: { status: row.status, body: row.body ?? "" } };
    });
  }

  async end(
    tenantId: string,
    { idempotencyKey: key, answer }: z.output<typeof endIdempotent.input>,
  ): Promise<Record<string, never>> {
    await this.#db.tenantTx(tenantId, (tx) =>
      answer && answer.status < 500 ? storeIdempotency(tx, { key, ...answer }) : freeIdempotency(tx, key),
    );
    return {};
  }

  /** Removes what is older than 24 h, tenant by tenant; gives the number of records removed. */
  async trim(): Promise<number> {
    let removed = 0;
    for (const tenantId of await this.#db.tenantTx(null, tenantIds)) {
      removed += await this.#db.tenantTx(tenantId, (tx) => trimIdempotency(tx, KEEP_SECONDS));
    }
    return removed;
  }
}
