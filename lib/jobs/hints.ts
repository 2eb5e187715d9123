import type { Database } from "../db/database.ts";
import { JOB_CHANNEL } from "./job.store.ts";

/** Nobody sees the difference, and a worker commits as many jobs as it can meanwhile. */
const GATHER_MS = 50;

/**
 * Tells who listens which jobs changed, some at once: PostgreSQL lets transactions that notify commit only one after
 * the other, so that no two of them share a flush of its log. A hint that gets lost costs its listener a poll.
 */
export class Hints {
  readonly #db: Database;
  #gathered = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(db: Database) {
    this.#db = db;
  }

  tell(hint: string): void {
    this.#gathered.add(hint);
    this.#timer ??= setTimeout(() => void this.flush(), GATHER_MS);
  }

  /** Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#gathered.size === 0) return;
    const hints = [...this.#gathered];
    this.#gathered = new Set();
    await this.#db
      .query("select pg_notify($1, hint) from unnest($2::text[]) hint", [JOB_CHANNEL, hints])
      .catch(() => {});
  }
}
