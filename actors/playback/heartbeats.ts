/** When sessions' players said last that they play: many a second, so they are written together every few seconds. */
import type { Database } from "../../lib/db/database.ts";
import * as store from "./playback.store.ts";

/** Of what waits to be written; what comes then is not written. 100 bytes each. */
const WAITING_MAX = 200_000;
const ROWS_MAX = 1_000;

export class Heartbeats {
  readonly #db: Database;
  readonly #seen = new Map<string, Map<string, Date>>();
  #waiting = 0;

  constructor(db: Database) {
    this.#db = db;
  }

  note(tenantId: string, sessionId: string, at: Date): void {
    const sessions = this.#seen.get(tenantId) ?? new Map<string, Date>();
    this.#seen.set(tenantId, sessions);
    if (!sessions.has(sessionId)) {
      if (this.#waiting >= WAITING_MAX) return;
      this.#waiting += 1;
    }
    sessions.set(sessionId, at);
  }

  async flush(): Promise<void> {
    const taken = [...this.#seen];
    this.#seen.clear();
    this.#waiting = 0;
    for (const [tenantId, sessions] of taken) {
      // In one order, so that two nodes never wait for each other.
      const seen = [...sessions].map(([id, at]) => ({ id, at })).sort((a, b) => (a.id < b.id ? -1 : 1));
      for (let at = 0; at < seen.length; at += ROWS_MAX) {
        await this.#db.tenantTx(tenantId, (tx) => store.touchSessions(tx, seen.slice(at, at + ROWS_MAX)));
      }
    }
  }
}
