/** Remembers when keys were used and writes it down in batches: an authentication costs no write. */
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import { touchKeys } from "./tenant.store.ts";

const WAITING_MAX = 10_000; // 36-character ids and a number: about 2 MB

export class KeyUse {
  readonly #db: Database;
  readonly #clock: Clock;
  /** By tenant, then by key: ms since 1970. */
  #waiting = new Map<string, Map<string, number>>();
  #count = 0;

  constructor(deps: { db: Database; clock: Clock }) {
    this.#db = deps.db;
    this.#clock = deps.clock;
  }

  /** At the limit a use of a key that waits not yet is left out: the next batch has it. */
  note(tenantId: string, apiKeyId: string): void {
    const keys = this.#waiting.get(tenantId) ?? new Map<string, number>();
    if (!keys.has(apiKeyId)) {
      if (this.#count >= WAITING_MAX) return;
      this.#count += 1;
    }
    keys.set(apiKeyId, this.#clock.nowMs());
    this.#waiting.set(tenantId, keys);
  }

  /** What can't be written is dropped: the time of use is a hint for people. */
  async flush(): Promise<void> {
    const waiting = this.#waiting;
    this.#waiting = new Map();
    this.#count = 0;
    for (const [tenantId, keys] of waiting) {
      const uses = [...keys].map(([id, atMs]) => ({ id, at: new Date(atMs) }));
      await this.#db.tenantTx(tenantId, (tx) => touchKeys(tx, uses));
    }
  }
}
