/** The clock of titles: publishes them when their window opens, and withdraws them when it ends. */
import { codeOf } from "../../contracts/errors.ts";
import type { Clock } from "../../lib/clock.ts";
import type { Database } from "../../lib/db/database.ts";
import type { Log } from "../../lib/log/log.ts";
import { lockFreeTitle } from "./catalog.store.ts";
import { titlesDue } from "./index.store.ts";
import { Life } from "./life.ts";
import { save } from "./writing.ts";

const ROUND_EVERY_MS = 2_000;
const ROUND_TITLES_MAX = 200;

export interface WindowsDeps {
  readonly db: Database;
  readonly clock: Clock;
  readonly log: Log;
}

/** Every control node has one; of two that come to a title at once one does it, and the other finds it done. */
export class Windows {
  readonly #deps: WindowsDeps;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(deps: WindowsDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#timer = setInterval(() => this.#begin(), ROUND_EVERY_MS).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#round;
  }

  /** Does what is due by now; gives the number of titles that changed. */
  async round(): Promise<number> {
    const { db, clock } = this.#deps;
    let changedCount = 0;
    for (;;) {
      const due = await db.tenantTx(null, (tx) => titlesDue(tx, new Date(clock.nowMs()), ROUND_TITLES_MAX));
      let progress = 0;
      for (const { tenantId, titleId } of due) if (await this.#settle(tenantId, titleId)) progress += 1;
      changedCount += progress;
      // All of them are others' at the moment, or there are no more.
      if (progress === 0 || due.length < ROUND_TITLES_MAX) return changedCount;
    }
  }

  #begin(): void {
    this.#round ??= this.round()
      .then(() => {})
      .catch((error: unknown) =>
        this.#deps.log.warn({ err: error }, "windows of titles were not looked at; again soon"),
      )
      .finally(() => {
        this.#round = undefined;
      });
  }

  /** What is wrong with one title holds up no other. */
  async #settle(tenantId: string, titleId: string): Promise<boolean> {
    try {
      return await this.#settled(tenantId, titleId);
    } catch (error) {
      if (codeOf(error) === "DATABASE_DOWN" || codeOf(error) === "SHUTTING_DOWN") throw error;
      this.#deps.log.error({ err: error, titleId }, "the window of a title could not be looked at; again soon");
      return false;
    }
  }

  #settled(tenantId: string, titleId: string): Promise<boolean> {
    return this.#deps.db.tenantTx(tenantId, async (tx) => {
      const before = await lockFreeTitle(tx, titleId);
      if (!before || before.deletedAt !== null) return false;
      const life = new Life(before, this.#deps.clock.nowMs());
      life.tick();
      return (await save(tx, before, life)) !== before;
    });
  }
}
